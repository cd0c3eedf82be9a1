//! `/mesh`: a picture of the coordinator, the nodes and their links, and the same facts as tables.

mod layout;
mod picture;

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::look::Badge;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::State;
use coordinator::{MeshLink, MeshMember, MeshPicture, NodeStatus};
use picture::{Picture, Shape};
use protocol::roster::Role;
use protocol::{NodeId, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// A clock that is further off than this is warned of.
const MAX_CLOCK_OFFSET_MS: u64 = 2_000;

#[derive(Template)]
#[template(path = "mesh.html")]
pub(crate) struct Mesh {
    pub(crate) picture: Picture,
    pub(crate) members: Vec<MemberRow>,
    pub(crate) links: Vec<LinkRow>,
    /// Nodes whose clocks are wrong, with what is wrong.
    pub(crate) clocks: Vec<ClockFault>,
}

/// The coordinator or a node, as a line of the table.
pub(crate) struct MemberRow {
    /// For its page; none for the coordinator.
    pub(crate) id: Option<String>,
    pub(crate) label: String,
    pub(crate) short: String,
    pub(crate) state: Badge,
    pub(crate) why: String,
    pub(crate) way: String,
    pub(crate) round_trip: String,
    pub(crate) links: usize,
    pub(crate) seen: Option<Timestamp>,
}

/// A connection, as a line of the table.
pub(crate) struct LinkRow {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) there: String,
    pub(crate) back: String,
    pub(crate) is_stale: bool,
}

/// A node whose clock is wrong.
pub(crate) struct ClockFault {
    pub(crate) label: String,
    pub(crate) fault: String,
}

impl View for Mesh {
    fn head(&self) -> Head {
        Head::below(Section::Nodes, "Mesh")
    }
}

/// `GET /mesh`
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Page<Mesh>, WebError> {
    Ok(Page(app.coordinator.mesh_links(&actor).await?.into()))
}

impl From<MeshPicture> for Mesh {
    fn from(mesh: MeshPicture) -> Self {
        let names: BTreeMap<NodeId, String> =
            mesh.members.iter().map(|member| (member.node, member.label.to_string())).collect();
        let clocks = mesh.members.iter().filter_map(|member| {
            let fault = clock_fault(member.clock_offset_ms.filter(|_| member.is_online())?)?;
            Some(ClockFault { label: member.label.to_string(), fault })
        });
        Self {
            picture: Picture::of(&mesh),
            members: mesh.members.iter().map(|member| member_row(member, &mesh.links, &names)).collect(),
            links: mesh.links.iter().map(|link| link_row(link, &names)).collect(),
            clocks: clocks.collect(),
        }
    }
}

/// What is wrong with a clock that is so many milliseconds ahead of the coordinator's, if it is too far off.
pub(crate) fn clock_fault(offset_ms: i64) -> Option<String> {
    let off = Duration::from_millis(offset_ms.unsigned_abs());
    let side = if offset_ms > 0 { "ahead of" } else { "behind" };
    let is_wrong = offset_ms.unsigned_abs() > MAX_CLOCK_OFFSET_MS;
    is_wrong.then(|| format!("{} {side} the coordinator's clock", filters::span_text(off)))
}

/// `0.4 ms, fast`; links are drawn in these three strengths.
pub(crate) fn round_trip_words(round_trip: Duration) -> String {
    let millis = round_trip.as_secs_f64() * 1_000.0;
    let digits = usize::from(millis < 10.0);
    format!("{millis:.digits$}\u{202f}ms, {}", Pace::of(Some(round_trip)).word())
}

/// How long a round trip over a link takes, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Fast,
    Fair,
    Slow,
    Unknown,
}

impl Pace {
    pub(crate) fn of(round_trip: Option<Duration>) -> Self {
        match round_trip.map(|time| time.as_millis()) {
            Some(..10) => Self::Fast,
            Some(10..100) => Self::Fair,
            Some(_) => Self::Slow,
            None => Self::Unknown,
        }
    }

