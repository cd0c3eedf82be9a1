//! What the table of routes adds to the description of the API: who may call what, and every refusal that can come.

use crate::routes::{self, Access, Route};
use axum::http::Method;
use coordinator::tokens::{Scope, TOKEN_PREFIX};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, OpenApiVersion, Ref, RefOr, Response, ResponseBuilder};

/// The ways in, as the description calls them.
const TOKEN: &str = "token";
const SESSION: &str = "session";

/// Refusals by status, with what they mean.
const REFUSALS: [(u16, &str); 12] = [
    (400, "The request cannot be read"),
    (401, "Nobody is signed in, or the token opens nothing"),
    (403, "The caller, or their token, lacks the right"),
    (404, "There is no such thing"),
    (409, "Not possible as things stand"),
    (413, "The body is too large"),
    (415, "The body is no JSON"),
    (421, "The host name is not one of ours"),
    (422, "Some fields make no sense; `faults` says which"),
    (429, "Too many requests; `Retry-After` says when to come back"),
    (500, "A fault of ours, in the log under the request id"),
    (503, "Not now: too little room, too much at once, or the coordinator is stopping"),
];

/// The description with what the table says of each operation.
pub(super) fn complete(mut description: OpenApi) -> OpenApi {
    for route in routes::api_table() {
        let item = description.paths.paths.get_mut(route.path);
        if let Some(operation) = item.and_then(|item| operation(item, &route.method)) {
            say_who_may(operation, &route);
            say_what_can_come(operation, &route);
        }
    }
    // Many readers do not know 3.2 yet, and nothing here needs it.
    description.openapi = OpenApiVersion::Version31;
    let components = description.components.get_or_insert_default();
    let problem = |words: &str| -> RefOr<Response> {
        let body = Content::new(Some(Ref::from_schema_name("Problem")));
        ResponseBuilder::new().description(words).content("application/problem+json", body).build().into()
    };
    components.responses.extend(REFUSALS.map(|(status, words)| (name(status), problem(words))));
    let format = format!("{TOKEN_PREFIX}…");
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format).build();
    let session = ApiKey::Cookie(ApiKeyValue::new("session"));
    let schemes = [(TOKEN, SecurityScheme::Http(token)), (SESSION, SecurityScheme::ApiKey(session))];
    components.security_schemes.extend(schemes.map(|(name, scheme)| (name.to_owned(), scheme.into())));
    description
}

fn name(status: u16) -> String {
    format!("Refusal{status}")
}

/// The operation of a path that a method names.
pub(crate) fn operation<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    let operation = match *method {
        Method::GET => &mut item.get,
        Method::POST => &mut item.post,
        Method::PUT => &mut item.put,
        Method::DELETE => &mut item.delete,
        _ => return None,
    };
    operation.as_mut()
}

fn say_who_may(operation: &mut Operation, route: &Route) {
    let by_token = |scope: Scope| SecurityRequirement::new(TOKEN, [scope.name()]);
    operation.security = match route.access {
        Access::Anyone => Some(Vec::new()),
        Access::Needs(_) => {
            let session = SecurityRequirement::new::<_, [&str; 0], &str>(SESSION, []);
            Some(route.scope.map(by_token).into_iter().chain([session]).collect())
        }
    };
}

fn say_what_can_come(operation: &mut Operation, route: &Route) {
    let has_parameters = operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    let (has_body, changes) = (operation.request_body.is_some(), route.method != Method::GET);
    let can_come = |status: u16| match status {
        400 | 422 => has_parameters || has_body,
        401 | 403 => route.access != Access::Anyone,
        404 => route.path.contains('{') || has_parameters,
        409 => changes,
        413 | 415 => has_body,
        _ => true,
    };
    for (status, _) in REFUSALS.into_iter().filter(|(status, _)| can_come(*status)) {
        let refusal = RefOr::Ref(Ref::from_response_name(name(status)));
        operation.responses.responses.entry(status.to_string()).or_insert(refusal);
    }
}
