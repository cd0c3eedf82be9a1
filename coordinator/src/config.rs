//! What the owner of a coordinator configures: a TOML file, variables of the environment, flags; each value with its origin.
//!
//! A flag wins over a variable, a variable over the file, the file over what setup chose and the defaults.

mod read;
#[cfg(test)]
mod tests;
mod told;
mod values;

pub use read::{ConfigError, ConfigFile, Configuration, Entry, Fault, Flag, Origin, Sources};
pub(crate) use values::optional;
pub use values::{AbsolutePath, Address, BasePath, HostName, Levels};

use crate::KeepFree;
use crate::mail::MailSettings;
use protocol::TargetSet;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::num::NonZeroU32;

/// Every key with its default and what it is for; a file that says this changes nothing.
pub const EXAMPLE: &str = include_str!("config/example.toml");

/// Every setting, as it is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Dashboard and API.
    pub web: Web,
    /// HTTPS.
    pub tls: Tls,
    /// The mesh port.
    pub mesh: Mesh,
    /// Log files.
    pub logs: Logs,
    /// How mail is sent.
    pub mail: MailSettings,
    /// The data folder's disk.
    pub store: StoreConfig,
}

/// How the dashboard and the API are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Where they listen; as setup chose when left out.
    #[serde(with = "values::optional")]
    pub listen: Option<Address>,
    /// The folder that a proxy serves them under.
    pub base_path: BasePath,
    /// Names and addresses, besides the machine's own, under which browsers may call them.
    pub hosts: Vec<HostName>,
    /// Whether plain HTTP may be spoken where others can listen.
    pub insecure_http: bool,
    /// Proxies whose word about the browser's address and scheme is taken.
    pub trusted_proxies: Vec<TargetSet>,
}

/// HTTPS of the dashboard and the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// When it is spoken.
    pub mode: TlsMode,
    /// The certificate with its chain; self-signed when left out.
    #[serde(with = "values::optional")]
    pub certificate: Option<AbsolutePath>,
    /// The certificate's private key.
    #[serde(with = "values::optional")]
    pub key: Option<AbsolutePath>,
}

/// When HTTPS is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// Wherever others could listen, and where a certificate is given.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Where nodes reach the coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mesh {
    /// Where the mesh port listens; as setup chose when left out.
    #[serde(with = "values::optional")]
    pub listen: Option<Address>,
    /// Where nodes reach it, when that is another address; as setup chose when left out.
    pub advertise: Vec<Address>,
}

/// The log files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// Where they lie; `logs` in the data folder when left out.
    #[serde(with = "values::optional")]
    pub folder: Option<AbsolutePath>,
    /// What is logged.
    pub level: Levels,
    /// The size at which a file is put away, in MiB.
    pub max_mib: NonZeroU32,
    /// How many files that were put away are kept, of each log.
    pub keep_files: u32,
    /// How many days they are kept.
    pub keep_days: NonZeroU32,
}

impl Default for Logs {
    fn default() -> Self {
        let [max_mib, keep_days] = [16, 30].map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN));
        Self { folder: None, level: Levels::default(), max_mib, keep_files: 14, keep_days }
    }
}

/// The data folder's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// What is to stay free, in MiB; 0 for 512, or 5 % of the disk if that is more.
    pub keep_free_mib: u32,
}

impl StoreConfig {
    /// The room that is to stay on the disk.
    pub fn keep_free(&self) -> KeepFree {
        match self.keep_free_mib {
            0 => KeepFree::default(),
            mib => KeepFree::bytes(u64::from(mib) << 20),
        }
    }
}

/// Plain HTTP would be spoken where others can listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "plain HTTP at {0} could be read by others on the network; set tls.mode to \"auto\", listen on loopback behind a proxy, or allow it with web.insecure_http = true (--insecure-http)"
)]
pub struct PlainRefused(SocketAddr);

impl Config {
    /// Whether the dashboard speaks TLS when it listens at `listen`.
    ///
    /// # Errors
    /// When it would speak plain HTTP where others can listen and nobody allowed that.
    pub fn is_tls(&self, listen: SocketAddr) -> Result<bool, PlainRefused> {
        let may_be_plain = listen.ip().is_loopback() || self.web.insecure_http;
        match self.tls.mode {
            TlsMode::On => Ok(true),
            TlsMode::Auto => Ok(self.tls.certificate.is_some() || !may_be_plain),
            TlsMode::Off if may_be_plain => Ok(false),
            TlsMode::Off => Err(PlainRefused(listen)),
        }
    }
}
