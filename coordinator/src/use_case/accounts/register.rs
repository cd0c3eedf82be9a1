//! Making an account of one's own: with an invite, or without where that is allowed.

use super::admin::remove_user;
use super::links::{MadeLink, VERIFY_LIFETIME, put_verify, read, void};
use super::{actor_for, add_user, confirm, fresh, put_user};
use crate::Coordinator;
use crate::accounts::{
    AccountError, Actor, Email, Link, LinkPurpose, Origin, RegistrationMode, Right, Role, User, UserState, check_name,
    check_person,
};
use crate::audit;
use crate::store::tables::{EMAILS, LINKS, REGISTRATION, USERS};
use crate::store::{Draft, Reads, StoreError};
use crate::use_case::UseCaseError;
use protocol::Timestamp;
use protocol::text::Text;

/// The most accounts that wait for a confirmed address or an administrator.
const MAX_WAITING: usize = 500;

/// What somebody types to get an account.
#[derive(Clone, Debug, Default)]
pub struct Joining {
    /// Signs in with this.
    pub name: String,
    /// First name; may be empty.
    pub first: String,
    /// Last name; may be empty.
    pub last: String,
    /// E-mail address. Needed where it must be confirmed; that of an invite counts instead.
    pub email: String,
    /// The password.
    pub password: String,
    /// The same again.
    pub again: String,
    /// The end of the link of an invite.
    pub invite: Option<String>,
    /// From where they ask.
    pub from: Origin,
}

/// What came of it. Nothing in it but the mails tells whether an address belongs to another account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Of the account.
    pub state: UserState,
    /// To be sent to the address that must be confirmed.
    pub verify: Option<MadeLink>,
    /// The address belongs to another account already: whoever reads its mail is to be told.
    pub is_known: Option<Text>,
}

/// An invite's role and address, which are settled.
struct Invited {
    role: Role,
    email: Option<Text>,
}

impl Coordinator {
    /// Who may make an account.
    pub async fn registration(&self) -> Result<RegistrationMode, UseCaseError> {
        Ok(self.store().read(|view| view.get(&REGISTRATION, &())).await?.unwrap_or_default())
    }

    /// Says who may make an account.
    pub async fn set_registration(&self, actor: &Actor, mode: RegistrationMode) -> Result<(), UseCaseError> {
        actor.require(Right::Administer)?;
        let (who, now) = (actor.clone(), Timestamp::now());
        let set = move |draft: &mut Draft| {
            audit::note(draft, &who, "registration set", mode.name(), now)?;
            draft.put(&REGISTRATION, &(), &mode)
        };
        Ok(self.store().update(set).await?)
    }

    /// Makes an account for who asks, as far as the mode allows.
    pub async fn register(&self, wanted: Joining) -> Result<Joined, UseCaseError> {
        let now = Timestamp::now();
        let mode = self.registration().await?;
        let invited = self.invited(wanted.invite.clone(), mode, now).await?;
        let Joining { name, first, last, email, password, again, invite, from } = wanted;
        let (name, first, last) = (check_name(&name)?, check_person(&first)?, check_person(&last)?);
        let sent_to = invited.as_ref().and_then(|invited| invited.email.clone());
        let email = Email::parse_optional(sent_to.as_ref().map_or(&email, Text::as_str))?;
        let can_mail = self.mail().is_some();
        if email.is_none() && can_mail && invited.is_none() {
            return Err(AccountError::BadEmail(String::new()).into());
        }
        let known = [name.as_str(), first.as_str(), last.as_str()];
        let known = known.into_iter().chain(email.iter().map(|email| email.text().as_str())).collect::<Vec<_>>();
        let hash = self.hashed(&password, &again, &known).await?;
        let role = invited.as_ref().map_or(Role::Viewer, |invited| invited.role);
        let user =
            User { first, last, state: first_state(mode, invited.is_some(), can_mail), ..fresh(name, hash, role, now) };
        let join = move |draft: &mut Draft| {
            if let Some(invite) = &invite {
                let (name, _) = read(draft, invite, now)?.ok_or_else(void)?;
                draft.remove(&LINKS, &name)?;
            }
            make_room(draft, now)?;
            join(draft, user, email, sent_to.is_some() || (invite.is_some() && !can_mail), can_mail, from, now)
        };
        self.store().update(join).await
    }

