//! TLS: a hello of our own, and whether the answer is TLS too. What is spoken inside is guessed by the port number.

use super::found::Found;

/// Stands for the name of a service inside TLS that was not asked; `table` replaces it.
pub(super) const UNKNOWN_INSIDE: &str = "ssl";

/// Cipher suites of TLS 1.3 and 1.2 that servers of the last fifteen years know.
const SUITES: [u16; 12] =
    [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0x009c, 0x002f];

/// Extensions that need no choice by us: type and body.
const EXTENSIONS: [(u16, &[u8]); 4] = [
    // supported groups: x25519, secp256r1, secp384r1
    (0x000a, &[0, 6, 0, 0x1d, 0, 0x17, 0, 0x18]),
    // point formats: uncompressed
    (0x000b, &[1, 0]),
    // signature algorithms
    (0x000d, &[0, 14, 4, 3, 5, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1]),
    // supported versions: 1.3, 1.2
    (0x002b, &[4, 3, 4, 3, 3]),
];

/// A ClientHello. The key is a fixed point: nothing is ever said inside. Source: RFC 8446, section 4.1.2.
pub(super) fn client_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0x5a; 32]);
    body.extend([32]);
    body.extend([0xa5; 32]);
    body.extend(counted(&SUITES.iter().flat_map(|suite| suite.to_be_bytes()).collect::<Vec<_>>()));
    body.extend([1, 0]);
    let mut extensions: Vec<u8> = EXTENSIONS.iter().flat_map(|(kind, body)| extension(*kind, body)).collect();
    let share = [&[0, 0x1d][..], &counted(&[9; 32])].concat();
    extensions.extend(extension(0x0033, &counted(&share)));
    body.extend(counted(&extensions));
    let message = [&[1, 0][..], &counted(&body)].concat();
    [&[22, 3, 1][..], &counted(&message)].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &counted(body)].concat()
}

/// `bytes` behind their length in two bytes.
fn counted(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// A ServerHello, or an alert: both prove TLS.
pub(super) fn parse(bytes: &[u8]) -> Option<Found> {
    let hello = matches!(bytes, [22, 3, 0..=4, _, _, 2, ..]);
    let alert = matches!(bytes, [21, 3, 0..=4, 0, 2, 1 | 2, _, ..]);
    (hello || alert).then(|| Found { tls: true, ..Found::named(UNKNOWN_INSIDE) })
}
