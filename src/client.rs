//! Speaks to a running coordinator over the socket in its data folder. The kernel says who is asking; no password travels.

use crate::exit::{Exit, Failure};
use anyhow::Context;
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The socket's name in the coordinator's data folder.
pub(crate) const SOCKET: &str = "portdrift.sock";

/// The socket carries no name of a host; HTTP wants one all the same.
const BASE: &str = "http://localhost/api/v1";
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a file may take to be made, sent and read.
const PATIENCE_FOR_FILES: Duration = Duration::from_secs(30 * 60);
/// The longest part of an unreadable answer that a message repeats.
const MOST_SHOWN: usize = 200;

/// A connection to the coordinator that serves one data folder.
pub(crate) struct Client {
    http: reqwest::Client,
    socket: PathBuf,
}

/// The part of a problem body (RFC 9457) that a person needs.
#[derive(Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}

impl Client {
    /// A client of the coordinator whose data lies in `dir`. Nothing is opened yet.
    pub(crate) fn of(dir: &Path) -> anyhow::Result<Self> {
        let socket = dir.join(SOCKET);
        let builder = reqwest::Client::builder().unix_socket(socket.as_path()).timeout(PATIENCE);
        Ok(Self { http: builder.build().context("preparing the connection")?, socket })
    }

    /// Reads what stands at `path` below `/api/v1`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.read(self.send(Method::GET, path, None::<&()>).await?).await
    }

    /// Does what `path` stands for and reads the answer.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.read(self.send(Method::POST, path, Some(body)).await?).await
    }

    /// Copies what stands at `path` below `/api/v1` to `out`, as it comes.
    pub(crate) async fn download(&self, path: &str, out: &mut impl Write) -> anyhow::Result<()> {
        let request = self.http.get(format!("{BASE}{path}")).timeout(PATIENCE_FOR_FILES);
        let mut answer = request.send().await.map_err(|error| self.no_answer(&error))?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await.into());
        }
        while let Some(part) = answer.chunk().await.context("the coordinator stopped in the middle of its answer")? {
            out.write_all(&part)?;
        }
        Ok(out.flush()?)
    }

    /// Makes what stands at `path` this, and reads the answer.
    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.read(self.send(Method::PUT, path, Some(body)).await?).await
    }

    /// Removes what stands at `path`, and reads the answer.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.read(self.send(Method::DELETE, path, None::<&()>).await?).await
    }

    /// Sends a file as the body, piece by piece, and reads the answer.
    pub(crate) async fn send_file<T: DeserializeOwned>(&self, path: &str, file: &Path) -> anyhow::Result<T> {
        let body = tokio::fs::File::open(file).await.with_context(|| format!("opening {}", file.display()))?;
        let request = self.http.post(format!("{BASE}{path}")).timeout(PATIENCE_FOR_FILES).body(body);
        let answer = request.send().await.map_err(|error| self.no_answer(&error))?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await.into());
        }
        self.read(answer).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> anyhow::Result<Response> {
        let mut request = self.http.request(method, format!("{BASE}{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|error| self.no_answer(&error))?;
        if answer.status().is_success() { Ok(answer) } else { Err(refusal(answer).await.into()) }
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> anyhow::Result<T> {
        let text = answer.text().await.map_err(|error| self.no_answer(&error))?;
        let text = if text.is_empty() { "null" } else { &text };
        serde_json::from_str(text).with_context(|| {
            format!(
                "the coordinator at {} speaks another version; use the same `portdrift` for both",
                self.socket.display()
            )
        })
    }

    fn no_answer(&self, error: &reqwest::Error) -> Failure {
        let socket = self.socket.display();
        let message = match std::fs::metadata(&self.socket) {
            Err(missing) if missing.kind() == std::io::ErrorKind::PermissionDenied => {
                let reason = "you may not read that folder; run this as the user that runs it, or as root";
                return Failure::new(Exit::NotPermitted, format!("no coordinator can be asked at {socket}: {reason}"));
            }
            _ if error.is_timeout() => {
                format!("the coordinator at {socket} gave no answer for {} s; see its log", PATIENCE.as_secs())
            }
            _ => format!(
                "no coordinator answers at {socket}; start it with `portdrift coordinator run`, or name its folder with --dir"
            ),
        };
        Failure::new(Exit::Unreachable, message)
    }
}

/// The refusal in an answer, as one line with its exit code.
async fn refusal(answer: Response) -> Failure {
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    Failure::new(exit_for(status), message_of(status, &text))
}

fn message_of(status: StatusCode, text: &str) -> String {
    let problem: Option<Problem> = serde_json::from_str(text).ok();
    match problem.and_then(|problem| problem.detail.or(problem.title)) {
        Some(said) => said,
        None => {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(MOST_SHOWN).collect();
            format!("the coordinator answered {status} {shown}").trim_end().to_owned()
        }
    }
}

fn exit_for(status: StatusCode) -> Exit {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Exit::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::NotPermitted,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Exit::Usage,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => Exit::Unreachable,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_in_its_own_words_and_anything_else_is_cut() {
        let told = |text| message_of(StatusCode::CONFLICT, text);
        assert_eq!(told(r#"{"title":"Busy","detail":"run 4 is still running"}"#), "run 4 is still running");
        assert_eq!(told(r#"{"title":"Busy"}"#), "Busy");
        assert_eq!(told("\u{1b}[31mno"), "the coordinator answered 409 Conflict [31mno");
        assert_eq!(told(""), "the coordinator answered 409 Conflict");
        assert!(told(&"x".repeat(10_000)).len() < 300);
    }

    #[test]
    fn each_refusal_has_its_exit_code() {
        for (status, exit) in [
            (404, Exit::NotFound),
            (403, Exit::NotPermitted),
            (401, Exit::NotPermitted),
            (422, Exit::Usage),
            (400, Exit::Usage),
            (409, Exit::Failed),
            (500, Exit::Failed),
            (503, Exit::Unreachable),
        ] {
            assert_eq!(exit_for(StatusCode::from_u16(status).unwrap()), exit, "{status}");
        }
    }

    #[tokio::test]
    async fn a_silent_socket_says_how_to_start_a_coordinator() {
        let dir = tempfile::tempdir().unwrap();
        let client = Client::of(dir.path()).unwrap();
        let error = client.get::<serde_json::Value>("/nodes").await.unwrap_err().to_string();
        assert!(error.starts_with("no coordinator answers at "), "{error}");
        assert!(error.contains("`portdrift coordinator run`"), "{error}");
    }
}
