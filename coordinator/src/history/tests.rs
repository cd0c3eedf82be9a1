//! Runs read back.
