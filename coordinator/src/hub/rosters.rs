//! Rosters in force: issued here, signed elsewhere, or handed over by a member that holds a newer one.

use super::Hub;
use super::letters::Release;
use crate::audit;
use crate::events::Event;
use crate::registry::ending::Ending;
use crate::registry::issuing::Issued;
use crate::registry::reconcile::reconcile;
use crate::registry::{CurrentRoster, RosterAlarm};
use crate::store::tables::{AWAITED, NODES, ROSTER, ROSTER_ALARM};
use crate::store::{Draft, Reads, Store, StoreError};
use protocol::message::RosterHead;
use protocol::roster::{Precedence, ROSTER_LIFETIME, Roster, RosterHash, SignedRoster};
use protocol::text::Text;
use protocol::{NodeId, Timestamp};
use std::collections::BTreeMap;

/// Of which ends people were told, so that each nearer one is told once.
#[derive(Debug, Default)]
pub(super) struct Warned(BTreeMap<Option<NodeId>, Ending>);

impl Warned {
    /// True when this end has come nearer by a step since it was told of. `None` stands for the roster.
    fn is_news(&mut self, whose: Option<NodeId>, ending: Option<Ending>) -> bool {
        match ending {
            None => {
                self.0.remove(&whose);
                false
            }
            Some(ending) => self.0.insert(whose, ending).is_none_or(|before| before < ending),
        }
    }
}

impl Hub {
    /// Puts an issued roster in force; `decided` are the nodes that it is about.
    pub(super) async fn on_issued(&mut self, issued: Issued, decided: &[NodeId], now: Timestamp) {
        match issued {
            Issued::Signed(roster) => self.on_roster(roster, now).await,
            Issued::Awaited(roster) => {
                self.awaited = Some((roster.epoch, roster.hash()));
                self.read_anew(now).await;
                self.tell_awaited(now);
                self.move_work(now).await;
            }
            Issued::Unchanged => {
                self.awaited = None;
                self.read_anew(now).await;
                self.move_work(now).await;
            }
        }
        for node in decided {
            self.answer_waiting(*node).await;
        }
    }

    async fn on_roster(&mut self, roster: CurrentRoster, now: Timestamp) {
        match self.mesh.set_roster(roster.signed.clone()) {
            Ok(Precedence::Newer | Precedence::Same) => self.roster = roster,
            Ok(Precedence::Older) => tracing::debug!(epoch = roster.epoch, "a later roster came first"),
            Ok(Precedence::Conflict) => return tracing::error!("our own roster contradicts the one in force"),
            Err(error) => return tracing::error!(%error, "our own roster was not taken"),
        }
        self.awaited = None;
        self.read_anew(now).await;
        let CurrentRoster { epoch, signed } = self.roster.clone();
        self.publish_head(epoch, signed.hash(), Some(signed), now);
        self.send_beacon(now);
        self.move_work(now).await;
    }

    /// Goes on with the nodes that are in now.
    async fn read_anew(&mut self, now: Timestamp) {
        if let Err(error) = self.read_members(now).await {
            return tracing::error!(%error, "cannot read the nodes");
        }
        self.presences.keep(|node| self.members.contains_key(node));
        self.uploads.forget(|(node, _, _)| !self.members.contains_key(node));
        self.look_around(now);
    }

    /// What nodes hold that are out goes to others. Everyone has been told by now, since this writes to disk.
    async fn move_work(&mut self, now: Timestamp) {
        let is_gone = |holder: &NodeId| !self.members.contains_key(holder);
        let held: Vec<_> = self.work.leased().filter(|task| task.holder.as_ref().is_some_and(is_gone)).collect();
        let held: Vec<_> = held.into_iter().map(|task| (task.id, task.fence)).collect();
        for (task, fence) in held {
            tracing::info!(task.id = %task, task.fence = fence, "its holder is no member any more");
            let release = Release::Lost(Text::from("its node was revoked"));
            if let Err(error) = self.release(task, fence, release, now).await {
                tracing::error!(%error, task.id = %task, "cannot take a task back; its lease runs out");
            }
        }
        self.go_on(now).await;
    }

    /// Tells everyone of a roster, and whom to shut out until it comes.
    fn publish_head(&mut self, epoch: u64, hash: RosterHash, roster: Option<SignedRoster>, now: Timestamp) {
        let head = RosterHead { epoch, hash, revoked: self.revoked.clone(), roster }.fitting();
        let head = self.author.sign(&head, self.roster.epoch, now);
        self.mesh.publish(head);
    }

    /// Keys that were revoked are shut out before the mesh key has signed so; others wait for it.
    pub(super) fn tell_awaited(&mut self, now: Timestamp) {
        if let Some((epoch, hash)) = self.awaited.filter(|_| !self.revoked.is_empty()) {
            self.publish_head(epoch, hash, None, now);
        }
    }

