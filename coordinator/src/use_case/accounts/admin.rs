//! What administrators do with users: see, make, let in, change the role, close, open, end sessions.

use super::{add_user, confirm, fresh, known, put_user};
use crate::Coordinator;
use crate::accounts::{Actor, Email, Right, Role, User, UserState, check_name, check_person};
use crate::audit;
use crate::store::tables::{EMAILS, USERS};
use crate::store::{Draft, Reads, StoreError};
use crate::use_case::UseCaseError;
use protocol::Timestamp;
use protocol::text::Text;

/// A user as administrators see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    /// Signs in with this.
    pub name: Text,
    /// First name.
    pub first: Text,
    /// Last name.
    pub last: Text,
    /// The confirmed address.
    pub email: Option<Text>,
    /// The address that is not confirmed yet.
    pub unconfirmed: Option<Text>,
    /// What they may do.
    pub role: Role,
    /// Whether they may sign in.
    pub state: UserState,
    /// When the account was made.
    pub created: Timestamp,
    /// When they signed in last.
    pub last_sign_in: Option<Timestamp>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        let User { name, first, last, email, unconfirmed, role, state, created, last_sign_in, .. } = user;
        Self { name, first, last, email, unconfirmed, role, state, created, last_sign_in }
    }
}

/// An account that an administrator makes.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Signs in with this.
    pub name: String,
    /// First name; may be empty.
    pub first: String,
    /// Last name; may be empty.
    pub last: String,
    /// E-mail address; may be empty. It counts as confirmed, on the administrator's word.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// The first password.
    pub password: String,
}

impl Coordinator {
    /// Every user, by name.
    pub async fn users(&self, actor: &Actor) -> Result<Vec<UserView>, UseCaseError> {
        actor.require(Right::Administer)?;
        let all = |view: &crate::store::View| view.iter(&USERS).map(|row| Ok(row?.1.into())).collect();
        Ok(self.store().read::<Vec<UserView>>(all).await?)
    }

    /// One user.
    pub async fn user(&self, actor: &Actor, name: &str) -> Result<UserView, UseCaseError> {
        actor.require(Right::Administer)?;
        let user = self.store().read(super::by_name(name)).await?;
        user.map(UserView::from).ok_or_else(|| UseCaseError::no_user(name))
    }

    /// Makes a user who may sign in at once.
    pub async fn create_user(&self, actor: &Actor, new: &NewUser) -> Result<UserView, UseCaseError> {
        actor.require(Right::Administer)?;
        let (name, first, last) = (check_name(&new.name)?, check_person(&new.first)?, check_person(&new.last)?);
        let email = Email::parse_optional(&new.email)?;
        let known = [name.as_str(), first.as_str(), last.as_str(), &new.email];
        let password = self.hashed(&new.password, &new.password, &known).await?;
        let now = Timestamp::now();
        let mut user = User { first, last, ..fresh(name, password, new.role, now) };
        let who = actor.clone();
        let create = move |draft: &mut Draft| {
            add_user(draft, &user)?;
            confirm(draft, &mut user, email)?;
            put_user(draft, &user)?;
            audit::note(draft, &who, "user create", &format!("{} as {}", user.name, user.role.name()), now)?;
            Ok::<_, UseCaseError>(user.into())
        };
        self.store().update(create).await
    }

    /// Gives a user another role; their sessions end.
    pub async fn set_role(&self, actor: &Actor, name: &str, role: Role) -> Result<UserView, UseCaseError> {
        let change = move |user: &mut User| {
            let told = format!("{} from {} to {}", user.name, user.role.name(), role.name());
            if user.role != role {
                user.role = role;
                user.end_sessions();
            }
            Ok(told)
        };
        self.change_user(actor, name, "user role", change).await
    }

    /// Closes an account: its sessions end, and nobody signs in to it.
    pub async fn disable_user(&self, actor: &Actor, name: &str) -> Result<UserView, UseCaseError> {
        let change = |user: &mut User| {
            if user.state == UserState::AwaitingApproval || user.state == UserState::AwaitingVerification {
                let reason = format!("{} was never let in; deny the request instead", user.name);
                return Err(UseCaseError::Conflict(reason));
            }
            user.state = UserState::Disabled;
            user.end_sessions();
            Ok(user.name.to_string())
        };
        self.change_user(actor, name, "user disable", change).await
    }

