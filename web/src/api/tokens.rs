//! Tokens: what programs show to use this API.

use super::Body;
use super::paging::{Cursor, Listed};
use crate::App;
use crate::error::WebError;
use crate::expiry;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use coordinator::tokens::Scope;
use coordinator::{Right, TokenRequest, TokenView};
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// What kind of token to make.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// 1 to 64 characters, such as the program that uses it; no two of a user are called the same.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What it opens: `read`, `scans`, `alerts`, `nodes`, `admin`.
    #[schema(value_type = Vec<ScopeName>, min_items = 1)]
    pub scopes: BTreeSet<Scope>,
    /// When it ends: a length such as `90d`, a date, or a time (RFC 3339), at most a year from now. Absent: in 90 days.
    #[serde(default)]
    pub expires: String,
    /// The user whose rights it gets; absent: who asks. Only administrators name somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// An area of the API that a token opens, as far as its owner may.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its names count: they are those of the coordinator's own type, in the description")]
pub(crate) enum ScopeName {
    Read,
    Scans,
    Alerts,
    Nodes,
    Admin,
}

/// A token without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Names it, to revoke it.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// The user whose rights bound it.
    pub owner: String,
    /// What it opens.
    #[schema(value_type = Vec<ScopeName>)]
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// After this it opens nothing.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
    /// When it was last shown, give or take a minute; absent when it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used: Option<Timestamp>,
    /// Whether it opens nothing any more.
    pub over: bool,
}

/// A new token. Its text is told only here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MadeToken {
    /// What a program sends: `Authorization: Bearer pdt_…`.
    pub secret: String,
    /// All else about it.
    #[serde(flatten)]
    pub token: Token,
}

impl From<TokenView> for Token {
    fn from(TokenView { id, token, last_used, is_over }: TokenView) -> Self {
        let coordinator::tokens::Token { name, owner, scopes, created, expires } = token;
        Self { id, name: name.into(), owner: owner.into(), scopes, created, expires, last_used, over: is_over }
    }
}

impl NewToken {
    /// As the coordinator takes it.
    pub(crate) fn request(self, now: Timestamp) -> Result<TokenRequest, WebError> {
        let Self { name, scopes, expires, owner } = self;
        let lifetime = expiry::lifetime(&expires, now).map_err(|fault| WebError::field("expires", fault))?;
        Ok(TokenRequest { name, owner, scopes, lifetime })
    }
}

/// Tokens by owner and name: all of them for administrators, else one's own.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(Cursor), responses((status = 200, body = Vec<Token>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    cursor: Cursor,
) -> Result<Listed<Token>, WebError> {
    let may_see_all = actor.role.may(Right::Administer);
    let views = match may_see_all {
        true => app.coordinator.tokens(&actor).await?,
        false => app.coordinator.own_tokens(&actor).await?,
    };
    cursor.cut(views.into_iter().map(Token::from).collect(), |token| token.id.clone())
}

/// Makes a token. Its text is in the answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = NewToken, responses((status = 201, body = MadeToken)))]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), WebError> {
    let coordinator::NewToken { text, view } =
        app.coordinator.create_token(&actor, new.request(Timestamp::now())?).await?;
    Ok((StatusCode::CREATED, Json(MadeToken { secret: text, token: view.into() })))
}

/// Takes a token back: it opens nothing any more. Administrators may do that with everybody's.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)), responses((status = 200, body = Token)))]
pub(crate) async fn revoke(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<Token>, WebError> {
    Ok(Json(app.coordinator.revoke_token(&actor, &id).await?.into()))
}
