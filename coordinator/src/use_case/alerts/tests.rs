//! Lists and decisions over the alerts of real runs: filters, pages, numbers, and two who act at once.

use super::decision::{Decision, decide_all};
use super::*;
use crate::accounts::Actor;
use crate::analysis::alert::{Action, By};
use crate::fixture::{Fixture, NOW, SCAN, TARGETS, host};
use crate::store::Store;
use crate::store::tables::AUDIT;
use protocol::Timestamp;

const ALL: AlertPage = AlertPage { sort: AlertSort::Severity, after: None, limit: MAX_PAGE };

async fn listed(store: &Store, filter: AlertFilter, page: AlertPage) -> AlertList {
    store.read(move |view| Ok(list(view, stored(view), &filter, &page))).await.unwrap().unwrap()
}

fn names(list: &AlertList) -> Vec<String> {
    let name = |view: &AlertView| {
        let key = &view.alert.key;
        format!("{} {}/{} {}", key.address, key.port.port, view.alert.severity.name(), view.alert.state.name())
    };
    list.alerts.iter().map(name).collect()
}

fn decision(action: Action, comment: &str) -> Decision {
    let now = NOW.plus(std::time::Duration::from_secs(60));
    Decision { action, actor: Actor::local(1000), comment: comment.into(), now }
}

fn only(text: &str) -> AlertFilter {
    AlertFilter { text: Some(text.into()), ..AlertFilter::any() }
}

/// Two hosts with a critical and a high port, found once.
async fn two_hosts() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.2", &[22]), host("10.9.0.10", &[22, 80, 3389])]).await;
    fixture
}

#[tokio::test]
async fn a_list_has_filters_orders_pages_and_true_numbers() {
    let fixture = two_hosts().await;
    let store = &fixture.store;
    let all = listed(store, AlertFilter::default(), ALL).await;
    assert_eq!(names(&all), ["10.9.0.10 3389/critical open", "10.9.0.2 22/high open", "10.9.0.10 22/high open"]);
    let of = |sort| listed(store, AlertFilter::default(), AlertPage { sort, ..ALL });
    let by_address = of(AlertSort::Address).await;
    assert_eq!(by_address.alerts[0].alert.key.address.to_string(), "10.9.0.2", "as numbers, not as text");
    assert_eq!(of(AlertSort::Port).await.alerts[2].alert.key.port.port, 3389);

    let (mut after, mut seen) = (None, Vec::new());
    for expected_more in [true, true, false] {
        let page = AlertPage { after, limit: 1, ..ALL };
        let list = listed(store, AlertFilter::default(), page).await;
        assert_eq!((list.total, list.alerts.len(), list.next.is_some()), (3, 1, expected_more));
        seen.extend(names(&list));
        after = list.next;
    }
    assert_eq!(seen, names(&all), "page by page the same");

    let addresses = AlertFilter { addresses: Some("10.9.0.8/29".parse().unwrap()), ..AlertFilter::any() };
    let ports = AlertFilter { ports: Some("3389".parse().unwrap()), ..AlertFilter::any() };
    let rule = AlertFilter { rule: Some("ssh".into()), ..AlertFilter::any() };
    let severity = AlertFilter { severities: vec![Severity::High], ..AlertFilter::any() };
    let other = AlertFilter { scan: Some(ScanId(2)), ..AlertFilter::any() };
    let state = AlertFilter { states: vec![AlertState::Resolved], ..AlertFilter::any() };
    for (filter, total) in [
        (addresses, 2),
        (ports, 1),
        (rule, 2),
        (severity, 2),
        (other, 0),
        (state, 0),
        (only("3389/TCP"), 1),
        (only("10.9.0.1"), 2),
        (only("nothing"), 0),
    ] {
        assert_eq!(listed(store, filter.clone(), AlertPage { limit: 0, ..ALL }).await.total, total, "{filter:?}");
    }
}

