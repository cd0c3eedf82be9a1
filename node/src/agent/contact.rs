//! Neighbours come and go, beacons are heard: what a node does when its way to the coordinator changes.

use super::{Agent, named_by};
use crate::engine::Engine;
use crate::facts;
use crate::notice::Notice;
use protocol::card::Card;
use protocol::envelope::Header;
use protocol::identity::NodeId;
use std::time::Duration;
use tokio::time::Instant;

impl<E: Engine> Agent<E> {
    pub(super) fn on_connected(&mut self, node: NodeId, now: Instant) {
        self.notices.tell(Notice::Connected { node, coordinator: node == self.post.coordinator() });
        self.look_for_way(self.hearing.silent_for(now), now);
    }

    /// The coordinator learns at once when this node is still there, but reached through others.
    pub(super) fn on_disconnected(&mut self, node: NodeId, now: Instant) {
        let coordinator = node == self.post.coordinator();
        self.notices.tell(Notice::Disconnected { node, coordinator });
        self.look_for_way(self.hearing.silent_for(now), now);
        if coordinator {
            self.heartbeat.hurry(now);
        }
    }

    /// When a way to the coordinator opens, which was `away` for so long, what waits goes out.
    fn look_for_way(&mut self, away: Duration, now: Instant) -> bool {
        let through = self.mesh.through();
        let opens = self.reach.opens(through.is_some() || self.mesh.connected(&self.post.coordinator()));
        if opens {
            if let Some(node) = through {
                self.notices.tell(Notice::WayOpen { node });
            }
            facts::refresh(&mut self.facts);
            self.on_coordinator_back(away, now);
        }
        opens
    }

    /// The roster names another key as the coordinator's: that one is dialled where the last one was.
    pub(super) fn follow_coordinator(&mut self) {
        let (before, named) = (self.post.coordinator(), named_by(&self.state, self.mesh.time()));
        if named == before {
            return;
        }
        tracing::info!(node.id = %named, "the coordinator goes on under another key");
        self.notices.tell(Notice::CoordinatorRotated { coordinator: named });
        self.post.follow(named);
        self.mesh.dial(before, &[]);
        self.mesh.dial(named, self.post.addresses());
    }

    /// Takes the coordinator's newest card: `handed` over on the mesh key's word, or its own word that members pass on.
    pub(super) fn meet_coordinator(&mut self, handed: Option<&Card>, now: Instant) {
        let known = self.mesh.card(&self.post.coordinator());
        let mut met = false;
        for card in [handed, known].into_iter().flatten() {
            met |= self.post.meet(card);
        }
        if met {
            self.mesh.dial(self.post.coordinator(), self.post.addresses());
            self.on_coordinator_back(Duration::ZERO, now);
        }
    }

    pub(super) async fn on_beacon(&mut self, header: &Header, now: Instant) {
        let silent_for = self.hearing.silent_for(now);
        let ends_silence = self.hearing.beacon(header.issued, now);
        if ends_silence {
            self.notices.tell(Notice::CoordinatorBack);
        }
        self.reach.heard(header.boot);
        if !self.look_for_way(silent_for, now) && ends_silence {
            self.on_coordinator_back(silent_for, now);
        }
        self.clock.set(self.mesh.clock_offset_ms().unwrap_or_default());
        if let Some(offset_ms) = self.hearing.news_of_clock(self.clock.get()) {
            tracing::warn!(clock.offset_ms = offset_ms, "this machine's clock differs from the coordinator's");
            self.notices.tell(Notice::ClockOff { offset_ms });
        }
        self.keep_beacon_sometimes(now).await;
    }

    fn on_coordinator_back(&mut self, away: Duration, now: Instant) {
        self.heartbeat.hurry(now);
        self.outbox.hurry();
        self.delivery.reconnected(away, now);
    }
}
