//! The table against the router: what stands there is answered, and nothing else is.

use super::{ApiResource, GROUP_VERSIONS, GroupVersion, Verb};
use crate::api::client::{Server, with_server};
use axum::http::header;
use std::collections::BTreeSet;

const VERBS: [Verb; 7] = [Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];

fn collection(group: &GroupVersion, resource: &ApiResource) -> String {
    let scope = if resource.is_namespaced { "/namespaces/default" } else { "" };
    format!("{}{scope}/{}", group.path(), resource.plural)
}

/// Method and path of a verb.
fn request(verb: Verb, collection: &str) -> (&'static str, String) {
    match verb {
        Verb::Create => ("POST", collection.to_owned()),
        Verb::Delete => ("DELETE", format!("{collection}/x?propagationPolicy=Background")),
        Verb::Get => ("GET", format!("{collection}/x")),
        Verb::List => ("GET", collection.to_owned()),
        Verb::Patch => ("PATCH", format!("{collection}/x")),
        Verb::Update => ("PUT", format!("{collection}/x")),
        Verb::Watch => ("GET", format!("{collection}?watch=true&timeoutSeconds=1")),
    }
}

/// A status and, unless it is good, the answer's text: an object that is not there is a 404, too.
async fn answered(server: &Server, method: &str, path: &str) -> (u16, String) {
    let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let headers = [(header::CONTENT_TYPE, media)];
    let status = server.status(method, path, &headers, "{}").await;
    let text = if status < 300 { String::new() } else { server.ask(method, path, &headers).await.text };
    (status, text)
}

/// Verbs of `path` that are answered although they should not be, or the other way round.
async fn wrong(server: &Server, name: &str, path: &str, verbs: &[Verb], all: &[Verb]) -> Vec<String> {
    let mut wrong = Vec::new();
    let (status, text) = answered(server, "DELETE", path).await;
    if status != 405 {
        wrong.push(format!("deletecollection of {name} is not listed: {status} {text}"));
    }
    for verb in all {
        let (method, path) = request(*verb, path);
        let (status, text) = answered(server, method, &path).await;
        let is_nowhere = text.contains("could not find the requested resource") || text.contains("404 page not found");
        let is_refused = text.contains("is not offered by this version");
        let is_answered = status != 405 && !is_nowhere && !is_refused;
        if verbs.contains(verb) && !is_answered {
            wrong.push(format!("{} of {name} is listed: {status} {text}", verb.as_str()));
        }
        if !verbs.contains(verb) && status != 405 {
            wrong.push(format!("{} of {name} is not listed: {status} {text}", verb.as_str()));
        }
    }
    wrong
}

#[test]
fn the_router_answers_the_verbs_that_are_listed_and_no_others() {
    with_server(async |server| {
        let mut found = Vec::new();
        for group in GROUP_VERSIONS {
            for resource in group.resources {
                let path = collection(&group, resource);
                found.extend(wrong(&server, resource.plural, &path, resource.verbs, &VERBS).await);
                for part in resource.subresources {
                    for (method, verb) in [("GET", Verb::Get), ("PUT", Verb::Update), ("PATCH", Verb::Patch)] {
                        let (status, text) = answered(&server, method, &format!("{path}/x/{}", part.name)).await;
                        let is_answered = status != 405 && !text.contains("could not find the requested resource");
                        if part.verbs.contains(&verb) != is_answered {
                            found.push(format!("{method} of {}/{}: {status} {text}", resource.plural, part.name));
                        }
                    }
                }
            }
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
        server
    });
}

#[test]
fn namespaced_resources_are_listed_over_all_namespaces_and_made_in_one() {
    with_server(async |server| {
        for group in GROUP_VERSIONS {
            for resource in group.resources.iter().filter(|resource| resource.is_namespaced) {
                let path = format!("{}/{}", group.path(), resource.plural);
                assert_eq!(answered(&server, "GET", &path).await.0, 200, "{path}");
                assert_eq!(answered(&server, "POST", &path).await.0, 405, "{path}");
                assert_eq!(answered(&server, "DELETE", &path).await.0, 405, "{path}");
            }
        }
        server
    });
}

#[test]
fn neither_heads_nor_options_are_answered() {
    with_server(async |server| {
        for group in GROUP_VERSIONS {
            for resource in group.resources {
                let path = collection(&group, resource);
                for (method, path) in [("HEAD", &path), ("OPTIONS", &path), ("HEAD", &format!("{path}/x"))] {
                    assert_eq!(server.status(method, path, &[], "").await, 405, "{method} {path}");
                }
            }
        }
        server
    });
}

#[test]
fn the_table_is_in_alphabetical_order_and_names_nothing_twice() {
    for group in GROUP_VERSIONS {
        let names: Vec<&str> = group.resources.iter().map(|resource| resource.plural).collect();
        assert_eq!(names, BTreeSet::from_iter(names.iter().copied()).into_iter().collect::<Vec<_>>());
        for resource in group.resources {
            let verbs: Vec<&str> = resource.verbs.iter().map(|verb| verb.as_str()).collect();
            assert_eq!(verbs, BTreeSet::from_iter(verbs.iter().copied()).into_iter().collect::<Vec<_>>());
            let parts: Vec<&str> = resource.subresources.iter().map(|part| part.name).collect();
            assert_eq!(parts, BTreeSet::from_iter(parts.iter().copied()).into_iter().collect::<Vec<_>>());
        }
    }
}
