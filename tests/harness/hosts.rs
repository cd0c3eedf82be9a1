//! Small hosts to scan: sockets on loopback addresses that say a line to whoever connects.

use rcgen::{CertificateParams, DnType, KeyPair};
use rustix::net::Shutdown;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a caller may take for what it has to say inside TLS.
const PATIENCE: Duration = Duration::from_secs(5);

/// Listeners that end when this is dropped.
#[derive(Default)]
pub(crate) struct Hosts {
    listeners: Vec<Listener>,
}

struct Listener {
    address: SocketAddr,
    socket: TcpListener,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hosts {
    /// Opens one more port, with a greeting.
    pub(crate) fn open(&mut self, address: &str, port: u16, greeting: impl AsRef<[u8]> + Send + 'static) {
        let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
        self.greet(TcpListener::bind(address).unwrap(), greeting);
    }

    /// The same inside TLS, with a certificate that bears these names.
    pub(crate) fn open_tls(&mut self, address: &str, port: u16, names: &[&str], greeting: &'static str) {
        let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
        let config = certified(names);
        self.answer(TcpListener::bind(address).unwrap(), move |caller| {
            let config = config.clone();
            // A caller that says nothing keeps nobody waiting.
            std::thread::spawn(move || greet_inside(caller, config, greeting));
            Ok(())
        });
    }

    /// Greets whoever comes to this port, which may be on a host of its own.
    pub(crate) fn greet(&mut self, socket: TcpListener, greeting: impl AsRef<[u8]> + Send + 'static) {
        self.answer(socket, move |mut caller| caller.write_all(greeting.as_ref()));
    }

    fn answer(&mut self, socket: TcpListener, answer: impl Fn(TcpStream) -> io::Result<()> + Send + 'static) {
        let (address, waiting) = (socket.local_addr().unwrap(), socket.try_clone().unwrap());
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let thread = std::thread::spawn(move || {
            for caller in waiting.incoming() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                // A scanner hangs up as soon as it has seen enough.
                let _heard = caller.and_then(&answer);
            }
        });
        self.listeners.push(Listener { address, socket, over, thread: Some(thread) });
    }

    /// Closes a port that was opened.
    pub(crate) fn close(&mut self, address: &str, port: u16) {
        let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
        let before = self.listeners.len();
        self.listeners.retain(|listener| listener.address != address);
        assert_eq!(self.listeners.len() + 1, before, "{address} is not open");
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread, which then sees that it is over. A call to the address might leave this machine.
        let _woken = rustix::net::shutdown(&self.socket, Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Speaks TLS with a certificate that bears these names, the first as its subject as well.
fn certified(names: &[&str]) -> Arc<ServerConfig> {
    let mut parameters =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, names[0]);
    let pair = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&pair).unwrap();
    let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap())
}

/// Hears a question and answers it with `greeting`.
fn greet_inside(caller: TcpStream, config: Arc<ServerConfig>, greeting: &str) -> io::Result<()> {
    caller.set_read_timeout(Some(PATIENCE))?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut inside = StreamOwned::new(connection, caller);
    let _question = inside.read(&mut [0; 1_024])?;
    inside.write_all(greeting.as_bytes())?;
    inside.conn.send_close_notify();
    inside.flush()
}
