//! Speaks to a running coordinator: over the socket in its data folder, where the kernel says who is asking, or at a URL
//! with a token.

mod tls;

pub(crate) use tls::{CertificatePrint, Trust};

use crate::exit::{Exit, Failure};
use anyhow::Context;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK};
use reqwest::redirect::Policy;
use reqwest::{Body, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::io::{InspectReader, ReaderStream};

/// The socket's name in the coordinator's data folder.
pub(crate) const SOCKET: &str = "portdrift.sock";

/// The socket carries no name of a host; HTTP wants one all the same.
const LOCAL: &str = "http://localhost";
const API: &str = "/api/v1";
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a file may take to be made, sent and read.
const PATIENCE_FOR_FILES: Duration = Duration::from_secs(30 * 60);
/// How much of a file is read at once.
const PIECE_BYTES: usize = 64 << 10;
/// The longest part of an unreadable answer that a message repeats.
const MOST_SHOWN: usize = 200;
/// The most pages of a list that are read; each has up to a thousand entries.
const MOST_PAGES: usize = 1_000;

/// A connection to one coordinator.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    way: Way,
}

/// How the coordinator is reached.
enum Way {
    Socket(PathBuf),
    Url(String),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
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
        let builder = tls::builder(&Trust::Nobody)?.unix_socket(socket.as_path()).timeout(PATIENCE);
        let http = builder.build().context("preparing the connection")?;
        Ok(Self { http, base: format!("{LOCAL}{API}"), way: Way::Socket(socket) })
    }

    /// A client of the coordinator whose dashboard is at `url`, as the owner of `token`. Nothing is opened yet.
    pub(crate) fn at(url: &str, token: &str, trust: &Trust) -> anyhow::Result<Self> {
        let url = check(url)?;
        let mut shown = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Failure::usage("this is no token; one begins with pdt_ and has no blanks inside"))?;
        shown.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, shown)]);
        // A token is for whoever was named, not for where they point.
        let builder = tls::builder(trust)?.timeout(PATIENCE).default_headers(headers).redirect(Policy::none());
        let http = builder.build().context("preparing the connection")?;
        Ok(Self { http, base: format!("{url}{API}"), way: Way::Url(url) })
    }

    /// Reads every page of the list at `path` below `/api/v1`.
    pub(crate) async fn get_all<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        let (mut all, mut page) = (Vec::new(), path.to_owned());
        for _ in 0..MOST_PAGES {
            let answer = self.send(Method::GET, &page, None::<&()>).await?;
            let next = next_page(answer.headers());
            all.extend(self.read::<Vec<T>>(answer).await?);
            match next {
                Some(query) => page = format!("{}{query}", path.split('?').next().unwrap_or_default()),
                None => break,
            }
        }
        Ok(all)
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
        let request = self.http.get(format!("{}{path}", self.base)).timeout(PATIENCE_FOR_FILES);
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

    /// Sends a file as the body, piece by piece, telling `sent` how large each piece is, and reads the answer.
    pub(crate) async fn send_file<T: DeserializeOwned>(
        &self,
        path: &str,
        file: &Path,
        sent: impl Fn(usize) + Send + 'static,
    ) -> anyhow::Result<T> {
        let body = tokio::fs::File::open(file).await.with_context(|| format!("opening {}", file.display()))?;
        let body = InspectReader::new(body, move |piece: &[u8]| sent(piece.len()));
        let body = Body::wrap_stream(ReaderStream::with_capacity(body, PIECE_BYTES));
        let request = self.http.post(format!("{}{path}", self.base)).timeout(PATIENCE_FOR_FILES).body(body);
        let answer = request.send().await.map_err(|error| self.no_answer(&error))?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await.into());
        }
        self.read(answer).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> anyhow::Result<Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
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
            format!("the coordinator at {} speaks another version; use the same `portdrift` for both", self.way)
        })
    }

    fn no_answer(&self, error: &reqwest::Error) -> Failure {
        if error.is_timeout() {
            let seconds = PATIENCE.as_secs();
            let message = format!("the coordinator at {} gave no answer for {seconds} s; see its log", self.way);
            return Failure::new(Exit::Unreachable, message);
        }
        let message = match &self.way {
            Way::Url(url) => {
                format!(
                    "no coordinator answers at {url}: {}; check the address, --ca-file and --fingerprint",
                    innermost(error)
                )
            }
            Way::Socket(path) => match std::fs::metadata(path) {
                Err(missing) if missing.kind() == std::io::ErrorKind::PermissionDenied => {
                    let reason = "you may not read that folder; run this as the user that runs it, or as root";
                    let message = format!("no coordinator can be asked at {}: {reason}", self.way);
                    return Failure::new(Exit::NotPermitted, message);
                }
                Ok(_) | Err(_) => format!(
                    "no coordinator answers at {}; start it with `portdrift coordinator run`, or name its folder with --dir",
                    self.way
                ),
            },
        };
        Failure::new(Exit::Unreachable, message)
    }
}

