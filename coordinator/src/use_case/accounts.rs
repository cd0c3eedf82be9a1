//! Signing in, who a session belongs to, and what every other use case of accounts shares.

mod admin;
pub(crate) mod first;
mod links;
mod own;
mod register;
#[cfg(test)]
mod tests;

pub use admin::{NewUser, UserView};
pub use first::{FirstAdmin, FirstSignIn};
pub use links::{Invitation, LinkFor, MadeLink, OpenInvitation};
pub use own::Profile;
pub use register::{Joined, Joining};

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{
    AccountError, Actor, Email, Origin, Role, User, UserState, check_name, check_password, fold, hash,
};
use crate::audit;
use crate::store::tables::{EMAILS, USERS};
use crate::store::{Draft, Reads, StoreError};
use protocol::Timestamp;
use protocol::text::Text;

/// A successful sign-in: what a session must remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// User name.
    pub name: String,
    /// The session ends when the user's generation has moved on.
    pub generation: u64,
}

/// What came of an attempt to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// Name and password belong together.
    Opened(SignedIn),
    /// They do not, or there is no such user; after the same work.
    Wrong,
    /// They do, but the account is not open.
    Closed(UserState),
}

impl Coordinator {
    /// The user name that belongs to what was typed as name or e-mail address; what was typed when there is none.
    pub async fn account_name(&self, typed: &str) -> Result<String, UseCaseError> {
        let typed = typed.trim().to_owned();
        Ok(self.store().read(move |view| Ok(find(view, &typed)?.map_or(typed, |user| user.name.into()))).await?)
    }

    /// Checks name, or e-mail address, and password.
    pub async fn sign_in(&self, typed: &str, password: &str, from: Origin) -> Result<SignIn, UseCaseError> {
        let key = typed.trim().to_owned();
        let user = self.store().read(move |view| find(view, &key)).await?;
        let is_right = self.passwords().verify(user.as_ref(), password).await;
        let Some(user) = user.filter(|_| is_right) else {
            tracing::warn!("a sign-in was refused");
            return Ok(SignIn::Wrong);
        };
        let now = Timestamp::now();
        let opened = self.store().update(move |draft| {
            // Read anew: the account may have been closed, or got another password, while this one was compared.
            let Some(mut now_kept) = draft.get(&USERS, &user.name.as_str().to_owned())? else {
                return Ok(SignIn::Wrong);
            };
            match now_kept.state {
                _ if now_kept.generation != user.generation => return Ok(SignIn::Wrong),
                UserState::Active => {}
                closed @ (UserState::Disabled | UserState::AwaitingVerification | UserState::AwaitingApproval) => {
                    return Ok(SignIn::Closed(closed));
                }
            }
            now_kept.last_sign_in = Some(now);
            put_user(draft, &now_kept)?;
            audit::note(draft, &actor_for(&now_kept, from), "session open", "", now)?;
            Ok::<_, UseCaseError>(SignIn::Opened(SignedIn::of(&now_kept)))
        });
        opened.await
    }

    /// Whether this is the password of who is signed in: asked again before a dangerous act.
    pub async fn prove(&self, session: &SignedIn, password: &str) -> Result<bool, UseCaseError> {
        let user = self.store().read(by_name(&session.name)).await?;
        let user = user.filter(|user| user.generation == session.generation);
        Ok(self.passwords().verify(user.as_ref(), password).await)
    }

    /// Whom a session belongs to; `None` once it must end.
    pub async fn actor_of(&self, session: &SignedIn) -> Result<Option<Actor>, UseCaseError> {
        Ok(self.profile_of(session).await?.map(|profile| profile.actor()))
    }

    /// As [`Self::actor_of`], with what pages need to know about the user.
    pub async fn profile_of(&self, session: &SignedIn) -> Result<Option<Profile>, UseCaseError> {
        let generation = session.generation;
        let user = self.store().read(by_name(&session.name)).await?;
        let is_open = |user: &User| user.generation == generation && user.state == UserState::Active;
        Ok(user.filter(is_open).map(Profile::from))
    }
}

