//! A key names the one that takes its place.

use crate::codec::{Decode, Encode};
use crate::identity::{BadSignature, Keypair, MeshId, NodeId, SignatureBytes};

const TAG: &[u8] = b"portdrift/1/succession";

/// Says that a member goes on under another key; signed with the key that goes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Succession {
    /// The key that goes.
    pub predecessor: NodeId,
    signature: SignatureBytes,
}

fn words(mesh: MeshId, successor: NodeId) -> Vec<u8> {
    [TAG, mesh.as_bytes(), successor.as_bytes()].concat()
}

impl Succession {
    /// The word of `predecessor` that it goes on as `successor` in this mesh.
    pub fn sign(predecessor: &Keypair, mesh: MeshId, successor: NodeId) -> Self {
        Self { predecessor: predecessor.node_id(), signature: predecessor.sign(&words(mesh, successor)) }
    }

    /// The key that goes, if it names `successor` in this mesh.
    pub fn verify(&self, mesh: MeshId, successor: NodeId) -> Result<NodeId, BadSignature> {
        self.predecessor.verify(&words(mesh, successor), &self.signature)?;
        Ok(self.predecessor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_followed_by_the_one_it_named_in_its_own_mesh_only() {
        let [old, new, other] = [1, 2, 3].map(|seed| Keypair::from_seed(&[seed; 32]));
        let mesh = Keypair::from_seed(&[9; 32]).mesh_id();
        let succession = Succession::sign(&old, mesh, new.node_id());
        assert_eq!(succession.verify(mesh, new.node_id()), Ok(old.node_id()));
        assert_eq!(succession.verify(mesh, other.node_id()), Err(BadSignature));
        assert_eq!(succession.verify(other.mesh_id(), new.node_id()), Err(BadSignature));
        let claimed = Succession { predecessor: other.node_id(), ..succession };
        assert_eq!(claimed.verify(mesh, new.node_id()), Err(BadSignature));
    }
}