#[tokio::test]
async fn a_decision_survives_runs_and_counts_stay_true() {
    let fixture = two_hosts().await;
    let store = &fixture.store;
    let keys: Vec<AlertKey> =
        listed(store, only("3389"), ALL).await.alerts.into_iter().map(|view| view.alert.key).collect();
    let done = decide_all(store, AlertSelection::Keys(keys.clone()), decision(Action::Action, "ticket 7")).await;
    assert_eq!(done.unwrap().0.changed, 1);
    let high = AlertFilter { severities: vec![Severity::High], ..AlertFilter::default() };
    let ignored = decide_all(store, AlertSelection::Matching(high.clone().into()), decision(Action::Ignore, "")).await;
    assert_eq!(ignored.unwrap().0, BulkOutcome { selected: 2, changed: 2, ..BulkOutcome::default() });
    let none = decide_all(store, AlertSelection::Matching(high.into()), decision(Action::Ignore, "")).await.unwrap();
    assert_eq!(none.0, BulkOutcome::default(), "ignored ones are not active any more");

    fixture.finished_run(TARGETS, vec![host("10.9.0.2", &[22]), host("10.9.0.10", &[80, 3389])]).await;
    let all = listed(store, AlertFilter::any(), ALL).await;
    let standing = ["10.9.0.10 3389/critical actioned", "10.9.0.2 22/high ignored", "10.9.0.10 22/high ignored"];
    assert_eq!(names(&all), standing);
    assert_eq!(all.counts.of_state(AlertState::Ignored), 2);
    assert_eq!(all.counts.of(AlertState::Actioned, Severity::Critical), 1);

    fixture.finished_run(TARGETS, vec![host("10.9.0.2", &[22]), host("10.9.0.10", &[80])]).await;
    let over = listed(store, only("3389"), ALL).await.alerts.remove(0).alert;
    assert_eq!(over.state, AlertState::Resolved);
    let refused = decide_all(store, AlertSelection::Keys(keys), decision(Action::Ignore, "")).await.unwrap().0;
    assert_eq!((refused.refused, refused.changed), (1, 0));
    let deeds: Vec<String> = over.trail.steps.iter().map(|step| step.what.words()).collect();
    assert_eq!(deeds, ["raised", "marked actioned", "resolved: the port is not open any more"]);
    fixture.finished_run(TARGETS, vec![host("10.9.0.2", &[22]), host("10.9.0.10", &[80, 3389])]).await;
    let again = listed(store, only("3389"), ALL).await.alerts.remove(0).alert;
    assert_eq!((again.state, again.trail.steps.len()), (AlertState::Open, 4));

    let audited = store.read(|view| view.iter(&AUDIT).collect::<Result<Vec<_>, _>>()).await.unwrap();
    let told: Vec<String> = audited
        .iter()
        .map(|(_, entry)| format!("{} {}", entry.action, entry.subject))
        .filter(|it| it.starts_with("alert"))
        .collect();
    assert_eq!(
        told,
        [
            "alert action 1-10.9.0.10-3389-tcp-RDP: ticket 7",
            "alert ignore 2 alerts",
            "alert ignore 1-10.9.0.10-3389-tcp-RDP"
        ]
    );
}

#[tokio::test]
async fn an_alert_nobody_looked_at_says_so_and_stays() {
    let fixture = two_hosts().await;
    let unverified = AlertFilter { verified: Some(false), ..AlertFilter::default() };
    assert_eq!(listed(&fixture.store, unverified.clone(), ALL).await.total, 0);
    fixture.finished_run("10.9.0.0/29", vec![host("10.9.0.2", &[22])]).await;
    let list = listed(&fixture.store, unverified, ALL).await;
    assert_eq!(names(&list), ["10.9.0.10 3389/critical open", "10.9.0.10 22/high open"]);
    assert_eq!((list.alerts[0].alert.verified, list.alerts[0].alert.verified_at), (RunId(1), NOW));
}

#[tokio::test]
async fn two_people_and_a_closing_run_lose_no_step() {
    let fixture = two_hosts().await;
    let run = fixture.looked_once(TARGETS, vec![host("10.9.0.2", &[22]), host("10.9.0.10", &[22, 80, 3389])]).await;
    let say = |name: &str, comment: &str| {
        let actor = Actor { name: name.into(), ..Actor::local(1) };
        let decision = Decision { actor, ..decision(Action::Action, comment) };
        decide_all(&fixture.store, AlertSelection::Matching(only("RDP").into()), decision)
    };
    let close = crate::closing::close(&fixture.store, run, NOW);
    let (ada, closed, bob) = tokio::join!(say("ada", "mine"), close, say("bob", "mine too"));
    assert!(ada.is_ok() && closed.is_ok() && bob.is_ok());
    let alert = listed(&fixture.store, only("RDP"), ALL).await.alerts.remove(0).alert;
    assert_eq!((alert.state, alert.verified), (AlertState::Actioned, run));
    let mut by: Vec<&By> = alert.trail.steps.iter().map(|step| &step.by).skip(1).collect();
    by.sort_by_key(|by| format!("{by:?}"));
    assert_eq!(by, [&By::Person("ada".into()), &By::Person("bob".into())]);
}

#[tokio::test]
async fn a_missing_alert_holds_up_the_whole_command() {
    let fixture = two_hosts().await;
    let key = listed(&fixture.store, only("RDP"), ALL).await.alerts.remove(0).alert.key;
    let keys = vec![key.clone(), AlertKey { rule: "FTP".into(), ..key.clone() }];
    let error = decide_all(&fixture.store, AlertSelection::Keys(keys), decision(Action::Ignore, "")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no alert 1-10.9.0.10-3389-tcp-FTP; `portdrift alerts list` shows what there is"
    );
    let still = listed(&fixture.store, only("RDP"), ALL).await.alerts.remove(0).alert;
    assert_eq!((still.state, still.key.scan, still.changed()), (AlertState::Open, SCAN, NOW));
    assert!(still.raised_at <= Timestamp::now());
}
