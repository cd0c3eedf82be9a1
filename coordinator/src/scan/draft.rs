//! A scan as a person typed it, and what may be wrong with it.

use super::cadence::{Cadence, Interval, MAX_INTERVAL_MINUTES};
use super::cron::{Cron, CronError};
use super::special::first_in;
use super::{ADDRESS_BUDGET, DEFAULT_SITE, MAX_ADDRESS_BUDGET, ScanDefinition};
use protocol::PortSet;
use protocol::TargetSet;
use protocol::args::{ArgsError, ScanArgs};
use protocol::port::PortError;
use protocol::target::TargetError;
use protocol::task::{EngineChoice, ScanId, UnknownEngine};
use protocol::text::Text;

pub(crate) const MAX_NAME_CHARS: usize = 80;
const MAX_DESCRIPTION_CHARS: usize = 1_000;

/// A scan as a person typed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanDraft {
    /// Shown everywhere; required.
    pub name: String,
    /// Free text.
    pub description: String,
    /// As SPEC S2.
    pub targets: String,
    /// Addresses to leave out; may be empty.
    pub exclusions: String,
    /// The most addresses that are meant; empty for [`ADDRESS_BUDGET`].
    pub budget: String,
    /// Whether ranges are meant that nobody scans by accident, see [`super::special`].
    pub special: bool,
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
    /// A cron expression in place of an interval; empty for none.
    pub cron: String,
    /// The time zone of the cron expression; empty for UTC. Counts for nothing without one.
    pub zone: String,
    /// Whether interval or cron expression count.
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
    /// [`ScanDraft::budget`].
    Budget,
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
    /// [`ScanDraft::cron`].
    Cron,
    /// [`ScanDraft::zone`].
    Zone,
}

impl ScanField {
    /// The field's name in forms and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Description => "description",
            Self::Targets => "targets",
            Self::Exclusions => "exclusions",
            Self::Budget => "budget",
            Self::Ports => "ports",
            Self::Args => "args",
            Self::Engine => "engine",
            Self::Site => "site",
            Self::Interval => "interval",
            Self::Cron => "cron",
            Self::Zone => "zone",
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
    /// Cron expression or time zone.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// No name.
    #[error("give the scan a name")]
    NoName,
    /// A name that reads as a scan's number.
    #[error("a name of digits alone reads as the number of a scan; add a word")]
    NumberName,
    /// Another active scan is called so.
    #[error("scan {0} has this name already; choose another one")]
    NameTaken(ScanId),
    /// Another site than that of the scan's runs.
    #[error(
        "this scan has looked at site {0}, and hosts of two sites cannot be compared; duplicate the scan and give the copy the other site"
    )]
    OtherSite(Text),
    /// Too long.
    #[error("{0} characters are more than the {1} allowed; shorten it")]
    TooLong(usize, usize),
    /// Not a number within the limits.
    #[error("{0:?} is no address budget; write a whole number from 1 to {MAX_ADDRESS_BUDGET}")]
    BadBudget(String),
    /// More than what was said to be meant.
    #[error(
        "{count} addresses are more than the {budget} that this scan may ask for; if they are meant, write {count} in the field budget (`--budget {count}`)"
    )]
    OverBudget {
        /// Addresses to scan.
        count: u128,
        /// The scan's budget.
        budget: u64,
    },
    /// Over [`MAX_ADDRESS_BUDGET`].
    #[error("{0} addresses are more than the {MAX_ADDRESS_BUDGET} that any scan may ask for; split it")]
    TooManyAddresses(u128),
    /// A range that nobody scans by accident.
    #[error("{range} is {name} ({authority}); leave it out, or if it is meant, set the field special (`--special`)")]
    Special {
        /// As CIDR.
        range: &'static str,
        /// What it is for.
        name: &'static str,
        /// The RFC that says so.
        authority: &'static str,
    },
    /// Exclusions swallow the targets.
    #[error("the exclusions leave no address to scan; remove some")]
    NothingLeft,
    /// Not a whole number of minutes.
    #[error("{0:?} is no interval; write whole minutes from 1 to {MAX_INTERVAL_MINUTES}, for instance 1440 for daily")]
    BadInterval(String),
    /// Two cadences.
    #[error("a scan has an interval or a cron expression, not both; remove one")]
    TwoCadences,
    /// Scheduled without a cadence.
    #[error("a scheduled scan needs an interval in minutes, for instance 1440 for daily, or a cron expression")]
    NoCadence,
}

/// Every wrong field of a draft, each with its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|(field, error)| format!("{}: {error}", field.name())).collect::<Vec<_>>().join("; "))]
pub struct DraftError(pub Vec<(ScanField, FieldError)>);

