//! Starting a coordinator that was set up: keys, store, ports, hub, schedule, in this order.

use crate::Inner;
use crate::accounts::Passwords;
use crate::events::EventBus;
use crate::hub::{EnrolmentDesk, Hub, HubHandle, Parts};
use crate::keys::{DataFolder, MeshKey};
use crate::mail::{MailError, MailSettings, Mailer};
use crate::presence::Presences;
use crate::registry::CurrentRoster;
use crate::registry::issuing::{Issued, Issuer};
use crate::schedule::{Schedule, ScheduleError};
use crate::settings::{Settings, Timing};
use crate::store::tables::{BOOTS, ENDORSEMENT, ROSTER, SETTINGS};
use crate::store::{KeepFree, Reads, Store, StoreError, StoreOptions};
use crate::use_case::imports;
use protocol::card::{Card, Endorsement, MAX_CARD_ADDRESSES};
use protocol::envelope::Author;
use protocol::identity::{KeyFileError, KeyLock};
use protocol::letter::Opener;
use protocol::mesh::{EnrolServer, Mesh, MeshConfig, MeshError, Tunables};
use protocol::roster::Role;
use protocol::{Keypair, Timestamp};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the coordinator calls itself on its card.
const LABEL: &str = "coordinator";

/// How to start.
pub struct CoordinatorOptions {
    /// The data folder that setup made.
    pub dir: PathBuf,
    /// In place of the mesh address of the settings.
    pub mesh: Option<SocketAddr>,
    /// In place of the dashboard address of the settings.
    pub http: Option<SocketAddr>,
    /// Times of the hub.
    pub timing: Timing,
    /// The room that is to stay on the data folder's disk.
    pub keep_free: KeepFree,
    /// How mail is sent; without it none is.
    pub mail: Option<MailSettings>,
}

/// Why a coordinator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No setup was done here.
    #[error("{} is not set up; run `portdrift setup` first", .0.display())]
    NotSetUp(PathBuf),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A port, or the roster.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// The settings of mail.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The store belongs to other keys, or to none.
    #[error("the store in {} lacks its {what}; restore a backup, or set up a new folder", dir.display())]
    Foreign {
        /// The data folder.
        dir: PathBuf,
        /// What is missing.
        what: &'static str,
    },
}

/// A data folder that was set up and that no other process uses.
struct Opened {
    lock: KeyLock,
    issuer: Issuer,
    author: Author,
    store: Store,
    settings: Settings,
    roster: CurrentRoster,
}

/// Opens keys and store, and counts this start.
async fn open(dir: PathBuf, keep_free: KeepFree) -> Result<Opened, StartError> {
    let folder = DataFolder::new(&dir);
    if !folder.is_set_up() {
        return Err(StartError::NotSetUp(dir));
    }
    let lock = Keypair::lock(&folder.coordinator_key())?;
    let mesh_key = MeshKey::load(&folder)?;
    let keypair = Arc::new(Keypair::load(&folder.coordinator_key())?);
    let store = Store::open(&folder.store(), StoreOptions { keep_free, ..StoreOptions::default() })?;
    if let Some(why) = store.rebuilt() {
        tracing::warn!(why, "the index was made anew from the journal");
    }
    let foreign = |what| StartError::Foreign { dir: dir.clone(), what };
    let settings = store.read(|view| view.get(&SETTINGS, &())).await?.ok_or_else(|| foreign("settings"))?;
    let issuer = Issuer { mesh_key, coordinator: keypair.node_id() };
    let roster = current_roster(&store, &issuer).await?.ok_or_else(|| foreign("roster"))?;
    let author = Author::new(keypair, issuer.mesh_key.id(), next_boot(&store).await?);
    Ok(Opened { lock, issuer, author, store, settings, roster })
}

/// Both ports, and where they can be reached.
struct Ports {
    mesh: Mesh,
    mesh_addresses: Vec<SocketAddr>,
    enrol: EnrolServer,
    enrolment_addresses: Vec<SocketAddr>,
}

async fn listen(author: &Author, settings: &Settings, roster: &CurrentRoster) -> Result<Ports, MeshError> {
    let config = MeshConfig {
        author: author.clone(),
        listen: vec![settings.mesh],
        role: Role::Coordinator,
        tunables: Tunables::default(),
    };
    let mesh = Mesh::new(config, Some(roster.signed.clone())).await?;
    let enrol = EnrolServer::new(author.keypair(), author.mesh(), vec![settings.enrolment()]).await?;
    let mesh_addresses = reachable(settings, &mesh.listen_addresses());
    let enrolment_addresses = enrolment_reachable(settings, &enrol.listen_addresses());
    Ok(Ports { mesh, mesh_addresses, enrol, enrolment_addresses })
}

