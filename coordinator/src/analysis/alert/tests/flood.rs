//! A host that answers on every port.

use super::*;

#[test]
fn a_host_with_every_port_open_raises_few_low_alerts_and_all_that_have_a_rule() {
    let (rules, none, coverage) = (default_rules(), Default::default(), coverage("1-65535"));
    let facts = Evaluation {
        scan: ScanId(1),
        run: RUN,
        now: NOW,
        rules: &rules,
        coverage: &coverage,
        unsettled: &none,
        accepted: &none,
    };
    let ports: Vec<(u16, &str)> = (1..=u16::MAX).map(|port| (port, "1")).collect();
    let opened: Vec<Change> = ports.iter().map(|(port, _)| change(ChangeKind::NewPort, *port, ("", "1"))).collect();
    let low = usize::from(u16::MAX) - rules.len();
    let transitions = evaluate(facts, &opened, &[known(&ports)], []);
    let raised = after(&[], &transitions, RUN, NOW);
    let new_ports: Vec<&Alert> = raised.values().filter(|alert| alert.key.rule.as_str() == NEW_PORT).collect();
    assert_eq!((new_ports.len(), raised.len()), (MAX_RAISED_BY_CHANGE, MAX_RAISED_BY_CHANGE + rules.len()));
    let comments: Vec<&str> = new_ports.iter().map(|alert| alert.trail.steps[0].comment.as_str()).collect();
    let (last, others) = comments.split_last().unwrap();
    assert_eq!(*last, format!("and {} more ports of this host; the report lists them", low - MAX_RAISED_BY_CHANGE));
    assert!(others.iter().all(|comment| comment.is_empty()));

    let resolved = new_ports.iter().map(|alert| Alert { state: AlertState::Resolved, ..(*alert).clone() });
    let resolved: Vec<Alert> = resolved.collect();
    let transitions = evaluate(facts, &opened, &[known(&ports)], &resolved);
    let again = after(&resolved, &transitions, RUN, NOW);
    let steps = again.get(&resolved.last().unwrap().key).unwrap().trail.steps.last().unwrap();
    assert_eq!((steps.what, steps.comment.as_str()), (Deed::RaisedAgain, *last));
}
