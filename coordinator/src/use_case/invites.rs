//! Invites: making the line that lets a node ask to join, or lets it in at once; which are open; taking one back.

use super::nodes::decide::parse_ranges;
use super::{UseCaseError, text_or};
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::registry::PreApproval;
use crate::scan::DEFAULT_SITE;
use crate::store::tables::INVITES;
use crate::store::{Reads, StoreError};
use protocol::invite::{Invite, MAX_ADDRESSES, SecretName, secret_name};
use protocol::{NodeId, Timestamp};
use std::net::SocketAddr;
use std::time::Duration;

/// The longest that an invite is good for.
const MAX_INVITE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Addresses of sponsors for which the coordinator's own make room.
const SPONSORS_FIRST: usize = 4;

/// Letters of an invite's id.
const ID_LETTERS: usize = 16;

/// What kind of invite to make.
#[derive(Clone, Debug)]
pub struct InviteRequest {
    /// How long it is good for, at most 30 days.
    pub lifetime: Duration,
    /// Ranges of a single-use pre-approval; `None` makes a plain invite, after which a person approves.
    pub ranges: Option<String>,
    /// Site of a pre-approval; empty for the default one.
    pub site: String,
    /// Enrolment ports that it names; empty for the coordinator's and those of members that may sponsor.
    pub addresses: Vec<SocketAddr>,
}

/// An invite that still lets a node in. One without a pre-approval is not kept, as a person decides in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteView {
    /// What people call it; tells nothing of its secret.
    pub id: String,
    /// What it lets a node scan, where, until when, and who made it.
    pub approval: PreApproval,
}

fn id(name: &SecretName) -> String {
    NodeId::from_bytes(*name).fingerprint().compact().chars().take(ID_LETTERS).collect()
}

/// Every invite that is open at `now`.
fn open(reads: &impl Reads, now: Timestamp) -> Result<Vec<(SecretName, PreApproval)>, StoreError> {
    reads.iter(&INVITES).filter(|row| row.as_ref().map_or(true, |(_, invite)| invite.is_open(now))).collect()
}

impl Coordinator {
    /// Makes an invite; one with ranges lets in whoever shows it first.
    pub async fn create_invite(&self, actor: &Actor, request: &InviteRequest) -> Result<Invite, UseCaseError> {
        actor.require(Right::Approve)?;
        if request.lifetime.is_zero() || request.lifetime > MAX_INVITE_LIFETIME {
            let reason = "an invite lasts from one second to 30 days".to_owned();
            return Err(UseCaseError::Invalid { field: "expires", reason });
        }
        let addresses = self.invite_addresses(&request.addresses).await?;
        let now = Timestamp::now();
        let expires = now.plus(request.lifetime);
        let secret = match &request.ranges {
            Some(ranges) => {
                let ranges = parse_ranges(ranges)?;
                let site = text_or(&request.site, &DEFAULT_SITE.into());
                let by = actor.name.clone();
                Some(self.pre_approve(PreApproval { ranges, site, expires, by, used_by: None }, actor, now).await?)
            }
            None => None,
        };
        Ok(Invite { mesh: self.mesh_id(), addresses, expires, secret })
    }

