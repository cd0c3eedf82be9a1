//! The dashboard over a real coordinator in a temporary folder: who gets in, what every answer carries, what is said.

mod accounts;
mod api;
mod audit;
mod disk;
mod exports;
mod findings;
mod first_run;
mod hosts;
mod imports;
mod live;
mod mesh;
mod metrics;
mod nodes;
mod operation;
mod pages;
mod retention;
mod rights;
mod run_pages;
mod scan_pages;
mod scans;
mod steps;
mod tokens;
mod users;
mod walk;

use crate::{App, Doors, Settings, router, socket_router};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use coordinator::config::{Config, StoreConfig};
use coordinator::mail::{MailSettings, TransportKind};
use coordinator::settings::Timing;
use coordinator::{Coordinator, CoordinatorOptions, SetupOptions};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A coordinator with one administrator, `ada`, and its dashboard.
pub(crate) struct Site {
    pub(crate) app: App,
    pub(crate) router: Router,
    coordinator: Coordinator,
    dir: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

impl Site {
    pub(crate) async fn start(settings: Settings) -> Self {
        Self::start_keeping(1, settings).await
    }

    /// The same, on a disk that is to keep so many MiB free.
    pub(crate) async fn start_keeping(keep_free_mib: u32, settings: Settings) -> Self {
        let config = Config { store: StoreConfig { keep_free_mib }, ..Config::default() };
        Self::start_in(tempfile::tempdir().unwrap(), config, settings).await
    }

    /// Mail goes into a folder.
    pub(crate) async fn start_with_mail(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mail = MailSettings {
            transport: TransportKind::File,
            from: "portdrift@example.org".to_owned(),
            folder: Some(dir.path().to_str().unwrap().parse().unwrap()),
            ..MailSettings::default()
        };
        let config = Config { store: StoreConfig { keep_free_mib: 1 }, mail, ..Config::default() };
        Self::start_in(dir, config, settings).await
    }

    /// Without an administrator, as after its first start.
    pub(crate) async fn start_empty(settings: Settings) -> Self {
        let config = Config { store: StoreConfig { keep_free_mib: 1 }, ..Config::default() };
        Self::start_with(None, tempfile::tempdir().unwrap(), config, settings).await
    }

    async fn start_in(dir: TempDir, config: Config, settings: Settings) -> Self {
        Self::start_with(Some(("ada".to_owned(), PASSWORD.to_owned())), dir, config, settings).await
    }

    async fn start_with(admin: Option<(String, String)>, dir: TempDir, config: Config, settings: Settings) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let kept = coordinator::settings::Settings { mesh: loopback, advertised: Vec::new(), http: loopback };
        coordinator::setup(SetupOptions { dir: dir.path().join("data"), settings: kept, admin }).await.unwrap();
        let options = CoordinatorOptions {
            dir: dir.path().join("data"),
            configuration: config.into(),
            timing: Timing::default(),
        };
        let coordinator = Coordinator::start(options).await.unwrap();
        let app = App::new(coordinator.clone(), settings, CancellationToken::new());
        let app = App { heartbeat: Duration::from_millis(100), ..app };
        Self { router: router(app.clone()), app, coordinator, dir }
    }

    pub(crate) async fn stop(self) {
        self.coordinator.stop().await;
    }

    pub(crate) fn socket(&self) -> Router {
        socket_router(self.app.clone())
    }

    /// Signs `ada` in; gives the cookie.
    pub(crate) async fn sign_in(&self) -> String {
        let answer =
            send(&self.router, form(Method::POST, "/auth/login", &format!("name=ada&password={PASSWORD}"))).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        answer.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    /// The path of the link below `part` in the mail of that subject, once it is there.
    pub(crate) async fn mailed(&self, subject: &str, part: &str) -> String {
        let found = async {
            loop {
                let files = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
                let mails = files.filter(|path| path.extension().is_some_and(|end| end == "eml"));
                // A mail that is being written ends in the middle.
                let mut texts = mails.map(|path| std::fs::read_to_string(path).unwrap().replace("=\r\n", ""));
                let mail = texts.find(|text| text.contains(subject) && text.contains(part) && text.ends_with('\n'));
                if let Some(mail) = mail {
                    let start = mail.find(part).unwrap();
                    return mail[start..].split_whitespace().next().unwrap().to_owned();
                }
                tokio::task::yield_now().await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(60), found).await;
        found.unwrap_or_else(|_| panic!("no mail about {subject:?} came"))
    }

    /// The run once it ended; the hub closes it by itself and tells.
    pub(crate) async fn ended(&self, cookie: &str, run: u64) -> serde_json::Value {
        let mut told = self.coordinator.events().subscribe(None).live;
        loop {
            let seen = send(&self.router, get(&format!("/api/v1/runs/{run}"), cookie)).await.json();
            if seen["ended"] == true {
                return seen;
            }
            let event = tokio::time::timeout(Duration::from_secs(60), told.recv()).await;
            event.unwrap_or_else(|_| panic!("nothing happens, and run {run} has not ended: {seen:#}")).unwrap();
        }
    }
}

pub(crate) fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header(header::HOST, "localhost")
}

pub(crate) fn get(path: &str, cookie: &str) -> Request<Body> {
    request(Method::GET, path).header(header::COOKIE, cookie).body(Body::empty()).unwrap()
}

/// A request of a program that shows a token.
pub(crate) fn with_token(mut request: Request<Body>, token: &str) -> Request<Body> {
    request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    request
}

pub(crate) fn form(method: Method, path: &str, body: &str) -> Request<Body> {
    let kind = "application/x-www-form-urlencoded";
    request(method, path).header(header::CONTENT_TYPE, kind).body(Body::from(body.replace(' ', "+"))).unwrap()
}

pub(crate) fn post_form(path: &str, cookie: &str, body: &str) -> Request<Body> {
    let mut request = form(Method::POST, path, body);
    request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
    request
}

pub(crate) fn post_json(path: &str, cookie: &str, body: serde_json::Value) -> Request<Body> {
    json(Method::POST, path, cookie, body)
}

pub(crate) fn json(method: Method, path: &str, cookie: &str, body: serde_json::Value) -> Request<Body> {
    let request = request(method, path).header(header::COOKIE, cookie);
    request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 8 << 20).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}
