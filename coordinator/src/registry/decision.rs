//! What a person can decide about a key, and what it makes of the node's record. No store, no clock.

use super::{Admission, Approval, NodeRecord};
use crate::scan::DEFAULT_SITE;
use protocol::text::Text;
use protocol::{TargetSet, Timestamp};

/// A decision that was read and found sensible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Lets it in, or changes the terms on which it is in.
    Approve(Terms),
    /// Turns a waiting node away.
    Deny(Text),
    /// Throws it out for good.
    Revoke(Text),
    /// Keeps it out until it is approved again.
    Suspend(Text),
    /// Forgets it; it may ask again.
    Remove,
    /// Leaves it out of lists, or shows it there again.
    Hide(bool),
    /// Gives it work again after its key was seen on two machines.
    Trust,
}

/// On which terms a node is to be in; `None` keeps what holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) label: Option<Text>,
    pub(crate) ranges: Option<TargetSet>,
    pub(crate) site: Option<Text>,
    /// `Some(None)` is for ever.
    pub(crate) expires: Option<Option<Timestamp>>,
    pub(crate) may_sponsor: Option<bool>,
}

/// Why a decision does not fit the node as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Nothing says what it may scan.
    #[error("say which ranges it may scan")]
    NoRanges,
    /// A key that was revoked never comes back.
    #[error(
        "it was revoked ({0}) and stays out for good; to let the machine in again, remove its data folder and join with a new key"
    )]
    Revoked(Text),
    /// Only what waits is turned away.
    #[error("only a pending one is denied; `keys revoke` throws out one that is in")]
    NotPending,
    /// Only what was let in is thrown out.
    #[error("it was never let in; `keys deny` turns it away")]
    NeverIn,
    /// A member is not forgotten.
    #[error("it is in; `keys revoke` throws it out for good, `nodes hide` only leaves it out of lists")]
    StillIn,
    /// A tombstone is not forgotten either.
    #[error(
        "it was revoked, which is remembered for ever so that it cannot come back; `nodes hide` leaves it out of lists"
    )]
    Tombstone,
    /// It is out already.
    #[error("it is suspended already; `keys approve` lets it in again")]
    Suspended,
    /// Only an alarm is dismissed.
    #[error("its key was not seen on two machines, or somebody has dismissed that already")]
    NotCloned,
}

impl Decision {
    /// The record after the decision; `None` when the node is forgotten.
    pub(crate) fn apply(&self, node: NodeRecord, by: &Text, now: Timestamp) -> Result<Option<NodeRecord>, Misfit> {
        let (by, at) = (by.clone(), now);
        let admission = match (self, &node.admission) {
            (Self::Hide(hidden), _) => return Ok(Some(NodeRecord { hidden: *hidden, ..node })),
            (
                Self::Approve(_) | Self::Deny(_) | Self::Revoke(_) | Self::Suspend(_) | Self::Trust,
                Admission::Revoked { reason, .. },
            ) => return Err(Misfit::Revoked(reason.clone())),
            (Self::Trust, _) if node.cloned.is_none() => return Err(Misfit::NotCloned),
            (Self::Trust, _) => return Ok(Some(NodeRecord { cloned: None, ..node })),
            (Self::Approve(terms), _) => return terms.apply(node, by, now).map(Some),
            (Self::Deny(reason), Admission::Pending) => Admission::Denied { reason: reason.clone(), by, at },
            (Self::Deny(_), Admission::Denied { .. } | Admission::Approved(_) | Admission::Suspended { .. }) => {
                return Err(Misfit::NotPending);
            }
            (Self::Revoke(reason), Admission::Approved(_) | Admission::Suspended { .. }) => {
                Admission::Revoked { reason: reason.clone(), by, at }
            }
            (Self::Suspend(reason), Admission::Approved(approval)) => {
                Admission::Suspended { approval: approval.clone(), reason: reason.clone(), by, at }
            }
            (Self::Suspend(_), Admission::Suspended { .. }) => return Err(Misfit::Suspended),
            (Self::Revoke(_) | Self::Suspend(_), Admission::Pending | Admission::Denied { .. }) => {
                return Err(Misfit::NeverIn);
            }
            (Self::Remove, Admission::Approved(approval)) if !approval.has_ended(now) => return Err(Misfit::StillIn),
            (Self::Remove, Admission::Revoked { .. }) => return Err(Misfit::Tombstone),
            (
                Self::Remove,
                Admission::Pending | Admission::Denied { .. } | Admission::Approved(_) | Admission::Suspended { .. },
            ) => return Ok(None),
        };
        Ok(Some(NodeRecord { admission, ..node }))
    }

    /// As the audit names it.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::Approve(_) => "node approve",
            Self::Deny(_) => "node deny",
            Self::Revoke(_) => "node revoke",
            Self::Suspend(_) => "node suspend",
            Self::Remove => "node remove",
            Self::Hide(true) => "node hide",
            Self::Hide(false) => "node unhide",
            Self::Trust => "node trust",
        }
    }

    /// What the audit says of the node that was decided on.
    pub(crate) fn subject(&self, node: &NodeRecord) -> String {
        let (key, label) = (node.key, &node.label);
        match (self, node.approval()) {
            (Self::Approve(_), Some(Approval { ranges, site, expires, may_sponsor, .. })) => {
                let until = expires.map(|end| format!(" until {end}")).unwrap_or_default();
                let sponsor = if *may_sponsor { ", may sponsor" } else { "" };
                format!("{key} as {label} for {ranges} at {site}{until}{sponsor}")
            }
            (Self::Deny(reason) | Self::Revoke(reason) | Self::Suspend(reason), _) => {
                format!("{key} ({label}): {reason}")
            }
            (Self::Approve(_) | Self::Remove | Self::Hide(_) | Self::Trust, _) => format!("{key} ({label})"),
        }
    }
}

