//! Accounts on a real coordinator: who gets in, what ends sessions, which links work, and that each step is audited.

use super::*;
use crate::accounts::{LinkSecret, Preferences, RegistrationMode, Theme};
use crate::config::{Config, StoreConfig};
use crate::mail::{MailSettings, TransportKind};
use crate::settings::{Settings, Timing};
use crate::store::tables::{AUDIT, LINKS};
use crate::{CoordinatorOptions, SetupOptions};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery";
const OTHER: &str = "green kettle by the door";
const NOWHERE: Origin = Origin::Unknown;

async fn start(can_mail: bool) -> (Coordinator, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (dir, loopback) = (folder.path().join("data"), SocketAddr::from(([127, 0, 0, 1], 0)));
    let settings = Settings { mesh: loopback, advertised: Vec::new(), http: loopback };
    let admin = Some(("ada".to_owned(), PASSWORD.to_owned()));
    crate::setup(SetupOptions { dir: dir.clone(), settings, admin }).await.unwrap();
    let mail = MailSettings {
        transport: TransportKind::File,
        from: "portdrift@example.org".into(),
        folder: Some(folder.path().to_str().unwrap().parse().unwrap()),
        ..MailSettings::default()
    };
    let mail = if can_mail { mail } else { MailSettings::default() };
    let config = Config { store: StoreConfig { keep_free_mib: 1 }, mail, ..Config::default() };
    let options = CoordinatorOptions { dir, configuration: config.into(), timing: Timing::default() };
    (Coordinator::start(options).await.unwrap(), folder)
}

fn ada() -> Actor {
    Actor::new("ada".into(), Role::Admin)
}

fn joining(name: &str, email: &str) -> Joining {
    let (password, again) = (PASSWORD.to_owned(), PASSWORD.to_owned());
    Joining { name: name.into(), email: email.into(), password, again, ..Joining::default() }
}

fn user(name: &str, role: Role) -> NewUser {
    let (first, last, email) = (String::new(), String::new(), format!("{name}@example.org"));
    NewUser { name: name.into(), first, last, email, role, password: PASSWORD.into() }
}

async fn sign_in(coordinator: &Coordinator, typed: &str, password: &str) -> SignIn {
    coordinator.sign_in(typed, password, NOWHERE).await.unwrap()
}

async fn opened(coordinator: &Coordinator, typed: &str, password: &str) -> SignedIn {
    match sign_in(coordinator, typed, password).await {
        SignIn::Opened(signed_in) => signed_in,
        SignIn::Wrong | SignIn::Closed(_) => panic!("{typed} did not get in"),
    }
}

async fn is_open(coordinator: &Coordinator, session: &SignedIn) -> bool {
    coordinator.actor_of(session).await.unwrap().is_some()
}

