//! What one roster changes of another, in words: whoever signs reads this first.

use super::{Member, MemberState, Role, Roster, RosterError};
use crate::identity::NodeId;
use crate::text::Text;
use std::collections::BTreeMap;
use std::fmt;

/// One key that stands otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is in from now on.
    LetIn(Member),
    /// It is in on other terms.
    Terms(Member),
    /// It is out for good.
    Revoked(NodeId),
    /// The roster does not name it any more.
    Dropped(NodeId),
}

impl Change {
    /// Which key.
    pub fn key(&self) -> NodeId {
        match self {
            Self::LetIn(member) | Self::Terms(member) => member.key,
            Self::Revoked(key) | Self::Dropped(key) => *key,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LetIn(member) => write!(f, "lets in {}", terms(member)),
            Self::Terms(member) => write!(f, "changes the terms of {}", terms(member)),
            Self::Revoked(key) => write!(f, "revokes {key}"),
            Self::Dropped(key) => write!(f, "drops {key}"),
        }
    }
}

fn terms(member: &Member) -> String {
    let Member { key, role, state: _, site, ranges, expires, may_sponsor } = member;
    if *role == Role::Coordinator {
        return format!("{key} as the coordinator");
    }
    let until = expires.map(|end| format!(" until {end}")).unwrap_or_default();
    let sponsor = if *may_sponsor { ", may sponsor" } else { "" };
    // A site is typed by people and cleaned; the terminal that shows it is the signer's.
    let site = Text::new(site.as_str());
    format!("{key} for {ranges} at site {site}{until}{sponsor}")
}

impl Roster {
    /// Whether this may be signed after `before`: of the same mesh, next in line, with every tombstone.
    pub fn follows(&self, before: &Self) -> Result<(), RosterError> {
        let revoked = before.members.iter().filter(|member| member.state == MemberState::Revoked);
        let mut lost =
            revoked.filter(|gone| self.member(&gone.key).is_none_or(|now| now.state != MemberState::Revoked));
        self.check(before.mesh)?;
        if self.previous != before.hash() || Some(self.epoch) != before.epoch.checked_add(1) {
            return Err(RosterError::Unsound("it does not follow the one in force"));
        }
        if lost.next().is_some() {
            return Err(RosterError::Unsound("it brings a revoked key back"));
        }
        Ok(())
    }
}

/// What `after` changes of `before`, in key order.
pub fn changes(before: &Roster, after: &Roster) -> Vec<Change> {
    let mut left: BTreeMap<NodeId, &Member> = before.members.iter().map(|member| (member.key, member)).collect();
    let mut found = Vec::new();
    for member in &after.members {
        let was = left.remove(&member.key);
        let was_in = was.is_some_and(|was| was.state == MemberState::Approved);
        found.extend(match (was_in, member.state) {
            _ if was == Some(member) => None,
            (true, MemberState::Approved) => Some(Change::Terms(member.clone())),
            (false, MemberState::Approved) => Some(Change::LetIn(member.clone())),
            (_, MemberState::Revoked) => Some(Change::Revoked(member.key)),
        });
    }
    found.extend(left.into_keys().map(Change::Dropped));
    found.sort_by_key(Change::key);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Keypair;
    use crate::time::Timestamp;

    fn member(seed: u8, ranges: &str, state: MemberState) -> Member {
        let key = Keypair::from_seed(&[seed; 32]).node_id();
        let (site, ranges) = ("main".into(), ranges.parse().unwrap());
        Member { key, role: Role::Node, state, site, ranges, expires: None, may_sponsor: false }
    }

    fn roster(mut members: Vec<Member>) -> Roster {
        members.sort_by_key(|member| member.key);
        let (mesh, at) = (Keypair::from_seed(&[1; 32]).mesh_id(), Timestamp::from_millis(1));
        Roster { mesh, epoch: 1, previous: [0; 32], issued: at, not_after: at, members }
    }

    #[test]
    fn every_key_that_stands_otherwise_is_told_once() {
        use MemberState::{Approved, Revoked};
        let same = member(3, "10.0.0.1", Approved);
        let before = roster(vec![
            same.clone(),
            member(4, "10.0.0.1", Approved),
            member(5, "::1", Approved),
            member(6, "::1", Approved),
        ]);
        let until = Some(Timestamp::from_millis(1_700_000_000_000));
        let wider = Member { expires: until, may_sponsor: true, ..member(4, "10.0.0.0/8", Approved) };
        let after = roster(vec![same, wider, member(5, "::1", Revoked), member(7, "::2", Approved)]);
        let mut told: Vec<String> = changes(&before, &after).iter().map(ToString::to_string).collect();
        told.sort();
        insta::assert_snapshot!(told.join("\n"), @"
        changes the terms of lxpp-v2th-bzs7-ghhk-xeya-v3jn-6pjt-4kbl for 10.0.0.0/8 at site main until 2023-11-14T22:13:20.000Z, may sponsor
        drops wu5e-vctp-7ncj-nncl-4a53-gmsn-wdlk-3bg6
        lets in chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni for ::2 at site main
        revokes n2xp-fule-gvlx-kwye-ex2d-chbi-4rsr-2giu
        ");
        assert!(changes(&after, &after).is_empty());
    }

    #[test]
    fn only_the_next_roster_with_every_tombstone_is_to_be_signed() {
        let before = roster(vec![member(3, "::1", MemberState::Revoked)]);
        let next = Roster { epoch: 2, previous: before.hash(), ..before.clone() };
        assert!(next.follows(&before).is_ok());
        let back = vec![member(3, "::1", MemberState::Approved)];
        let other = Keypair::from_seed(&[9; 32]).mesh_id();
        for (wrong, word) in [
            (Roster { epoch: 3, ..next.clone() }, "does not follow"),
            (Roster { previous: [0; 32], ..next.clone() }, "does not follow"),
            (Roster { members: Vec::new(), ..next.clone() }, "revoked key back"),
            (Roster { members: back, ..next.clone() }, "revoked key back"),
            (Roster { mesh: other, ..next.clone() }, "not signed by this mesh"),
        ] {
            assert!(wrong.follows(&before).unwrap_err().to_string().contains(word), "{word}");
        }
    }
}
