//! The picture of the mesh: as a page, and for programs.

use super::{Site, get, send};
use crate::Settings;
use crate::api::counters::MeshCounts;
use crate::api::mesh::Mesh;
use crate::page::samples;
use axum::http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_mesh_without_nodes_is_the_coordinator_alone() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let page = send(&site.router, get("/mesh", &cookie)).await;
    assert_eq!(page.status, StatusCode::OK);
    for part in ["0 of 0 nodes online", "<rect class=\"coordinator\"", "No link yet", "this is the coordinator"] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    let mesh = send(&site.router, get("/api/v1/mesh", &cookie)).await.json();
    let members = mesh["members"].as_array().unwrap();
    assert_eq!((members.len(), &members[0]["role"], &members[0]["hops"]), (1, &json!("coordinator"), &json!(0)));
    assert_eq!(mesh["links"], json!([]));
    site.stop().await;
}

#[tokio::test]
async fn programs_read_what_the_mesh_has_refused() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let counts = send(&site.router, get("/api/v1/mesh/counters", &cookie)).await.json();
    let counts: MeshCounts = serde_json::from_value(counts).unwrap();
    assert_eq!(counts, MeshCounts::from(coordinator::MeshCounters::default()));
    site.stop().await;
}

#[test]
fn programs_read_the_mesh_as_members_and_links() {
    let mut mesh = Mesh::from(samples::of_mesh::picture("lab"));
    mesh.members.retain(|member| ["coordinator", "lab 3", "lab 4"].contains(&member.label.as_str()));
    mesh.links.drain(..3);
    let members = mesh.members.iter().map(serde_json::to_string);
    let lines: Result<Vec<String>, _> = members.chain(mesh.links.iter().map(serde_json::to_string)).collect();
    insta::assert_snapshot!(lines.unwrap().join("\n"), @r#"
    {"fingerprint":"w5sr-ncdm-5nto-55at-cg4s-c7ca-jxbe-hvlj","label":"coordinator","role":"coordinator","status":"online","reason":null,"hops":0,"through":null,"last_seen":"2023-11-14T22:13:20.000Z","clock_offset_ms":null}
    {"fingerprint":"62zw-angs-5j4p-xwre-wgas-ju5l-bojo-vew2","label":"lab 3","role":"node","status":"online","reason":null,"hops":2,"through":"ik6c-cp7h-mo6t-jj35-zagc-axra-mazl-jd7w","last_seen":"2023-11-14T22:13:17.000Z","clock_offset_ms":0}
    {"fingerprint":"xr6i-f5xf-myer-nips-ll4b-jk4v-awqr-sxp3","label":"lab 4","role":"node","status":"offline","reason":"its connection was lost","hops":null,"through":null,"last_seen":"2023-11-14T22:13:16.000Z","clock_offset_ms":0}
    {"ends":[{"node":"ik6c-cp7h-mo6t-jj35-zagc-axra-mazl-jd7w","round_trip_ms":null},{"node":"62zw-angs-5j4p-xwre-wgas-ju5l-bojo-vew2","round_trip_ms":240.0}],"dialled_by":"62zw-angs-5j4p-xwre-wgas-ju5l-bojo-vew2","stale":false}
    {"ends":[{"node":"xr6i-f5xf-myer-nips-ll4b-jk4v-awqr-sxp3","round_trip_ms":null},{"node":"u63i-nvzk-bb5e-5s7z-espq-tlph-2udq-bfqd","round_trip_ms":null}],"dialled_by":"u63i-nvzk-bb5e-5s7z-espq-tlph-2udq-bfqd","stale":true}
    "#);
}