impl SignedIn {
    fn of(user: &User) -> Self {
        Self { name: user.name.as_str().to_owned(), generation: user.generation }
    }
}

impl UseCaseError {
    fn no_user(name: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("user {name}"), "users")
    }
}

fn actor_for(user: &User, from: Origin) -> Actor {
    Actor::new(user.name.clone(), user.role).coming_from(from)
}

fn by_name(name: &str) -> impl FnOnce(&crate::store::View) -> Result<Option<User>, StoreError> + Send + use<> {
    let name = name.to_owned();
    move |view| view.get(&USERS, &name)
}

/// The user whose name or confirmed address this is.
fn find(reads: &impl Reads, typed: &str) -> Result<Option<User>, StoreError> {
    match reads.get(&EMAILS, &typed.to_lowercase())? {
        Some(name) => reads.get(&USERS, &name),
        None => reads.get(&USERS, &typed.to_owned()),
    }
}

/// The user of that name.
fn known(reads: &impl Reads, name: &str) -> Result<User, UseCaseError> {
    reads.get(&USERS, &name.to_owned())?.ok_or_else(|| UseCaseError::no_user(name))
}

/// Makes a user who may sign in; the password is hashed here, which takes some tenths of a second.
pub(crate) fn new_user(name: &str, password: &str, role: Role, now: Timestamp) -> Result<User, UseCaseError> {
    let name = check_name(name)?;
    check_password(password, &[name.as_str()])?;
    Ok(fresh(name, hash(password), role, now))
}

/// A user without anything but a name, a hashed password and a role.
pub(crate) fn fresh(name: Text, password: String, role: Role, now: Timestamp) -> User {
    User {
        name,
        first: Text::default(),
        last: Text::default(),
        email: None,
        unconfirmed: None,
        role,
        state: UserState::Active,
        password,
        // From the clock, so that a name that is given again opens no session of its former user.
        generation: now.as_millis(),
        created: now,
        last_sign_in: None,
        preferences: crate::accounts::Preferences::default(),
    }
}

/// Stages a user.
pub(crate) fn put_user(draft: &mut Draft, user: &User) -> Result<(), StoreError> {
    draft.put(&USERS, &user.name.as_str().to_owned(), user)
}

/// Stages a user that nobody of the same name may be before.
fn add_user(draft: &mut Draft, user: &User) -> Result<(), UseCaseError> {
    match draft.contains(&USERS, &user.name.as_str().to_owned())? {
        true => Err(AccountError::NameTaken(user.name.as_str().to_owned()).into()),
        false => Ok(put_user(draft, user)?),
    }
}

/// Makes the address the user's own; no two users have the same one. The user is to be staged afterwards.
fn confirm(draft: &mut Draft, user: &mut User, email: Option<Email>) -> Result<(), UseCaseError> {
    if let Some(email) = &email {
        let owner = draft.get(&EMAILS, &email.folded())?;
        if owner.is_some_and(|owner| owner != user.name.as_str()) {
            return Err(AccountError::EmailTaken(email.text().as_str().to_owned()).into());
        }
    }
    if let Some(former) = &user.email {
        draft.remove(&EMAILS, &fold(former))?;
    }
    if let Some(email) = &email {
        draft.put(&EMAILS, &email.folded(), &user.name.as_str().to_owned())?;
    }
    user.unconfirmed = None;
    user.email = email.map(|email| email.text().clone());
    Ok(())
}

impl Coordinator {
    /// The hash of a new password that suits its user.
    async fn hashed(&self, password: &str, again: &str, known: &[&str]) -> Result<String, UseCaseError> {
        check_password(password, known)?;
        if password != again {
            return Err(AccountError::Differ.into());
        }
        let hash = self.passwords().hash(password).await;
        hash.ok_or_else(|| UseCaseError::Conflict("the coordinator is stopping; try again in a moment".to_owned()))
    }
}
