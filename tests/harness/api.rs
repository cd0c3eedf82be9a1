//! Asks a coordinator, over its local socket, what no command prints.

use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// What stands at `path` below `/api/v1`. HTTP/1.0 brings the body as it is, up to the end of the connection.
pub(super) fn get(hub: &Path, path: &str) -> Value {
    let mut socket = UnixStream::connect(hub.join("portdrift.sock")).unwrap();
    write!(socket, "GET /api/v1{path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: no body in {answer:?}"));
    assert!(head.lines().next().is_some_and(|status| status.ends_with("200 OK")), "{path}: {answer}");
    serde_json::from_str(body).unwrap()
}
