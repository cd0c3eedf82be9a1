//! Bytes that no honest member sends: kept ones, made-up ones, and the order in which an envelope's faults are found.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod corpus;
mod fuzz;
mod mutation;
mod order;
mod readers;
