//! The forms of an answer, single objects, the node.

use super::{JOBS, PODS, Server, TABLE, golden, keys, names, rv, with_server};
use axum::http::Method;
use serde_json::{Value, json};

const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

#[test]
fn lists_and_objects_come_as_tables() {
    with_server(async |server: &Server| {
        server.create_paused(&["a", "b"]).await;
        let list = server.get(JOBS).await;
        let (code, table) = server.get_as(&format!("{JOBS}?limit=500"), &format!("{TABLE},application/json")).await;
        assert_eq!(code, 200);
        assert_eq!(keys(&table), ["kind", "apiVersion", "metadata", "columnDefinitions", "rows"].into());
        assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
        assert_eq!(rv(&table), rv(&list));
        let rows = table["rows"].as_array().expect("rows");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["object"]["kind"], "PartialObjectMetadata");
        assert_eq!(rows[0]["object"]["metadata"], list["items"][0]["metadata"]);
        let (_, one) = server.get_as(&format!("{JOBS}/b?includeObject=Object"), TABLE).await;
        assert_eq!(one["rows"].as_array().map(Vec::len), Some(1));
        assert_eq!(rv(&one), rv(&list["items"][1]));
        assert_eq!(one["rows"][0]["object"]["spec"], list["items"][1]["spec"]);
        let (_, none) = server.get_as(&format!("{JOBS}?includeObject=None"), TABLE).await;
        assert_eq!(none["rows"][0]["object"], Value::Null);
        let (_, empty) = server.get_as(PODS, &TABLE.replace("v1", "v1beta1")).await;
        assert_eq!((&empty["apiVersion"], &empty["rows"]), (&json!("meta.k8s.io/v1beta1"), &json!([])));
        let (code, refused) = server.get_as(&format!("{JOBS}?includeObject=x"), TABLE).await;
        let message = "Unable to convert to Table as requested: includeObject: Invalid value: \"x\": must be 'Metadata', \
                       'Object', 'None', or empty";
        assert_eq!((code, &refused["message"]), (400, &json!(message)));
    });
}

#[test]
fn lists_and_objects_come_as_metadata() {
    with_server(async |server: &Server| {
        server.create_paused(&["a", "b"]).await;
        let list = server.get(JOBS).await;
        let (_, partial) = server.get_as(JOBS, METADATA_LIST).await;
        let wanted = golden("partial-metadata-list");
        assert_eq!(keys(&partial), keys(&wanted));
        for path in ["/kind", "/apiVersion", "/items/0/kind", "/items/0/apiVersion"] {
            assert_eq!(partial.pointer(path), wanted.pointer(path), "{path}");
        }
        assert_eq!(keys(&partial["items"][1]), keys(&wanted["items"][1]));
        assert_eq!(partial["items"][1]["metadata"], list["items"][1]["metadata"]);
        let (_, one) = server.get_as(&format!("{JOBS}/a"), METADATA).await;
        assert_eq!(one, partial["items"][0]);
        let (_, node) = server.get_as("/api/v1/nodes/coracle", METADATA).await;
        assert_eq!(node["metadata"]["name"], "coracle");
        for (path, accept, message) in [
            (
                JOBS.to_owned(),
                METADATA,
                "you requested PartialObjectMetadata, but the requested object is a list (*batch.JobList)",
            ),
            (
                "/api/v1/namespaces/default".to_owned(),
                METADATA_LIST,
                "you requested PartialObjectMetadataList, but the requested object is not a list (*core.Namespace)",
            ),
        ] {
            let (code, body) = server.get_as(&path, accept).await;
            assert_eq!((code, &body["reason"], &body["message"]), (406, &json!("NotAcceptable"), &json!(message)));
        }
    });
}

#[test]
fn what_cannot_be_sent_is_refused_as_kubernetes_refuses_it() {
    with_server(async |server: &Server| {
        let (code, mut body) = server.get_as(JOBS, "text/html").await;
        let mut wanted = golden("status-406");
        let list = |body: &mut Value| {
            let message = body["message"].take();
            let (head, list) = message.as_str().expect("a message").split_once(": application").expect("a list");
            (head.to_owned(), list.to_owned())
        };
        assert_eq!(list(&mut body).0, list(&mut wanted).0, "the list is of what Coracle sends");
        assert_eq!((code, body), (406, wanted));
        let head = server.send(Method::HEAD, JOBS, "*/*", String::new()).await;
        assert_eq!(head.status().as_u16(), 405);
    });
}

#[test]
fn the_node_has_the_shape_of_a_node() {
    with_server(async |server: &Server| {
        let list = server.get("/api/v1/nodes").await;
        assert_eq!((&list["kind"], names(&list)), (&json!("NodeList"), vec!["coracle"]));
        let node = server.get("/api/v1/nodes/coracle").await;
        assert_eq!(node, list["items"][0], "it does not change");
        let wanted = golden("node");
        for path in ["", "/status/nodeInfo", "/status/conditions/0", "/status/addresses/0", "/status/daemonEndpoints"] {
            let part = |value: &Value| value.pointer(path).cloned().unwrap_or_default();
            assert_eq!(keys(&part(&node)), keys(&part(&wanted)), "{path}");
        }
        assert_eq!(node.pointer("/status/conditions/0/type"), wanted.pointer("/status/conditions/3/type"));
        let capacity = &node["status"]["capacity"];
        assert_eq!(capacity["pods"], "128", "as many as there are slots");
        assert!(capacity["cpu"].as_str().is_some_and(|cpus| cpus.parse::<u32>().is_ok_and(|cpus| cpus > 0)));
        let system = server.get("/api/v1/namespaces/kube-system").await;
        assert_eq!(node["metadata"]["creationTimestamp"], system["metadata"]["creationTimestamp"]);
        let (code, message) = server.refused("/api/v1/nodes/other").await;
        assert_eq!((code, message.as_str()), (404, "nodes \"other\" not found"));
    });
}