    /// Opens an account: one that was closed, or one that asked for it.
    pub async fn enable_user(&self, actor: &Actor, name: &str) -> Result<UserView, UseCaseError> {
        let change = |user: &mut User| {
            let told = format!("{}, was {}", user.name, user.state.name());
            user.state = UserState::Active;
            Ok(told)
        };
        self.change_user(actor, name, "user enable", change).await
    }

    /// Ends every session of a user.
    pub async fn end_sessions_of(&self, actor: &Actor, name: &str) -> Result<UserView, UseCaseError> {
        let change = |user: &mut User| {
            user.end_sessions();
            Ok(user.name.to_string())
        };
        self.change_user(actor, name, "user sign-out", change).await
    }

    /// Notes that wrong passwords of a user are forgotten; who counts them forgets them.
    pub async fn note_unlocked(&self, actor: &Actor, name: &str) -> Result<UserView, UseCaseError> {
        self.change_user(actor, name, "user unlock", |user| Ok(user.name.to_string())).await
    }

    /// Gives a user another password; their sessions end.
    pub async fn set_password_of(&self, actor: &Actor, name: &str, password: &str) -> Result<UserView, UseCaseError> {
        actor.require(Right::Administer)?;
        let user = self.store().read(super::by_name(name)).await?.ok_or_else(|| UseCaseError::no_user(name))?;
        let hash = self.hashed(password, password, &user.known_words()).await?;
        let change = |user: &mut User| {
            user.password = hash;
            user.end_sessions();
            Ok(user.name.to_string())
        };
        self.change_user(actor, name, "user password", change).await
    }

    /// Turns down who asked for an account: nothing of it stays but the audit entry.
    pub async fn deny_user(&self, actor: &Actor, name: &str) -> Result<UserView, UseCaseError> {
        actor.require(Right::Administer)?;
        let (who, name, now) = (actor.clone(), name.to_owned(), Timestamp::now());
        let deny = move |draft: &mut Draft| {
            let user = known(draft, &name)?;
            if matches!(user.state, UserState::Active | UserState::Disabled) {
                return Err(UseCaseError::Conflict(format!("{name} was let in before; disable the account instead")));
            }
            remove_user(draft, &user)?;
            audit::note(draft, &who, "user deny", &name, now)?;
            Ok(user.into())
        };
        self.store().update(deny).await
    }

    async fn change_user(
        &self,
        actor: &Actor,
        name: &str,
        action: &'static str,
        change: impl FnOnce(&mut User) -> Result<String, UseCaseError> + Send + 'static,
    ) -> Result<UserView, UseCaseError> {
        actor.require(Right::Administer)?;
        let (who, name, now) = (actor.clone(), name.to_owned(), Timestamp::now());
        let change = move |draft: &mut Draft| {
            let mut user = known(draft, &name)?;
            let told = change(&mut user)?;
            put_user(draft, &user)?;
            an_admin_is_left(draft)?;
            audit::note(draft, &who, action, &told, now)?;
            Ok(user.into())
        };
        self.store().update(change).await
    }
}

/// Removes a user and what leads to them.
pub(super) fn remove_user(draft: &mut Draft, user: &User) -> Result<(), StoreError> {
    if let Some(email) = &user.email {
        draft.remove(&EMAILS, &crate::accounts::fold(email))?;
    }
    draft.remove(&USERS, &user.name.as_str().to_owned())
}

/// Whether there is an administrator who can sign in.
pub(super) fn has_admin(reads: &impl Reads) -> Result<bool, StoreError> {
    for row in reads.iter(&USERS) {
        let (_, user) = row?;
        if user.role == Role::Admin && user.state == UserState::Active {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Somebody must be able to sign in and mend what went wrong.
fn an_admin_is_left(draft: &Draft) -> Result<(), UseCaseError> {
    if has_admin(draft)? {
        return Ok(());
    }
    let reason = "this is the last administrator who can sign in; make another one first";
    Err(UseCaseError::Conflict(reason.to_owned()))
}
