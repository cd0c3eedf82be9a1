//! Starting a coordinator that was set up: keys, store, ports, hub, schedule, in this order.

mod ports;

use crate::Inner;
use crate::accounts::Passwords;
use crate::config::Configuration;
use crate::events::{Event, EventBus};
use crate::housekeeping::Housekeeping;
use crate::hub::{Command, EnrolmentDesk, Hub, HubHandle, Parts};
use crate::keys::{DataFolder, MeshKey};
use crate::mail::{MailError, Mailer};
use crate::presence::Presences;
use crate::registry::CurrentRoster;
use crate::registry::issuing::{Issued, Issuer};
use crate::schedule::{Schedule, ScheduleError};
use crate::settings::{Settings, Timing};
use crate::store::tables::{BOOTS, COORDINATOR, ENDORSEMENT, ROSTER, SETTINGS};
use crate::store::{Reads, Store, StoreError, StoreOptions};
use crate::use_case::accounts::first::SetupGate;
use crate::use_case::{Held, imports};
use ports::{Listening, Ports, listen};
use protocol::card::{Card, Endorsement, MAX_CARD_ADDRESSES};
use protocol::envelope::Author;
use protocol::identity::{KeyFileError, KeyLock};
use protocol::letter::Opener;
use protocol::mesh::MeshError;
use protocol::roster::MemberState;
use protocol::{Keypair, NodeId, Timestamp};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, RwLock};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the coordinator calls itself on its card.
const LABEL: &str = "coordinator";

/// How to start.
pub struct CoordinatorOptions {
    /// The data folder that setup made.
    pub dir: PathBuf,
    /// What its owner configured.
    pub configuration: Configuration,
    /// Times of the hub.
    pub timing: Timing,
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
    /// The roster calls the coordinator's key revoked.
    #[error(
        "the key in {} was replaced by another one, which is not there; put its coordinator.next.key back, or restore a backup",
        .0.display()
    )]
    Replaced(PathBuf),
    /// The store belongs to other keys, or to none.
    #[error("the store in {} lacks its {what}; restore a backup, or set up a new folder", dir.display())]
    Foreign {
        /// The data folder.
        dir: PathBuf,
        /// What is missing.
        what: &'static str,
    },
}

/// What stays when the coordinator goes on under another key.
struct Site {
    folder: DataFolder,
    store: Store,
    issuer: Issuer,
    settings: Settings,
    presences: Presences,
    events: EventBus,
    timing: Timing,
}

/// Under which key the coordinator goes, and the roster in force.
struct Identity {
    keypair: Arc<Keypair>,
    roster: CurrentRoster,
}

/// Whether setup was done in `dir`.
///
/// # Errors
/// What to do when it was not.
pub fn check_set_up(dir: &Path) -> Result<(), StartError> {
    if DataFolder::new(dir).is_set_up() { Ok(()) } else { Err(StartError::NotSetUp(dir.to_owned())) }
}

/// Opens keys and store of a folder that was set up and that no other process uses; with the configuration in force.
async fn open(options: CoordinatorOptions) -> Result<(KeyLock, Site, Configuration), StartError> {
    let CoordinatorOptions { dir, configuration, timing } = options;
    check_set_up(&dir)?;
    let folder = DataFolder::new(&dir);
    let lock = Keypair::lock(&folder.coordinator_key())?;
    let issuer = Issuer { mesh_key: MeshKey::load(&folder)? };
    let keep_free = configuration.config().store.keep_free();
    let store = Store::open(&folder.store(), StoreOptions { keep_free, ..StoreOptions::default() })?;
    if let Some(why) = store.rebuilt() {
        tracing::warn!(why, "the index was made anew from the journal");
    }
    let kept = store.read(|view| view.get(&SETTINGS, &())).await?;
    let kept = kept.ok_or(StartError::Foreign { dir, what: "settings" })?;
    let configuration = configuration.over(&kept);
    let (settings, presences, events) =
        (configuration.settings(), Presences::default(), EventBus::new(Timestamp::now().as_millis()));
    Ok((lock, Site { folder, store, issuer, settings, presences, events, timing }, configuration))
}

