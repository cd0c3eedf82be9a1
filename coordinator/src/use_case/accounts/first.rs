//! The first administrator: made by whoever has the code that a start without one printed, and only then.

#[cfg(test)]
mod tests;

use super::admin::has_admin;
use super::{SignedIn, actor_for, add_user, fresh};
use crate::Coordinator;
use crate::accounts::{Origin, Role, SetupCode, SetupSum, User, check_name};
use crate::audit;
use crate::store::Draft;
use crate::use_case::UseCaseError;
use protocol::Timestamp;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// What stands between a stranger and the first account.
#[derive(Debug, Default)]
pub(crate) struct SetupGate {
    /// Of the code that was printed last; kept in memory alone, so that a restart makes it void.
    sum: Mutex<Option<SetupSum>>,
    /// Once true it stays true: the last administrator cannot be removed.
    is_shut: AtomicBool,
}

/// What the first administrator types.
#[derive(Clone, Debug, Default)]
pub struct FirstAdmin {
    /// The code, however it is typed.
    pub code: String,
    /// Signs in with this.
    pub name: String,
    /// The password.
    pub password: String,
    /// The same again.
    pub again: String,
    /// From where they ask.
    pub from: Origin,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstSignIn {
    /// The account is made, and its session may be opened.
    Opened(SignedIn),
    /// This is not the code; nothing else was looked at.
    WrongCode,
    /// There is an administrator already.
    TooLate,
}

impl Coordinator {
    /// Whether there is an administrator who can sign in. From then on there always is.
    pub async fn has_admin(&self) -> Result<bool, UseCaseError> {
        let gate = self.setup_gate();
        if gate.is_shut.load(Ordering::Acquire) {
            return Ok(true);
        }
        let is_there = self.store().read(has_admin).await?;
        if is_there {
            gate.shut();
        }
        Ok(is_there)
    }

    /// A new code for the first administrator, in place of the one before; `None` when there is an administrator.
    pub async fn draw_setup_code(&self) -> Result<Option<SetupCode>, UseCaseError> {
        if self.has_admin().await? {
            return Ok(None);
        }
        let code = SetupCode::draw()
            .map_err(|error| UseCaseError::Conflict(format!("the system gives no randomness: {error}")))?;
        *self.setup_gate().sum.lock().unwrap_or_else(PoisonError::into_inner) = Some(code.sum());
        Ok(Some(code))
    }

    /// Makes the first administrator for who has the code; who counts wrong ones is asked before.
    pub async fn create_first_admin(&self, wanted: FirstAdmin) -> Result<FirstSignIn, UseCaseError> {
        let FirstAdmin { code, name, password, again, from } = wanted;
        if self.has_admin().await? {
            return Ok(FirstSignIn::TooLate);
        }
        if !self.setup_gate().opens_to(&code) {
            tracing::warn!("a wrong setup code was typed");
            return Ok(FirstSignIn::WrongCode);
        }
        let name = check_name(&name)?;
        let hash = self.hashed(&password, &again, &[name.as_str()]).await?;
        let now = Timestamp::now();
        let user = User { last_sign_in: Some(now), ..fresh(name, hash, Role::Admin, now) };
        let create = move |draft: &mut Draft| {
            // Asked again: two may have come with the code at once.
            if has_admin(draft)? {
                return Ok(FirstSignIn::TooLate);
            }
            add_user(draft, &user)?;
            audit::note(draft, &actor_for(&user, from), "setup finish", &format!("{} as admin", user.name), now)?;
            Ok::<_, UseCaseError>(FirstSignIn::Opened(SignedIn::of(&user)))
        };
        let outcome = self.store().update(create).await?;
        self.setup_gate().shut();
        Ok(outcome)
    }
}

impl SetupGate {
    fn opens_to(&self, typed: &str) -> bool {
        let held = *self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        held.is_some() && SetupCode::typed(typed).map(|code| code.sum()) == held
    }

    fn shut(&self) {
        self.is_shut.store(true, Ordering::Release);
        *self.sum.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
