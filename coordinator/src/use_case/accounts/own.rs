//! What a user does with their own account: names, address, password, preferences, other sessions.

use super::{SignedIn, confirm, known, put_user};
use crate::Coordinator;
use crate::accounts::{AccountError, Actor, Email, Preferences, Role, User, UserState, check_person};
use crate::audit;
use crate::store::Draft;
use crate::use_case::UseCaseError;
use protocol::Timestamp;
use protocol::text::Text;

/// A user as they see themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
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
    /// When the account was made.
    pub created: Timestamp,
    /// How they like their pages.
    pub preferences: Preferences,
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        let User { name, first, last, email, unconfirmed, role, created, preferences, .. } = user;
        Self { name, first, last, email, unconfirmed, role, created, preferences }
    }
}

impl Profile {
    /// Who acts.
    pub fn actor(&self) -> Actor {
        Actor::new(self.name.clone(), self.role)
    }
}

impl Coordinator {
    /// The account of who asks. Accounts of the machine, on the local socket, have none.
    pub async fn profile(&self, actor: &Actor) -> Result<Profile, UseCaseError> {
        let user = self.store().read(super::by_name(actor.name.as_str())).await?;
        user.map(Profile::from).ok_or_else(|| UseCaseError::no_user(&actor.name))
    }

    /// Changes first name, last name and e-mail address. Where mail can be sent, a new address counts once it is
    /// confirmed, see [`Self::prove_email`]; the profile then has it as unconfirmed.
    pub async fn set_profile(
        &self,
        actor: &Actor,
        first: &str,
        last: &str,
        email: &str,
    ) -> Result<Profile, UseCaseError> {
        let (first, last, email) = (check_person(first)?, check_person(last)?, Email::parse_optional(email)?);
        let can_mail = self.mail().is_some();
        let change = move |draft: &mut Draft, user: &mut User| {
            (user.first, user.last) = (first, last);
            match email {
                Some(email) if can_mail && user.email.as_ref() != Some(email.text()) => {
                    user.unconfirmed = Some(email.text().clone());
                    Ok(())
                }
                email => confirm(draft, user, email),
            }
        };
        self.change_own(actor, "profile edit", change).await.map(Profile::from)
    }

    /// Changes the time zone, the colours and the keys of pages.
    pub async fn set_preferences(&self, actor: &Actor, wanted: Preferences) -> Result<Profile, UseCaseError> {
        let change = move |_: &mut Draft, user: &mut User| {
            user.preferences = wanted;
            Ok(())
        };
        self.change_own(actor, "profile preferences", change).await.map(Profile::from)
    }

    /// Changes the password of who knows the present one; every session ends, and the one of the answer goes on.
    pub async fn change_password(
        &self,
        actor: &Actor,
        current: &str,
        new: &str,
        again: &str,
    ) -> Result<SignedIn, UseCaseError> {
        let user = self.store().read(super::by_name(actor.name.as_str())).await?;
        let user = user.ok_or_else(|| UseCaseError::no_user(&actor.name))?;
        if !self.passwords().verify(Some(&user), current).await {
            return Err(AccountError::WrongPassword.into());
        }
        let hash = self.hashed(new, again, &user.known_words()).await?;
        let generation = user.generation;
        let change = move |_: &mut Draft, user: &mut User| {
            if user.generation != generation {
                return Err(UseCaseError::Conflict("the account has changed in between; sign in again".to_owned()));
            }
            user.password = hash;
            user.end_sessions();
            Ok(())
        };
        Ok(SignedIn::of(&self.change_own(actor, "profile password", change).await?))
    }

    /// Ends every session of who asks; the one of the answer goes on.
    pub async fn end_other_sessions(&self, actor: &Actor) -> Result<SignedIn, UseCaseError> {
        let change = |_: &mut Draft, user: &mut User| {
            user.end_sessions();
            Ok(())
        };
        Ok(SignedIn::of(&self.change_own(actor, "profile sign-out", change).await?))
    }

    async fn change_own(
        &self,
        actor: &Actor,
        action: &'static str,
        change: impl FnOnce(&mut Draft, &mut User) -> Result<(), UseCaseError> + Send + 'static,
    ) -> Result<User, UseCaseError> {
        let (who, now) = (actor.clone(), Timestamp::now());
        let change = move |draft: &mut Draft| {
            let mut user = known(draft, who.name.as_str())?;
            if user.state != UserState::Active {
                return Err(UseCaseError::no_user(&who.name));
            }
            change(draft, &mut user)?;
            put_user(draft, &user)?;
            audit::note(draft, &who, action, user.name.as_str(), now)?;
            Ok(user)
        };
        self.store().update(change).await
    }
}