/// Opens keys and store as a start would, and closes them again; gives where the coordinator would listen.
///
/// # Errors
/// Why it would not start.
pub async fn rehearse(options: CoordinatorOptions) -> Result<Settings, StartError> {
    let (_lock, site, _) = open(options).await?;
    site.store.close().await;
    Ok(site.settings)
}

/// Starts every part.
pub(crate) async fn start(options: CoordinatorOptions) -> Result<Inner, StartError> {
    let (lock, site, configuration) = open(options).await?;
    let logs = configuration.log_folder(site.folder.path());
    let mail = &configuration.config().mail;
    let mailer = mail.is_set().then(|| Mailer::start(mail)).transpose()?;
    let wanted = Listening { mesh: site.settings.mesh, enrolment: site.settings.enrolment() };
    let identity = site.identity().await?;
    let author = site.author(&identity).await?;
    let ports = listen(&author, wanted, &site.settings, &identity.roster).await?;
    let (at, mesh_addresses) = (ports.listening(wanted), ports.mesh_addresses.clone());
    let enrolment_addresses = ports.enrolment_addresses.clone();
    let (hub, inbox) = HubHandle::channel();
    imports::end_cut_short(&site.store, Timestamp::now()).await?;
    let (name, id) = watch::channel(author.id());
    let first = site.hub(identity, author, ports, inbox).await?;
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    // Dropped however the hub ends, by a panic too.
    let guard = ended.clone().drop_guard();
    let Site { folder, store, issuer, settings, presences, events, timing } = &site;
    let (folder, store, issuer, settings) = (folder.clone(), store.clone(), issuer.clone(), settings.clone());
    let (presences, events, timing) = (presences.clone(), events.clone(), *timing);
    let until = stop.clone();
    let task = tokio::spawn(async move {
        let _guard = guard;
        site.serve(first, at, name, until).await;
    });
    let schedule = Schedule::start(store.clone(), hub.clone(), events.clone()).await?;
    Ok(Inner {
        started: Instant::now(),
        folder,
        housekeeping: Housekeeping::start(store.clone(), events.clone()),
        store,
        hub,
        schedule,
        events,
        presences,
        held: Held::default(),
        passwords: Passwords::new(),
        setup_gate: SetupGate::default(),
        local_node: OnceLock::new(),
        mailer,
        settings,
        configuration: RwLock::new(Arc::new(configuration)),
        logs,
        timing,
        issuer,
        id,
        mesh_addresses,
        enrolment_addresses,
        enrolment_here: at.here(),
        stop,
        ended,
        task: Mutex::new(Some(task)),
        tasks: TaskTracker::new(),
        _lock: lock,
    })
}

impl Site {
    /// Has hubs work until `stop`, one after another: when the roster names another key, the hub under the old one ends.
    async fn serve(self, first: Hub, at: Listening, name: watch::Sender<NodeId>, stop: CancellationToken) {
        let mut hub = first;
        while let Some(inbox) = hub.run(stop.clone()).await {
            match self.next_hub(at, inbox).await {
                Ok((next, id)) => {
                    tracing::info!(node.id = %id, "the coordinator goes on under its new key");
                    name.send_replace(id);
                    self.events.publish(Event::Node { node: id });
                    hub = next;
                }
                Err(error) => {
                    return tracing::error!(%error, "the coordinator cannot go on under its new key; start it again");
                }
            }
        }
    }

    async fn next_hub(&self, at: Listening, inbox: mpsc::Receiver<Command>) -> Result<(Hub, NodeId), StartError> {
        let identity = self.identity().await?;
        let author = self.author(&identity).await?;
        let ports = listen(&author, at, &self.settings, &identity.roster).await?;
        let id = author.id();
        Ok((self.hub(identity, author, ports, inbox).await?, id))
    }