    /// The word, and the CSS class.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Fair => "fair",
            Self::Slow => "slow",
            Self::Unknown => "unknown",
        }
    }
}

fn told(round_trip: Option<Duration>) -> String {
    round_trip.map_or_else(|| "not measured".to_owned(), round_trip_words)
}

fn name(node: &NodeId, names: &BTreeMap<NodeId, String>) -> String {
    names.get(node).cloned().unwrap_or_else(|| node.fingerprint().to_string())
}

fn member_row(member: &MeshMember, links: &[MeshLink], names: &BTreeMap<NodeId, String>) -> MemberRow {
    let fingerprint = member.node.fingerprint();
    let next = member.through.and_then(|through| links.iter().find(|link| link.joins(&member.node, &through)));
    let (state, why) = state(member);
    let way = match (member.role, &member.through, member.hops) {
        (Role::Coordinator, _, _) => "this is the coordinator".to_owned(),
        (Role::Node, Some(_), Some(1)) => "directly".to_owned(),
        (Role::Node, Some(through), Some(hops)) => format!("through {}, {hops} hops", name(through, names)),
        (Role::Node, _, _) => "no way is known".to_owned(),
    };
    MemberRow {
        id: (member.role == Role::Node).then(|| fingerprint.compact().to_owned()),
        label: member.label.to_string(),
        short: fingerprint.to_string().chars().take(9).collect(),
        state,
        why,
        way,
        round_trip: next.and_then(MeshLink::round_trip).map(round_trip_words).unwrap_or_default(),
        links: links.iter().filter(|link| link.ends.iter().any(|end| end.node == member.node)).count(),
        seen: member.last_seen.filter(|_| member.role == Role::Node),
    }
}

fn state(member: &MeshMember) -> (Badge, String) {
    match &member.status {
        NodeStatus::Offline { since: _, reason } => (Badge::presence(false, false), (*reason).to_owned()),
        NodeStatus::Cloned { .. } => (Badge::cloned(), "two machines use its key".to_owned()),
        status @ (NodeStatus::Online | NodeStatus::Scanning) => {
            (Badge::presence(true, *status == NodeStatus::Scanning), String::new())
        }
        NodeStatus::Awaited => (Badge::awaited(), "the mesh key has yet to sign".to_owned()),
        status @ (NodeStatus::Pending
        | NodeStatus::Denied
        | NodeStatus::Revoked
        | NodeStatus::Expired
        | NodeStatus::Suspended) => (Badge::denied(status.name()), String::new()),
    }
}

/// From the end that dialled, where that is known.
fn link_row(link: &MeshLink, names: &BTreeMap<NodeId, String>) -> LinkRow {
    let [one, other] = &link.ends;
    let (from, to) = if link.dialled_by == Some(other.node) { (other, one) } else { (one, other) };
    LinkRow {
        from: name(&from.node, names),
        to: name(&to.node, names),
        there: told(from.round_trip),
        back: told(to.round_trip),
        is_stale: link.is_stale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_warned_of_beyond_two_seconds_either_way() {
        assert_eq!([0, 2_000, -2_000].map(clock_fault), [None, None, None]);
        assert_eq!(clock_fault(2_001).as_deref(), Some("2 s ahead of the coordinator's clock"));
        assert_eq!(clock_fault(-605_000).as_deref(), Some("10 min 5 s behind the coordinator's clock"));
        assert!(clock_fault(i64::MIN).is_some());
    }

    #[test]
    fn a_round_trip_is_told_in_milliseconds_and_a_word() {
        let told = |micros| round_trip_words(Duration::from_micros(micros)).replace('\u{202f}', " ");
        assert_eq!(
            [0, 430, 9_940, 10_000, 99_999, 100_000, 1_234_567].map(told),
            [
                "0.0 ms, fast",
                "0.4 ms, fast",
                "9.9 ms, fast",
                "10 ms, fair",
                "100 ms, fair",
                "100 ms, slow",
                "1235 ms, slow"
            ]
        );
    }
}
