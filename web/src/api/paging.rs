//! Lists in pages: a page begins after a key, never at a number, so that nothing is seen twice or missed when the list
//! changes. Where the next one begins stands in the `Link` header (RFC 8288).

use crate::error::WebError;
use crate::query::percent_encoded;
use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use coordinator::RunPage;
use protocol::task::RunId;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// The most entries of one page; also how many one has when nothing is said.
pub(crate) const MAX_PAGE: usize = 1_000;

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Cursor {
    /// Begin after the entry of this key; the `Link` header of the page before has it.
    pub(crate) after: Option<String>,
    /// At most so many entries, 1 to 1,000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// What else was asked, for the way to the next page.
    #[serde(skip)]
    #[param(ignore)]
    others: String,
}

/// A page as a JSON array, with the way to the next one.
pub(crate) struct Listed<T> {
    entries: Vec<T>,
    next: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Cursor {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, WebError> {
        let Query(cursor) = Query::<Self>::try_from_uri(&parts.uri)?;
        if cursor.limit.is_some_and(|limit| !(1..=MAX_PAGE).contains(&limit)) {
            return Err(WebError::field("limit", format!("a page has 1 to {MAX_PAGE} entries")));
        }
        let is_other = |pair: &&str| !["after", "limit"].contains(&pair.split('=').next().unwrap_or_default());
        let others = parts.uri.query().unwrap_or_default().split('&').filter(is_other).filter(|pair| !pair.is_empty());
        Ok(Self { others: others.map(|pair| format!("&{pair}")).collect(), ..cursor })
    }
}

impl Cursor {
    /// How many entries the page has at most.
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(MAX_PAGE)
    }

    /// The page of a list of runs, and one entry more.
    pub(crate) fn older(&self) -> Result<RunPage, WebError> {
        let run =
            |after: &String| after.parse().map(RunId).map_err(|_| WebError::field("after", "this is no run's number"));
        Ok(RunPage { before: self.after.as_ref().map(run).transpose()?, limit: self.limit() + 1 })
    }

    /// The page of a list that is there as a whole.
    ///
    /// # Errors
    /// When no entry has the key that the page is to begin after.
    pub(crate) fn cut<T>(&self, all: Vec<T>, key: impl Fn(&T) -> String) -> Result<Listed<T>, WebError> {
        let start = match &self.after {
            None => 0,
            Some(after) => {
                let place = all.iter().position(|entry| key(entry) == *after);
                let gone = || WebError::NotFound(format!("there is no {after} in this list any more; begin it anew"));
                place.ok_or_else(gone)? + 1
            }
        };
        Ok(self.listed(all.into_iter().skip(start).take(self.limit() + 1).collect(), key))
    }

    /// The page of entries that begin after the cursor; one more than fits says that there is a next page.
    pub(crate) fn listed<T>(&self, mut entries: Vec<T>, key: impl Fn(&T) -> String) -> Listed<T> {
        let is_last = entries.len() <= self.limit();
        entries.truncate(self.limit());
        let next = entries.last().filter(|_| !is_last).map(key);
        self.followed(entries, next)
    }

    /// The page, when another one follows that begins after the key `next`.
    pub(crate) fn followed<T>(&self, entries: Vec<T>, next: Option<String>) -> Listed<T> {
        let way = |next: String| format!("?after={}&limit={}{}", percent_encoded(&next), self.limit(), self.others);
        Listed { entries, next: next.map(way) }
    }
}

impl<T: Serialize> IntoResponse for Listed<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.entries).into_response();
        let link = self.next.and_then(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")).ok());
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    async fn cursor(uri: &str) -> Result<Cursor, String> {
        let (mut parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
        Cursor::from_request_parts(&mut parts, &()).await.map_err(|error| error.to_string())
    }

    async fn page(uri: &str) -> (Vec<u32>, Option<String>) {
        let Listed { entries, next } = cursor(uri).await.unwrap().cut((1..=5).collect(), u32::to_string).ok().unwrap();
        (entries, next)
    }

    #[tokio::test]
    async fn pages_follow_each_other_and_the_last_one_leads_nowhere() {
        let (mut seen, mut uri) = (Vec::new(), "/list?state=a%26b&limit=2".to_owned());
        loop {
            let (entries, next) = page(&uri).await;
            seen.push(entries);
            match next {
                Some(next) => uri = format!("/list{next}"),
                None => break,
            }
        }
        assert_eq!(seen, [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(page("/list?state=a%26b&limit=4").await.1.unwrap(), "?after=4&limit=4&state=a%26b");
        assert_eq!(page("/list?limit=5").await, (vec![1, 2, 3, 4, 5], None));
    }

    #[tokio::test]
    async fn a_key_that_is_gone_and_a_wrong_limit_are_told() {
        assert!(cursor("/list?after=9").await.unwrap().cut(vec![1, 2], i32::to_string).is_err());
        for limit in ["0", "1001"] {
            assert_eq!(
                cursor(&format!("/list?limit={limit}")).await.unwrap_err(),
                "limit: a page has 1 to 1000 entries"
            );
        }
        assert!(cursor("/list?limit=some").await.is_err());
    }
}
