//! Which fault of an envelope is found first: the cheapest. A signature is never tried for what needs none to refuse.

use super::readers::{NOW, mesh};
use proptest::prelude::*;
use protocol::envelope::{Envelope, EnvelopeError, Kind};
use protocol::message::Cancel;
use protocol::{Keypair, MeshId};
use std::time::Duration;

/// What can be wrong, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Version,
    UnknownKind,
    Length,
    WrongKind,
    Mesh,
    Age,
    Signature,
    Body,
}

const FAULTS: [Fault; 8] = [
    Fault::Version,
    Fault::UnknownKind,
    Fault::Length,
    Fault::WrongKind,
    Fault::Mesh,
    Fault::Age,
    Fault::Signature,
    Fault::Body,
];

fn kind_of(error: &EnvelopeError) -> Fault {
    match error {
        EnvelopeError::UnknownVersion(_) => Fault::Version,
        EnvelopeError::UnknownKind(_) => Fault::UnknownKind,
        EnvelopeError::Length(_) => Fault::Length,
        EnvelopeError::WrongKind { .. } => Fault::WrongKind,
        EnvelopeError::WrongMesh => Fault::Mesh,
        EnvelopeError::Expired { .. } => Fault::Age,
        EnvelopeError::BadSignature(_) => Fault::Signature,
        EnvelopeError::Body(_) => Fault::Body,
    }
}

/// A cancellation with these faults and no others, made by hand as the layout says.
fn envelope(faults: &[Fault], is_late: bool) -> Envelope {
    let has = |fault| faults.contains(&fault);
    let keys = Keypair::from_seed(&[3; 32]);
    let kind = match (has(Fault::UnknownKind), has(Fault::WrongKind)) {
        (true, _) => 250,
        (false, true) => Kind::LeaseLost.number(),
        (false, false) => Kind::Cancel.number(),
    };
    let issued = match (has(Fault::Age), is_late) {
        (true, true) => NOW.minus(Duration::from_secs(3_601)),
        (true, false) => NOW.plus(Duration::from_secs(121)),
        (false, _) => NOW,
    };
    let body: &[u8] = if has(Fault::Body) { &[1, 252, 0] } else { &[1, 7] };
    let length = u32::try_from(body.len()).unwrap() + u32::from(has(Fault::Length));
    let mesh = if has(Fault::Mesh) { MeshId::from_bytes([8; 32]) } else { mesh() };
    let mut bytes = vec![if has(Fault::Version) { 2 } else { 1 }, kind];
    bytes.extend_from_slice(mesh.as_bytes());
    bytes.extend_from_slice(keys.node_id().as_bytes());
    bytes.extend_from_slice(&5u64.to_be_bytes());
    bytes.extend_from_slice(&1u64.to_be_bytes());
    bytes.extend_from_slice(&issued.as_millis().to_be_bytes());
    bytes.extend_from_slice(&3_600u32.to_be_bytes());
    bytes.extend_from_slice(&4u64.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(body);
    let mut signature = keys.sign(&[b"portdrift/1/envelope/".as_slice(), &[kind], &bytes].concat());
    signature[9] ^= u8::from(has(Fault::Signature));
    bytes.extend_from_slice(&signature);
    Envelope::from_bytes(bytes)
}

fn found(envelope: &Envelope) -> Option<Fault> {
    envelope.verify::<Cancel>(mesh(), NOW).err().map(|error| kind_of(&error))
}

proptest! {
    #[test]
    fn the_cheapest_fault_is_found_whatever_else_is_wrong(
        faults in prop::sample::subsequence(&FAULTS[..], 0..=FAULTS.len()),
        is_late in any::<bool>(),
    ) {
        prop_assert_eq!(found(&envelope(&faults, is_late)), faults.iter().min().copied());
    }
}

#[test]
fn each_fault_alone_is_found() {
    assert_eq!(found(&envelope(&[], true)), None);
    for fault in FAULTS {
        assert_eq!(found(&envelope(&[fault], true)), Some(fault));
    }
}
