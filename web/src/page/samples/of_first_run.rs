//! The pages of the first run, filled and empty.

use super::super::{View, first_run, setup};
use crate::faults::Faults;
use crate::filters::Percent;
use crate::look::{Badge, Progress};
use first_run::{Again, FirstSteps, LookForm, NodeForm, Step, Tick, Watched};
use protocol::task::RunId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn fault(field: &'static str, word: &str) -> Faults {
    BTreeMap::from([(field, word.to_owned())]).into()
}

fn page(step: Step, faults: Faults) -> Arc<dyn View> {
    Arc::new(FirstSteps { step, faults })
}

pub(super) fn filled(word: &str) -> Vec<(&'static str, Arc<dyn View>)> {
    let form = setup::SetupForm { code: word.into(), name: word.into(), ..setup::SetupForm::default() };
    let networks = vec![Tick { network: word.into(), addresses: 256, is_set: true }];
    let node = NodeForm { networks, ranges: word.into(), has_local: true, failure: word.into() };
    let look = LookForm { existing: None, name: word.into(), targets: word.into() };
    let again = Again {
        run: RunId(1),
        network: word.into(),
        hosts: 12,
        ports: 1,
        has_report: true,
        reason: word.into(),
        offer: Some(word.into()),
    };
    vec![
        ("setup", Arc::new(setup::Setup { form, faults: fault("code", word) })),
        ("first_run_node", page(Step::Node(node), fault("ranges", word))),
        ("first_run_wait", page(Step::Wait { words: word.into(), failure: word.into() }, Faults::default())),
        ("first_run_look", page(Step::Look(look), fault("targets", word))),
        ("first_run_run", page(Step::Run(Box::new(watched(word))), Faults::default())),
        ("first_run_again", page(Step::Again(again), Faults::default())),
        ("first_run_report", page(Step::Report { run: RunId(2), words: word.into() }, Faults::default())),
    ]
}

fn watched(word: &str) -> Watched {
    Watched {
        id: RunId(1),
        is_first: true,
        state: Badge::presence(true, true),
        phase: "scanning",
        progress: Progress { label: "Addresses settled".into(), percent: Percent(40), count: word.into() },
        hosts: 3,
        elapsed: Duration::from_secs(7),
        left: None,
    }
}

pub(super) fn empty() -> Vec<(&'static str, Arc<dyn View>)> {
    let again = Again {
        run: RunId(1),
        network: "Office".into(),
        hosts: 0,
        ports: 0,
        has_report: false,
        reason: "no node could look".into(),
        offer: None,
    };
    let existing = LookForm { existing: Some("Office".into()), ..LookForm::default() };
    vec![
        ("setup", Arc::new(setup::Setup::default())),
        ("first_run_node", page(Step::Node(NodeForm::default()), Faults::default())),
        ("first_run_look", page(Step::Look(existing), Faults::default())),
        ("first_run_again", page(Step::Again(again), Faults::default())),
    ]
}
