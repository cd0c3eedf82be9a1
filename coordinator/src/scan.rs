//! Scans: the saved definitions, how their text is checked, and when they are due.

use protocol::args::{ArgsError, ScanArgs};
use protocol::codec::{Decode, Encode};
use protocol::port::PortError;
use protocol::target::TargetError;
use protocol::task::{EngineChoice, ScanId, UnknownEngine};
use protocol::text::Text;
use protocol::{PortSet, TargetSet, Timestamp};
use std::time::Duration;

/// The most addresses one scan may ask for.
pub const ADDRESS_BUDGET: u128 = 65_536;

const MAX_NAME_CHARS: usize = 80;
const MAX_DESCRIPTION_CHARS: usize = 1_000;
const MINUTES_A_YEAR: u32 = 366 * 24 * 60;

/// The site of scans and nodes that name none.
pub const DEFAULT_SITE: &str = "main";

/// A scan, which is also one monitored network.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Scan {
    /// Its number, which is also the network's.
    pub id: ScanId,
    /// What it asks for.
    pub definition: ScanDefinition,
    /// False once it was deactivated; its history stays.
    pub active: bool,
    /// When it was made.
    pub created: Timestamp,
    /// By whom.
    pub created_by: Text,
    /// When it will run next by itself.
    pub next_due: Option<Timestamp>,
}

/// What a scan asks for, checked. Only [`ScanDraft::check`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ScanDefinition {
    name: Text,
    description: Text,
    targets: TargetSet,
    exclusions: TargetSet,
    ports: Option<PortSet>,
    args: ScanArgs,
    engine: EngineChoice,
    site: Text,
    interval: Option<Interval>,
    scheduled: bool,
}

/// Whole minutes between two runs, one minute to a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Interval(u32);

impl Interval {
    /// In minutes.
    pub fn minutes(self) -> u32 {
        self.0
    }

    /// As a length of time.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0) * 60)
    }
}

/// A scan as a person typed it.
#[derive(Clone, Debug, Default)]
pub struct ScanDraft {
    /// Shown everywhere; required.
    pub name: String,
    /// Free text.
    pub description: String,
    /// As SPEC S2.
    pub targets: String,
    /// Addresses to leave out; may be empty.
    pub exclusions: String,
    /// As SPEC S3; empty for the engine's own set.
    pub ports: String,
    /// As SPEC S4; may be empty.
    pub args: String,
    /// `auto`, `nmap`, `builtin`; empty for auto.
    pub engine: String,
    /// Empty for the default site.
    pub site: String,
    /// Minutes between runs; empty for none.
    pub interval: String,
    /// Whether the interval counts.
    pub scheduled: bool,
}

/// A field of a draft, to place an error beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScanField {
    /// [`ScanDraft::name`].
    Name,
    /// [`ScanDraft::description`].
    Description,
    /// [`ScanDraft::targets`].
    Targets,
    /// [`ScanDraft::exclusions`].
    Exclusions,
    /// [`ScanDraft::ports`].
    Ports,
    /// [`ScanDraft::args`].
    Args,
    /// [`ScanDraft::engine`].
    Engine,
    /// [`ScanDraft::site`].
    Site,
    /// [`ScanDraft::interval`].
    Interval,
}

