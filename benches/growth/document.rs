//! Documents as nmap writes them, with as many hosts and ports as wanted; a few hosts differ from run to run.

use std::io::{self, Write};

/// What was scanned.
pub(crate) const NETWORK: &str = "10.0.0.0/16";
/// Its addresses.
pub(crate) const ADDRESSES: u32 = 65_536;

/// Of so many hosts one has a port more in each run.
const DIFFERS: u32 = 50;
const SERVICES: [[&str; 3]; 5] = [
    ["ssh", "OpenSSH", "8.4p1 Debian 5+deb11u1"],
    ["http", "nginx", "1.18.0"],
    ["imap", "Dovecot imapd", ""],
    ["mysql", "MySQL", "8.0.28"],
    ["domain", "ISC BIND", "9.16.27"],
];

/// Writes the document of one run, counted from 0; a day lies between two.
pub(crate) fn write(out: &mut impl Write, hosts: u32, ports: u32, run: u32) -> io::Result<()> {
    let start = 1_700_000_000 + 86_400 * run;
    writeln!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE nmaprun>\n\
        <nmaprun scanner=\"nmap\" args=\"nmap -sS -sV -oX out.xml {NETWORK}\" start=\"{start}\" version=\"7.93\" \
        xmloutputversion=\"1.05\">\n<scaninfo type=\"syn\" protocol=\"tcp\" numservices=\"1000\" services=\"1-1000\"/>"
    )?;
    for host in 0..hosts {
        let more = u32::from((host + 7 * run).is_multiple_of(DIFFERS));
        write_host(out, host, ports + more, start)?;
    }
    writeln!(
        out,
        "<runstats><finished time=\"{}\" elapsed=\"3600.00\" exit=\"success\"/><hosts up=\"{hosts}\" down=\"{}\" \
        total=\"{ADDRESSES}\"/></runstats>\n</nmaprun>",
        start + 3_600,
        ADDRESSES - hosts
    )
}

fn write_host(out: &mut impl Write, host: u32, ports: u32, start: u32) -> io::Result<()> {
    let [_, _, high, low] = host.to_be_bytes();
    writeln!(
        out,
        "<host starttime=\"{start}\" endtime=\"{start}\"><status state=\"up\" reason=\"syn-ack\" reason_ttl=\"0\"/>\
        <address addr=\"10.0.{high}.{low}\" addrtype=\"ipv4\"/>\
        <ports><extraports state=\"closed\" count=\"{}\"><extrareasons reason=\"reset\" count=\"{0}\" proto=\"tcp\"/>\
        </extraports>",
        1_000 - ports
    )?;
    for (port, [name, product, version]) in (1..=ports).zip(SERVICES.iter().cycle()) {
        let version = if version.is_empty() { String::new() } else { format!(" version=\"{version}\"") };
        write!(
            out,
            "<port protocol=\"tcp\" portid=\"{port}\"><state state=\"open\" reason=\"syn-ack\" reason_ttl=\"64\"/>\
            <service name=\"{name}\" product=\"{product}\"{version} method=\"probed\" conf=\"10\"/></port>"
        )?;
    }
    writeln!(out, "</ports></host>")
}
