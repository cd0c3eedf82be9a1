//! Putting a configuration together from its sources, with every fault at once and where it stands.

use super::{Config, Mesh, Web, values};
use crate::logs::LogFolder;
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::DeTable;
use toml::{Table, Value};

/// What stands before a section's name in a variable; two underscores stand before the key.
const PREFIX: &str = "PORTDRIFT_";

/// Keys that follow a reload; the others wait for a restart.
const RELOADABLE: [&str; 5] = ["logs.level", "tls.certificate", "tls.key", "web.hosts", "web.trusted_proxies"];

/// A file, read.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// A flag of the command line that stands for a key.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The key, as `section.key`.
    pub key: &'static str,
    /// The flag, as `--http`.
    pub name: &'static str,
    /// What was given; a list has commas.
    pub value: String,
}

/// Everything a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, if there is one.
    pub file: Option<ConfigFile>,
    /// Variables of the environment; those that are none of ours are passed over.
    pub variables: Vec<(String, String)>,
    /// Flags that were given.
    pub flags: Vec<Flag>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// It was chosen at setup.
    Setup,
    /// A place of the file.
    File {
        /// Its path.
        path: PathBuf,
        /// From 1 on.
        line: usize,
        /// From 1 on.
        column: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it was said.
    pub origin: Origin,
    /// Which key, if it is about one.
    pub key: String,
    /// What is wrong and what to write instead.
    pub reason: String,
}

/// Everything that is wrong, a line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Fault>);

/// A key with its value and where that came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As `section.key`.
    pub key: String,
    /// As TOML.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
    /// Whether a change follows a reload.
    pub is_reloadable: bool,
}

/// A configuration without faults, and where its values came from.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    config: Config,
    file: Option<PathBuf>,
    origins: BTreeMap<String, Origin>,
    /// What setup chose, once that is known.
    kept: Option<Settings>,
}

/// Settings that a program chose by itself.
impl From<Config> for Configuration {
    fn from(config: Config) -> Self {
        Self { config, ..Self::default() }
    }
}

impl Configuration {
    /// Puts the sources together.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let mut draft = Draft::default();
        if let Some(file) = &sources.file {
            draft.read_file(file);
        }
        for (name, text) in &sources.variables {
            if let Some((section, key)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once("__")) {
                let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
                draft.take_text(&section, &key, text, Origin::Variable(name.clone()));
            }
        }
        for Flag { key, name, value } in &sources.flags {
            if let Some((section, key)) = key.split_once('.') {
                draft.take_text(section, key, value, Origin::Flag(name));
            }
        }
        draft.finish(sources.file.as_ref().map(|file| file.path.clone()))
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The file that was read.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Every key with its value and origin.
    pub fn entries(&self) -> Vec<Entry> {
        let rows = keys_of(&self.config).into_iter();
        let entry = |(key, value): (String, Value)| Entry {
            value: value.to_string(),
            origin: self.origin(&key),
            is_reloadable: RELOADABLE.contains(&key.as_str()),
            key,
        };
        rows.map(entry).collect()
    }

    /// With what setup chose where nothing else was said.
    pub(crate) fn over(mut self, kept: &Settings) -> Self {
        let Settings { mesh, advertised, http } = kept;
        let chosen = |key: &str| (key.to_owned(), Origin::Setup);
        if self.config.web.listen.is_none() {
            self.config.web.listen = Some(values::Address(*http));
            self.origins.extend([chosen("web.listen")]);
        }
        if self.config.mesh.listen.is_none() {
            self.config.mesh.listen = Some(values::Address(*mesh));
            self.origins.extend([chosen("mesh.listen")]);
        }
        if self.config.mesh.advertise.is_empty() && !advertised.is_empty() {
            self.config.mesh.advertise = advertised.iter().copied().map(values::Address).collect();
            self.origins.extend([chosen("mesh.advertise")]);
        }
        self.kept = Some(kept.clone());
        self
    }

