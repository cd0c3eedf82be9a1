//! Ways to work on a host from afar: SSH, Telnet, VNC, RDP.

use super::found::{Found, first_line};

/// An X.224 connection request that offers TLS and network level authentication. Source: MS-RDPBCGR 2.2.1.1.
pub(super) const RDP_REQUEST: &[u8] = &[3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];

/// The longest identification that SSH allows. Source: RFC 4253, section 4.2.
const MAX_SSH_LINE: usize = 255;

/// `SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3`; lines before it are allowed (RFC 4253, section 4.2).
pub(super) fn parse_ssh(bytes: &[u8]) -> Option<Found> {
    let start = match bytes.starts_with(b"SSH-") {
        true => 0,
        false => bytes.windows(5).position(|window| window == b"\nSSH-")?.checked_add(1)?,
    };
    let line = first_line(bytes.get(start..)?).filter(|line| line.len() <= MAX_SSH_LINE)?;
    let (protocol, software) = line.strip_prefix("SSH-")?.split_once('-')?;
    let (program, comment) = software.split_once(' ').unwrap_or((software, ""));
    let (product, version) = program.split_once(['_', '-']).unwrap_or((program, ""));
    let product = if product == "dropbear" { "Dropbear sshd" } else { product };
    // nmap writes `Debian-2+deb12u3` as `Debian 2+deb12u3`.
    let version = format!("{version} {}", comment.replacen('-', " ", 1));
    Some(Found::named("ssh").product(product).version(&version).extra(&format!("protocol {protocol}")))
}

/// `RFB 003.008`.
pub(super) fn parse_vnc(bytes: &[u8]) -> Option<Found> {
    let (major, minor) = first_line(bytes)?
        .strip_prefix("RFB ")?
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u16>().ok()?, minor.parse::<u16>().ok()?)))?;
    Some(Found::named("vnc").product("VNC").extra(&format!("protocol {major}.{minor}")))
}

/// A Telnet server opens with its wishes: IAC and WILL, WONT, DO or DONT. Source: RFC 854.
pub(super) fn parse_telnet(bytes: &[u8]) -> Option<Found> {
    matches!(bytes, [0xff, 0xfb..=0xfe, _, ..]).then(|| Found::named("telnet"))
}

/// An X.224 connection confirm, or its refusal with a reason.
pub(super) fn parse_rdp(bytes: &[u8]) -> Option<Found> {
    matches!(bytes, [3, 0, 0, 11..=19, _, 0xd0, _, _, 0x12 | 0x34 | 0, ..]).then(|| Found::named("ms-wbt-server"))
}