impl Terms {
    fn apply(&self, node: NodeRecord, by: Text, at: Timestamp) -> Result<NodeRecord, Misfit> {
        let Self { label, ranges, site, expires, may_sponsor } = self;
        let held = node.terms();
        let approval = Approval {
            ranges: ranges.clone().or_else(|| held.map(|held| held.ranges.clone())).ok_or(Misfit::NoRanges)?,
            site: site.clone().or_else(|| held.map(|held| held.site.clone())).unwrap_or_else(|| DEFAULT_SITE.into()),
            expires: expires.unwrap_or_else(|| held.and_then(|held| held.expires)),
            may_sponsor: may_sponsor.unwrap_or_else(|| held.is_some_and(|held| held.may_sponsor)),
            by,
            at,
        };
        let label = label.clone().unwrap_or_else(|| node.label.clone());
        Ok(NodeRecord { label, admission: Admission::Approved(approval), ..node })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{approval, record};
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn admissions() -> [Admission; 6] {
        let (reason, by, at) = (Text::from("lost"), Text::from("ada"), NOW);
        let ended = Approval { expires: Some(Timestamp::from_millis(999)), ..approval(at) };
        [
            Admission::Pending,
            Admission::Denied { reason: reason.clone(), by: by.clone(), at },
            Admission::Approved(approval(at)),
            Admission::Approved(ended),
            Admission::Suspended { approval: approval(at), reason: reason.clone(), by: by.clone(), at },
            Admission::Revoked { reason, by, at },
        ]
    }

    fn word(outcome: Result<Option<NodeRecord>, Misfit>) -> String {
        match outcome {
            Ok(None) => "forgotten".to_owned(),
            Ok(Some(node)) => match node.admission {
                Admission::Pending => "pending".to_owned(),
                Admission::Denied { .. } => "denied".to_owned(),
                Admission::Approved(_) => "in".to_owned(),
                Admission::Revoked { .. } => "revoked".to_owned(),
                Admission::Suspended { .. } => "suspended".to_owned(),
            },
            Err(misfit) => format!("{misfit:?}").split('(').next().unwrap().to_owned(),
        }
    }

    #[test]
    fn every_decision_fits_some_states_and_is_refused_in_the_others() {
        let ranges = Some("10.0.0.0/8".parse().unwrap());
        let decisions = [
            ("approve", Decision::Approve(Terms { ranges, ..Terms::default() })),
            ("approve as is", Decision::Approve(Terms::default())),
            ("deny", Decision::Deny("no".into())),
            ("revoke", Decision::Revoke("lost".into())),
            ("suspend", Decision::Suspend("audit".into())),
            ("remove", Decision::Remove),
            ("hide", Decision::Hide(true)),
            ("trust", Decision::Trust),
        ];
        let line = |(name, decision): (&str, Decision)| {
            let outcomes = admissions().map(|state| word(decision.apply(record(3, state), &"eve".into(), NOW)));
            format!("{name:13} {}", outcomes.map(|word| format!("{word:11}")).concat()).trim_end().to_owned()
        };
        insta::assert_snapshot!(decisions.map(line).join("\n"), @"
        approve       in         in         in         in         in         Revoked
        approve as is NoRanges   NoRanges   in         in         in         Revoked
        deny          denied     NotPending NotPending NotPending NotPending Revoked
        revoke        NeverIn    NeverIn    revoked    revoked    revoked    Revoked
        suspend       NeverIn    NeverIn    suspended  suspended  Suspended  Revoked
        remove        forgotten  forgotten  StillIn    forgotten  forgotten  Tombstone
        hide          pending    denied     in         in         suspended  revoked
        trust         NotCloned  NotCloned  NotCloned  NotCloned  NotCloned  Revoked
        ");
    }

    #[test]
    fn the_alarm_of_a_clone_ends_by_a_persons_word_and_by_no_other_decision() {
        let node = NodeRecord { cloned: Some(NOW), ..record(3, Admission::Approved(approval(NOW))) };
        let after = |decision: Decision| decision.apply(node.clone(), &"eve".into(), NOW).unwrap().unwrap().cloned;
        let others = [Decision::Approve(Terms::default()), Decision::Hide(true), Decision::Revoke("lost".into())];
        assert_eq!(others.map(after), [Some(NOW); 3]);
        assert_eq!(after(Decision::Trust), None);
    }

    #[test]
    fn terms_that_are_not_named_stay() {
        let held = Approval { expires: Some(Timestamp::from_millis(9_000)), may_sponsor: true, ..approval(NOW) };
        let node = record(3, Admission::Approved(held.clone()));
        let terms = |terms: Terms| {
            let node = Decision::Approve(terms).apply(node.clone(), &"eve".into(), NOW).unwrap().unwrap();
            node.approval().unwrap().clone()
        };
        let same = Approval { by: "eve".into(), ..held };
        assert_eq!(terms(Terms::default()), same);
        let for_ever = Terms { expires: Some(None), may_sponsor: Some(false), ..Terms::default() };
        assert_eq!(terms(for_ever), Approval { expires: None, may_sponsor: false, ..same });
    }
}
