//! Discovery through the router, against what Kubernetes v1.36.2 answered, entry by entry.
//!
//! The goldens hold the resources that are served here; verbs and subresources that are not served are taken out.

use crate::api::client::with_server;
use crate::api::resources::{GROUP_VERSIONS, GroupVersion};
use axum::http::header;
use serde_json::{Value, json};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

fn golden(name: &str) -> String {
    let path = format!("{}/tests/goldens/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).expect(&path)
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// The keys of an object in the order in which they stand in `text`; a `Value` would sort them.
fn keys(text: &str, path: &[&str]) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Raw<'a>(#[serde(borrow)] Pairs<'a>);
    struct Pairs<'a>(Vec<(String, &'a serde_json::value::RawValue)>);
    impl<'a, 'de: 'a> serde::Deserialize<'de> for Pairs<'a> {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Pairs<'de>;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                    let mut pairs = Vec::new();
                    while let Some(pair) = map.next_entry()? {
                        pairs.push(pair);
                    }
                    Ok(Pairs(pairs))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }
    let mut text = text;
    for step in path {
        let Raw(Pairs(pairs)) = serde_json::from_str(text).expect("an object");
        let found = pairs.into_iter().find(|(key, _)| key == step).expect("the key is there").1.get();
        // Of a list, its first item.
        text = if found.starts_with('[') {
            serde_json::from_str::<Vec<&serde_json::value::RawValue>>(found).expect("a list")[0].get()
        } else {
            found
        };
    }
    let Raw(Pairs(pairs)) = serde_json::from_str(text).expect("an object");
    pairs.into_iter().map(|(key, _)| key).collect()
}

/// Takes out of Kubernetes' list what the table does not have, and what only its storage knows.
fn served(mut theirs: Value, group: &GroupVersion) -> Value {
    let find = |name: &str| group.resources.iter().find(|resource| resource.plural == name);
    for resource in theirs["resources"].as_array_mut().expect("resources") {
        let name = resource["name"].as_str().or_else(|| resource["resource"].as_str()).expect("a name").to_owned();
        let (plural, part) = name.split_once('/').unwrap_or((&name, ""));
        let ours = find(plural).expect("the golden was cut to what is served");
        let verbs = match part {
            "" => Some(ours.verbs),
            part => ours.subresources.iter().find(|other| other.name == part).map(|part| part.verbs),
        };
        let has = |verb: &Value| verbs.is_some_and(|verbs| verbs.iter().any(|ours| *verb == ours.as_str()));
        resource["verbs"].as_array_mut().expect("verbs").retain(has);
        let resource = resource.as_object_mut().expect("an object");
        resource.remove("storageVersionHash");
        if let Some(parts) = resource.get_mut("subresources").and_then(Value::as_array_mut) {
            parts.retain_mut(|part| {
                let name = part["subresource"].as_str().expect("a name").to_owned();
                let Some(ours) = ours.subresources.iter().find(|ours| ours.name == name) else { return false };
                part["verbs"]
                    .as_array_mut()
                    .expect("verbs")
                    .retain(|verb| ours.verbs.iter().any(|ours| *verb == ours.as_str()));
                true
            });
            if parts.is_empty() {
                resource.remove("subresources");
            }
        }
    }
    let resources = theirs["resources"].as_array_mut().expect("resources");
    resources.retain(|resource| resource["verbs"].as_array().is_some_and(|verbs| !verbs.is_empty()));
    theirs
}

#[test]
fn the_older_form_is_what_kubernetes_answers() {
    with_server(async |server| {
        let plain = &[(header::ACCEPT, "application/json")];
        for (path, name, group) in [
            ("/api", "api", None),
            ("/apis", "apis", None),
            ("/apis/batch", "apis-batch", None),
            ("/api/v1", "api-v1", Some(&GROUP_VERSIONS[0])),
            ("/apis/batch/v1", "apis-batch-v1", Some(&GROUP_VERSIONS[1])),
        ] {
            let theirs = golden(name);
            for path in [path.to_owned(), format!("{path}/")] {
                for headers in [&plain[..], &[]] {
                    let answer = server.ask("GET", &path, headers).await;
                    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{path}");
                    let whole = parsed(&theirs);
                    let wanted = if let Some(group) = group { served(whole, group) } else { whole };
                    assert_eq!(answer.body, wanted, "{path}");
                    assert_eq!(keys(&answer.text, &[]), keys(&theirs, &[]), "{path}");
                }
            }
        }
        let first = |text: &str| keys(text, &["resources"]);
        let ours = server.ask("GET", "/api/v1", plain).await.text;
        let theirs: Vec<String> =
            first(&golden("api-v1")).into_iter().filter(|key| key != "storageVersionHash").collect();
        assert_eq!(first(&ours), theirs);
        server
    });
}

#[test]
fn the_aggregated_form_is_what_kubernetes_answers() {
    with_server(async |server| {
        for (path, name, groups) in
            [("/api", "api-aggregated", &GROUP_VERSIONS[..1]), ("/apis", "apis-aggregated", &GROUP_VERSIONS[1..])]
        {
            let text = golden(name);
            let mut theirs = parsed(&text);
            for (nth, group) in groups.iter().enumerate() {
                let version = &mut theirs["items"][nth]["versions"][0];
                *version = served(version.take(), group);
            }
            for path in [path.to_owned(), format!("{path}/?timeout=32s")] {
                let answer = server.ask("GET", &path, &[(header::ACCEPT, AGGREGATED)]).await;
                assert_eq!(answer.status, 200);
                let media_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
                assert_eq!(answer.header("content-type"), media_type);
                assert_eq!((answer.header("vary"), answer.header("cache-control")), ("Accept", "public"));
                assert_eq!(answer.body, theirs);
                for path in [&[][..], &["items"], &["items", "versions"], &["items", "versions", "resources"]] {
                    assert_eq!(keys(&answer.text, path), keys(&text, path), "{path:?}");
                }
            }
            let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
            let answer = server.ask("GET", path, &[(header::ACCEPT, beta)]).await;
            theirs["apiVersion"] = json!("apidiscovery.k8s.io/v2beta1");
            assert_eq!((answer.header("content-type"), &answer.body), (beta, &theirs));
        }
        server
    });
}

#[test]
fn a_known_document_is_not_sent_again() {
    with_server(async |server| {
        let tag = server.ask("GET", "/apis", &[(header::ACCEPT, AGGREGATED)]).await.header("etag").to_owned();
        assert_eq!((tag.len(), tag.starts_with('"') && tag.ends_with('"')), (130, true), "{tag}");
        let several = format!("\"other\", {tag}");
        for (known, status) in [(&tag, 304), (&several, 304), (&"\"other\"".to_owned(), 200), (&String::new(), 200)] {
            let headers = [(header::ACCEPT, AGGREGATED), (header::IF_NONE_MATCH, known.as_str())];
            let answer = server.ask("GET", "/apis", &headers).await;
            assert_eq!((answer.status, answer.text.is_empty()), (status, status == 304), "{known}");
            assert_eq!((answer.header("etag"), answer.header("vary")), (tag.as_str(), "Accept"));
        }
        server
    });
}

#[test]
fn forms_that_are_not_offered_are_refused() {
    with_server(async |server| {
        let protobuf = "application/vnd.kubernetes.protobuf";
        for (path, accept) in [("/api", protobuf), ("/apis/batch/v1", protobuf), ("/apis/batch", "text/html")] {
            let answer = server.ask("GET", path, &[(header::ACCEPT, accept)]).await;
            assert_eq!((answer.status, &answer.body["reason"]), (406, &json!("NotAcceptable")), "{path}");
        }
        server
    });
}
