//! A writer's word that it sends letters by a beacon, without which hops would lead its answers to whoever writes its
//! name on a letter.
//!
//! One word serves all letters that follow one beacon. A hop that has seen it can repeat it, but that one could keep the
//! answers anyway; and only while the beacon is one of the latest.

use crate::envelope::Author;
use crate::identity::{MeshId, NodeId, SignatureBytes};
use crate::mesh::ways::BeaconId;
use std::collections::BTreeMap;

const TAG: &[u8] = b"portdrift/1/way";

/// Writers whose latest word is remembered, so that it is checked once.
const MAX_PROVEN: usize = 4_096;

/// The own word, and those of others that were checked.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Claims {
    own: Option<(BeaconId, SignatureBytes)>,
    proven: BTreeMap<NodeId, (BeaconId, SignatureBytes)>,
}

impl Claims {
    /// The author's own word for letters that follow `beacon`.
    pub(in crate::mesh) fn make(&mut self, author: &Author, beacon: BeaconId) -> SignatureBytes {
        if let Some((_, word)) = self.own.filter(|(of, _)| *of == beacon) {
            return word;
        }
        let word = author.keypair().sign(&words(author.mesh(), beacon));
        self.own = Some((beacon, word));
        word
    }

    /// True when this is the writer's word.
    pub(super) fn holds(&mut self, mesh: MeshId, writer: NodeId, beacon: BeaconId, word: SignatureBytes) -> bool {
        if self.proven.get(&writer) == Some(&(beacon, word)) {
            return true;
        }
        let holds = writer.verify(&words(mesh, beacon), &word).is_ok();
        if holds {
            if self.proven.len() >= MAX_PROVEN {
                self.proven.pop_first();
            }
            self.proven.insert(writer, (beacon, word));
        }
        holds
    }
}

fn words(mesh: MeshId, beacon: BeaconId) -> Vec<u8> {
    let BeaconId { boot, counter } = beacon;
    [TAG, mesh.as_bytes(), &boot.to_be_bytes(), &counter.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::tests::kit;

    #[test]
    fn a_word_is_its_writers_for_one_beacon_of_one_mesh() {
        let beacon = |counter| BeaconId { boot: 1, counter };
        let mut claims = Claims::default();
        let word = claims.make(&kit::author(2), beacon(3));
        assert_eq!(claims.make(&kit::author(2), beacon(3)), word);
        let other = claims.make(&kit::author(2), beacon(4));
        let elsewhere = MeshId::from_bytes([9; 32]);
        let mut holds = |mesh, seed: u8, counter, word| claims.holds(mesh, kit::id(seed), beacon(counter), word);
        for _ in 0..2 {
            assert!(holds(kit::mesh_id(), 2, 3, word) && holds(kit::mesh_id(), 2, 4, other));
            let stolen =
                [holds(kit::mesh_id(), 3, 3, word), holds(kit::mesh_id(), 2, 4, word), holds(elsewhere, 2, 3, word)];
            assert_eq!(stolen, [false; 3]);
        }
    }

    #[test]
    fn what_is_remembered_of_others_is_bounded() {
        let (mut claims, word) = (Claims::default(), [0; 64]);
        for number in 0..MAX_PROVEN {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            claims.proven.insert(NodeId::from_bytes(bytes), (BeaconId::default(), word));
        }
        let word = claims.make(&kit::author(2), BeaconId::default());
        assert!(claims.holds(kit::mesh_id(), kit::id(2), BeaconId::default(), word));
        assert_eq!(claims.proven.len(), MAX_PROVEN);
    }
}
