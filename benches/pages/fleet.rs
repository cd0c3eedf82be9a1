//! Documents as nmap writes them: one network over many runs, in each of which a hundredth of the hosts differ.

use crate::services::SERVICES;
use std::fmt::Write;

/// What was scanned.
pub(crate) const NETWORK: &str = "10.0.0.0/16";
/// Its addresses.
pub(crate) const ADDRESSES: u32 = 65_536;

/// How a host differs in one run from most runs; each run picks other hosts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Difference {
    None,
    Off,
    PortClosed,
    PortOpened,
    NewVersion,
}

fn difference(host: u32, run: u32) -> Difference {
    match (host + 37 * run) % 400 {
        0 => Difference::Off,
        100 => Difference::PortClosed,
        200 => Difference::PortOpened,
        300 => Difference::NewVersion,
        _ => Difference::None,
    }
}

/// The document of one run, counted from 0; a day lies between two.
pub(crate) fn document(hosts: u32, run: u32) -> String {
    let start = 1_700_000_000 + 86_400 * run;
    let up: Vec<u32> = (0..hosts).filter(|host| difference(*host, run) != Difference::Off).collect();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE nmaprun>\n\
        <nmaprun scanner=\"nmap\" args=\"nmap -sS -sV -oX out.xml {NETWORK}\" start=\"{start}\" version=\"7.93\" \
        xmloutputversion=\"1.05\">\n<scaninfo type=\"syn\" protocol=\"tcp\" numservices=\"9000\" services=\"1-9000\"/>\n"
    );
    for host in &up {
        write_host(&mut out, *host, run, start);
    }
    let _infallible = write!(
        out,
        "<runstats><finished time=\"{}\" elapsed=\"3600.00\" exit=\"success\"/><hosts up=\"{}\" down=\"{}\" \
        total=\"{ADDRESSES}\"/></runstats>\n</nmaprun>\n",
        start + 3_600,
        up.len(),
        ADDRESSES - u32::try_from(up.len()).unwrap_or(0)
    );
    out
}

fn write_host(out: &mut String, host: u32, run: u32, start: u32) {
    let [_, _, high, low] = host.to_be_bytes();
    let differs = difference(host, run);
    let (mut ports, mut open) = (String::new(), 0);
    for (index, (port, name, product, version)) in (0u32..).zip(SERVICES) {
        let is_the_one = index == host % 9;
        if differs == Difference::PortClosed && is_the_one {
            continue;
        }
        let version = if differs == Difference::NewVersion && is_the_one { "99.1" } else { version };
        write_port(&mut ports, port, [name, product, version]);
        open += 1;
    }
    if differs == Difference::PortOpened {
        let port = [3389, 5900, 6379].into_iter().nth((host % 3) as usize).unwrap_or(5900);
        write_port(&mut ports, port, ["", "", ""]);
        open += 1;
    }
    let _infallible = writeln!(
        out,
        "<host starttime=\"{start}\" endtime=\"{}\"><status state=\"up\" reason=\"arp-response\" reason_ttl=\"0\"/>\
        <address addr=\"10.0.{high}.{low}\" addrtype=\"ipv4\"/>\
        <address addr=\"00:50:56:00:{high:02X}:{low:02X}\" addrtype=\"mac\" vendor=\"VMware\"/>\
        <hostnames><hostname name=\"host-{high}-{low}.example.net\" type=\"PTR\"/></hostnames>\
        <ports><extraports state=\"closed\" count=\"{1}\"><extrareasons reason=\"reset\" count=\"{1}\" proto=\"tcp\"/>\
        </extraports>{ports}</ports></host>",
        start + host % 3_600,
        9_000 - open
    );
}

fn write_port(out: &mut String, port: u16, [name, product, version]: [&str; 3]) {
    let attribute =
        |key: &str, value: &str| if value.is_empty() { String::new() } else { format!(" {key}=\"{value}\"") };
    let service = match name.is_empty() {
        true => String::new(),
        false => format!(
            "<service name=\"{name}\"{}{} method=\"probed\" conf=\"10\"/>",
            attribute("product", product),
            attribute("version", version)
        ),
    };
    let _infallible = write!(
        out,
        "<port protocol=\"tcp\" portid=\"{port}\"><state state=\"open\" reason=\"syn-ack\" reason_ttl=\"64\"/>{service}</port>"
    );
}