    /// A member held a newer roster than this store knows. It is in force already; the records follow it.
    pub(super) async fn on_newer_roster(&mut self, signed: SignedRoster, roster: Roster, now: Timestamp) {
        let (epoch, known) = (roster.epoch, self.roster.epoch);
        tracing::error!(
            epoch,
            known,
            "a member holds a newer roster than this store: was it restored from an older backup? it is taken over"
        );
        self.roster = CurrentRoster { epoch, signed };
        let (held, issuer) = (self.roster.clone(), self.enrolment.issuer.clone());
        if roster.coordinator(now).is_none_or(|member| member.key != issuer.coordinator) {
            return tracing::error!("the newer roster names another coordinator; nothing is issued here any more");
        }
        let followed = self.store.update(move |draft| {
            follow(draft, &held, &roster, now)?;
            issuer.issue(draft, now)
        });
        match followed.await {
            Ok(issued) => self.on_issued(issued, &[], now).await,
            Err(error) => tracing::error!(%error, "the newer roster could not be kept"),
        }
    }

    /// The mesh key signed two truths: an alarm that stays until a person has seen it.
    pub(super) async fn on_two_truths(&mut self, alarm: RosterAlarm) {
        let RosterAlarm { epoch, from, .. } = alarm;
        tracing::error!(node.id = %from, epoch, "two rosters of one epoch are signed with the mesh key");
        let kept = self.store.update(move |draft| raise(draft, &alarm));
        match kept.await {
            Ok(()) => self.events.publish(Event::Node { node: from }),
            Err(error) => tracing::error!(%error, "the alarm could not be kept"),
        }
    }

    /// Issues the roster anew before nodes stop trusting it, and tells of ends that come near.
    pub(super) async fn mind_ends(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let end = self.mesh.roster().map(|roster| roster.not_after);
        if end.is_some_and(|end| end <= now.plus(ROSTER_LIFETIME / 2)) && is_to_be_renewed(&self.store, now).await? {
            let issuer = self.enrolment.issuer.clone();
            let issued = self.store.update(move |draft| issuer.renew(draft, now)).await?;
            self.on_issued(issued, &[], now).await;
        }
        if self.warned.is_news(None, Ending::of(end, now)) {
            tracing::warn!("the roster ends soon and waits for the mesh key; `keys approve --mesh-key FILE` signs it");
            self.events.publish(Event::Node { node: self.author.id() });
        }
        let ends: Vec<_> = self.members.iter().map(|(node, member)| (*node, member.ends())).collect();
        for (node, end) in ends {
            if self.warned.is_news(Some(node), Ending::of(end, now)) {
                tracing::warn!(node.id = %node, "the approval of a node ends soon or has ended");
                self.events.publish(Event::Node { node });
            }
        }
        Ok(())
    }

    /// Takes up the roster that waited when the coordinator stopped.
    pub(super) async fn read_awaited(&mut self) -> Result<(), StoreError> {
        let awaited = self.store.read(|view| view.get(&AWAITED, &())).await?;
        self.awaited = awaited.map(|awaited| (awaited.epoch, awaited.hash()));
        Ok(())
    }
}

/// False while a roster that lasts long enough waits for its signature.
async fn is_to_be_renewed(store: &Store, now: Timestamp) -> Result<bool, StoreError> {
    let awaited = store.read(|view| view.get(&AWAITED, &())).await?;
    Ok(awaited.is_none_or(|awaited| awaited.not_after <= now.plus(ROSTER_LIFETIME / 2)))
}

/// Makes the records agree with a roster that is newer than they are.
fn follow(draft: &mut Draft, held: &CurrentRoster, roster: &Roster, now: Timestamp) -> Result<(), StoreError> {
    let nodes = crate::use_case::nodes::all(draft)?;
    let subject = format!("epoch {}, newer than this store", roster.epoch);
    audit::note(draft, &audit::mesh(), "roster adopt", &subject, now)?;
    for node in reconcile(&nodes, roster, now) {
        draft.put(&NODES, &node.key.clone(), &node)?;
    }
    draft.put(&ROSTER, &(), held)
}

fn raise(draft: &mut Draft, alarm: &RosterAlarm) -> Result<(), StoreError> {
    let is_known = |known: RosterAlarm| (known.epoch, known.offered) == (alarm.epoch, alarm.offered);
    if draft.get(&ROSTER_ALARM, &())?.is_some_and(is_known) {
        return Ok(());
    }
    let subject = format!("two rosters of epoch {}, one handed over by {}", alarm.epoch, alarm.from);
    audit::note(draft, &audit::mesh(), "roster conflict", &subject, alarm.at)?;
    draft.put(&ROSTER_ALARM, &(), alarm)
}
