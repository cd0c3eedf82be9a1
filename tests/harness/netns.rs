//! Hosts made of network namespaces: a chain of segments that do not forward, without any route to the outside.
//!
//! Addresses are from 198.18.0.0/15, which belongs to tests (RFC 2544), and live only inside.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a probe may take that nobody answers.
const PROBE: Duration = Duration::from_secs(2);

/// A network namespace, removed with all its links when dropped.
pub(crate) struct Host {
    name: String,
}

/// The way to start programs on a host.
#[derive(Clone, Debug)]
pub(crate) struct Entrance(String);

impl Entrance {
    /// `program` with its arguments and environment, as it is started on the host.
    pub(crate) fn command(&self, program: &Command) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(program.get_program()).args(program.get_args()).env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null());
        command
    }
}

/// A chain of hosts, each linked to the next and to nobody else.
pub(crate) struct Chain {
    pub(crate) hosts: Vec<Host>,
    /// Of the link between host `n` and host `n + 1`, the third number of its addresses.
    nets: Vec<u8>,
}

/// Runs `ip` with these words, which must succeed.
fn ip(words: &str) {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Removes the hosts of test programs that were killed.
fn remove_leftovers() {
    let listed = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        let maker = name.strip_prefix("pd").and_then(|rest| rest.split_once('-')).map(|(id, _)| id);
        if maker.is_some_and(|id| id.parse::<u32>().is_ok() && !Path::new("/proc").join(id).exists()) {
            ip(&format!("netns del {name}"));
        }
    }
}

/// True for root with `ip`; else the story is skipped, or fails where nothing may be skipped.
pub(crate) fn may_make_hosts() -> bool {
    let may = rustix::process::geteuid().is_root() && Command::new("ip").arg("-V").output().is_ok();
    let must = std::env::var("PORTDRIFT_NO_SKIP").as_deref() == Ok("1");
    assert!(may || !must, "network namespaces take root and iproute2");
    if !may {
        println!("skipped: network namespaces take root and iproute2");
    }
    may
}

impl Host {
    fn new(name: &str) -> Self {
        let host = Self { name: format!("pd{}-{name}", std::process::id()) };
        ip(&format!("netns add {}", host.name));
        ip(&format!("-n {} link set lo up", host.name));
        host.inside(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap());
        host
    }

    /// The way to start programs on this host.
    pub(crate) fn entrance(&self) -> Entrance {
        Entrance(self.name.clone())
    }

    /// Runs `work` on a thread that is on this host; sockets that it opens stay there.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).unwrap();
        let enter = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(enter).join()).unwrap()
    }

    /// Why a connection from this host to `address` fails; `None` when it does not.
    pub(crate) fn probe(&self, address: SocketAddr) -> Option<String> {
        self.inside(|| TcpStream::connect_timeout(&address, PROBE).err().map(|error| error.to_string()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Its links go with it; a failure leaves it for `ip netns list` to show.
        let _deleted = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

impl Chain {
    /// Hosts with these names in a row; the link from the first to the second is 198.18.`first`.0/24, and so on. Each
    /// story has a `first` of its own, since the hosts are named by it.
    pub(crate) fn new(names: &[&str], first: u8) -> Self {
        remove_leftovers();
        let hosts: Vec<Host> = names.iter().map(|name| Host::new(&format!("{first}{name}"))).collect();
        let nets: Vec<u8> = (first..).take(hosts.len() - 1).collect();
        for (pair, net) in hosts.windows(2).zip(&nets) {
            let [near, far] = [&pair[0].name, &pair[1].name];
            ip(&format!("link add right netns {near} type veth peer name left netns {far}"));
            for (host, link, last) in [(near, "right", 1), (far, "left", 2)] {
                ip(&format!("-n {host} address add 198.18.{net}.{last}/24 dev {link}"));
                ip(&format!("-n {host} link set {link} up"));
            }
        }
        Self { hosts, nets }
    }

    /// The address of host `index` towards the one before it.
    pub(crate) fn left(&self, index: usize) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.nets[index - 1], 2)
    }

    /// The address of host `index` towards the one after it.
    pub(crate) fn right(&self, index: usize) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.nets[index], 1)
    }

    /// Gives host `index` one more address towards the one before it.
    pub(crate) fn add_address(&self, index: usize, last: u8) -> Ipv4Addr {
        let net = self.nets[index - 1];
        ip(&format!("-n {} address add 198.18.{net}.{last}/24 dev left", self.hosts[index].name));
        Ipv4Addr::new(198, 18, net, last)
    }
}