/// What lies at the bottom of a failed request; what stands above it says only that it failed.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// The URL of a dashboard without a slash at its end. A token goes over TLS, or does not leave the machine.
fn check(url: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::usage(format!("{url} is no address of a dashboard: {why}"));
    let read: Url = url.parse().map_err(|_| wrong("write https://HOST, with its port and folder if it has any"))?;
    let is_loopback = match read.host_str().unwrap_or_default() {
        "localhost" => true,
        host => {
            let bare = host.trim_matches(['[', ']']);
            bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    };
    match read.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        "http" => return Err(wrong("over plain HTTP everybody on the way could read the token; write https")),
        _ => return Err(wrong("write https://HOST, with its port and folder if it has any")),
    }
    if read.query().is_some() || read.fragment().is_some() || !read.username().is_empty() || read.password().is_some() {
        return Err(wrong("leave out everything behind the folder, and names and passwords"));
    }
    Ok(read.as_str().trim_end_matches('/').to_owned())
}

/// What the header that leads to the next page of a list says, as it stands behind the path.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (query, about) = link.strip_prefix('<')?.split_once('>')?;
    (about.contains("rel=\"next\"") && query.starts_with('?')).then(|| query.to_owned())
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
    fn a_token_leaves_the_machine_over_tls_alone() {
        for (url, base) in [
            ("https://watch.example", "https://watch.example"),
            ("https://watch.example:8443/portdrift/", "https://watch.example:8443/portdrift"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("http://[::1]:5000/", "http://[::1]:5000"),
            ("http://localhost", "http://localhost"),
        ] {
            assert_eq!(check(url).ok().as_deref(), Some(base), "{url}");
        }
        let refused =
            ["http://watch.example", "watch.example", "ftp://localhost", "https://a:b@watch.example", "https://h/?x"];
        let told = refused.map(|url| check(url).unwrap_err().to_string());
        insta::assert_snapshot!(told.join("\n"), @"
        http://watch.example is no address of a dashboard: over plain HTTP everybody on the way could read the token; write https
        watch.example is no address of a dashboard: write https://HOST, with its port and folder if it has any
        ftp://localhost is no address of a dashboard: write https://HOST, with its port and folder if it has any
        https://a:b@watch.example is no address of a dashboard: leave out everything behind the folder, and names and passwords
        https://h/?x is no address of a dashboard: leave out everything behind the folder, and names and passwords
        ");
    }

    #[test]
    fn the_way_to_the_next_page_is_read_and_nothing_else_is_followed() {
        let next = |link: &'static str| next_page(&HeaderMap::from_iter([(LINK, HeaderValue::from_static(link))]));
        assert_eq!(next("<?after=7&limit=2>; rel=\"next\""), Some("?after=7&limit=2".to_owned()));
        for other in ["<https://evil.example/>; rel=\"next\"", "<?after=7>; rel=\"prev\"", "?after=7"] {
            assert_eq!(next(other), None, "{other}");
        }
    }

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