impl ScanField {
    /// The field's name in forms and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Description => "description",
            Self::Targets => "targets",
            Self::Exclusions => "exclusions",
            Self::Ports => "ports",
            Self::Args => "args",
            Self::Engine => "engine",
            Self::Site => "site",
            Self::Interval => "interval",
        }
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Targets or exclusions.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Ports.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Arguments.
    #[error(transparent)]
    Args(#[from] ArgsError),
    /// Engine.
    #[error(transparent)]
    Engine(#[from] UnknownEngine),
    /// No name.
    #[error("give the scan a name")]
    NoName,
    /// Too long.
    #[error("{0} characters are more than the {1} allowed; shorten it")]
    TooLong(usize, usize),
    /// Over [`ADDRESS_BUDGET`].
    #[error("{0} addresses are more than the {ADDRESS_BUDGET} allowed in one scan; split it")]
    TooManyAddresses(u128),
    /// Exclusions swallow the targets.
    #[error("the exclusions leave no address to scan; remove some")]
    NothingLeft,
    /// Not a whole number of minutes.
    #[error("{0:?} is no interval; write whole minutes from 1 to 527040, for instance 1440 for daily")]
    BadInterval(String),
    /// Scheduled without an interval.
    #[error("a scheduled scan needs an interval in minutes, for instance 1440 for daily")]
    NoInterval,
}

/// Every wrong field of a draft, each with its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|(field, error)| format!("{}: {error}", field.name())).collect::<Vec<_>>().join("; "))]
pub struct DraftError(pub Vec<(ScanField, FieldError)>);

/// Collects field errors, so that a person sees all at once.
#[derive(Default)]
struct Faults(Vec<(ScanField, FieldError)>);

impl Faults {
    fn take<T: Default>(&mut self, field: ScanField, value: Result<T, impl Into<FieldError>>) -> T {
        value.unwrap_or_else(|error| {
            self.0.push((field, error.into()));
            T::default()
        })
    }
}

impl ScanDraft {
    /// Checks every field; says all that is wrong.
    pub fn check(&self) -> Result<ScanDefinition, DraftError> {
        let mut faults = Faults::default();
        let name = faults.take(ScanField::Name, name(&self.name));
        let description = faults.take(ScanField::Description, limited(&self.description, MAX_DESCRIPTION_CHARS));
        let targets: TargetSet = faults.take(ScanField::Targets, self.targets.parse());
        let exclusions = faults.take(ScanField::Exclusions, optional(&self.exclusions));
        let ports = faults.take(ScanField::Ports, optional(&self.ports));
        let args: ScanArgs = faults.take(ScanField::Args, self.args.parse());
        let engine = faults.take(ScanField::Engine, engine(&self.engine));
        let site = faults.take(ScanField::Site, site(&self.site));
        let interval = faults.take(ScanField::Interval, interval(&self.interval, self.scheduled));
        let definition = ScanDefinition {
            name,
            description,
            targets,
            exclusions: exclusions.unwrap_or_default(),
            ports,
            args,
            engine,
            site,
            interval,
            scheduled: self.scheduled,
        };
        if faults.0.is_empty() {
            definition.check_whole(&mut faults);
        }
        if faults.0.is_empty() { Ok(definition) } else { Err(DraftError(faults.0)) }
    }
}

fn limited(text: &str, limit: usize) -> Result<Text, FieldError> {
    match text.trim().chars().count() {
        count if count > limit => Err(FieldError::TooLong(count, limit)),
        _ => Ok(Text::new(text.trim())),
    }
}

fn name(text: &str) -> Result<Text, FieldError> {
    if text.trim().is_empty() { Err(FieldError::NoName) } else { limited(text, MAX_NAME_CHARS) }
}

fn site(text: &str) -> Result<Text, FieldError> {
    if text.trim().is_empty() { Ok(DEFAULT_SITE.into()) } else { limited(text, MAX_NAME_CHARS) }
}

fn optional<T: std::str::FromStr>(text: &str) -> Result<Option<T>, T::Err> {
    if text.trim().is_empty() { Ok(None) } else { text.parse().map(Some) }
}

fn engine(text: &str) -> Result<EngineChoice, UnknownEngine> {
    if text.trim().is_empty() { Ok(EngineChoice::Auto) } else { text.trim().parse() }
}

fn interval(text: &str, scheduled: bool) -> Result<Option<Interval>, FieldError> {
    let text = text.trim();
    if text.is_empty() {
        return if scheduled { Err(FieldError::NoInterval) } else { Ok(None) };
    }
    let minutes = text.parse().ok().filter(|minutes| (1..=MINUTES_A_YEAR).contains(minutes));
    minutes.map(|minutes| Some(Interval(minutes))).ok_or_else(|| FieldError::BadInterval(text.to_owned()))
}

impl ScanDefinition {
    fn check_whole(&self, faults: &mut Faults) {
        let wanted = self.wanted();
        if wanted.is_empty() {
            faults.0.push((ScanField::Exclusions, FieldError::NothingLeft));
        } else if wanted.count() > ADDRESS_BUDGET {
            faults.0.push((ScanField::Targets, FieldError::TooManyAddresses(wanted.count())));
        }
        faults.take(ScanField::Args, self.args.check_scan(&wanted, self.ports.as_ref()));
    }

    /// Its name.
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// What it is for, in its author's words.
    pub fn description(&self) -> &Text {
        &self.description
    }

    /// As typed, merged.
    pub fn targets(&self) -> &TargetSet {
        &self.targets
    }

    /// Left out.
    pub fn exclusions(&self) -> &TargetSet {
        &self.exclusions
    }

    /// Targets without exclusions: what a run scans.
    pub fn wanted(&self) -> TargetSet {
        self.targets.minus(&self.exclusions)
    }

    /// `None`: the engine's own set.
    pub fn ports(&self) -> Option<&PortSet> {
        self.ports.as_ref()
    }

    /// Scan arguments.
    pub fn args(&self) -> &ScanArgs {
        &self.args
    }

    /// Which engine.
    pub fn engine(&self) -> EngineChoice {
        self.engine
    }

    /// Where its nodes are.
    pub fn site(&self) -> &Text {
        &self.site
    }

    /// Time between runs, kept while scheduling is off.
    pub fn interval(&self) -> Option<Interval> {
        self.interval
    }

    /// Whether the interval counts.
    pub fn scheduled(&self) -> bool {
        self.scheduled
    }

    /// The first run by itself that lies after `now`, when the last one was due at `last`.
    ///
    /// Missed times are not made up one by one: the next one is the first slot of the same grid that is still to come.
    pub fn next_due(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let step = self.interval.filter(|_| self.scheduled)?.duration();
        let step_ms = u64::try_from(step.as_millis()).unwrap_or(u64::MAX).max(1);
        let missed = now.as_millis().saturating_sub(last.as_millis()) / step_ms;
        Some(Timestamp::from_millis(last.as_millis().saturating_add(step_ms.saturating_mul(missed + 1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> ScanDraft {
        ScanDraft {
            name: "Office".into(),
            targets: "127.0.10.0/24".into(),
            ports: "22,80".into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_plain_draft_is_taken_with_the_documented_defaults() {
        let definition = draft().check().unwrap();
        assert_eq!(definition.wanted().count(), 256);
        assert_eq!((definition.engine(), definition.site().as_str()), (EngineChoice::Auto, "main"));
        assert_eq!(definition.next_due(Timestamp::from_millis(0), Timestamp::from_millis(5)), None);
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let bad = ScanDraft {
            name: " ".into(),
            targets: "10.0.0.300".into(),
            ports: "0".into(),
            engine: "masscan".into(),
            interval: "soon".into(),
            ..draft()
        };
        insta::assert_snapshot!(bad.check().unwrap_err().to_string().replace("; ", "\n"), @r#"
        name: give the scan a name
        targets: target "10.0.0.300" is not an address, a CIDR or a range
        host names are not taken, write the address
        ports: port "0" is out of range
        ports run from 1 to 65535
        engine: engine "masscan" is unknown
        write auto, nmap or builtin
        interval: "soon" is no interval
        write whole minutes from 1 to 527040, for instance 1440 for daily
        "#);
        let whole = |change: fn(&mut ScanDraft)| {
            let mut draft = draft();
            change(&mut draft);
            draft.check().unwrap_err().to_string()
        };
        let errors = [
            whole(|draft| draft.exclusions = "127.0.0.0/8".into()),
            whole(|draft| draft.targets = "10.0.0.0/8".into()),
            whole(|draft| draft.scheduled = true),
            whole(|draft| draft.name = "x".repeat(81)),
        ];
        insta::assert_snapshot!(errors.join("\n"), @"
        exclusions: the exclusions leave no address to scan; remove some
        targets: 16777216 addresses are more than the 65536 allowed in one scan; split it
        interval: a scheduled scan needs an interval in minutes, for instance 1440 for daily
        name: 81 characters are more than the 80 allowed; shorten it
        ");
    }

    #[test]
    fn a_missed_run_is_caught_up_once_and_the_grid_stays() {
        let definition = ScanDraft { interval: "10".into(), scheduled: true, ..draft() }.check().unwrap();
        let minute = |count: u64| Timestamp::from_millis(count * 60_000);
        assert_eq!(definition.next_due(minute(100), minute(100)), Some(minute(110)));
        assert_eq!(definition.next_due(minute(100), minute(109)), Some(minute(110)));
        assert_eq!(definition.next_due(minute(100), minute(155)), Some(minute(160)));
        assert_eq!(definition.next_due(minute(100), minute(50)), Some(minute(110)));
    }
}
