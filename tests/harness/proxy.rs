//! A reverse proxy of a few lines: passes each connection on, and says for whom and by which scheme it came.

use super::http::connect;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// The longest head of a request that is passed on.
const MAX_HEAD: usize = 64 * 1024;

/// Listens at `listen` and passes on to `upstream`, as a proxy does that browsers reach over TLS. Ends with the program.
pub(crate) fn start_proxy(listen: SocketAddr, upstream: SocketAddr, client: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(listen).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for browser in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                // A browser that leaves early is no fault.
                let _passed = pass_on(browser, upstream, client);
            });
        }
    });
    address
}

fn pass_on(mut browser: TcpStream, upstream: SocketAddr, client: &str) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        let mut byte = [0];
        browser.read_exact(&mut byte)?;
        head.extend(byte);
    }
    head.truncate(head.len() - 2);
    let mut server = connect(upstream)?;
    server.write_all(&head)?;
    write!(server, "X-Forwarded-For: {client}\r\nX-Forwarded-Proto: https\r\n\r\n")?;
    let (mut from_browser, mut to_server) = (browser.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _passed = io::copy(&mut from_browser, &mut to_server);
    });
    let _passed = io::copy(&mut server, &mut browser);
    browser.shutdown(Shutdown::Both)
}
