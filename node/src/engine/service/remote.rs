//! Ways to work on a host from afar, or through it: SSH, Telnet, VNC, RDP, SMB, SOCKS.

use super::found::{Found, Said};

/// An X.224 connection request that offers TLS and network level authentication. Source: MS-RDPBCGR 2.2.1.1.
pub(super) const RDP_REQUEST: &[u8] = &[3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];

/// SOCKS 5 with no authentication. Source: RFC 1928, section 3.
pub(super) const SOCKS_REQUEST: &[u8] = &[5, 1, 0];

/// The longest identification that SSH allows. Source: RFC 4253, section 4.2.
const MAX_SSH_LINE: usize = 255;

/// Where the answer of SMB 2 begins, behind the header of the session, and where its server's id stands in it.
const SMB2_AT: usize = 4;
const SMB2_GUID: std::ops::Range<usize> = SMB2_AT + 72..SMB2_AT + 88;

/// `SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3`; lines before it are allowed (RFC 4253, section 4.2).
pub(super) fn parse_ssh(said: &Said<'_>) -> Option<Found> {
    let start = match said.bytes.starts_with(b"SSH-") {
        true => 0,
        false => said.bytes.windows(5).position(|window| window == b"\nSSH-")?.checked_add(1)?,
    };
    let line = Said { bytes: said.from(start), ..*said }.line().filter(|line| line.len() <= MAX_SSH_LINE)?;
    let (protocol, software) = line.strip_prefix("SSH-")?.split_once('-')?;
    let (program, comment) = software.split_once(' ').unwrap_or((software, ""));
    let (product, version) = program.split_once(['_', '-']).unwrap_or((program, ""));
    let product = if product == "dropbear" { "Dropbear sshd" } else { product };
    // nmap writes `Debian-2+deb12u3` as `Debian 2+deb12u3`.
    let version = format!("{version} {}", comment.replacen('-', " ", 1));
    Some(Found::named("ssh").product(product).version(&version).extra(&format!("protocol {protocol}")))
}

/// `RFB 003.008`.
pub(super) fn parse_vnc(said: &Said<'_>) -> Option<Found> {
    let line = said.line()?;
    let (major, minor) = line.strip_prefix("RFB ")?.split_once('.')?;
    let (major, minor): (u16, u16) = (major.parse().ok()?, minor.parse().ok()?);
    Some(Found::named("vnc").product("VNC").extra(&format!("protocol {major}.{minor}")))
}

/// A Telnet server opens with its wishes: IAC and WILL, WONT, DO or DONT. Source: RFC 854.
pub(super) fn parse_telnet(said: &Said<'_>) -> Option<Found> {
    matches!(said.bytes, [0xff, 0xfb..=0xfe, _, ..]).then(|| Found::named("telnet"))
}

/// An X.224 connection confirm, or its refusal with a reason.
pub(super) fn parse_rdp(said: &Said<'_>) -> Option<Found> {
    matches!(said.bytes, [3, 0, 0, 11..=19, _, 0xd0, _, _, 0x12 | 0x34 | 0, ..]).then(|| Found::named("ms-wbt-server"))
}

/// Exactly the version and the way in: none, or none that is offered.
pub(super) fn parse_socks(said: &Said<'_>) -> Option<Found> {
    match said.bytes {
        [5, 0] => Some(Found::named("socks5").extra("No authentication")),
        [5, 0xff] => Some(Found::named("socks5")),
        _ => None,
    }
}

/// A negotiation of the oldest form that offers SMB 1 and 2. Source: MS-SMB2 3.3.5.3.1.
pub(super) fn smb_request() -> Vec<u8> {
    let dialects = b"\x02NT LM 0.12\0\x02SMB 2.002\0\x02SMB 2.???\0";
    let mut body = b"\xffSMB\x72\0\0\0\0\x18\x53\xc8".to_vec();
    body.extend([0; 12]);
    body.extend([0, 0, 0xff, 0xfe, 0, 0, 0, 0, 0]);
    body.extend(u16::try_from(dialects.len()).unwrap_or_default().to_le_bytes());
    body.extend(dialects);
    let length = u32::try_from(body.len()).unwrap_or_default();
    [&length.to_be_bytes()[..], &body].concat()
}

/// An answer of either version. Samba puts its own name where others have a random id.
pub(super) fn parse_smb(said: &Said<'_>) -> Option<Found> {
    match said.from(SMB2_AT) {
        [0xff, b'S', b'M', b'B', 0x72, ..] => Some(Found::named("microsoft-ds")),
        [0xfe, b'S', b'M', b'B', ..] => {
            let id = said.bytes.get(SMB2_GUID)?;
            let name = id.split(|byte| *byte == 0).next().unwrap_or_default();
            let is_name = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic());
            let is_padded = id.get(name.len()..).unwrap_or_default().iter().all(|byte| *byte == 0);
            Some(match is_name && is_padded {
                true => Found::named("netbios-ssn").product("Samba smbd"),
                false => Found::named("microsoft-ds"),
            })
        }
        _ => None,
    }
}