/// Starts every part.
pub(crate) async fn start(options: CoordinatorOptions) -> Result<Inner, StartError> {
    let CoordinatorOptions { dir, mesh: mesh_listen, http, timing, keep_free, mail } = options;
    let mailer = mail.map(|mail| Mailer::start(&mail)).transpose()?;
    let Opened { lock, issuer, author, store, settings, roster } = open(dir.clone(), keep_free).await?;
    let settings =
        Settings { mesh: mesh_listen.unwrap_or(settings.mesh), http: http.unwrap_or(settings.http), ..settings };
    let Ports { mut mesh, mesh_addresses, enrol, enrolment_addresses } = listen(&author, &settings, &roster).await?;
    let opener = Opener::new(author.keypair());
    let (addresses, issued) = (mesh_addresses.clone(), Timestamp::now());
    let card = Card { key: author.id(), sealing: opener.key(), addresses, label: LABEL.into(), issued };
    mesh.set_card(mesh_addresses.clone(), LABEL.into());
    let endorsement = endorsed(&store, &issuer.mesh_key, card).await?;
    let endorsement = endorsement.ok_or(StartError::Foreign { dir, what: "endorsement" })?;
    let enrolment = EnrolmentDesk::new(endorsement, issuer.clone());
    let (hub, inbox) = HubHandle::channel();
    let (events, presences, id) = (EventBus::default(), Presences::default(), author.id());
    let parts = Parts {
        store: store.clone(),
        mesh,
        enrol,
        author,
        opener,
        enrolment,
        presences: presences.clone(),
        events: events.clone(),
        timing,
        roster,
        inbox,
    };
    imports::end_cut_short(&store, Timestamp::now()).await?;
    let stop = CancellationToken::new();
    let (ended, hub_task) = (CancellationToken::new(), Hub::new(parts, Timestamp::now()).await?.run(stop.clone()));
    // Dropped however the hub ends, by a panic too.
    let guard = ended.clone().drop_guard();
    let task = tokio::spawn(async move {
        let _guard = guard;
        hub_task.await;
    });
    let schedule = Schedule::start(store.clone(), hub.clone(), events.clone()).await?;
    Ok(Inner {
        store,
        hub,
        schedule,
        events,
        presences,
        passwords: Passwords::new(),
        mailer,
        settings,
        timing,
        issuer,
        id,
        mesh_addresses,
        enrolment_addresses,
        stop,
        ended,
        task: Mutex::new(Some(task)),
        tasks: TaskTracker::new(),
        _lock: lock,
    })
}

/// Counts this start, durably, before anything is signed in its name.
async fn next_boot(store: &Store) -> Result<u64, StoreError> {
    store
        .update(|draft| {
            let boot = draft.get(&BOOTS, &())?.unwrap_or(0) + 1;
            draft.put(&BOOTS, &(), &boot)?;
            Ok(boot)
        })
        .await
}

/// The roster in force, issued anew when it does not name this coordinator.
async fn current_roster(store: &Store, issuer: &Issuer) -> Result<Option<CurrentRoster>, StartError> {
    let (issuer, now) = (issuer.clone(), Timestamp::now());
    let roster = store.update(move |draft| {
        let Some(held) = draft.get(&ROSTER, &())? else { return Ok::<_, StoreError>(None) };
        let coordinator = |roster: protocol::roster::Roster| roster.coordinator(now).map(|member| member.key);
        let named = held.signed.verify(issuer.mesh_key.id()).ok().and_then(coordinator);
        if named == Some(issuer.coordinator) {
            return Ok(Some(held));
        }
        match issuer.renew(draft, now)? {
            Issued::Signed(fresh) => Ok(Some(fresh)),
            Issued::Awaited(_) | Issued::Unchanged => Ok(Some(held)),
        }
    });
    Ok(roster.await?)
}

/// The coordinator's card on the mesh key's word; the one that was endorsed last while the key is elsewhere.
async fn endorsed(store: &Store, mesh_key: &MeshKey, card: Card) -> Result<Option<Endorsement>, StoreError> {
    match mesh_key {
        MeshKey::Here(key) => {
            let fresh = Endorsement::sign(card, key);
            let kept = fresh.clone();
            store.update(move |draft| draft.put(&ENDORSEMENT, &(), &kept)).await?;
            Ok(Some(fresh))
        }
        MeshKey::Elsewhere(_) => {
            let kept = store.read(|view| view.get(&ENDORSEMENT, &())).await?;
            if kept.as_ref().is_some_and(|kept| !leads_alike(&kept.card, &card)) {
                tracing::warn!(
                    "the coordinator listens elsewhere than the mesh key has endorsed; new nodes are told the old addresses until `keys import-mesh-key` brings the key back for one start"
                );
            }
            Ok(kept)
        }
    }
}

/// True when whoever follows one card or the other finds the same coordinator, whenever they were written.
fn leads_alike(one: &Card, other: &Card) -> bool {
    let leads = |card: &Card| (card.key, card.sealing);
    let addresses = |card: &Card| card.addresses.iter().copied().take(MAX_CARD_ADDRESSES).collect::<Vec<_>>();
    leads(one) == leads(other) && addresses(one) == addresses(other)
}

/// Where nodes reach a port that listens on `real`: as advertised, or there, with the machine's own addresses for
/// "any address".
fn reachable(settings: &Settings, real: &[SocketAddr]) -> Vec<SocketAddr> {
    if !settings.advertised.is_empty() {
        return settings.advertised.clone();
    }
    real.iter()
        .copied()
        .filter(|address| !address.ip().is_unspecified())
        .take(protocol::invite::MAX_ADDRESSES)
        .collect()
}

/// As [`reachable`], for the enrolment port; an advertised mesh address stands for the port after it.
fn enrolment_reachable(settings: &Settings, real: &[SocketAddr]) -> Vec<SocketAddr> {
    let after = |address: &SocketAddr| SocketAddr::new(address.ip(), address.port().saturating_add(1));
    if settings.advertised.is_empty() {
        reachable(settings, real)
    } else {
        settings.advertised.iter().map(after).collect()
    }
}
