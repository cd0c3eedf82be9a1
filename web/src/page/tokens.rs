//! `/profile/tokens` and `/settings/tokens`: which tokens there are, making one of one's own, taking one back.

use crate::App;
use crate::api::tokens::{MadeToken, NewToken};
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::page::profile::Parts;
use crate::page::{Head, Page, View};
use crate::session::{self, Caller};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::tokens::Scope;
use coordinator::{Actor, TokenView};
use protocol::Timestamp;
use std::collections::BTreeSet;
use tower_sessions::Session;

const OWN: &str = "/profile/tokens";
const ALL: &str = "/settings/tokens";

/// One's own tokens, with a form for another one.
#[derive(Template)]
#[template(path = "tokens.html")]
pub(crate) struct Tokens {
    pub(crate) rows: Vec<Row>,
    /// What the caller may open.
    pub(crate) choices: Vec<ScopeChoice>,
    pub(crate) name: String,
    pub(crate) expires: String,
    /// A token that was just made: its name and its text.
    pub(crate) made: Option<(String, String)>,
    pub(crate) faults: Faults,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// The tokens of all users.
#[derive(Template)]
#[template(path = "all_tokens.html")]
pub(crate) struct AllTokens {
    pub(crate) rows: Vec<Row>,
    pub(crate) told: Option<String>,
}

/// One token.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) scopes: String,
    pub(crate) expires: Timestamp,
    pub(crate) last_used: Option<Timestamp>,
    pub(crate) is_over: bool,
}

/// The tokens as a table, with a way to revoke each.
#[derive(Template)]
#[template(path = "partials/token_rows.html")]
pub(crate) struct Table<'a> {
    rows: &'a [Row],
    shows_owner: bool,
    /// Where the forms go.
    action: &'static str,
}

impl HtmlSafe for Table<'_> {}

/// A scope to choose.
pub(crate) struct ScopeChoice {
    pub(crate) scope: Scope,
    pub(crate) is_chosen: bool,
}

impl View for Tokens {
    fn head(&self) -> Head {
        Head { title: "Your API tokens".to_owned(), ..Head::default() }
    }
}

impl Tokens {
    fn parts(&self) -> Parts {
        Parts::at(OWN)
    }
}

impl View for AllTokens {
    fn head(&self) -> Head {
        Head::settings(ALL, "API tokens")
    }
}

impl From<TokenView> for Row {
    fn from(TokenView { id, token, last_used, is_over }: TokenView) -> Self {
        let coordinator::tokens::Token { name, owner, scopes, created: _, expires } = token;
        let scopes: Vec<&str> = scopes.into_iter().map(Scope::name).collect();
        let (name, owner, scopes) = (name.into(), owner.into(), scopes.join(", "));
        Self { id, name, owner, scopes, expires, last_used, is_over }
    }
}

/// What a person types and ticks to make a token.
#[derive(Clone, Debug, Default)]
struct Wanted {
    name: String,
    expires: String,
    scopes: BTreeSet<Scope>,
}

impl From<Vec<(String, String)>> for Wanted {
    fn from(pairs: Vec<(String, String)>) -> Self {
        let mut wanted = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "name" => wanted.name = value,
                "expires" => wanted.expires = value,
                "scope" => wanted.scopes.extend(value.parse::<Scope>()),
                _ => {}
            }
        }
        wanted
    }
}

/// Which token a form is about.
#[derive(serde::Deserialize)]
pub(crate) struct Which {
    id: String,
}

/// `GET /profile/tokens`
pub(crate) async fn show_own(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
) -> Result<Page<Tokens>, WebError> {
    let wanted = Wanted { scopes: BTreeSet::from([Scope::Read]), ..Wanted::default() };
    let told = session::told(&session).await?;
    Ok(Page(Tokens { told, ..Tokens::read(&app, &actor, wanted).await? }))
}

/// `POST /profile/tokens`: the answer is the page itself, as the token is shown only once.
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let wanted = Wanted::from(pairs);
    let Wanted { name, expires, scopes } = wanted.clone();
    let new = NewToken { name, scopes, expires, owner: None };
    let made = match new.request(Timestamp::now()) {
        Ok(request) => app.coordinator.create_token(&actor, request).await.map_err(WebError::from),
        Err(fault) => Err(fault),
    };
    match made {
        Ok(coordinator::NewToken { text, view }) => {
            let MadeToken { secret, token } = MadeToken { secret: text, token: view.into() };
            let page = Tokens::read(&app, &actor, Wanted::default()).await?;
            Ok(Page(Tokens { made: Some((token.name, secret)), ..page }).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let page = Tokens { faults: faults.into(), ..Tokens::read(&app, &actor, wanted).await? };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

/// `POST /profile/tokens/revoke`
pub(crate) async fn revoke_own(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Form(Which { id }): Form<Which>,
) -> Result<Redirect, WebError> {
    revoke(&app, &actor, &session, &id, OWN).await
}

/// `GET /settings/tokens`
pub(crate) async fn show_all(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
) -> Result<Page<AllTokens>, WebError> {
    let rows = app.coordinator.tokens(&actor).await?.into_iter().map(Row::from).collect();
    Ok(Page(AllTokens { rows, told: session::told(&session).await? }))
}

/// `POST /settings/tokens/revoke`
pub(crate) async fn revoke_any(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Form(Which { id }): Form<Which>,
) -> Result<Redirect, WebError> {
    revoke(&app, &actor, &session, &id, ALL).await
}

async fn revoke(app: &App, actor: &Actor, session: &Session, id: &str, back: &str) -> Result<Redirect, WebError> {
    let TokenView { token, .. } = app.coordinator.revoke_token(actor, id).await?;
    let told = format!("the token {} of {} opens nothing any more", token.name, token.owner);
    session::tell(session, told).await?;
    Ok(Redirect::to(&app.link(back)))
}

impl AllTokens {
    fn table(&self) -> Table<'_> {
        Table { rows: &self.rows, shows_owner: true, action: "/settings/tokens/revoke" }
    }
}

impl Tokens {
    fn table(&self) -> Table<'_> {
        Table { rows: &self.rows, shows_owner: false, action: "/profile/tokens/revoke" }
    }

    async fn read(app: &App, actor: &Actor, wanted: Wanted) -> Result<Self, WebError> {
        let Wanted { name, expires, scopes } = wanted;
        let rows = app.coordinator.own_tokens(actor).await?.into_iter().map(Row::from).collect();
        let may = |scope: &Scope| actor.role.may(scope.right());
        let choice = |scope: Scope| ScopeChoice { scope, is_chosen: scopes.contains(&scope) };
        let choices = Scope::ALL.into_iter().filter(may).map(choice).collect();
        Ok(Self { rows, choices, name, expires, made: None, faults: Faults::default(), told: None })
    }
}
