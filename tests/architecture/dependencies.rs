//! What is built in: only crates under the licences of deny.toml, and none that it bans.
//!
//! `cargo deny` checks the same and advisories too, where it is installed; this holds everywhere.

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// The quoted words of deny.toml that follow `key` up to the closing bracket.
fn listed(deny: &str, key: &str) -> BTreeSet<String> {
    let after = deny.split_once(key).map_or("", |(_, after)| after);
    let list = after.split_once("\n]").map_or(after, |(list, _)| list);
    list.lines().filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
}

/// True when the licence text `expression` can be met with `allowed` alone.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let normal = expression.replace('/', " OR ").replace(['(', ')'], " ");
    let each_side = normal.split(" AND ").map(|side| {
        let mut choices = side.split(" OR ").map(|choice| choice.split_whitespace().collect::<Vec<_>>().join(" "));
        choices.any(|choice| allowed.contains(&choice))
    });
    each_side.into_iter().all(|met| met)
}

/// The packages that this workspace really builds on this platform, with their licence texts.
fn built() -> Vec<(String, String)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["tree", "--workspace", "--locked", "--offline", "--prefix", "none", "--format", "{p}\t{l}"];
    let output =
        Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: BTreeSet<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.iter().filter_map(|line| line.split_once('\t')).map(|(p, l)| (p.to_owned(), l.to_owned())).collect()
}

fn name(package: &str) -> &str {
    package.split(' ').next().unwrap_or(package)
}

#[test]
fn only_allowed_licences_and_no_banned_crate_are_built_in() {
    let deny = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml")).unwrap();
    let (allowed, banned) = (listed(&deny, "\nallow = ["), listed(&deny, "\ndeny = ["));
    assert!(allowed.contains("MIT") && banned.contains("openssl"), "deny.toml was not read");
    let packages = built();
    assert!(packages.len() > 100, "only {} packages", packages.len());
    for (package, licence) in packages {
        assert!(is_met(licence.trim_end_matches(" (*)"), &allowed), "{package} is under {licence:?}");
        assert!(!banned.contains(name(&package)), "{package} is banned in deny.toml");
    }
}

#[test]
fn a_licence_text_is_met_by_one_of_its_choices_and_all_of_its_parts() {
    let allowed: BTreeSet<String> = ["MIT", "ISC"].map(str::to_owned).into();
    for (text, met) in [
        ("MIT", true),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 AND MIT", false),
        ("(MIT OR Apache-2.0) AND ISC", true),
        ("(GPL-3.0 OR AGPL-3.0) AND ISC", false),
        ("", false),
    ] {
        assert_eq!(is_met(text, &allowed), met, "{text}");
    }
}

#[test]
fn the_lock_file_holds_only_packages_of_the_public_registry() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let sources: BTreeSet<_> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    let sources: Vec<Value> = sources.iter().map(|source| serde_json::from_str(source).unwrap()).collect();
    assert_eq!(sources, ["registry+https://github.com/rust-lang/crates.io-index"]);
}
