//! Stories that a user could tell, each with the real binary and real processes on loopback.
//!
//! One program for all of them, since linking it takes longer than most stories do.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a story stops where it goes wrong, and says what it skips"
)]

mod harness;
mod stories {
    mod accessibility;
    mod alerts;
    mod away;
    mod backups;
    mod bad_input;
    mod clocks;
    mod clones;
    mod commands;
    mod configuration;
    mod damage;
    mod dashboard;
    mod dashboard_hosts;
    mod dashboard_reports;
    mod demo;
    mod distribution;
    mod doubts;
    mod exports;
    mod faults;
    mod first_run;
    mod full_disk;
    mod getting_started;
    mod guide;
    mod hostile_host;
    mod https;
    mod imports;
    mod lies;
    mod logs;
    mod mesh;
    mod policies;
    mod proxied;
    mod readers;
    mod revocation;
    mod rotation;
    mod schedules;
    mod schema;
    mod segments;
    mod sponsor;
    mod storm;
    mod tokens;
    mod users;
    mod wire;
}
