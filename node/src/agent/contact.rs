//! Neighbours come and go, beacons are heard: what a node does when its way to the coordinator changes.

use super::Agent;
use crate::engine::Engine;
use crate::facts;
use crate::notice::Notice;
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
