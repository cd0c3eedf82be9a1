//! What a run means: coverage, changes, score and alerts, as pure functions (DESIGN.md section 5).
//!
//! Nothing here knows a clock, a store or a network; `closing` fetches the facts, calls these, and stores the answers.

pub mod alert;
pub mod coverage;
pub mod delta;
pub mod score;
