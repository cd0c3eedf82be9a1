//! What each side calls each service, side by side, and how often they agree.

use super::catalogue::Entry;
use super::scan::Names;
use protocol::observation::Service;
use protocol::text::Text;
use std::net::SocketAddr;

/// How the names agree.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Services that nmap names.
    pub(crate) told: usize,
    /// Of these, those of which all that nmap tells is told in the same words.
    pub(crate) equal: usize,
    /// Of these, those that are called otherwise.
    pub(crate) contradicted: usize,
}

/// Prints a row for each service; the last column says how the built-in engine's word stands to nmap's.
pub(crate) fn print(entries: &[(&Entry, SocketAddr)], ours: &Names, merged: &Names, nmap: &Names) -> Verdict {
    let mut verdict = Verdict::default();
    println!("| service | built-in | auto: by | nmap | |\n|---|---|---|---|---|");
    for (entry, target) in entries {
        let (mine, theirs) = (ours.get(target), nmap.get(target));
        let word = match theirs {
            None => "",
            Some(theirs) => {
                verdict.told += 1;
                judge(mine, theirs, &mut verdict)
            }
        };
        let by = merged.get(target).map_or("nobody", |service| service.by.as_str());
        println!("| {} | {} | {by} | {} | {word} |", entry.name, words(mine), words(theirs));
    }
    verdict
}

fn judge(mine: Option<&Service>, theirs: &Service, verdict: &mut Verdict) -> &'static str {
    let Some(mine) = mine else { return "not named" };
    let fields = [(&mine.name, &theirs.name), (&mine.product, &theirs.product), (&mine.version, &theirs.version)];
    let differs = |(mine, theirs): &(&Text, &Text)| !mine.is_empty() && !theirs.is_empty() && mine != theirs;
    if fields.iter().any(differs) || mine.tls != theirs.tls {
        verdict.contradicted += 1;
        return "differs";
    }
    if fields.iter().any(|(mine, theirs)| mine.is_empty() && !theirs.is_empty()) {
        return "less";
    }
    verdict.equal += 1;
    if fields.iter().any(|(mine, theirs)| !mine.is_empty() && theirs.is_empty()) { "more" } else { "equal" }
}

fn words(service: Option<&Service>) -> String {
    let Some(service) = service else { return "-".to_owned() };
    let name = if service.tls { format!("ssl/{}", service.name) } else { service.name.to_string() };
    let words = [name.as_str(), service.product.as_str(), service.version.as_str()];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The middle of the seconds; `None` of none.
pub(crate) fn median(mut seconds: Vec<f64>) -> Option<f64> {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied()
}
