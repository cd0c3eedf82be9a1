//! Links that are good for something once: inviting somebody, proving an address, a new password.

use super::{Profile, actor_for, confirm, find, known, put_user};
use crate::Coordinator;
use crate::accounts::{
    Actor, Email, Link, LinkName, LinkPurpose, LinkSecret, Origin, RegistrationMode, Right, Role, User, UserState,
};
use crate::audit;
use crate::store::tables::LINKS;
use crate::store::{Draft, Reads, StoreError};
use crate::use_case::UseCaseError;
use protocol::text::Text;
use protocol::{NodeId, Timestamp};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// How long a new password may be set with a link.
const RESET_LIFETIME: Duration = HOUR;
/// How long an address may be proved with a link.
pub(super) const VERIFY_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The longest that an invite is good for.
const MAX_INVITE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most invites that are open at the same time.
const MAX_INVITES: usize = 1_000;
/// Letters of an invite's id.
const ID_LETTERS: usize = 16;

/// Whom an administrator invites.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Their e-mail address, if it is known; empty when they get the link another way.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// How long the link is good for, at most 30 days.
    pub lifetime: Duration,
}

/// A link that was made: shown or sent once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeLink {
    /// The end of the link.
    pub secret: LinkSecret,
    /// After this it is of no use.
    pub expires: Timestamp,
    /// The account that it is about; none for an invite.
    pub user: Option<Text>,
    /// Where it may be sent.
    pub email: Option<Text>,
}

/// What a link that somebody follows is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkFor {
    /// Making an account with this role, and this address if it is known.
    Invite(Role, Option<Text>),
    /// Proving that this address is theirs.
    Verify(Text),
    /// Setting a new password for this user.
    Reset(Text),
}

/// An invite that nobody has used yet. Its link is told to nobody again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenInvitation {
    /// Names it, to take it back.
    pub id: String,
    /// What the account will be allowed to do.
    pub role: Role,
    /// To whom it was sent.
    pub email: Option<Text>,
    /// When it ends.
    pub expires: Timestamp,
    /// Who made it.
    pub by: Text,
}

fn id(name: &LinkName) -> String {
    NodeId::from_bytes(*name).fingerprint().compact().chars().take(ID_LETTERS).collect()
}

/// A link that cannot be used, whatever the reason: more would tell a stranger which ones there are.
pub(super) fn void() -> UseCaseError {
    UseCaseError::Conflict("this link was used, is over, or was replaced by a newer one; ask for a new one".to_owned())
}

/// The link of that secret, if it is still good.
pub(super) fn read(reads: &impl Reads, secret: &str, now: Timestamp) -> Result<Option<(LinkName, Link)>, StoreError> {
    let Ok(secret) = secret.parse::<LinkSecret>() else { return Ok(None) };
    let name = secret.name();
    let link = reads.get(&LINKS, &name)?.filter(|link| now < link.expires);
    Ok(link.map(|link| (name, link)))
}

/// Stages a link, and removes those that it replaces and those that are over.
pub(super) fn put_link(draft: &mut Draft, secret: &LinkSecret, link: &Link, now: Timestamp) -> Result<(), StoreError> {
    let mut gone = Vec::new();
    for row in draft.iter(&LINKS) {
        let (name, former) = row?;
        if former.expires <= now || link.purpose.replaces(&former.purpose) {
            gone.push(name);
        }
    }
    gone.iter().try_for_each(|name| draft.remove(&LINKS, name))?;
    draft.put(&LINKS, &secret.name(), link)
}

pub(super) fn draw() -> Result<LinkSecret, UseCaseError> {
    LinkSecret::draw().map_err(|error| UseCaseError::Conflict(format!("the system gives no randomness: {error}")))
}

fn invitations(reads: &impl Reads, now: Timestamp) -> Result<Vec<(LinkName, OpenInvitation)>, StoreError> {
    let mut open = Vec::new();
    for row in reads.iter(&LINKS) {
        let (name, Link { purpose, expires, by }) = row?;
        match purpose {
            LinkPurpose::Invite { role, email } if now < expires => {
                open.push((name, OpenInvitation { id: id(&name), role, email, expires, by }));
            }
            LinkPurpose::Invite { .. } | LinkPurpose::Verify { .. } | LinkPurpose::Reset { .. } => {}
        }
    }
    Ok(open)
}