    /// Where to listen, after [`Self::over`].
    pub(crate) fn settings(&self) -> Settings {
        let (Web { listen: http, .. }, Mesh { listen: mesh, advertise, .. }) = (&self.config.web, &self.config.mesh);
        let usual = Settings::default();
        Settings {
            mesh: mesh.map_or(usual.mesh, |mesh| mesh.0),
            advertised: advertise.iter().map(|address| address.0).collect(),
            http: http.map_or(usual.http, |http| http.0),
        }
    }

    /// Where the logs lie, for the data folder `dir`.
    pub fn log_folder(&self, dir: &Path) -> LogFolder {
        let named = self.config.logs.folder.as_ref().map(|folder| folder.as_path().to_owned());
        LogFolder::new(&named.unwrap_or_else(|| dir.join("logs")))
    }

    /// This with what a reload changes, and the keys of `fresh` that wait for a restart.
    pub(crate) fn reloaded(&self, fresh: Self) -> (Self, Vec<String>) {
        let fresh = match &self.kept {
            Some(kept) => fresh.over(kept),
            None => fresh,
        };
        let (old, new) = (keys_of(&self.config), keys_of(&fresh.config));
        let differs = |key: &&String| old.get(*key) != new.get(*key);
        let is_reloadable = |key: &str| RELOADABLE.contains(&key);
        let waiting = new.keys().filter(differs).filter(|key| !is_reloadable(key)).cloned().collect();
        let mut config = self.config.clone();
        config.logs.level = fresh.config.logs.level.clone();
        config.tls.certificate = fresh.config.tls.certificate.clone();
        config.tls.key = fresh.config.tls.key.clone();
        config.web.hosts = fresh.config.web.hosts.clone();
        config.web.trusted_proxies = fresh.config.web.trusted_proxies.clone();
        let mut origins = self.origins.clone();
        for key in RELOADABLE {
            origins.insert(key.to_owned(), fresh.origin(key));
        }
        (Self { config, file: fresh.file, origins, kept: self.kept.clone() }, waiting)
    }

    fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }
}

/// Every key with its value, in order.
fn keys_of(config: &Config) -> BTreeMap<String, Value> {
    let sections = Table::try_from(config).unwrap_or_default();
    let keys = sections.iter().flat_map(|(section, keys)| {
        let keys = keys.as_table().into_iter().flatten();
        keys.map(move |(key, value)| (format!("{section}.{key}"), value.clone()))
    });
    keys.collect()
}

/// A configuration in the making.
#[derive(Default)]
struct Draft {
    values: Table,
    origins: BTreeMap<String, Origin>,
    faults: Vec<Fault>,
}

impl Draft {
    fn read_file(&mut self, ConfigFile { path, text }: &ConfigFile) {
        let at = |span: Option<Range<usize>>| {
            let (line, column) = place(text, span.map_or(0, |span| span.start));
            Origin::File { path: path.clone(), line, column }
        };
        let (read, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            self.fault(at(error.span()), "", error.message());
        }
        let Some(values) = text.parse::<Table>().ok().filter(|_| errors.is_empty()) else { return };
        for (section, keys) in read.get_ref() {
            let (name, place) = (section.get_ref().as_ref(), at(Some(section.span())));
            let (Some(keys), Some(Value::Table(values))) = (keys.get_ref().as_table(), values.get(name)) else {
                let reason = "this stands in no section; write [web] or another section's name above it";
                self.fault(place, name, reason);
                continue;
            };
            if let Err(reason) = check_section(name) {
                self.fault(place, &format!("[{name}]"), &reason);
                continue;
            }
            for key in keys.keys() {
                let key_name = key.get_ref().as_ref();
                let Some(given) = values.get(key_name) else { continue };
                let place = at(Some(key.span()));
                match check(name, key_name, given) {
                    Ok(()) => self.take(name, key_name, given.clone(), place),
                    Err(reason) => self.fault(place, &format!("{name}.{key_name}"), &reason),
                }
            }
        }
    }

