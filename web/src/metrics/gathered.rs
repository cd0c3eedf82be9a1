//! What the coordinator counts, as metrics: gathered anew for each look.

use crate::api::counters::MeshCounts;
use coordinator::analysis::alert::{AlertState, Severity};
use coordinator::{Statistics, StoreSize};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::hash::Hash;

type Label<const N: usize> = [(&'static str, &'static str); N];

/// Adds everything that the coordinator counts.
pub(super) fn register(registry: &mut Registry, statistics: Statistics) {
    let Statistics { nodes, scans, runs, open_tasks, alerts, mesh, store } = statistics;
    let by_state = |(state, count): (&'static str, usize)| ([("state", state)], whole(count));
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The program that tells this", build);
    gauges(registry, "nodes", "Nodes by state", nodes.into_iter().map(by_state));
    gauge(registry, "scans", "Active scans", whole(scans));
    gauges(registry, "runs", "Runs that are kept, by state", runs.into_iter().map(by_state));
    gauges(registry, "open_tasks", "Tasks of runs that have not ended, by state", open_tasks.into_iter().map(by_state));
    let alerts = AlertState::ALL.into_iter().flat_map(|state| {
        let alerts = &alerts;
        Severity::ALL.into_iter().map(move |severity| {
            ([("state", state.name()), ("severity", severity.name())], whole(alerts.of(state, severity)))
        })
    });
    gauges(registry, "alerts", "Alerts by state and severity", alerts);
    register_mesh(registry, mesh.into());
    register_store(registry, store);
}

fn register_mesh(registry: &mut Registry, mesh: MeshCounts) {
    counter(registry, "mesh_letters_forwarded", "Letters of others that were passed on", mesh.letters_forwarded);
    let refused = [
        ("not_forwarded", mesh.letters_not_forwarded),
        ("connection", mesh.connections_refused),
        ("unreadable", mesh.frames_unreadable),
        ("forged", mesh.messages_forged),
        ("outdated", mesh.messages_outdated),
        ("out_of_time", mesh.messages_out_of_time),
        ("unopened", mesh.letters_unopened),
        ("stranger", mesh.letters_of_strangers),
        ("unbelieved", mesh.letters_unbelieved),
        ("replayed", mesh.letters_replayed),
        ("wrong_role", mesh.letters_of_wrong_role),
        ("result", mesh.results_refused),
        ("enrolment_connection", mesh.enrolment_connections_refused),
        ("enrolment_unreadable", mesh.enrolment_frames_unreadable),
        ("enrolment_request", mesh.enrolment_requests_refused),
    ];
    let family = Family::<Label<1>, Counter>::default();
    for (reason, count) in refused {
        family.get_or_create(&[("reason", reason)]).inc_by(count);
    }
    registry.register("mesh_refused", "What the mesh and enrolment ports refused or lost, by reason", family);
}

fn register_store(registry: &mut Registry, store: StoreSize) {
    let StoreSize { sequence, rows, journal_bytes, index_bytes, free_bytes, disk_bytes } = store;
    counter(registry, "store_changes", "Changes since the store was made", sequence);
    gauge(registry, "store_rows", "Rows of the index", signed(rows));
    let parts = [([("part", "journal")], signed(journal_bytes)), ([("part", "index")], signed(index_bytes))];
    gauges(registry, "store_bytes", "Size of the store's files, in bytes", parts);
    gauge(registry, "disk_free_bytes", "What the store's disk has left, in bytes", signed(free_bytes));
    gauge(registry, "disk_bytes", "What the store's disk holds in all, in bytes", signed(disk_bytes));
}

fn gauges<L: EncodeLabelSet + Clone + Eq + Hash + std::fmt::Debug + Send + Sync + 'static>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, i64)>,
) {
    let family = Family::<L, Gauge>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