/// A link with which this user sets a new password.
fn put_reset(draft: &mut Draft, user: &User, by: &Actor, now: Timestamp) -> Result<MadeLink, UseCaseError> {
    let (secret, expires) = (draw()?, now.plus(RESET_LIFETIME));
    let purpose = LinkPurpose::Reset { user: user.name.clone(), generation: user.generation };
    put_link(draft, &secret, &Link { purpose, expires, by: by.name.clone() }, now)?;
    audit::note(draft, by, "user reset-link", user.name.as_str(), now)?;
    Ok(MadeLink { secret, expires, user: Some(user.name.clone()), email: user.email.clone() })
}

/// A link with which this user proves the address that is not confirmed yet.
pub(super) fn put_verify(draft: &mut Draft, user: &User, now: Timestamp) -> Result<Option<MadeLink>, UseCaseError> {
    let Some(email) = user.unconfirmed.clone() else { return Ok(None) };
    let (secret, expires) = (draw()?, now.plus(VERIFY_LIFETIME));
    let purpose = LinkPurpose::Verify { user: user.name.clone(), email: email.clone() };
    put_link(draft, &secret, &Link { purpose, expires, by: user.name.clone() }, now)?;
    Ok(Some(MadeLink { secret, expires, user: Some(user.name.clone()), email: Some(email) }))
}

impl Coordinator {
    /// Makes the link with which somebody makes an account.
    pub async fn invite_user(&self, actor: &Actor, wanted: &Invitation) -> Result<MadeLink, UseCaseError> {
        actor.require(Right::Administer)?;
        if self.registration().await? == RegistrationMode::Closed {
            let reason = "registration is closed, so nobody could use an invite; choose another mode first";
            return Err(UseCaseError::Conflict(reason.to_owned()));
        }
        if wanted.lifetime.is_zero() || wanted.lifetime > MAX_INVITE_LIFETIME {
            let reason = "an invite lasts from one second to 30 days".to_owned();
            return Err(UseCaseError::Invalid { field: "expires", reason });
        }
        let email = Email::parse_optional(&wanted.email)?.map(|email| email.text().clone());
        let (now, who, secret, role) = (Timestamp::now(), actor.clone(), draw()?, wanted.role);
        let expires = now.plus(wanted.lifetime);
        let invite = move |draft: &mut Draft| {
            if invitations(draft, now)?.len() >= MAX_INVITES {
                let reason = format!("{MAX_INVITES} invites are open; take some back first");
                return Err(UseCaseError::Conflict(reason));
            }
            let purpose = LinkPurpose::Invite { role, email: email.clone() };
            put_link(draft, &secret, &Link { purpose, expires, by: who.name.clone() }, now)?;
            let to = email.as_ref().map_or("whoever has the link", Text::as_str);
            audit::note(draft, &who, "user invite", &format!("{to} as {}", role.name()), now)?;
            Ok(MadeLink { secret, expires, user: None, email })
        };
        self.store().update(invite).await
    }

    /// The invites that nobody has used, those that end first before the others.
    pub async fn invitations(&self, actor: &Actor) -> Result<Vec<OpenInvitation>, UseCaseError> {
        actor.require(Right::Administer)?;
        let now = Timestamp::now();
        let open = self.store().read(move |view| invitations(view, now)).await?;
        let mut open: Vec<OpenInvitation> = open.into_iter().map(|(_, invite)| invite).collect();
        open.sort_by_key(|invite| (invite.expires, invite.id.clone()));
        Ok(open)
    }

    /// Takes an invite back: nobody makes an account with it any more.
    pub async fn revoke_invitation(&self, actor: &Actor, wanted: &str) -> Result<OpenInvitation, UseCaseError> {
        actor.require(Right::Administer)?;
        let (now, who, wanted) = (Timestamp::now(), actor.clone(), wanted.to_lowercase());
        let revoke = move |draft: &mut Draft| {
            let found = invitations(draft, now)?.into_iter().find(|(_, invite)| invite.id == wanted);
            let (name, invite) =
                found.ok_or_else(|| UseCaseError::NotFound(format!("open invite {wanted}"), "users invites"))?;
            draft.remove(&LINKS, &name)?;
            audit::note(draft, &who, "user uninvite", &wanted, now)?;
            Ok::<_, UseCaseError>(invite)
        };
        self.store().update(revoke).await
    }

