//! Tests of the scan arguments: the table and its spellings, their meaning, and nmap's own opinion.

mod against_nmap;
mod meaning;
mod properties;
mod spellings;
mod wording;

use super::ScanArgs;
use super::table::{Opt, Row};
use super::value::Form;

/// A fit value for an option.
fn sample_value(row: &Row) -> String {
    match row.form {
        Form::Flag => String::new(),
        Form::Timing => "4".to_owned(),
        Form::Probes => "22,80".to_owned(),
        Form::IpProtocols => "1,6".to_owned(),
        Form::Number { most, .. } => most.to_string(),
        Form::Time { most_ms, .. } => format!("{}s", most_ms / 1_000),
        Form::Ports => "T:22,U:53".to_owned(),
        Form::Scripts => "banner,default".to_owned(),
        Form::ScriptArgs => "http.useragent=Portdrift-1.0".to_owned(),
    }
}

/// An option as it may be typed.
fn sample(row: &Row) -> String {
    let link = if row.form.is_glued() || row.form == Form::Flag { "" } else { " " };
    format!("{}{link}{}", row.name, sample_value(row))
}

/// What must stand beside an option.
fn company(option: Opt) -> &'static str {
    let depth = [Opt::VersionIntensity, Opt::VersionLight, Opt::VersionAll];
    match (depth.contains(&option), option == Opt::DefeatIcmpRatelimit) {
        (true, _) => "-sV ",
        (_, true) => "-sU ",
        _ => "",
    }
}

fn accepted(text: &str) -> ScanArgs {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    match text.parse::<ScanArgs>() {
        Ok(args) => panic!("{text:?} was taken as {args}"),
        Err(error) => error.to_string(),
    }
}
