//! What a request carries: a JSON object, and nothing that only has its fields in order.

use crate::error::WebError;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

/// A JSON object; what is wrong with it is said in a problem body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = WebError;

    async fn from_request(request: Request, state: &S) -> Result<Self, WebError> {
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(whole, state).await.map_err(JsonRejection::from)?;
        // serde takes `[1, 2]` for a struct of two fields; the description announces an object.
        let is_list = bytes.trim_ascii_start().starts_with(b"[");
        let Json(value) = Json::from_request(Request::from_parts(parts, bytes.into()), state).await?;
        if is_list {
            return Err(WebError::Unreadable("the body is a list; write an object: {\"field\": value}".to_owned()));
        }
        Ok(Self(value))
    }
}
