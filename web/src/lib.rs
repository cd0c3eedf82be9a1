//! The dashboard and the API: pages for people, JSON for programs, over the use cases of the coordinator.

pub mod api;
mod assets;
mod dress;
mod error;
mod expiry;
mod export;
mod faults;
mod filters;
mod headers;
mod limits;
mod live;
mod look;
mod mail;
mod metrics;
mod origin;
mod page;
mod query;
mod routes;
mod serve;
mod session;
#[cfg(test)]
mod tests;
mod throttle;
pub mod tls;

pub use error::Problem;
pub use origin::Doors;
pub use serve::{serve, serve_local};
pub use session::LocalPeer;

use axum::Router;
use coordinator::Coordinator;
use limits::Limits;
use live::Places;
use metrics::Requests;
use origin::SharedDoors;
use std::sync::Arc;
use std::time::Duration;
use throttle::Throttle;
use tls::Certificates;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Between two signs of life on an open stream; also how soon it ends after its session has.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Archives of reports that are made or read at the same time; each takes room on the disk.
const MOST_ARCHIVES: usize = 4;

/// Documents that are read at the same time; each is held in memory until it is stored.
const MOST_IMPORTS: usize = 2;

/// Reports that are written as files at the same time; each is held in memory.
const MOST_EXPORTS: usize = 4;

/// Forgotten passwords that are seen to at the same time.
const MOST_RESETS: usize = 8;

/// A password that was typed so long ago is asked for again before a dangerous act. Source: SECURITY-DESIGN section 8.
const PROOF_LASTS: Duration = Duration::from_secs(10 * 60);

/// How long the sender of a document may say nothing.
const IMPORT_SILENCE: Duration = Duration::from_secs(60);

/// How the dashboard is reached.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where browsers find it.
    pub address: String,
    /// The folder that a proxy serves it under, such as `/portdrift`; empty for none.
    pub base_path: String,
    /// The names it answers to at first, and the proxies whose word counts.
    pub doors: Doors,
    /// Whether browsers reach it over TLS: then cookies are `Secure` and the browser is told to stay with TLS. A proxy
    /// whose word counts can say so of a single request.
    pub is_tls: bool,
}

/// What every request needs; clones are the same.
#[derive(Clone)]
pub struct App {
    coordinator: Coordinator,
    settings: Arc<Settings>,
    doors: SharedDoors,
    certificates: Option<Certificates>,
    throttle: Arc<Throttle>,
    limits: Arc<Limits>,
    places: Places,
    requests: Requests,
    resets: Arc<Semaphore>,
    archives: Arc<Semaphore>,
    imports: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    import_silence: Duration,
    proof_lasts: Duration,
    heartbeat: Duration,
    stop: CancellationToken,
}

impl App {
    /// Over a running coordinator. When `stop` fires, open streams end and no new connection is taken.
    pub fn new(coordinator: Coordinator, settings: Settings, stop: CancellationToken) -> Self {
        let base_path = settings.base_path.trim_end_matches('/').to_owned();
        let doors = SharedDoors::default();
        doors.set(settings.doors.clone());
        let settings = Arc::new(Settings { base_path, ..settings });
        let [archives, imports, exports] =
            [MOST_ARCHIVES, MOST_IMPORTS, MOST_EXPORTS].map(|most| Arc::new(Semaphore::new(most)));
        Self {
            coordinator,
            settings,
            doors,
            certificates: None,
            throttle: Arc::default(),
            limits: Arc::default(),
            places: Places::default(),
            requests: Requests::default(),
            resets: Arc::new(Semaphore::new(MOST_RESETS)),
            archives,
            imports,
            exports,
            import_silence: IMPORT_SILENCE,
            proof_lasts: PROOF_LASTS,
            heartbeat: HEARTBEAT,
            stop,
        }
    }

    /// The same, to be served over TLS with this certificate.
    pub fn with_tls(self, certificates: Certificates) -> Self {
        let settings = Arc::new(Settings { is_tls: true, ..(*self.settings).clone() });
        Self { settings, certificates: Some(certificates), ..self }
    }

    /// From now on it answers to these names and believes these proxies; all clones do.
    pub fn set_doors(&self, doors: Doors) {
        self.doors.set(doors);
    }

    /// A path of ours below the folder that a proxy serves it under.
    fn link(&self, path: &str) -> String {
        format!("{}{path}", self.settings.base_path)
    }
}

/// Pages and API for browsers and clients that sign in.
pub fn router(app: App) -> Router {
    routes::browser_router(app)
}

/// The API for root and the account that runs the coordinator; must be served with [`LocalPeer`] as connect info.
pub fn socket_router(app: App) -> Router {
    routes::local_router(app)
}
