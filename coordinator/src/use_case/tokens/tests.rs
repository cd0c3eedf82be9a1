//! What a token opens, and when it stops: on a real coordinator with users of each role.

use super::*;
use crate::accounts::Role;
use crate::settings::{Settings, Timing};
use crate::store::tables::AUDIT;
use crate::use_case::accounts::fresh;
use crate::{CoordinatorOptions, SetupOptions};
use std::net::SocketAddr;
use tempfile::TempDir;

fn actor(name: &str, role: Role) -> Actor {
    Actor::new(name.into(), role)
}

fn ada() -> Actor {
    actor("ada", Role::Admin)
}

/// A coordinator with the users ada (admin) and bob (operator), made at the start of time.
async fn coordinator() -> (Coordinator, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (dir, loopback) = (folder.path().join("data"), SocketAddr::from(([127, 0, 0, 1], 0)));
    let settings = Settings { mesh: loopback, advertised: Vec::new(), http: loopback };
    crate::setup(SetupOptions { dir: dir.clone(), settings, admin: None }).await.unwrap();
    let (configuration, timing) = (crate::fixture::configuration(), Timing::default());
    let coordinator = Coordinator::start(CoordinatorOptions { dir, configuration, timing }).await.unwrap();
    for (name, role) in [("ada", Role::Admin), ("bob", Role::Operator)] {
        set_user(&coordinator, name, Some(role), Timestamp::from_millis(0)).await;
    }
    (coordinator, folder)
}

async fn set_user(coordinator: &Coordinator, name: &'static str, role: Option<Role>, created: Timestamp) {
    let set = coordinator.store().update(move |draft| match role {
        Some(role) => {
            let user = fresh(name.into(), String::new(), role, created);
            draft.put(&USERS, &name.to_owned(), &user)
        }
        None => draft.remove(&USERS, &name.to_owned()),
    });
    set.await.map_err(|error: StoreError| error).unwrap();
}

fn wanted(name: &str, scopes: &[Scope]) -> TokenRequest {
    TokenRequest { name: name.to_owned(), scopes: scopes.iter().copied().collect(), ..TokenRequest::default() }
}

async fn audited(coordinator: &Coordinator) -> Vec<String> {
    let read = |view: &crate::store::View| -> Result<Vec<String>, StoreError> {
        view.iter(&AUDIT).map(|row| row.map(|(_, entry)| format!("{} {}", entry.actor, entry.action))).collect()
    };
    coordinator.store().read(read).await.unwrap()
}

