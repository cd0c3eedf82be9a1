//! Pages below the settings, filled and empty.

use super::super::{View, retention};
use super::{NOW, hours};
use protocol::task::ScanId;
use std::sync::Arc;

pub(super) fn filled(word: &str) -> Vec<(&'static str, Arc<dyn View>)> {
    vec![("retention", Arc::new(limits(word)))]
}

pub(super) fn empty() -> Vec<(&'static str, Arc<dyn View>)> {
    let nothing = retention::RetentionPage { scans: vec![], edited: None, has_own: false, ..limits("Office") };
    vec![("retention", Arc::new(nothing))]
}

fn limits(word: &str) -> retention::RetentionPage {
    let row = |scan, has_own, oldest| retention::Row {
        scan: ScanId(scan),
        name: word.into(),
        kept: "the latest 50 runs, 30 days at most".into(),
        has_own,
        runs: 1_234,
        oldest,
        edit: "/settings/retention?scan=1#limits".into(),
    };
    retention::RetentionPage {
        default: "365 days".into(),
        scans: vec![row(1, true, Some(NOW.minus(hours(700)))), row(2, false, None)],
        may_edit: true,
        form: retention::RetentionForm { scan: "1".into(), runs: word.into(), days: word.into() },
        edited: Some(word.into()),
        has_own: true,
        faults: [("runs", word.to_owned())].into_iter().collect::<std::collections::BTreeMap<_, _>>().into(),
        told: Some(word.into()),
    }
}
