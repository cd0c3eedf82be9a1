//! Nobody becomes the first administrator without the code, and nobody becomes it twice.

use super::*;
use crate::accounts::Actor;
use crate::settings::{Settings, Timing};
use crate::store::Reads;
use crate::store::tables::{AUDIT, USERS};
use crate::{CoordinatorOptions, NewUser, SetupOptions};
use std::net::SocketAddr;
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery";

async fn start() -> (Coordinator, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (dir, loopback) = (folder.path().join("data"), SocketAddr::from(([127, 0, 0, 1], 0)));
    let settings = Settings { mesh: loopback, advertised: Vec::new(), http: loopback };
    crate::setup(SetupOptions { dir: dir.clone(), settings, admin: None }).await.unwrap();
    let options = CoordinatorOptions { dir, configuration: crate::fixture::configuration(), timing: Timing::default() };
    (Coordinator::start(options).await.unwrap(), folder)
}

fn wanted(code: &str, name: &str) -> FirstAdmin {
    let (password, again) = (PASSWORD.to_owned(), PASSWORD.to_owned());
    FirstAdmin { code: code.into(), name: name.into(), password, again, from: Origin::Unknown }
}

#[tokio::test]
async fn only_the_latest_code_makes_the_first_administrator_and_only_the_first() {
    let (coordinator, _folder) = start().await;
    assert!(!coordinator.has_admin().await.unwrap());
    let undrawn = coordinator.create_first_admin(wanted("", "eve")).await.unwrap();
    assert_eq!(undrawn, FirstSignIn::WrongCode, "before a code is drawn, none opens");
    let former = coordinator.draw_setup_code().await.unwrap().unwrap().to_string();
    let code = coordinator.draw_setup_code().await.unwrap().unwrap().to_string();
    for wrong in ["", "aaaa-aaaa-aaaa-aaaa", &former, &code[1..]] {
        let outcome = coordinator.create_first_admin(wanted(wrong, "eve")).await.unwrap();
        assert_eq!(outcome, FirstSignIn::WrongCode, "{wrong:?}");
    }
    let faults = [
        FirstAdmin { password: "short".into(), again: "short".into(), ..wanted(&code, "ada") },
        FirstAdmin { again: "another horse battery".into(), ..wanted(&code, "ada") },
        wanted(&code, "Ada L"),
    ];
    for wanted in faults {
        let refused = coordinator.create_first_admin(wanted).await;
        assert!(matches!(refused, Err(UseCaseError::Account(_))), "{refused:?}");
    }
    assert!(!coordinator.has_admin().await.unwrap(), "what was refused leaves nobody behind");

    let (one, other) = tokio::join!(
        coordinator.create_first_admin(wanted(&code.to_uppercase(), "ada")),
        coordinator.create_first_admin(wanted(&code, "eve")),
    );
    let outcomes = [one.unwrap(), other.unwrap()];
    let opened = outcomes.iter().filter(|outcome| matches!(outcome, FirstSignIn::Opened(_))).count();
    assert_eq!((opened, outcomes.contains(&FirstSignIn::TooLate)), (1, true), "{outcomes:?}");
    assert!(coordinator.has_admin().await.unwrap());
    assert!(coordinator.draw_setup_code().await.unwrap().is_none(), "there is no code any more");
    let late = coordinator.create_first_admin(wanted(&code, "eve")).await.unwrap();
    assert_eq!(late, FirstSignIn::TooLate);
    let read = |view: &crate::store::View| Ok((view.iter(&USERS).count(), view.iter(&AUDIT).count()));
    assert_eq!(coordinator.store().read(read).await.unwrap(), (1, 1));
    coordinator.stop().await;
}

#[tokio::test]
async fn an_administrator_made_on_the_machine_makes_the_code_void() {
    let (coordinator, _folder) = start().await;
    let code = coordinator.draw_setup_code().await.unwrap().unwrap().to_string();
    let user = |name: &str, role| NewUser {
        name: name.into(),
        first: String::new(),
        last: String::new(),
        email: String::new(),
        role,
        password: PASSWORD.into(),
    };
    coordinator.create_user(&Actor::local(0), &user("bob", Role::Viewer)).await.unwrap();
    assert!(!coordinator.has_admin().await.unwrap(), "a viewer is none");
    coordinator.create_user(&Actor::local(0), &user("ada", Role::Admin)).await.unwrap();
    let late = coordinator.create_first_admin(wanted(&code, "eve")).await.unwrap();
    assert_eq!(late, FirstSignIn::TooLate);
    coordinator.stop().await;
}
