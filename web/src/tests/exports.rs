//! Exports over HTTP: their names and headers, and what is said when there is nothing to export.

use super::{Site, get, post_form, send};
use crate::Settings;
use axum::body::to_bytes;
use axum::http::StatusCode;
use serde_json::json;
use std::io::Cursor;
use tower::ServiceExt;
use zip::ZipArchive;

#[tokio::test]
async fn a_report_that_is_not_there_is_said_to_people_and_to_programs() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    for path in [
        "/reports/9.csv",
        "/reports/9.json",
        "/reports/9.xml",
        "/reports/9.pdf",
        "/reports/x.csv",
        "/networks/9/reports.zip",
    ] {
        let page = send(&site.router, get(path, &cookie)).await;
        assert_eq!((page.status, page.header("content-disposition")), (StatusCode::NOT_FOUND, ""), "{path}");
        assert!(page.body.contains("Go to the overview"), "{path}");
    }
    for path in ["/api/v1/reports/9/export?format=csv", "/api/v1/scans/9/reports/export"] {
        let answer = send(&site.router, get(path, &cookie)).await;
        assert_eq!((answer.status, &answer.json()["title"]), (StatusCode::NOT_FOUND, &json!("Not found")), "{path}");
    }
    for query in ["", "?format=pdf"] {
        let answer = send(&site.router, get(&format!("/api/v1/reports/9/export{query}"), &cookie)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.json()["faults"]["format"].as_str().unwrap().contains("write csv"), "{}", answer.body);
    }
    site.stop().await;
}

#[tokio::test]
async fn an_archive_comes_as_a_file_and_too_many_at_once_are_refused() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    let made = send(&site.router, post_form("/scans", &cookie, "name=R%26D+lab&targets=127.0.0.1")).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.body);
    for path in ["/networks/1/reports.zip", "/api/v1/scans/1/reports/export"] {
        let response = site.router.clone().oneshot(get(path, &cookie)).await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "application/zip");
        assert_eq!(
            header("content-disposition"),
            "attachment; filename=\"portdrift-r-d-lab-scan1-reports.zip\"",
            "{path}"
        );
        assert_eq!((header("x-content-type-options"), header("cache-control")), ("nosniff".into(), "no-store".into()));
        let length: usize = header("content-length").parse().unwrap();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert_eq!(bytes.len(), length);
        let names: Vec<String> =
            ZipArchive::new(Cursor::new(bytes)).unwrap().file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["r-d-lab-scan1/index.csv"], "no report yet, and the index says so");
    }
    let others = site.app.archives.clone().try_acquire_many_owned(crate::MOST_ARCHIVES.try_into().unwrap()).unwrap();
    let refused = send(&site.router, get("/api/v1/scans/1/reports/export", &cookie)).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.body);
    drop(others);
    let held = site.router.clone().oneshot(get("/networks/1/reports.zip", &cookie)).await.unwrap();
    assert_eq!(site.app.archives.available_permits(), crate::MOST_ARCHIVES - 1, "an unread archive takes room");
    drop(held);
    assert_eq!(site.app.archives.available_permits(), crate::MOST_ARCHIVES);
    site.stop().await;
}
