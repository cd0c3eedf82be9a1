//! What a browser asked for, from the log that it keeps of its network.

use serde_json::Value;
use std::path::Path;

/// Where dashboards of stories are.
const DASHBOARDS: &str = "http://127.0.0.1:";

/// The addresses elsewhere that pages asked for, in their order. What the browser asks in its own name has no initiator.
pub(super) fn elsewhere(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.trim_end_matches(',')).ok());
    let requests = events.filter_map(|event| {
        let asker = event["params"]["initiator"].as_str().filter(|asker| *asker != "not an origin")?;
        let url = event["params"]["url"].as_str()?;
        let is_over_network = ["http:", "https:", "ws:", "wss:"].iter().any(|scheme| url.starts_with(scheme));
        (is_over_network && !url.starts_with(DASHBOARDS)).then(|| format!("{asker} asked for {url}"))
    });
    let mut found: Vec<String> = requests.collect();
    found.dedup();
    found
}