    async fn pre_approve(&self, invite: PreApproval, actor: &Actor, now: Timestamp) -> Result<[u8; 16], UseCaseError> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)
            .map_err(|error| UseCaseError::Conflict(format!("the system gives no randomness: {error}")))?;
        let name = secret_name(&secret);
        let actor = actor.clone();
        self.store()
            .update(move |draft| {
                audit::note(draft, &actor, "invite create", &format!("for {}", invite.ranges), now)?;
                draft.put(&INVITES, &name, &invite)
            })
            .await?;
        Ok(secret)
    }

    /// The open invites, those that end first before the others.
    pub async fn invites(&self, actor: &Actor) -> Result<Vec<InviteView>, UseCaseError> {
        actor.require(Right::Approve)?;
        let now = Timestamp::now();
        let open = self.store().read(move |view| open(view, now)).await?;
        let view = |(name, approval)| InviteView { id: id(&name), approval };
        let mut views: Vec<InviteView> = open.into_iter().map(view).collect();
        views.sort_by_key(|view| (view.approval.expires, view.id.clone()));
        Ok(views)
    }

    /// Takes an open invite back: it lets nobody in any more.
    pub async fn revoke_invite(&self, actor: &Actor, wanted: &str) -> Result<InviteView, UseCaseError> {
        actor.require(Right::Approve)?;
        let (now, actor, wanted) = (Timestamp::now(), actor.clone(), wanted.to_lowercase());
        let revoked = self.store().update(move |draft| {
            let found = open(draft, now)?.into_iter().find(|(name, _)| id(name) == wanted);
            let (name, approval) =
                found.ok_or_else(|| UseCaseError::NotFound(format!("open invite {wanted}"), "invites"))?;
            audit::note(draft, &actor, "invite revoke", &format!("{wanted} for {}", approval.ranges), now)?;
            draft.remove(&INVITES, &name)?;
            Ok::<_, UseCaseError>(InviteView { id: wanted, approval })
        });
        revoked.await
    }

    /// Where an invite sends a node to ask: as wanted, else the coordinator and the members that may sponsor.
    async fn invite_addresses(&self, wanted: &[SocketAddr]) -> Result<Vec<SocketAddr>, UseCaseError> {
        if wanted.is_empty() {
            let sponsors = self.hub().sponsor_addresses().await;
            return Ok(choose(self.enrolment_addresses(), sponsors));
        }
        check(wanted).map_err(|reason| UseCaseError::Invalid { field: "addresses", reason })?;
        Ok(wanted.to_vec())
    }
}

/// The coordinator's own addresses first; sponsors get what is left, and some room in any case.
fn choose(mut own: Vec<SocketAddr>, sponsors: Vec<SocketAddr>) -> Vec<SocketAddr> {
    own.truncate(MAX_ADDRESSES - sponsors.len().min(SPONSORS_FIRST));
    let mut chosen: Vec<SocketAddr> = Vec::new();
    for address in own.into_iter().chain(sponsors) {
        if chosen.len() < MAX_ADDRESSES && !chosen.contains(&address) {
            chosen.push(address);
        }
    }
    chosen
}

fn check(wanted: &[SocketAddr]) -> Result<(), String> {
    if wanted.len() > MAX_ADDRESSES {
        return Err(format!("an invite names at most {MAX_ADDRESSES} addresses"));
    }
    match wanted.iter().find(|address| address.ip().is_unspecified() || address.port() == 0) {
        Some(address) => Err(format!("nobody can ask at {address}; name an address and the enrolment port there")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(net: u8, count: u8) -> Vec<SocketAddr> {
        (1..=count).map(|host| SocketAddr::from(([192, 0, net, host], 9431))).collect()
    }

    #[test]
    fn an_invite_names_the_coordinator_first_and_leaves_room_for_sponsors() {
        let table = [(2, 0, 2, 0), (2, 3, 2, 3), (9, 0, 8, 0), (9, 2, 6, 2), (9, 9, 4, 4), (1, 9, 1, 7), (0, 2, 0, 2)];
        for (own, sponsors, own_chosen, sponsors_chosen) in table {
            let chosen = choose(addresses(1, own), addresses(2, sponsors));
            assert_eq!(chosen, [addresses(1, own_chosen), addresses(2, sponsors_chosen)].concat(), "{own}, {sponsors}");
        }
        assert_eq!(choose(addresses(1, 2), addresses(1, 3)), addresses(1, 3), "each once");
    }

    #[test]
    fn addresses_at_which_nobody_can_ask_are_refused() {
        let told = |wanted: &[&str]| {
            let wanted: Vec<SocketAddr> = wanted.iter().map(|address| address.parse().unwrap()).collect();
            check(&wanted).err().unwrap_or_else(|| "taken".to_owned())
        };
        let told =
            [told(&["192.0.2.1:9431", "[::1]:9431"]), told(&["0.0.0.0:9431"]), told(&["192.0.2.1:0"]), told(&[":"; 0])];
        insta::assert_snapshot!(told.join("\n"), @"
        taken
        nobody can ask at 0.0.0.0:9431; name an address and the enrolment port there
        nobody can ask at 192.0.2.1:0; name an address and the enrolment port there
        taken
        ");
        assert!(check(&addresses(1, 9)).is_err());
    }
}