    /// Takes a value that is written without TOML's quotes and brackets.
    fn take_text(&mut self, section: &str, key: &str, text: &str, origin: Origin) {
        if let Err(reason) = check_section(section) {
            return self.fault(origin, &format!("[{section}]"), &reason);
        }
        let plain = Value::String(text.to_owned());
        let list = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let list = Value::Array(list.map(|item| Value::String(item.to_owned())).collect());
        let literal = format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
        let misfit = literal.as_ref().and_then(|value| check(section, key, value).err());
        let fitting = [Some(list), literal].into_iter().flatten().find(|value| check(section, key, value).is_ok());
        match (check(section, key, &plain), fitting) {
            (Ok(()), _) => self.take(section, key, plain, origin),
            (Err(_), Some(value)) => self.take(section, key, value, origin),
            (Err(reason), None) => {
                // Of a number out of range, say that and not that it is a text.
                let reason = misfit.filter(|_| reason.starts_with("invalid type")).unwrap_or(reason);
                self.fault(origin, &format!("{section}.{key}"), &reason);
            }
        }
    }

    fn take(&mut self, section: &str, key: &str, value: Value, origin: Origin) {
        let keys = self.values.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(keys) = keys {
            keys.insert(key.to_owned(), value);
            self.origins.insert(format!("{section}.{key}"), origin);
        }
    }

    fn fault(&mut self, origin: Origin, key: &str, reason: &str) {
        self.faults.push(Fault { origin, key: key.to_owned(), reason: reason.to_owned() });
    }

    fn finish(mut self, file: Option<PathBuf>) -> Result<Configuration, ConfigError> {
        let config: Config = match self.values.clone().try_into() {
            Ok(config) => config,
            Err(error) => {
                self.fault(Origin::Default, "", error.message());
                return Err(ConfigError(self.faults));
            }
        };
        let origin = |draft: &Self, key: &str| draft.origins.get(key).cloned().unwrap_or(Origin::Default);
        match (&config.tls.certificate, &config.tls.key) {
            (Some(_), None) => {
                let reason = "a certificate needs its key; set tls.key too";
                self.fault(origin(&self, "tls.certificate"), "tls.certificate", reason);
            }
            (None, Some(_)) => {
                let reason = "a key needs its certificate; set tls.certificate too";
                self.fault(origin(&self, "tls.key"), "tls.key", reason);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        if let Some((key, reason)) = config.mail.fault() {
            let key = format!("mail.{key}");
            let of_section = || self.origins.iter().find(|(given, _)| given.starts_with("mail."));
            let place = self.origins.get_key_value(&key).or_else(of_section);
            let place = place.map_or(Origin::Default, |(_, place)| place.clone());
            self.fault(place, &key, &reason);
        }
        if let Some(Err(refused)) = config.web.listen.map(|listen| config.is_tls(listen.0)) {
            self.fault(origin(&self, "web.listen"), "web.listen", &refused.to_string());
        }
        if !self.faults.is_empty() {
            self.faults.sort_by_key(|fault| fault.origin.place());
            return Err(ConfigError(self.faults));
        }
        Ok(Configuration { config, file, origins: self.origins, kept: None })
    }
}

fn check_section(section: &str) -> Result<(), String> {
    let known = Table::try_from(Config::default()).unwrap_or_default();
    if known.contains_key(section) {
        return Ok(());
    }
    let names: Vec<_> = known.keys().map(String::as_str).collect();
    Err(format!("there is no such section; the sections are {}", names.join(", ")))
}

/// Whether this value fits this key, looked at alone.
fn check(section: &str, key: &str, value: &Value) -> Result<(), String> {
    let keys = Table::from_iter([(key.to_owned(), value.clone())]);
    let alone = Table::from_iter([(section.to_owned(), Value::Table(keys))]);
    let Err(error) = alone.try_into::<Config>() else { return Ok(()) };
    if !error.message().starts_with("unknown field") {
        return Err(error.message().to_owned());
    }
    let prefix = format!("{section}.");
    let known = keys_of(&Config::default());
    let names: Vec<_> = known.keys().filter_map(|known| known.strip_prefix(&prefix)).collect();
    Err(format!("there is no such key; [{section}] knows {}", names.join(", ")))
}

/// Line and column of a byte, both from 1 on.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}