    /// What a link is good for; `None` when it is used up, over, or none of ours.
    pub async fn link(&self, secret: &str) -> Result<Option<LinkFor>, UseCaseError> {
        let (secret, now) = (secret.to_owned(), Timestamp::now());
        let link = self.store().read(move |view| read(view, &secret, now)).await?;
        Ok(link.map(|(_, link)| match link.purpose {
            LinkPurpose::Invite { role, email } => LinkFor::Invite(role, email),
            LinkPurpose::Verify { email, .. } => LinkFor::Verify(email),
            LinkPurpose::Reset { user, .. } => LinkFor::Reset(user),
        }))
    }

    /// The link with which somebody who forgot the password sets a new one; `None` when no open account with a confirmed
    /// address has that name or address. What is told to who asked must not depend on it.
    pub async fn forgotten(&self, typed: &str, from: Origin) -> Result<Option<MadeLink>, UseCaseError> {
        let (typed, now) = (typed.trim().to_owned(), Timestamp::now());
        let make = move |draft: &mut Draft| {
            let user = find(draft, &typed)?;
            match user.filter(|user| user.state == UserState::Active && user.email.is_some()) {
                Some(user) => put_reset(draft, &user, &actor_for(&user, from), now).map(Some),
                None => Ok(None),
            }
        };
        self.store().update(make).await
    }

    /// The link with which a user sets a new password, made by an administrator.
    pub async fn reset_link(&self, actor: &Actor, name: &str) -> Result<MadeLink, UseCaseError> {
        actor.require(Right::Administer)?;
        let (who, name, now) = (actor.clone(), name.to_owned(), Timestamp::now());
        self.store().update(move |draft| put_reset(draft, &known(draft, &name)?, &who, now)).await
    }

    /// Sets a new password with a link; every session of the user ends.
    pub async fn reset_password(
        &self,
        secret: &str,
        new: &str,
        again: &str,
        from: Origin,
    ) -> Result<Profile, UseCaseError> {
        let (secret, now) = (secret.to_owned(), Timestamp::now());
        let wanted = secret.clone();
        let user = self.store().read(move |view| {
            let Some((_, Link { purpose: LinkPurpose::Reset { user, .. }, .. })) = read(view, &wanted, now)? else {
                return Ok(None);
            };
            view.get(&crate::store::tables::USERS, &user.into())
        });
        let user = user.await?.ok_or_else(void)?;
        let hash = self.hashed(new, again, &user.known_words()).await?;
        let reset = move |draft: &mut Draft| {
            let Some((name, Link { purpose: LinkPurpose::Reset { user, generation }, .. })) =
                read(draft, &secret, now)?
            else {
                return Err(void());
            };
            draft.remove(&LINKS, &name)?;
            let mut user = known(draft, user.as_str())?;
            if user.generation != generation {
                return Err(void());
            }
            user.password = hash;
            user.end_sessions();
            put_user(draft, &user)?;
            audit::note(draft, &actor_for(&user, from), "user reset", user.name.as_str(), now)?;
            Ok(Profile::from(user))
        };
        self.store().update(reset).await
    }

    /// The link that proves the unconfirmed address of who asks; `None` when there is none.
    pub async fn prove_email(&self, actor: &Actor) -> Result<Option<MadeLink>, UseCaseError> {
        let (name, now) = (actor.name.clone(), Timestamp::now());
        self.store().update(move |draft| put_verify(draft, &known(draft, name.as_str())?, now)).await
    }

    /// Notes that an address is its user's, by the link that was sent there. Gives the state of the account.
    pub async fn confirm_email(&self, secret: &str, from: Origin) -> Result<UserState, UseCaseError> {
        let (secret, now) = (secret.to_owned(), Timestamp::now());
        let mode = self.registration().await?;
        let prove = move |draft: &mut Draft| {
            let Some((name, Link { purpose: LinkPurpose::Verify { user, email }, .. })) = read(draft, &secret, now)?
            else {
                return Err(void());
            };
            draft.remove(&LINKS, &name)?;
            let mut user = known(draft, user.as_str())?;
            if user.unconfirmed.as_ref() != Some(&email) {
                return Err(void());
            }
            confirm(draft, &mut user, Some(Email::parse(email.as_str())?))?;
            if user.state == UserState::AwaitingVerification {
                let is_open = mode == RegistrationMode::Open;
                user.state = if is_open { UserState::Active } else { UserState::AwaitingApproval };
            }
            put_user(draft, &user)?;
            audit::note(draft, &actor_for(&user, from), "user verify", email.as_str(), now)?;
            Ok(user.state)
        };
        self.store().update(prove).await
    }
}