impl DraftError {
    pub(crate) fn one(field: ScanField, error: FieldError) -> Self {
        Self(vec![(field, error)])
    }
}

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
        let exclusions: Option<TargetSet> = faults.take(ScanField::Exclusions, optional(&self.exclusions));
        let budget = faults.take(ScanField::Budget, budget(&self.budget));
        let ports: Option<PortSet> = faults.take(ScanField::Ports, optional(&self.ports));
        let args: ScanArgs = faults.take(ScanField::Args, self.args.parse());
        let engine = faults.take(ScanField::Engine, engine(&self.engine));
        let site = faults.take(ScanField::Site, site(&self.site));
        let cadence = self.cadence(&mut faults);
        let definition = ScanDefinition {
            name,
            description,
            targets,
            exclusions: exclusions.unwrap_or_default(),
            budget,
            special: self.special,
            ports,
            args,
            engine,
            site,
            cadence,
            scheduled: self.scheduled,
        };
        if faults.0.is_empty() {
            check_whole(&definition, &mut faults);
        }
        if faults.0.is_empty() { Ok(definition) } else { Err(DraftError(faults.0)) }
    }

    fn cadence(&self, faults: &mut Faults) -> Option<Cadence> {
        let before = faults.0.len();
        let interval = faults.take(ScanField::Interval, interval(&self.interval));
        let cron = match self.cron.trim() {
            "" => None,
            expression => match Cron::parse(expression, &self.zone) {
                Ok(cron) => Some(cron),
                Err(error @ CronError::UnknownZone(_)) => faults.take(ScanField::Zone, Err(error)),
                Err(error) => faults.take(ScanField::Cron, Err(error)),
            },
        };
        if faults.0.len() > before {
            return None;
        }
        match (interval, cron) {
            (Some(_), Some(_)) => faults.take(ScanField::Cron, Err(FieldError::TwoCadences)),
            (None, None) if self.scheduled => faults.take(ScanField::Interval, Err(FieldError::NoCadence)),
            (interval, cron) => interval.map(Cadence::Every).or(cron.map(|cron| Cadence::Cron(Box::new(cron)))),
        }
    }
}

/// What shows only when every field is right by itself.
fn check_whole(definition: &ScanDefinition, faults: &mut Faults) {
    let wanted = definition.wanted();
    let (count, budget) = (wanted.count(), definition.budget);
    if wanted.is_empty() {
        faults.0.push((ScanField::Exclusions, FieldError::NothingLeft));
    } else if count > u128::from(MAX_ADDRESS_BUDGET) {
        faults.0.push((ScanField::Targets, FieldError::TooManyAddresses(count)));
    } else if count > u128::from(budget) {
        faults.0.push((ScanField::Targets, FieldError::OverBudget { count, budget }));
    }
    if let Some(special) = first_in(&wanted).filter(|_| !definition.special) {
        let super::special::SpecialRange { range, name, source } = special;
        faults.0.push((ScanField::Targets, FieldError::Special { range, name, authority: source }));
    }
    faults.take(ScanField::Args, definition.args.check_scan(&wanted, definition.ports.as_ref()));
}

fn limited(text: &str, limit: usize) -> Result<Text, FieldError> {
    match text.trim().chars().count() {
        count if count > limit => Err(FieldError::TooLong(count, limit)),
        _ => Ok(Text::new(text.trim())),
    }
}

fn name(text: &str) -> Result<Text, FieldError> {
    match text.trim() {
        "" => Err(FieldError::NoName),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Err(FieldError::NumberName),
        name => limited(name, MAX_NAME_CHARS),
    }
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

fn budget(text: &str) -> Result<u64, FieldError> {
    let bad = |_| FieldError::BadBudget(text.trim().to_owned());
    let wanted: Option<u64> = optional(text.trim()).map_err(bad)?;
    match wanted.unwrap_or(ADDRESS_BUDGET) {
        budget if (1..=MAX_ADDRESS_BUDGET).contains(&budget) => Ok(budget),
        _ => Err(FieldError::BadBudget(text.trim().to_owned())),
    }
}

fn interval(text: &str) -> Result<Option<Interval>, FieldError> {
    let bad = || FieldError::BadInterval(text.trim().to_owned());
    let minutes = optional(text.trim()).map_err(|_: std::num::ParseIntError| bad())?;
    minutes.map(|minutes| Interval::from_minutes(minutes).ok_or_else(bad)).transpose()
}

impl From<&ScanDefinition> for ScanDraft {
    /// The text that [`ScanDraft::check`] reads as this definition.
    fn from(definition: &ScanDefinition) -> Self {
        let ScanDefinition {
            name,
            description,
            targets,
            exclusions,
            budget,
            special,
            ports,
            args,
            engine,
            site,
            cadence,
            scheduled,
        } = definition;
        let interval = cadence.as_ref().and_then(Cadence::interval);
        let cron = cadence.as_ref().and_then(Cadence::cron);
        Self {
            name: name.to_string(),
            description: description.to_string(),
            targets: targets.to_string(),
            exclusions: exclusions.to_string(),
            budget: budget.to_string(),
            special: *special,
            ports: ports.as_ref().map(PortSet::to_string).unwrap_or_default(),
            args: args.to_string(),
            engine: engine.to_string(),
            site: site.to_string(),
            interval: interval.map(|interval| interval.minutes().to_string()).unwrap_or_default(),
            cron: cron.map(|cron| cron.expression().to_owned()).unwrap_or_default(),
            zone: cron.map(|cron| cron.zone().to_owned()).unwrap_or_default(),
            scheduled: *scheduled,
        }
    }
}
