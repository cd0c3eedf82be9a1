//! The first start: keys, an empty store, the first roster and the first administrator.

use crate::accounts::Role;
use crate::keys::DataFolder;
use crate::registry::CurrentRoster;
use crate::registry::issuing::next;
use crate::settings::Settings;
use crate::store::tables::{ROSTER, SETTINGS};
use crate::store::{Store, StoreError, StoreOptions};
use crate::use_case::UseCaseError;
use crate::use_case::accounts::{new_user, put_user};
use protocol::identity::KeyFileError;
use protocol::roster::SignedRoster;
use protocol::{Fingerprint, Keypair, Timestamp};
use std::path::PathBuf;

/// What a first start needs to know.
pub struct SetupOptions {
    /// The data folder; made if missing, must be empty.
    pub dir: PathBuf,
    /// Where to listen.
    pub settings: Settings,
    /// Name and password of the first administrator; `None` makes none.
    pub admin: Option<(String, String)>,
}

/// What a first start made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupOutcome {
    /// The mesh, as every invite will show it.
    pub mesh: Fingerprint,
    /// The coordinator's own key.
    pub coordinator: Fingerprint,
}

/// Why a first start failed; nothing usable is left behind unless the message says so.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The administrator's name or password.
    #[error(transparent)]
    Admin(#[from] UseCaseError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was set up before.
    #[error("{} is set up already; start it with `portdrift coordinator run`, or choose another folder", .0.display())]
    Done(PathBuf),
}

/// Makes keys, store, first roster and administrator.
pub async fn setup(options: SetupOptions) -> Result<SetupOutcome, SetupError> {
    let SetupOptions { dir, settings, admin } = options;
    let (now, folder) = (Timestamp::now(), DataFolder::new(&dir));
    if folder.is_set_up() {
        return Err(SetupError::Done(dir));
    }
    let admin = admin.map(|(name, password)| new_user(&name, &password, Role::Admin, now)).transpose()?;
    let coordinator = Keypair::load_or_create(&folder.coordinator_key())?.node_id();
    let store = Store::create(&folder.store(), StoreOptions::default())?;
    let mesh_key = Keypair::generate();
    let first = next(None, mesh_key.mesh_id(), coordinator, &[], now);
    let roster = CurrentRoster { epoch: first.epoch, signed: SignedRoster::sign(&first, &mesh_key) };
    let outcome = SetupOutcome { mesh: mesh_key.mesh_id().fingerprint(), coordinator: coordinator.fingerprint() };
    let stored = store.update(move |draft| {
        draft.put(&SETTINGS, &(), &settings)?;
        draft.put(&ROSTER, &(), &roster)?;
        admin.iter().try_for_each(|admin| put_user(draft, admin))
    });
    let stored: Result<(), StoreError> = stored.await;
    store.close().await;
    stored?;
    // Written last: a folder with this key was set up whole.
    mesh_key.save(&folder.mesh_key())?;
    Ok(outcome)
}
