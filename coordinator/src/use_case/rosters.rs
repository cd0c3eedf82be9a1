//! The roster in force, the one that waits for the mesh key, and what people must know of both.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::events::Event;
use crate::hub::Command;
use crate::registry::ending::Ending;
use crate::registry::issuing::{Issued, Issuer};
use crate::registry::{CurrentRoster, RosterAlarm};
use crate::start::leads_alike;
use crate::store::tables::{AWAITED, COORDINATOR, ENDORSEMENT, RESTORED, ROSTER, ROSTER_ALARM};
use crate::store::{Draft, Reads, StoreError};
use protocol::card::{Card, Endorsement};
use protocol::roster::{Change, Roster, SignedRoster, changes};
use protocol::{NodeId, Timestamp};

/// How the roster stands.
#[derive(Clone, Debug)]
pub struct RosterView {
    /// In force.
    pub signed: SignedRoster,
    /// What it says.
    pub roster: Roster,
    /// How near its end is.
    pub ending: Option<Ending>,
    /// Whether the mesh key lies beside the coordinator.
    pub signs_here: bool,
    /// Waits for the mesh key.
    pub awaited: Option<AwaitedRoster>,
    /// Two rosters of one epoch were seen.
    pub alarm: Option<RosterAlarm>,
    /// When the store was restored from a backup, until the nodes were heard: no roster is issued before.
    pub restored: Option<Timestamp>,
}

/// A roster that waits for the mesh key.
#[derive(Clone, Debug)]
pub struct AwaitedRoster {
    /// To be signed as it is.
    pub roster: Roster,
    /// What it changes.
    pub changes: Vec<Change>,
    /// The coordinator's card, when the mesh key has endorsed another one: to be signed along with it.
    pub card: Option<Card>,
}

impl Coordinator {
    /// How the roster stands.
    pub async fn roster(&self, actor: &Actor) -> Result<RosterView, UseCaseError> {
        actor.require(Right::Read)?;
        let read = self.store().read(|view| {
            let restored = view.get(&RESTORED, &())?.map(|restored| restored.at);
            let (awaited, alarm) = (view.get(&AWAITED, &())?, view.get(&ROSTER_ALARM, &())?);
            Ok((view.get(&ROSTER, &())?, awaited, alarm, unendorsed(view)?, restored))
        });
        let (held, awaited, alarm, card, restored) = read.await?;
        let signed = held.ok_or_else(no_roster)?.signed;
        let roster = signed.verify(self.mesh_id()).map_err(|error| UseCaseError::Conflict(error.to_string()))?;
        let awaited = awaited.map(|next| AwaitedRoster { changes: changes(&roster, &next), roster: next, card });
        let ending = Ending::of(Some(roster.not_after), Timestamp::now());
        let signs_here = self.issuer().mesh_key.is_here();
        Ok(RosterView { ending, roster, signed, signs_here, awaited, alarm, restored })
    }

    /// Puts the awaited roster in force, signed with the mesh key; refused when another one is awaited by now, or when
    /// the coordinator's card is to be endorsed and is not.
    pub async fn take_signed_roster(
        &self,
        actor: &Actor,
        signed: SignedRoster,
        endorsement: Option<Endorsement>,
    ) -> Result<RosterView, UseCaseError> {
        actor.require(Right::Approve)?;
        let (who, issuer, now) = (actor.clone(), self.issuer().clone(), Timestamp::now());
        let taken = self.store().update(move |draft| {
            endorse(draft, &issuer, endorsement)?;
            take(draft, &issuer, signed, &who, now)
        });
        let (roster, decided) = taken.await?;
        self.hub().tell(Command::Issued(Issued::Signed(roster), decided.clone())).await;
        decided.into_iter().for_each(|node| self.events().publish(Event::Node { node }));
        self.roster(actor).await
    }

    /// A person has seen that two rosters of one epoch were signed.
    pub async fn acknowledge_alarm(&self, actor: &Actor) -> Result<(), UseCaseError> {
        actor.require(Right::Approve)?;
        let (who, now) = (actor.clone(), Timestamp::now());
        let gone = self.store().update(move |draft| {
            let Some(alarm) = draft.get(&ROSTER_ALARM, &())? else { return Ok::<_, UseCaseError>(None) };
            audit::note(draft, &who, "roster acknowledge", &format!("conflict of epoch {}", alarm.epoch), now)?;
            draft.remove(&ROSTER_ALARM, &())?;
            Ok(Some(alarm.from))
        });
        if let Some(node) = gone.await? {
            self.events().publish(Event::Node { node });
        }
        Ok(())
    }
}

fn no_roster() -> UseCaseError {
    UseCaseError::Conflict("the store holds no roster; `portdrift db check` says what is wrong".to_owned())
}

/// The coordinator's card, when it leads elsewhere than the one that the mesh key endorsed last.
fn unendorsed(reads: &impl Reads) -> Result<Option<Card>, StoreError> {
    let endorsed = reads.get(&ENDORSEMENT, &())?.map(|endorsement| endorsement.card);
    let card = reads.get(&COORDINATOR, &())?;
    Ok(card.filter(|card| endorsed.is_none_or(|endorsed| !leads_alike(&endorsed, card))))
}

/// Keeps the endorsement of the card that waits for one, if one does.
fn endorse(draft: &mut Draft, issuer: &Issuer, signed: Option<Endorsement>) -> Result<(), UseCaseError> {
    let Some(card) = unendorsed(draft)? else { return Ok(()) };
    let good = signed.filter(|signed| signed.verify(issuer.mesh_key.id()) == Ok(&card));
    let endorsement = good.ok_or_else(|| {
        UseCaseError::Conflict(
            "the coordinator's card awaits the mesh key too, and came without its signature; look at what waits, and sign again"
                .to_owned(),
        )
    })?;
    Ok(draft.put(&ENDORSEMENT, &(), &endorsement)?)
}

/// Compares, and sets: only the very roster that waits is taken.
fn take(
    draft: &mut Draft,
    issuer: &Issuer,
    signed: SignedRoster,
    actor: &Actor,
    now: Timestamp,
) -> Result<(CurrentRoster, Vec<NodeId>), UseCaseError> {
    let mesh = issuer.mesh_key.id();
    if draft.contains(&RESTORED, &())? {
        let reason = "the store was restored, and the nodes were not heard since; a roster of theirs may be newer, so look again in a while";
        return Err(UseCaseError::Conflict(reason.to_owned()));
    }
    let roster = signed.verify(mesh).map_err(|error| UseCaseError::Conflict(error.to_string()))?;
    let held = draft.get(&ROSTER, &())?.ok_or_else(no_roster)?;
    if draft.get(&AWAITED, &())?.as_ref() != Some(&roster) {
        let reason = format!(
            "roster epoch {} does not await a signature as it was signed; something else was decided meanwhile: look at what waits, and sign again",
            roster.epoch
        );
        return Err(UseCaseError::Conflict(reason));
    }
    let before = held.signed.verify(mesh).map_err(|error| UseCaseError::Conflict(error.to_string()))?;
    let decided = changes(&before, &roster).iter().map(Change::key).collect();
    let fresh = CurrentRoster { epoch: roster.epoch, signed };
    audit::note(draft, actor, "roster sign", &format!("epoch {}", roster.epoch), now)?;
    draft.put(&ROSTER, &(), &fresh)?;
    draft.remove(&AWAITED, &())?;
    Ok((fresh, decided))
}
