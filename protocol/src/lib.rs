//! What crosses a border: the words that node and coordinator share, and their bytes. No decision is made here.

pub mod args;
pub mod card;
pub mod clock;
pub mod codec;
pub mod envelope;
pub mod identity;
mod interval;
pub mod invite;
pub mod letter;
pub mod mesh;
pub mod message;
pub mod nmap_xml;
pub mod observation;
pub mod port;
pub mod roster;
pub mod target;
pub mod task;
pub mod text;
pub mod time;

pub use identity::{Fingerprint, Keypair, MeshId, NodeId};
pub use port::{PortSet, Protocol};
pub use target::TargetSet;
pub use time::Timestamp;
