//! Passwords: which are taken, and how they are hashed and compared.

use super::{AccountError, User, blocklist};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Shortest password taken, in characters; there is no second factor yet.
pub const MIN_PASSWORD_CHARS: usize = 15;

/// Longest password taken, in characters.
pub const MAX_PASSWORD_CHARS: usize = 128;

/// Longest password looked at, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 1_024;

const HASHES_AT_ONCE: usize = 2;

/// Checks a new password: its length, and that it is none that is tried first. `known` is what stands around it: the
/// names and addresses of its user.
pub fn check_password(password: &str, known: &[&str]) -> Result<(), AccountError> {
    match password.chars().count() {
        _ if password.len() > MAX_PASSWORD_BYTES => Err(AccountError::TooLong(password.len())),
        count if count > MAX_PASSWORD_CHARS => Err(AccountError::TooManyChars(count)),
        count if count < MIN_PASSWORD_CHARS => Err(AccountError::TooShort(count)),
        _ => match blocklist::left_of(password, known) {
            left if left < blocklist::LEAST_LEFT => Err(AccountError::TooCommon { left, least: blocklist::LEAST_LEFT }),
            _ => Ok(()),
        },
    }
}

/// Hashes and compares passwords, a few at a time, away from the async threads.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    at_once: Arc<Semaphore>,
}

/// A hash of nobody's password, compared when the user is unknown, so that both answers take the same work.
const DECOY: &str = "$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// argon2id with 64 MiB, three passes, one lane. Source: SECURITY-DESIGN section 8.
fn hasher() -> Argon2<'static> {
    let params = Params::new(64 * 1024, 3, 1, None).expect("the documented parameters are valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Hashes a password that [`check_password`] took; blocks for some tenths of a second.
pub(crate) fn hash(password: &str) -> String {
    hasher().hash_password(password.as_bytes()).expect("the parameters are valid and the input is short").to_string()
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { at_once: Arc::new(Semaphore::new(HASHES_AT_ONCE)) }
    }

    /// True when `password` belongs to `user`; an unknown user costs the same and is false.
    pub(crate) async fn verify(&self, user: Option<&User>, password: &str) -> bool {
        if password.len() > MAX_PASSWORD_BYTES {
            return false;
        }
        let stored = user.map_or_else(|| DECOY.to_owned(), |user| user.password.clone());
        let (is_known, password) = (user.is_some(), password.to_owned());
        let matches = move || {
            PasswordHash::new(&stored).is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok())
        };
        self.work(matches).await.unwrap_or(false) && is_known
    }

    /// The hash of a password that [`check_password`] took; `None` when the program is ending.
    pub(crate) async fn hash(&self, password: &str) -> Option<String> {
        let password = password.to_owned();
        self.work(move || hash(&password)).await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        // The permit goes with the work: whoever asked may be gone before it ends.
        let permit = self.at_once.clone().acquire_owned().await.ok()?;
        let guarded = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(guarded).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Role;
    use crate::use_case::accounts::new_user;
    use protocol::Timestamp;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_opens() {
        let passwords = Passwords::new();
        let user = new_user("ada", "correct horse battery", Role::Admin, Timestamp::from_millis(0)).unwrap();
        assert!(passwords.verify(Some(&user), "correct horse battery").await);
        assert!(!passwords.verify(Some(&user), "correct horse batterz").await);
        assert!(!passwords.verify(None, "correct horse battery").await);
        assert!(!passwords.verify(Some(&user), &"x".repeat(MAX_PASSWORD_BYTES + 1)).await);
        let fresh = User { password: passwords.hash("four plain words").await.unwrap(), ..user };
        assert!(passwords.verify(Some(&fresh), "four plain words").await);
    }

    #[test]
    fn an_unknown_user_takes_the_work_of_a_known_one() {
        let [decoy, real] = [DECOY, &hash("four plain words")].map(|hash| {
            let hash = PasswordHash::new(hash).unwrap();
            (hash.algorithm, hash.version, hash.params, hash.hash.map(|bytes| bytes.len()))
        });
        assert_eq!(decoy, real);
        assert!(real.3.is_some());
    }

    #[test]
    fn passwords_are_checked_with_a_remedy() {
        let errors = ["short", &"x".repeat(2_000), &"ab cd ".repeat(30), "Password1234567!"]
            .map(|password| check_password(password, &[]).unwrap_err().to_string());
        insta::assert_snapshot!(errors.join("\n"), @"
        the password has 5 characters; take at least 15, for instance four words
        the password has 2000 bytes; take at most 1024
        the password has 180 characters; take at most 128
        the password is easy to guess: without common words, your own names, years and runs such as 1234, 0 characters are left of it; take at least 8, for instance four words
        ");
        assert_eq!(check_password("four plain words", &["ada"]), Ok(()));
    }
}
