//! Two documents as nmap writes them, the same at each call: many hosts, and two in a hundred of them differ.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// What was scanned.
pub(crate) const NETWORK: &str = "10.0.0.0/15";
/// Its addresses: more hosts than these are not written.
pub(crate) const ADDRESSES: u32 = 131_072;

/// Ports that hosts have open, with what answers there.
const SERVICES: [(u16, &str, &str, &str); 20] = [
    (21, "ftp", "vsftpd", "3.0.3"),
    (22, "ssh", "OpenSSH", "8.4p1 Debian 5+deb11u1"),
    (25, "smtp", "Postfix smtpd", ""),
    (53, "domain", "ISC BIND", "9.16.27"),
    (80, "http", "nginx", "1.18.0"),
    (110, "pop3", "Dovecot pop3d", ""),
    (111, "rpcbind", "", "2-4"),
    (143, "imap", "Dovecot imapd", ""),
    (389, "ldap", "OpenLDAP", "2.2.X - 2.3.X"),
    (443, "http", "nginx", "1.18.0"),
    (445, "netbios-ssn", "Samba smbd", "4.6.2"),
    (631, "ipp", "CUPS", "2.3"),
    (993, "imap", "Dovecot imapd", ""),
    (2049, "nfs_acl", "", "3"),
    (3306, "mysql", "MySQL", "8.0.28"),
    (5432, "postgresql", "PostgreSQL DB", "9.6.0 or later"),
    (5900, "vnc", "VNC", ""),
    (6379, "redis", "Redis key-value store", "6.0.16"),
    (8080, "http", "Apache httpd", "2.4.53"),
    (9100, "jetdirect", "", ""),
];

/// Which of the two documents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// What the hosts run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fleet {
    /// The same services on each, as machines of one image do.
    Alike,
    /// Each says something of its own on each port, so that no two port elements are the same.
    NoTwoAlike,
}

/// How a host differs between the documents; most do not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Difference {
    None,
    /// Only in the first.
    Gone,
    /// Only in the second.
    New,
    /// One port less in the second.
    PortClosed,
    /// One port more in the second.
    PortOpened,
    /// Another server on one port: a version that only one side tells would be no change of ours.
    NewServer,
}

fn difference(host: u32) -> Difference {
    match host % 250 {
        0 => Difference::Gone,
        50 => Difference::New,
        100 => Difference::PortClosed,
        150 => Difference::PortOpened,
        200 => Difference::NewServer,
        _ => Difference::None,
    }
}

/// Writes one of the documents as a file; gives its path.
pub(crate) fn file(folder: &Path, hosts: u32, fleet: Fleet, side: Side) -> Result<String, Box<dyn Error>> {
    if hosts > ADDRESSES {
        return Err(format!("{NETWORK} has {ADDRESSES} addresses; take no more hosts").into());
    }
    let path = folder.join(if side == Side::Before { "before.xml" } else { "after.xml" });
    let mut out = BufWriter::new(File::create(&path)?);
    write(&mut out, hosts, fleet, side)?;
    out.flush()?;
    Ok(path.to_str().ok_or("the temporary folder has no readable name")?.to_owned())
}

/// How many hosts differ.
pub(crate) fn differing(hosts: u32) -> usize {
    (0..hosts).filter(|host| difference(*host) != Difference::None).count()
}