async fn audited(coordinator: &Coordinator) -> Vec<String> {
    let line = |(_, entry): (u64, audit::AuditEntry)| format!("{}: {} {}", entry.actor, entry.action, entry.subject);
    let read = move |view: &crate::store::View| view.iter(&AUDIT).map(|row| row.map(line)).collect();
    let lines: Vec<String> = coordinator.store().read(read).await.unwrap();
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

fn told<T: std::fmt::Debug>(outcome: Result<T, UseCaseError>) -> String {
    outcome.unwrap_err().to_string()
}

#[tokio::test]
async fn an_administrator_makes_changes_closes_and_opens_accounts_and_each_step_is_audited() {
    let (coordinator, _folder) = start(false).await;
    coordinator.create_user(&ada(), &user("bob", Role::Viewer)).await.unwrap();
    let session = opened(&coordinator, "bob", PASSWORD).await;
    assert!(is_open(&coordinator, &session).await);
    coordinator.set_role(&ada(), "bob", Role::Operator).await.unwrap();
    assert!(!is_open(&coordinator, &session).await, "another role ends the session");
    let session = opened(&coordinator, "BOB@example.org", PASSWORD).await;
    coordinator.disable_user(&ada(), "bob").await.unwrap();
    assert!(!is_open(&coordinator, &session).await, "a closed account ends the session");
    assert_eq!(sign_in(&coordinator, "bob", PASSWORD).await, SignIn::Closed(UserState::Disabled));
    assert_eq!(sign_in(&coordinator, "bob", OTHER).await, SignIn::Wrong);
    coordinator.enable_user(&ada(), "bob").await.unwrap();
    assert!(!is_open(&coordinator, &session).await, "opening it again opens no former session");
    coordinator.set_password_of(&ada(), "bob", OTHER).await.unwrap();
    let session = opened(&coordinator, "bob", OTHER).await;
    coordinator.end_sessions_of(&ada(), "bob").await.unwrap();
    assert!(!is_open(&coordinator, &session).await);
    let viewer = Actor::new("bob".into(), Role::Operator);
    assert!(matches!(coordinator.users(&viewer).await, Err(UseCaseError::Forbidden(_))));
    insta::assert_snapshot!(audited(&coordinator).await.join("\n"), @"
    ada: user create bob as viewer
    bob: session open
    ada: user role bob from viewer to operator
    bob: session open
    ada: user disable bob
    ada: user enable bob, was disabled
    ada: user password bob
    bob: session open
    ada: user sign-out bob
    ");
    coordinator.stop().await;
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let (coordinator, _folder) = start(false).await;
    let last = "this is the last administrator who can sign in; make another one first";
    assert_eq!(told(coordinator.set_role(&ada(), "ada", Role::Viewer).await), last);
    assert_eq!(told(coordinator.disable_user(&ada(), "ada").await), last);
    coordinator.create_user(&ada(), &user("bob", Role::Admin)).await.unwrap();
    coordinator.disable_user(&ada(), "bob").await.unwrap();
    assert_eq!(told(coordinator.disable_user(&ada(), "ada").await), last, "a closed account does not count");
    coordinator.enable_user(&ada(), "bob").await.unwrap();
    coordinator.disable_user(&ada(), "ada").await.unwrap();
    coordinator.stop().await;
}

#[tokio::test]
async fn names_and_addresses_belong_to_one_account() {
    let (coordinator, _folder) = start(false).await;
    coordinator.create_user(&ada(), &user("bob", Role::Viewer)).await.unwrap();
    let again = told(coordinator.create_user(&ada(), &user("bob", Role::Viewer)).await);
    let taken = NewUser { email: "Bob@Example.org".into(), ..user("cleo", Role::Viewer) };
    let same = told(coordinator.create_user(&ada(), &taken).await);
    let own = told(coordinator.set_profile(&ada(), "", "", "bob@example.org").await);
    let easy = NewUser { password: "bob2-bob2-bob2-bob2".into(), ..user("bob2", Role::Viewer) };
    let easy = told(coordinator.create_user(&ada(), &easy).await);
    insta::assert_snapshot!([again, same, own, easy].join("\n"), @"
    the user name bob is taken; choose another
    another account has the address Bob@Example.org; take another one
    another account has the address bob@example.org; take another one
    the password is easy to guess: without common words, your own names, years and runs such as 1234, 0 characters are left of it; take at least 8, for instance four words
    ");
    let bob = Actor::new("bob".into(), Role::Viewer);
    coordinator.set_profile(&bob, "Bob", "", "").await.unwrap();
    coordinator.create_user(&ada(), &taken).await.unwrap();
    assert!(
        matches!(sign_in(&coordinator, "bob@example.org", PASSWORD).await, SignIn::Opened(user) if user.name == "cleo")
    );
    coordinator.stop().await;
}

#[tokio::test]
async fn each_mode_of_registration_lets_in_whom_it_says() {
    let (coordinator, _folder) = start(false).await;
    let mut seen = Vec::new();
    for mode in RegistrationMode::ALL {
        coordinator.set_registration(&ada(), mode).await.unwrap();
        let invitation = Invitation { email: String::new(), role: Role::Operator, lifetime: Duration::from_secs(60) };
        let invite = coordinator.invite_user(&ada(), &invitation).await.ok().map(|link| link.secret.to_string());
        let alone = coordinator.register(joining(&format!("{}-alone", mode.name()), "")).await;
        let with = Joining { invite, ..joining(&format!("{}-invited", mode.name()), "") };
        let invited = coordinator.register(with).await;
        let told = |joined: Result<Joined, UseCaseError>| {
            joined.map_or_else(|error| error.to_string(), |joined| joined.state.name().to_owned())
        };
        seen.push(format!("{}: alone {}; invited {}", mode.name(), told(alone), told(invited)));
    }
    insta::assert_snapshot!(seen.join("\n"), @"
    closed: alone accounts are made by administrators only; ask one; invited accounts are made by administrators only; ask one
    invite: alone an account needs an invite; ask an administrator for one; invited active
    approval: alone awaiting approval; invited active
    open: alone active; invited active
    ");
    assert_eq!(sign_in(&coordinator, "approval-alone", PASSWORD).await, SignIn::Closed(UserState::AwaitingApproval));
    coordinator.enable_user(&ada(), "approval-alone").await.unwrap();
    opened(&coordinator, "approval-alone", PASSWORD).await;
    let roles: Vec<String> = coordinator
        .users(&ada())
        .await
        .unwrap()
        .iter()
        .map(|user| format!("{} {}", user.name, user.role.name()))
        .collect();
    insta::assert_snapshot!(roles.join("\n"), @"
    ada admin
    approval-alone viewer
    approval-invited operator
    invite-invited operator
    open-alone viewer
    open-invited operator
    ");
    coordinator.stop().await;
}

#[tokio::test]
async fn an_invite_works_once_gives_its_address_and_can_be_taken_back() {
    let (coordinator, _folder) = start(true).await;
    let invitation =
        Invitation { email: "bob@example.org".into(), role: Role::Approver, lifetime: Duration::from_secs(60) };
    let invite = coordinator.invite_user(&ada(), &invitation).await.unwrap().secret.to_string();
    assert_eq!(
        coordinator.link(&invite).await.unwrap(),
        Some(LinkFor::Invite(Role::Approver, Some("bob@example.org".into())))
    );
    let with = |name: &str| Joining { invite: Some(invite.clone()), ..joining(name, "else@example.org") };
    let joined = coordinator.register(with("bob")).await.unwrap();
    assert_eq!(
        (joined.state, joined.verify),
        (UserState::Active, None),
        "who reads the mail of that address has the link"
    );
    assert_eq!(coordinator.user(&ada(), "bob").await.unwrap().email, Some("bob@example.org".into()));
    assert!(matches!(coordinator.register(with("eve")).await, Err(UseCaseError::Conflict(_))));
    let second = coordinator.invite_user(&ada(), &invitation).await.unwrap().secret.to_string();
    let open = coordinator.invitations(&ada()).await.unwrap();
    assert_eq!(open.len(), 1);
    coordinator.revoke_invitation(&ada(), &open[0].id).await.unwrap();
    assert_eq!(coordinator.link(&second).await.unwrap(), None);
    coordinator.stop().await;
}

#[tokio::test]
async fn an_address_counts_once_its_owner_confirms_it_and_a_known_one_is_told_only_by_mail() {
    let (coordinator, _folder) = start(true).await;
    coordinator.set_registration(&ada(), RegistrationMode::Open).await.unwrap();
    let joined = coordinator.register(joining("bob", "bob@example.org")).await.unwrap();
    assert_eq!(joined.state, UserState::AwaitingVerification);
    assert_eq!(sign_in(&coordinator, "bob", PASSWORD).await, SignIn::Closed(UserState::AwaitingVerification));
    assert_eq!(coordinator.forgotten("bob@example.org", NOWHERE).await.unwrap(), None, "not confirmed");
    let secret = joined.verify.unwrap().secret.to_string();
    assert_eq!(coordinator.confirm_email(&secret, NOWHERE).await.unwrap(), UserState::Active);
    assert!(coordinator.confirm_email(&secret, NOWHERE).await.is_err(), "a link works once");
    opened(&coordinator, "bob@example.org", PASSWORD).await;
    let again = coordinator.register(joining("bob2", "BOB@example.org")).await.unwrap();
    assert_eq!((again.state, again.verify), (UserState::AwaitingVerification, None));
    assert_eq!(again.is_known, Some("BOB@example.org".into()));

    let bob = Actor::new("bob".into(), Role::Viewer);
    let profile = coordinator.set_profile(&bob, "Bob", "", "new@example.org").await.unwrap();
    assert_eq!((profile.email, profile.unconfirmed), (Some("bob@example.org".into()), Some("new@example.org".into())));
    let first = coordinator.prove_email(&bob).await.unwrap().unwrap().secret.to_string();
    let second = coordinator.prove_email(&bob).await.unwrap().unwrap().secret.to_string();
    assert!(coordinator.confirm_email(&first, NOWHERE).await.is_err(), "a newer link makes it void");
    coordinator.confirm_email(&second, NOWHERE).await.unwrap();
    assert_eq!(coordinator.profile(&bob).await.unwrap().email, Some("new@example.org".into()));
    assert_eq!(sign_in(&coordinator, "bob@example.org", PASSWORD).await, SignIn::Wrong);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_new_password_ends_sessions_and_links_work_once_in_time_and_for_the_password_they_were_made_for() {
    let (coordinator, _folder) = start(true).await;
    coordinator.create_user(&ada(), &user("bob", Role::Viewer)).await.unwrap();
    let session = opened(&coordinator, "bob", PASSWORD).await;
    let reset = async || coordinator.forgotten("bob@example.org", NOWHERE).await.unwrap().unwrap().secret.to_string();
    let first = reset().await;
    let short = told(coordinator.reset_password(&first, "short", "short", NOWHERE).await);
    let differ = told(coordinator.reset_password(&first, OTHER, PASSWORD, NOWHERE).await);
    coordinator.reset_password(&first, OTHER, OTHER, NOWHERE).await.unwrap();
    assert!(!is_open(&coordinator, &session).await);
    let used = told(coordinator.reset_password(&first, PASSWORD, PASSWORD, NOWHERE).await);
    let second = reset().await;
    let bob = Actor::new("bob".into(), Role::Viewer);
    let wrong = told(coordinator.change_password(&bob, PASSWORD, PASSWORD, PASSWORD).await);
    let going_on = coordinator.change_password(&bob, OTHER, PASSWORD, PASSWORD).await.unwrap();
    assert!(is_open(&coordinator, &going_on).await);
    let void = told(coordinator.reset_password(&second, OTHER, OTHER, NOWHERE).await);
    let late = LinkSecret::draw().unwrap();
    let link = crate::accounts::Link {
        purpose: crate::accounts::LinkPurpose::Reset { user: "bob".into(), generation: going_on.generation },
        expires: Timestamp::now(),
        by: "bob".into(),
    };
    let name = late.name();
    coordinator.store().update(move |draft| draft.put(&LINKS, &name, &link)).await.unwrap();
    let late = told(coordinator.reset_password(&late.to_string(), OTHER, OTHER, NOWHERE).await);
    let alone = coordinator.end_other_sessions(&bob).await.unwrap();
    assert!(!is_open(&coordinator, &going_on).await && is_open(&coordinator, &alone).await);
    assert!(coordinator.prove(&alone, PASSWORD).await.unwrap());
    assert!(!coordinator.prove(&alone, OTHER).await.unwrap() && !coordinator.prove(&going_on, PASSWORD).await.unwrap());
    insta::assert_snapshot!([short, differ, used, wrong, void, late].join("\n"), @"
    the password has 5 characters; take at least 15, for instance four words
    the two passwords differ; type the new one twice
    this link was used, is over, or was replaced by a newer one; ask for a new one
    this is not your present password; check it and try again
    this link was used, is over, or was replaced by a newer one; ask for a new one
    this link was used, is over, or was replaced by a newer one; ask for a new one
    ");
    coordinator.stop().await;
}

#[tokio::test]
async fn an_account_without_a_confirmed_address_or_that_is_closed_gets_no_link() {
    let (coordinator, _folder) = start(true).await;
    coordinator.create_user(&ada(), &user("bob", Role::Viewer)).await.unwrap();
    coordinator.disable_user(&ada(), "bob").await.unwrap();
    for typed in ["ada", "bob", "bob@example.org", "nobody", ""] {
        assert_eq!(coordinator.forgotten(typed, NOWHERE).await.unwrap(), None, "{typed}");
    }
    let wanted = Preferences::check("Europe/Berlin", Theme::Dark, false).unwrap();
    assert_eq!(coordinator.set_preferences(&ada(), wanted.clone()).await.unwrap().preferences, wanted);
    coordinator.stop().await;
}