    /// Takes the next key as soon as the roster in force names it. One that names neither is issued anew.
    async fn identity(&self) -> Result<Identity, StartError> {
        let (now, mesh) = (Timestamp::now(), self.issuer.mesh_key.id());
        let held = self.store.read(|view| view.get(&ROSTER, &())).await?.ok_or_else(|| self.foreign("roster"))?;
        let roster = held.signed.verify(mesh).ok();
        let named = roster.as_ref().and_then(|roster| roster.coordinator(now)).map(|member| member.key);
        let keypair = Arc::new(self.folder.keypair(named)?);
        let own = roster.as_ref().and_then(|roster| roster.member(&keypair.node_id()));
        if own.is_some_and(|own| own.state == MemberState::Revoked) {
            return Err(StartError::Replaced(self.folder.coordinator_key()));
        }
        let (key, next, issuer) = (keypair.node_id(), self.folder.next_id()?, self.issuer.clone());
        let card = card_of(&keypair, Vec::new(), now);
        let roster = self.store.update(move |draft| {
            let meant = draft.get(&COORDINATOR, &())?.map(|card| card.key);
            let is_known = meant == Some(key) || meant.is_some() && meant == next;
            if !is_known {
                draft.put(&COORDINATOR, &(), &card)?;
            }
            let issued = match named == Some(key) {
                true if is_known => return Ok::<_, StoreError>(held),
                true => issuer.issue(draft, now)?,
                false => issuer.renew(draft, now)?,
            };
            Ok(match issued {
                Issued::Signed(fresh) => fresh,
                Issued::Awaited(_) | Issued::Unchanged => held,
            })
        });
        Ok(Identity { keypair, roster: roster.await? })
    }

    /// Signs in the name of this key, under a start that is counted.
    async fn author(&self, identity: &Identity) -> Result<Author, StoreError> {
        let boot = next_boot(&self.store).await?;
        Ok(Author::new(Arc::clone(&identity.keypair), self.issuer.mesh_key.id(), boot))
    }

    /// A hub under this key, at these ports.
    async fn hub(
        &self,
        identity: Identity,
        author: Author,
        ports: Ports,
        inbox: mpsc::Receiver<Command>,
    ) -> Result<Hub, StartError> {
        let (Identity { keypair, roster }, now) = (identity, Timestamp::now());
        let Ports { mut mesh, mesh_addresses, enrol, enrolment_addresses: _ } = ports;
        mesh.set_card(mesh_addresses.clone(), LABEL.into());
        let card = card_of(&keypair, mesh_addresses, now);
        let endorsement = endorsed(&self.store, &self.issuer.mesh_key, card).await?;
        let endorsement = endorsement.ok_or_else(|| self.foreign("endorsement"))?;
        let parts = Parts {
            store: self.store.clone(),
            mesh,
            enrol,
            author,
            opener: Opener::new(&keypair),
            enrolment: EnrolmentDesk::new(endorsement, self.issuer.clone()),
            presences: self.presences.clone(),
            events: self.events.clone(),
            timing: self.timing,
            roster,
            inbox,
        };
        Ok(Hub::new(parts, now).await?)
    }

    fn foreign(&self, what: &'static str) -> StartError {
        StartError::Foreign { dir: self.folder.path().to_owned(), what }
    }
}

/// What the coordinator says of itself under this key.
pub(crate) fn card_of(keypair: &Keypair, addresses: Vec<SocketAddr>, issued: Timestamp) -> Card {
    Card { key: keypair.node_id(), sealing: Opener::new(keypair).key(), addresses, label: LABEL.into(), issued }
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

/// The coordinator's card on the mesh key's word; the one that was endorsed last while the key is elsewhere, and then the
/// next roster that waits for it takes the card along.
async fn endorsed(store: &Store, mesh_key: &MeshKey, card: Card) -> Result<Option<Endorsement>, StoreError> {
    let own = card.clone();
    store
        .update(move |draft| match draft.get(&COORDINATOR, &())? {
            Some(meant) if meant.key == own.key && !leads_alike(&meant, &own) => draft.put(&COORDINATOR, &(), &own),
            Some(_) | None => Ok(()),
        })
        .await?;
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
                    "the coordinator listens elsewhere than the mesh key has endorsed; new nodes are told the old addresses until the next decision is signed there with `keys approve --mesh-key FILE`"
                );
            }
            Ok(kept)
        }
    }
}

/// True when whoever follows one card or the other finds the same coordinator, whenever they were written.
pub(crate) fn leads_alike(one: &Card, other: &Card) -> bool {
    let leads = |card: &Card| (card.key, card.sealing);
    let addresses = |card: &Card| card.addresses.iter().copied().take(MAX_CARD_ADDRESSES).collect::<Vec<_>>();
    leads(one) == leads(other) && addresses(one) == addresses(other)
}