fn write(out: &mut impl Write, hosts: u32, fleet: Fleet, side: Side) -> io::Result<()> {
    let start = if side == Side::Before { 1_700_000_000 } else { 1_700_086_400 };
    let ports: Vec<String> = SERVICES.iter().map(|(port, ..)| port.to_string()).collect();
    writeln!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE nmaprun>\n\
        <?xml-stylesheet href=\"file:///usr/bin/../share/nmap/nmap.xsl\" type=\"text/xsl\"?>\n\
        <nmaprun scanner=\"nmap\" args=\"nmap -sS -sV -oX out.xml {NETWORK}\" start=\"{start}\" \
        startstr=\"Tue Nov 14 22:13:20 2023\" version=\"7.93\" xmloutputversion=\"1.05\">\n\
        <scaninfo type=\"syn\" protocol=\"tcp\" numservices=\"989\" services=\"1-981,{}\"/>\n\
        <verbose level=\"0\"/>\n<debugging level=\"0\"/>",
        ports.get(12..).unwrap_or_default().join(",")
    )?;
    let absent = if side == Side::Before { Difference::New } else { Difference::Gone };
    let mut up = 0;
    for host in (0..hosts).filter(|host| difference(*host) != absent) {
        write_host(out, host, fleet, side, start)?;
        up += 1;
    }
    writeln!(
        out,
        "<runstats><finished time=\"{}\" timestr=\"Tue Nov 14 23:13:20 2023\" summary=\"Nmap done\" \
        elapsed=\"3600.00\" exit=\"success\"/><hosts up=\"{up}\" down=\"{}\" total=\"{ADDRESSES}\"/>\n</runstats>\n</nmaprun>",
        start + 3_600,
        ADDRESSES - up
    )
}

fn write_host(out: &mut impl Write, host: u32, fleet: Fleet, side: Side, start: u32) -> io::Result<()> {
    let [_, top, high, low] = host.to_be_bytes();
    writeln!(
        out,
        "<host starttime=\"{start}\" endtime=\"{}\"><status state=\"up\" reason=\"arp-response\" reason_ttl=\"0\"/>\n\
        <address addr=\"10.{top}.{high}.{low}\" addrtype=\"ipv4\"/>\n\
        <address addr=\"00:50:56:{top:02X}:{high:02X}:{low:02X}\" addrtype=\"mac\" vendor=\"VMware\"/>\n\
        <hostnames>\n<hostname name=\"host-{top}-{high}-{low}.example.net\" type=\"PTR\"/>\n</hostnames>\n\
        <ports><extraports state=\"closed\" count=\"969\">\n\
        <extrareasons reason=\"reset\" count=\"969\" proto=\"tcp\"/>\n</extraports>",
        start + host % 3_600
    )?;
    let changed = difference(host);
    for (index, (port, name, product, version)) in (0u32..).zip(SERVICES) {
        let is_the_one = index == host % 19;
        let hidden = match (changed, side) {
            (Difference::PortClosed, Side::After) | (Difference::PortOpened, Side::Before) => is_the_one,
            _ => false,
        };
        let renewed = changed == Difference::NewServer && side == Side::After && is_the_one;
        let (product, version) = if renewed { ("another server", "99.1") } else { (product, version) };
        let own = if fleet == Fleet::NoTwoAlike { format!("host {host}") } else { String::new() };
        write_port(out, port, hidden, [name, product, version, &own])?;
    }
    writeln!(out, "</ports>\n<times srtt=\"{}\" rttvar=\"5000\" to=\"100000\"/>\n</host>", 200 + host % 97)
}

fn write_port(
    out: &mut impl Write,
    port: u16,
    hidden: bool,
    [name, product, version, extra]: [&str; 4],
) -> io::Result<()> {
    let (state, reason) = if hidden { ("closed", "reset") } else { ("open", "syn-ack") };
    write!(
        out,
        "<port protocol=\"tcp\" portid=\"{port}\"><state state=\"{state}\" reason=\"{reason}\" reason_ttl=\"64\"/>"
    )?;
    let method = if hidden { "method=\"table\" conf=\"3\"" } else { "method=\"probed\" conf=\"10\"" };
    write!(out, "<service name=\"{name}\"")?;
    for (key, value) in [("product", product), ("version", version), ("extrainfo", extra)] {
        if !hidden && !value.is_empty() {
            write!(out, " {key}=\"{value}\"")?;
        }
    }
    let cpe = if hidden || product.is_empty() { "" } else { "<cpe>cpe:/a:vendor:product:1.0</cpe>" };
    writeln!(out, " {method}>{cpe}</service></port>")
}