    /// What the invite gives; `None` without one, where none is needed.
    async fn invited(
        &self,
        invite: Option<String>,
        mode: RegistrationMode,
        now: Timestamp,
    ) -> Result<Option<Invited>, UseCaseError> {
        let closed = |reason: &str| Err(UseCaseError::Conflict(reason.to_owned()));
        match (mode, invite) {
            (RegistrationMode::Closed, _) => closed("accounts are made by administrators only; ask one"),
            (RegistrationMode::Invite, None) => closed("an account needs an invite; ask an administrator for one"),
            (RegistrationMode::Approval | RegistrationMode::Open, None) => Ok(None),
            (RegistrationMode::Invite | RegistrationMode::Approval | RegistrationMode::Open, Some(secret)) => {
                match self.store().read(move |view| read(view, &secret, now)).await? {
                    Some((_, Link { purpose: LinkPurpose::Invite { role, email }, .. })) => {
                        Ok(Some(Invited { role, email }))
                    }
                    Some(_) | None => Err(void()),
                }
            }
        }
    }
}

fn first_state(mode: RegistrationMode, is_invited: bool, can_mail: bool) -> UserState {
    match mode {
        _ if is_invited => UserState::Active,
        _ if can_mail => UserState::AwaitingVerification,
        RegistrationMode::Open => UserState::Active,
        RegistrationMode::Approval | RegistrationMode::Invite | RegistrationMode::Closed => UserState::AwaitingApproval,
    }
}

/// Stages the account. `is_theirs`: nobody needs to confirm the address.
fn join(
    draft: &mut Draft,
    mut user: User,
    email: Option<Email>,
    is_theirs: bool,
    can_mail: bool,
    from: Origin,
    now: Timestamp,
) -> Result<Joined, UseCaseError> {
    add_user(draft, &user)?;
    let mut joined = Joined { state: user.state, verify: None, is_known: None };
    match email {
        Some(email) if !is_theirs => {
            let is_known = draft.contains(&EMAILS, &email.folded())?;
            user.unconfirmed = Some(email.text().clone());
            match (can_mail, is_known) {
                (true, true) => joined.is_known = Some(email.text().clone()),
                (true, false) => joined.verify = put_verify(draft, &user, now)?,
                (false, _) => {}
            }
        }
        email => confirm(draft, &mut user, email)?,
    }
    put_user(draft, &user)?;
    let told = format!("{} as {}, {}", user.name, user.role.name(), user.state.name());
    audit::note(draft, &actor_for(&user, from), "user register", &told, now)?;
    Ok(joined)
}

/// Drops accounts whose address was not confirmed in time; refuses more than a person would look through.
fn make_room(draft: &mut Draft, now: Timestamp) -> Result<(), UseCaseError> {
    let mut waiting = Vec::new();
    for row in draft.iter(&USERS) {
        let (_, user) = row?;
        if matches!(user.state, UserState::AwaitingVerification | UserState::AwaitingApproval) {
            waiting.push(user);
        }
    }
    let is_late =
        |user: &&User| user.state == UserState::AwaitingVerification && now.since(user.created) > VERIFY_LIFETIME;
    let late: Vec<&User> = waiting.iter().filter(is_late).collect();
    late.iter().try_for_each(|user| remove_user(draft, user)).map_err(|error: StoreError| UseCaseError::from(error))?;
    match waiting.len() - late.len() {
        MAX_WAITING.. => {
            let reason = "too many accounts wait to be let in; try again later, or ask an administrator";
            Err(UseCaseError::Conflict(reason.to_owned()))
        }
        _ => Ok(()),
    }
}