#[tokio::test]
async fn a_token_acts_as_its_owner_until_it_is_revoked() {
    let (coordinator, _folder) = coordinator().await;
    let bob = actor("bob", Role::Operator);
    let made = coordinator.create_token(&bob, wanted("backup", &[Scope::Read, Scope::Scans])).await.unwrap();
    let bearer = coordinator.bearer_of(&made.text).await.unwrap().unwrap();
    assert_eq!((&bearer.actor, &bearer.scopes), (&bob, &BTreeSet::from([Scope::Read, Scope::Scans])));
    let listed = coordinator.own_tokens(&bob).await.unwrap();
    assert_eq!((listed.len(), &listed[0].id, listed[0].is_over), (1, &made.view.id, false));
    assert!(listed[0].last_used.is_some() && made.view.last_used.is_none());
    assert!(coordinator.own_tokens(&ada()).await.unwrap().is_empty());

    let stranger = actor("eve", Role::Operator);
    let kept = coordinator.revoke_token(&stranger, &made.view.id).await;
    assert!(matches!(kept, Err(UseCaseError::NotFound(..))), "{kept:?}");
    coordinator.revoke_token(&ada(), &made.view.id).await.unwrap();
    assert_eq!(coordinator.bearer_of(&made.text).await.unwrap(), None);
    assert_eq!(coordinator.bearer(bearer.key).await.unwrap(), None);
    assert!(coordinator.revoke_token(&ada(), &made.view.id).await.is_err());
    assert_eq!(audited(&coordinator).await, ["bob token create", "ada token revoke"]);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_token_never_has_more_rights_than_its_owner_has_now() {
    let (coordinator, _folder) = coordinator().await;
    let made = coordinator.create_token(&ada(), wanted("all", &Scope::ALL)).await.unwrap();
    let role = async || coordinator.bearer_of(&made.text).await.unwrap().map(|bearer| bearer.actor.role);
    assert_eq!(role().await, Some(Role::Admin));
    set_user(&coordinator, "ada", Some(Role::Viewer), Timestamp::from_millis(0)).await;
    assert_eq!(role().await, Some(Role::Viewer));
    set_user(&coordinator, "ada", None, Timestamp::from_millis(0)).await;
    assert_eq!(role().await, None);
    set_user(&coordinator, "ada", Some(Role::Admin), Timestamp::now().plus(Duration::from_secs(60))).await;
    assert_eq!(role().await, None, "a later account of the same name");
    let listed = coordinator.tokens(&ada()).await.unwrap();
    assert!(listed[0].is_over);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_token_of_a_closed_account_opens_nothing_until_the_account_is_open_again() {
    let (coordinator, _folder) = coordinator().await;
    let made = coordinator.create_token(&actor("bob", Role::Operator), wanted("t", &[Scope::Read])).await.unwrap();
    let is_good = async || coordinator.bearer_of(&made.text).await.unwrap().is_some();
    assert!(is_good().await);
    coordinator.disable_user(&ada(), "bob").await.unwrap();
    assert!(!is_good().await);
    assert!(coordinator.tokens(&ada()).await.unwrap()[0].is_over);
    coordinator.enable_user(&ada(), "bob").await.unwrap();
    assert!(is_good().await);
    coordinator.stop().await;
}

#[tokio::test]
async fn who_makes_tokens_for_whom_is_checked() {
    let (coordinator, _folder) = coordinator().await;
    let bob = actor("bob", Role::Operator);
    let for_whom = |owner: &str| TokenRequest { owner: Some(owner.to_owned()), ..wanted("t", &[Scope::Scans]) };
    let refused = async |actor: &Actor, request: TokenRequest| {
        coordinator.create_token(actor, request).await.map(|_| ()).unwrap_err().to_string()
    };
    let local = Actor::local(0);
    coordinator.create_token(&ada(), for_whom("bob")).await.unwrap();
    let told = [
        refused(&bob, for_whom("ada")).await,
        refused(&local, wanted("t", &[Scope::Read])).await,
        refused(&local, for_whom("eve")).await,
        refused(&local, for_whom("bob")).await,
        refused(&bob, wanted("u", &[Scope::Nodes])).await,
        refused(
            &bob,
            TokenRequest { lifetime: Some(Duration::from_secs(400 * 86_400)), ..wanted("u", &[Scope::Read]) },
        )
        .await,
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    bob is operator and may not do this; ask an administrator
    owner: name the user whose rights the token gets
    owner: there is no user "eve"
    name: bob has a token called "t"; choose another name, or revoke that one first
    scopes: bob is operator and has no right to nodes; a token never reaches further than its owner
    expires: a token lasts from one second to 366 days
    "#);
    for number in 1..MAX_TOKENS_OF_USER {
        coordinator.create_token(&bob, wanted(&format!("t{number}"), &[Scope::Read])).await.unwrap();
    }
    let many = refused(&bob, wanted("one more", &[Scope::Read])).await;
    assert!(many.contains("bob has 50 tokens"), "{many}");
    assert_eq!(coordinator.tokens(&ada()).await.unwrap().len(), MAX_TOKENS_OF_USER);
    assert!(coordinator.tokens(&bob).await.is_err());
    coordinator.stop().await;
}

#[tokio::test]
async fn the_use_of_a_token_is_noted_outside_the_journal() {
    let (coordinator, _folder) = coordinator().await;
    let made = coordinator.create_token(&ada(), wanted("watch", &[Scope::Read])).await.unwrap();
    let before = coordinator.statistics(&ada()).await.unwrap().store.sequence;
    for _ in 0..3 {
        coordinator.bearer_of(&made.text).await.unwrap().unwrap();
    }
    let first = coordinator.own_tokens(&ada()).await.unwrap()[0].last_used;
    assert!(first.is_some());
    assert_eq!(coordinator.statistics(&ada()).await.unwrap().store.sequence, before);
    coordinator.stop().await;
}
