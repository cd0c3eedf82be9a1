//! The roster: in force, waiting for the mesh key's signature, and in doubt.

use super::Body;
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use coordinator::registry::RosterAlarm;
use coordinator::{AwaitedRoster, RosterView};
use data_encoding::BASE64;
use protocol::codec::{self, Decode, Encode};
use protocol::roster::Change;
use protocol::{Fingerprint, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The largest roster, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// How the roster stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Roster {
    /// Of the one in force.
    pub epoch: u64,
    /// When it was signed.
    #[schema(value_type = String, format = DateTime)]
    pub issued: Timestamp,
    /// After this no node takes a new task on its word.
    #[schema(value_type = String, format = DateTime)]
    pub not_after: Timestamp,
    /// Keys that it names, in or out.
    pub members: usize,
    /// Whether the coordinator signs by itself; else decisions wait for whoever holds the mesh key.
    pub signs_here: bool,
    /// The one in force with its signature, in base 64.
    pub signed: String,
    /// The one that waits for a signature.
    pub awaited: Option<Awaited>,
    /// Two rosters of one epoch were seen.
    pub alarm: Option<Alarm>,
    /// When the store was restored from a backup, until the nodes were heard: no roster is issued before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub restored: Option<Timestamp>,
}

/// A roster that waits for a signature.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Awaited {
    /// The next one.
    pub epoch: u64,
    /// What it changes, for people; who signs compares the rosters themselves.
    pub changes: Vec<String>,
    /// What is to be signed, in base 64.
    pub body: String,
    /// The coordinator's card, in base 64, when it is to be endorsed as well.
    pub card: Option<String>,
}

/// The mesh key signed two rosters of one epoch.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Alarm {
    /// Of which epoch.
    pub epoch: u64,
    /// Who handed over the other one.
    #[schema(value_type = String)]
    pub from: Fingerprint,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A roster with its signature.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Signed {
    /// In base 64.
    pub signed: String,
    /// The coordinator's card with its endorsement, in base 64; where one waits for it.
    #[serde(default)]
    pub endorsement: Option<String>,
}

/// The key that takes the place of the coordinator's own.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Rotation {
    /// Which one.
    #[schema(value_type = String)]
    pub next: Fingerprint,
    /// True while the roster that says so waits for the mesh key.
    pub awaiting_signature: bool,
}

/// A roster as text.
pub fn text<T: Encode>(roster: &T) -> String {
    BASE64.encode(&codec::encode(roster))
}

/// A roster from its text; `None` when it is none.
pub fn read<T: Decode<()>>(text: &str) -> Option<T> {
    codec::decode(&BASE64.decode(text.as_bytes()).ok()?, MAX_BYTES).ok()
}

impl From<RosterView> for Roster {
    fn from(view: RosterView) -> Self {
        let RosterView { signed, roster, ending: _, signs_here, awaited, alarm, restored } = view;
        Self {
            epoch: roster.epoch,
            issued: roster.issued,
            not_after: roster.not_after,
            members: roster.members.len(),
            signs_here,
            signed: text(&signed),
            awaited: awaited.map(Awaited::from),
            alarm: alarm.map(Alarm::from),
            restored,
        }
    }
}

impl From<AwaitedRoster> for Awaited {
    fn from(awaited: AwaitedRoster) -> Self {
        let AwaitedRoster { roster, changes, card } = awaited;
        let changes = changes.iter().map(Change::to_string).collect();
        Self { epoch: roster.epoch, changes, body: text(&roster), card: card.as_ref().map(text) }
    }
}

impl From<RosterAlarm> for Alarm {
    fn from(alarm: RosterAlarm) -> Self {
        let RosterAlarm { epoch, held: _, offered: _, from, at } = alarm;
        Self { epoch, from: from.fingerprint(), at }
    }
}

/// How the roster stands.
#[utoipa::path(get, path = "/api/v1/roster", tag = "nodes", responses((status = 200, body = Roster)))]
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Roster>, WebError> {
    Ok(Json(app.coordinator.roster(&actor).await?.into()))
}

/// Puts the roster that waits in force; refused when another one waits by now.
#[utoipa::path(post, path = "/api/v1/roster/sign", tag = "nodes", request_body = Signed,
    responses((status = 200, body = Roster)))]
pub(crate) async fn sign(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(Signed { signed, endorsement }): Body<Signed>,
) -> Result<Json<Roster>, WebError> {
    let signed = read(&signed).ok_or_else(|| WebError::field("signed", "this is no signed roster in base 64"))?;
    let endorsement = endorsement.map(|endorsement| {
        read(&endorsement).ok_or_else(|| WebError::field("endorsement", "this is no endorsed card in base 64"))
    });
    Ok(Json(app.coordinator.take_signed_roster(&actor, signed, endorsement.transpose()?).await?.into()))
}

/// Has the coordinator go on under a new key; its old one is out for good, and invites stay good.
#[utoipa::path(post, path = "/api/v1/roster/rotate-coordinator", tag = "nodes",
    responses((status = 200, body = Rotation)))]
pub(crate) async fn rotate(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Rotation>, WebError> {
    let coordinator::Rotation { next, is_awaited } = app.coordinator.rotate_key(&actor).await?;
    Ok(Json(Rotation { next: next.fingerprint(), awaiting_signature: is_awaited }))
}

/// A person has seen that two rosters of one epoch were signed.
#[utoipa::path(post, path = "/api/v1/roster/acknowledge", tag = "nodes", responses((status = 204)))]
pub(crate) async fn acknowledge(State(app): State<App>, Caller(actor): Caller) -> Result<StatusCode, WebError> {
    app.coordinator.acknowledge_alarm(&actor).await?;
    Ok(StatusCode::NO_CONTENT)
}
