//! The demo's services as running listeners: one state of the network at a time.

use super::catalogue::Service;
use super::plan::Network;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How long a silent caller is kept.
const PATIENCE: Duration = Duration::from_secs(5);
/// Callers at once at one service; the next one waits.
const MOST_CALLERS: usize = 64;
const REQUEST_BYTES: usize = 1024;

/// Why a service of the demo could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the demo ({source}); stop what uses that port, or choose another --net")]
pub(crate) struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

/// The services that are running now. All of them end when this is dropped.
#[derive(Default)]
pub(crate) struct Services {
    running: BTreeMap<(Ipv4Addr, u16), Running>,
}

struct Running {
    service: Service,
    listener: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Services {
    /// Stops, starts and swaps services until exactly `network` is served.
    pub(crate) async fn become_network(&mut self, network: &Network) -> Result<(), ListenError> {
        let cells =
            network.iter().flat_map(|(address, services)| services.iter().map(move |(port, s)| (*address, *port, *s)));
        let wanted: BTreeMap<(Ipv4Addr, u16), Service> = cells.map(|(address, port, s)| ((address, port), s)).collect();
        self.stop_all_but(&wanted).await;
        for ((address, port), service) in wanted {
            if let Entry::Vacant(place) = self.running.entry((address, port)) {
                place.insert(start(SocketAddr::from((address, port)), service).await?);
            }
        }
        Ok(())
    }

    /// Ends every service that is not wanted as it is, and waits until its port is free.
    async fn stop_all_but(&mut self, wanted: &BTreeMap<(Ipv4Addr, u16), Service>) {
        let is_wrong = |cell: &(Ipv4Addr, u16), running: &Running| wanted.get(cell) != Some(&running.service);
        let wrong: Vec<_> =
            self.running.iter().filter(|(cell, running)| is_wrong(cell, running)).map(|(cell, _)| *cell).collect();
        for cell in wrong {
            if let Some(mut running) = self.running.remove(&cell) {
                running.listener.abort();
                // The task was told to end; all that can come back is that it did.
                let _ended = (&mut running.listener).await;
            }
        }
    }
}

async fn start(address: SocketAddr, service: Service) -> Result<Running, ListenError> {
    let listener = TcpListener::bind(address).await.map_err(|source| ListenError { address, source })?;
    Ok(Running { service, listener: tokio::spawn(serve(listener, service)) })
}

async fn serve(listener: TcpListener, service: Service) {
    let mut callers = JoinSet::new();
    loop {
        while callers.len() >= MOST_CALLERS {
            callers.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => drop(callers.spawn(attend(stream, service))),
            Err(error) => {
                tracing::debug!(%error, "a caller of a demo service was lost");
                tokio::task::yield_now().await;
            }
        }
        while callers.try_join_next().is_some() {}
    }
}

/// Talks to one caller until it leaves, is silent for too long, or says what the service does not speak.
async fn attend(mut stream: TcpStream, service: Service) {
    let talk = async {
        if let Some(greeting) = service.greeting() {
            stream.write_all(&greeting).await?;
        }
        let mut request = [0; REQUEST_BYTES];
        loop {
            let length = stream.read(&mut request).await?;
            let said = request.get(..length).unwrap_or_default();
            match service.answer(said) {
                Some(answer) if length > 0 => stream.write_all(&answer).await?,
                _ => return stream.shutdown().await,
            }
        }
    };
    match tokio::time::timeout(PATIENCE, talk).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::trace!(%error, "a caller of a demo service hung up"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::plan::{Plan, Subnet};

    async fn listens(address: Ipv4Addr, port: u16) -> bool {
        TcpStream::connect((address, port)).await.is_ok()
    }

    #[tokio::test]
    async fn the_network_becomes_what_it_is_told_to_be() {
        let plan = Plan::draw(3, Subnet::of(Ipv4Addr::new(127, 31, 7, 0)));
        let mut services = Services::default();
        for network in [&plan.before, &plan.after, &plan.before] {
            services.become_network(network).await.unwrap();
            for other in [&plan.before, &plan.after] {
                for (address, ports) in other {
                    for port in ports.keys() {
                        let wanted = network.get(address).is_some_and(|ports| ports.contains_key(port));
                        assert_eq!(listens(*address, *port).await, wanted, "{address}:{port}");
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn a_busy_port_is_named() {
        let plan = Plan::draw(4, Subnet::of(Ipv4Addr::new(127, 31, 8, 0)));
        let (address, services) = plan.before.first_key_value().unwrap();
        let port = *services.keys().next().unwrap();
        let _held = TcpListener::bind((*address, port)).await.unwrap();
        let error = Services::default().become_network(&plan.before).await.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot listen on {address}:{port} for the demo (Address already in use")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_caller_hears_the_version_that_is_served_now() {
        let address = SocketAddr::from(([127, 31, 9, 1], 2222));
        let old = Service::oldest(crate::cli::demo::catalogue::Kind::Ssh);
        for service in [old, old.next_version().unwrap()] {
            let network = Network::from([(Ipv4Addr::new(127, 31, 9, 1), BTreeMap::from([(2222, service)]))]);
            let mut services = Services::default();
            services.become_network(&network).await.unwrap();
            let mut said = [0; 20];
            let length = TcpStream::connect(address).await.unwrap().read(&mut said).await.unwrap();
            assert!(service.greeting().unwrap().starts_with(&said[..length]) && length > 0);
            services.become_network(&Network::new()).await.unwrap();
        }
    }
}
