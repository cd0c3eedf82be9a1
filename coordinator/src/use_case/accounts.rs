//! Signing in, and who a session belongs to.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Origin, Role, User, check_name, check_password, hash};
use crate::audit;
use crate::store::tables::USERS;
use crate::store::{Draft, Reads, StoreError};
use protocol::Timestamp;

/// A successful sign-in: what a session must remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// User name.
    pub name: String,
    /// The session ends when the user's generation has moved on.
    pub generation: u64,
}

impl Coordinator {
    /// Checks name and password; `None` for any mismatch, after the same work.
    pub async fn sign_in(&self, name: &str, password: &str, from: Origin) -> Result<Option<SignedIn>, UseCaseError> {
        let key = name.trim().to_owned();
        let user = self.store().read(move |view| view.get(&USERS, &key)).await?;
        let right = self.passwords().verify(user.as_ref(), password).await;
        let Some(user) = user.filter(|_| right) else {
            tracing::warn!("a sign-in was refused");
            return Ok(None);
        };
        let actor = Actor::new(user.name.clone(), user.role).coming_from(from);
        let now = Timestamp::now();
        self.store().update(move |draft| audit::note(draft, &actor, "session open", "", now)).await?;
        Ok(Some(SignedIn { name: user.name.as_str().to_owned(), generation: user.generation }))
    }

    /// Whom a session belongs to; `None` once it must end.
    pub async fn actor_of(&self, session: &SignedIn) -> Result<Option<Actor>, UseCaseError> {
        let SignedIn { name, generation } = session.clone();
        let user = self.store().read(move |view| view.get(&USERS, &name)).await?;
        let user = user.filter(|user| user.generation == generation);
        Ok(user.map(|user| Actor::new(user.name, user.role)))
    }
}

/// Makes a user; the password is hashed here, which takes some tenths of a second.
pub(crate) fn new_user(name: &str, password: &str, role: Role, now: Timestamp) -> Result<User, UseCaseError> {
    let name = check_name(name)?;
    check_password(password)?;
    Ok(User { name, role, password: hash(password), generation: 1, created: now })
}

/// Stages a user.
pub(crate) fn put_user(draft: &mut Draft, user: &User) -> Result<(), StoreError> {
    draft.put(&USERS, &user.name.as_str().to_owned(), user)
}
