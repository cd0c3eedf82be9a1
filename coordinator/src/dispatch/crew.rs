//! The nodes as they are now: what today's approvals and their owners let them scan, and whether they are there.

use protocol::text::Text;
use protocol::{NodeId, TargetSet};
use std::collections::{BTreeMap, BTreeSet};

/// An approved node, seen by the planner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its key.
    pub node: NodeId,
    /// Where it stands.
    pub site: Text,
    /// What it is approved for.
    pub approved: TargetSet,
    /// The part of it that its owner allows too.
    pub allowed: TargetSet,
    /// Whether it is there.
    pub standing: Standing,
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It can be given work.
    Online,
    /// It was there a moment ago, or we have only just started: work may wait for it.
    Expected,
    /// Work does not wait for it.
    Away,
}

/// Every approved node whose approval has not ended.
#[derive(Clone, Debug, Default)]
pub struct Crew {
    candidates: BTreeMap<NodeId, Candidate>,
    /// Load averages over one minute, in hundredths.
    loads: BTreeMap<NodeId, u32>,
    /// Nodes that say that they can take nothing now.
    passed_over: BTreeSet<NodeId>,
    generation: u64,
}

impl Candidate {
    /// True when a scan of `site` may have it look at all of `targets`.
    pub fn may_scan(&self, site: &Text, targets: &TargetSet) -> bool {
        // The first address alone rules out most nodes.
        self.site == *site
            && targets.first().is_some_and(|first| self.allowed.contains(first))
            && self.allowed.covers(targets)
    }
}

impl Crew {
    /// Takes in how things stand now.
    pub fn update(&mut self, candidates: impl IntoIterator<Item = Candidate>, loads: BTreeMap<NodeId, u32>) {
        let candidates = candidates.into_iter().map(|candidate| (candidate.node, candidate)).collect();
        self.loads = loads;
        if self.candidates != candidates {
            self.candidates = candidates;
            self.generation += 1;
        }
    }

    /// Gives these nodes nothing until the next word; what they could take is planned for them all the same.
    pub fn pass_over(&mut self, nodes: BTreeSet<NodeId>) {
        self.passed_over = nodes;
    }

    /// False for a node that is given nothing now.
    pub fn takes_tasks(&self, node: NodeId) -> bool {
        !self.passed_over.contains(&node)
    }

    /// Rises when anything but the load of a node is another than before: plans are made anew then.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The node with this key.
    pub fn get(&self, node: NodeId) -> Option<&Candidate> {
        self.candidates.get(&node)
    }

    /// The nodes of a site.
    pub fn of_site(&self, site: &Text) -> impl Iterator<Item = &Candidate> {
        self.candidates.values().filter(move |candidate| candidate.site == *site)
    }

    /// The nodes that are there.
    pub fn online(&self) -> impl Iterator<Item = NodeId> {
        let here = self.candidates.values().filter(|candidate| candidate.standing == Standing::Online);
        here.map(|candidate| candidate.node)
    }

    /// How busy a node's machine is, in whole load averages.
    pub fn load(&self, node: NodeId) -> u32 {
        self.loads.get(&node).map_or(0, |hundredths| hundredths / 100)
    }
}
