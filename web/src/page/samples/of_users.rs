//! Filled and empty views of the pages about accounts.

use super::{NOW, hours};
use crate::api::users::UserLink;
use crate::look::{Badge, Tone};
use crate::page::{View, forgot, profile, register, settled, users, verify};
use crate::session::OpenSession;
use crate::session::proof::Confirm;
use coordinator::accounts::{Preferences, RegistrationMode, UserState};
use coordinator::mail::{MailFailure, MailStatus};
use coordinator::{OpenInvitation, Profile, Role, UserView};
use std::sync::Arc;
use std::time::Duration;

fn view(word: &str, state: UserState) -> UserView {
    UserView {
        name: "ada".into(),
        first: word.into(),
        last: word.into(),
        email: Some(word.into()),
        unconfirmed: Some(word.into()),
        role: Role::Operator,
        state,
        created: NOW.minus(hours(100)),
        last_sign_in: Some(NOW.minus(hours(1))),
    }
}

fn row(word: &str, state: UserState) -> users::UserRow {
    let locked = Some(Duration::from_secs(900));
    users::UserRow { user: view(word, state), state: Badge::plain(Tone::Ok, "circle", state.name()), locked }
}

fn own(word: &str) -> Profile {
    Profile {
        name: "ada".into(),
        first: word.into(),
        last: word.into(),
        email: Some(word.into()),
        unconfirmed: Some(word.into()),
        role: Role::Admin,
        created: NOW.minus(hours(100)),
        preferences: Preferences::default(),
    }
}

fn link(word: &str) -> UserLink {
    UserLink { link: word.to_owned(), expires: NOW.plus(hours(1)), mailed: Some(word.to_owned()) }
}

fn invites(word: &str) -> users::invites::Invites {
    let open = OpenInvitation {
        id: "ciaxe5gv2hbm4kqn".to_owned(),
        role: Role::Viewer,
        email: Some(word.into()),
        expires: NOW.plus(hours(48)),
        by: word.into(),
    };
    users::invites::Invites {
        mode: RegistrationMode::Invite,
        open: vec![open],
        can_mail: true,
        form: users::invites::InviteForm { email: word.into(), role: "viewer".into(), expires: word.into() },
        faults: crate::faults::Faults::default(),
        link: Some(link(word)),
        told: Some(word.to_owned()),
    }
}

fn all_users(word: &str) -> users::Users {
    let failure = MailFailure { at: NOW.minus(hours(2)), to: word.into(), subject: word.into(), reason: word.into() };
    users::Users {
        asking: vec![row(word, UserState::AwaitingApproval)],
        users: vec![row(word, UserState::Active), row(word, UserState::Disabled)],
        form: users::UserForm { name: word.into(), ..Default::default() },
        faults: crate::faults::Faults::default(),
        mail: Some(MailStatus { sent: 12, failed: 1, failures: vec![failure] }),
        told: Some(word.to_owned()),
    }
}

fn profile_pages(word: &str) -> Vec<(&'static str, Arc<dyn View>)> {
    let told = || Some(word.to_owned());
    let session = |is_this| OpenSession {
        started: NOW.minus(hours(3)),
        used: NOW,
        address: "192.0.2.7".to_owned(),
        agent: word.into(),
        is_this,
    };
    let own = own(word);
    let form = profile::OwnForm::from(&own);
    let preferred = profile::preferences::PreferencesForm { zone: word.into(), ..Default::default() };
    let faults = crate::faults::Faults::default;
    vec![
        ("profile", Arc::new(profile::Own { profile: own, form, can_mail: true, faults: faults(), told: told() })),
        (
            "profile_password",
            Arc::new(profile::password::Password { user: word.into(), faults: faults(), told: told() }),
        ),
        (
            "profile_security",
            Arc::new(profile::security::Security { sessions: vec![session(true), session(false)], told: told() }),
        ),
        (
            "profile_preferences",
            Arc::new(profile::preferences::Preferred { form: preferred, faults: faults(), told: told() }),
        ),
    ]
}

pub(super) fn filled(word: &str) -> Vec<(&'static str, Arc<dyn View>)> {
    let faults = crate::faults::Faults::default;
    let form = register::RegisterForm { name: word.into(), ..Default::default() };
    let question = Confirm {
        action: "/nodes/decide".to_owned(),
        fields: vec![("reason".to_owned(), word.to_owned())],
        fault: Some(word.to_owned()),
    };
    let pages: Vec<(&'static str, Arc<dyn View>)> = vec![
        (
            "register",
            Arc::new(register::Register {
                action: "/auth/register".to_owned(),
                form,
                role: Some("viewer"),
                ..Default::default()
            }),
        ),
        ("verify", Arc::new(verify::Verify { email: word.into(), secret: "x".to_owned() })),
        ("reset", Arc::new(forgot::Reset { user: word.into(), secret: "x".to_owned(), faults: faults() })),
        ("settled", Arc::new(settled::Settled::then_sign_in("Done", word))),
        ("confirm", Arc::new(question)),
        ("users", Arc::new(all_users(word))),
        (
            "user",
            Arc::new(users::user::OneUser {
                row: row(word, UserState::Active),
                faults: faults(),
                link: Some(link(word)),
                told: Some(word.to_owned()),
            }),
        ),
        ("invites", Arc::new(invites(word))),
    ];
    pages.into_iter().chain(profile_pages(word)).collect()
}

pub(super) fn empty() -> Vec<(&'static str, Arc<dyn View>)> {
    let faults = crate::faults::Faults::default;
    let none = users::Users {
        asking: vec![],
        users: vec![],
        form: users::UserForm::default(),
        faults: faults(),
        mail: None,
        told: None,
    };
    let no_invite = users::invites::Invites { open: vec![], link: None, told: None, ..invites("x") };
    vec![
        ("forgot", Arc::new(forgot::Forgot { can_mail: true })),
        ("register", Arc::new(register::Register::default())),
        ("users", Arc::new(none)),
        ("invites", Arc::new(no_invite)),
        ("profile_security", Arc::new(profile::security::Security { sessions: vec![], told: None })),
    ]
}
