//! Invites: the line that lets a node ask to join, or lets it in at once.

use super::decide::parse_ranges;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::registry::PreApproval;
use crate::scan::DEFAULT_SITE;
use crate::store::tables::INVITES;
use crate::use_case::{UseCaseError, text_or};
use protocol::Timestamp;
use protocol::invite::Invite;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The longest that an invite is good for.
const MAX_INVITE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// What kind of invite to make.
#[derive(Clone, Debug)]
pub struct InviteRequest {
    /// How long it is good for, at most 30 days.
    pub lifetime: Duration,
    /// Ranges of a single-use pre-approval; `None` makes a plain invite, after which a person approves.
    pub ranges: Option<String>,
    /// Site of a pre-approval; empty for the default one.
    pub site: String,
}

impl Coordinator {
    /// Makes an invite; one with ranges lets in whoever shows it first.
    pub async fn create_invite(&self, actor: &Actor, request: &InviteRequest) -> Result<Invite, UseCaseError> {
        actor.require(Right::Approve)?;
        if request.lifetime.is_zero() || request.lifetime > MAX_INVITE_LIFETIME {
            let reason = "an invite lasts from one second to 30 days".to_owned();
            return Err(UseCaseError::Invalid { field: "expires", reason });
        }
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
        Ok(Invite { mesh: self.mesh_id(), addresses: self.enrolment_addresses(), expires, secret })
    }

    async fn pre_approve(&self, invite: PreApproval, actor: &Actor, now: Timestamp) -> Result<[u8; 16], UseCaseError> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)
            .map_err(|error| UseCaseError::Conflict(format!("the system gives no randomness: {error}")))?;
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let actor = actor.clone();
        self.store()
            .update(move |draft| {
                audit::note(draft, &actor, "invite create", &format!("for {}", invite.ranges), now)?;
                draft.put(&INVITES, &hash, &invite)
            })
            .await?;
        Ok(secret)
    }
}
