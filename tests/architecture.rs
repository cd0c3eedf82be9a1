//! The shape of the workspace as tests: who may depend on whom, and what each file owes its reader.
//!
//! Each rule is a pure function over made-up or real sources, so that its own test shows that it can fail.

#![expect(clippy::unwrap_used, reason = "what these tests read must be there")]

mod architecture {
    mod borders;
    mod dependencies;
    mod features;
    mod files;
    mod source;
    mod templates;
}
