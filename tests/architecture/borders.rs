//! What may know what (STYLE section 2, rules 1, 2 and 4): manifests and the paths that sources name.

use super::source::{Source, code_of, files, lines_naming};
use std::collections::{BTreeMap, BTreeSet};

/// Each crate with the crates of this workspace that its manifest may name.
const MAY_DEPEND: [(&str, &[&str]); 5] = [
    ("protocol", &[]),
    ("node", &["protocol"]),
    ("coordinator", &["protocol"]),
    ("web", &["coordinator", "protocol"]),
    ("portdrift", &["coordinator", "node", "protocol", "web"]),
];

/// A name from outside with the only places (path prefixes) that may use it.
const KEPT_IN: [(&str, &[&str]); 6] = [
    ("sled", &["coordinator/src/store.rs", "coordinator/src/store/"]),
    ("libp2p", &["protocol/src/mesh", "node/src/agent", "coordinator/src/hub"]),
    ("axum", &["web/"]),
    ("askama", &["web/"]),
    ("askama_web", &["web/"]),
    ("bincode", &["protocol/src/codec.rs"]),
];

/// What opens a socket; in `node` only an engine does, and only towards an admitted task's targets.
const SOCKETS: [&str; 4] = ["TcpStream", "TcpSocket", "UdpSocket", "socket2"];

/// Parts of `coordinator` that are nobody else's.
const BEHIND_THE_FACADE: [&str; 2] = ["store", "hub"];

fn broken_dependencies(package: &str, named: &BTreeSet<String>) -> Vec<String> {
    let allowed = MAY_DEPEND.iter().find(|(name, _)| *name == package).map_or(&[][..], |(_, allowed)| allowed);
    let ours = named.iter().filter(|name| MAY_DEPEND.iter().any(|(package, _)| package == name));
    ours.filter(|name| !allowed.contains(&name.as_str())).map(|name| format!("{package} names {name}")).collect()
}

fn escaped_names(sources: &[Source]) -> Vec<String> {
    let mut escapes = Vec::new();
    for source in sources.iter().filter(|source| !source.path.starts_with("tests/")) {
        let code = code_of(&source.text);
        for (name, places) in KEPT_IN {
            if !places.iter().any(|place| source.path.starts_with(place)) {
                escapes.extend(
                    lines_naming(&code, name).iter().map(|line| format!("{}:{line} names {name}", source.path)),
                );
            }
        }
    }
    escapes
}

/// True for files that are built for tests alone; they stand in for targets and may open what they like.
fn is_for_tests(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("/testing.rs")
}

fn sockets_outside_engines(sources: &[Source]) -> Vec<String> {
    let in_node =
        |path: &str| path.starts_with("node/src/") && !path.starts_with("node/src/engine") && !is_for_tests(path);
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| in_node(&source.path)) {
        let code = code_of(&source.text);
        let opens = |line: &&str| SOCKETS.iter().any(|name| line.contains(name));
        found.extend(code.lines().filter(opens).map(|line| format!("{}: {}", source.path, line.trim())));
    }
    found
}

fn behind_the_facade(sources: &[Source]) -> Vec<String> {
    let outside = |path: &str| path.starts_with("web/") || path.starts_with("src/");
    let mut found = Vec::new();
    for part in BEHIND_THE_FACADE {
        let path = format!("coordinator::{part}");
        let reached = sources.iter().filter(|s| outside(&s.path) && code_of(&s.text).contains(&path));
        found.extend(reached.map(|s| format!("{} names {path}", s.path)));
        let opened = format!("pub mod {part};");
        let facade = sources.iter().filter(|s| s.path == "coordinator/src/lib.rs" && s.text.contains(&opened));
        found.extend(facade.map(|s| format!("{} says {opened}", s.path)));
    }
    found
}

/// The dependencies that a manifest names, in any of its dependency tables.
fn named_in(manifest: &str) -> BTreeSet<String> {
    let mut in_table = false;
    let mut named = BTreeSet::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            in_table = table.trim_end_matches(']').ends_with("dependencies") && !table.starts_with("workspace");
        } else if in_table && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            named.insert(name.to_owned());
        }
    }
    named
}

fn manifests() -> BTreeMap<&'static str, BTreeSet<String>> {
    let text = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let place = |name: &str| if name == "portdrift" { "Cargo.toml".to_owned() } else { format!("{name}/Cargo.toml") };
    MAY_DEPEND.iter().map(|(name, _)| (*name, named_in(&text(&place(name))))).collect()
}

#[test]
fn dependencies_point_the_way_the_map_is_drawn() {
    let broken: Vec<_> = manifests().iter().flat_map(|(package, named)| broken_dependencies(package, named)).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn outside_names_stay_in_their_place() {
    let escapes = escaped_names(&files("rs"));
    assert!(escapes.is_empty(), "{escapes:#?}");
}

#[test]
fn in_a_node_only_engines_open_sockets() {
    let found = sockets_outside_engines(&files("rs"));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nothing_reaches_behind_the_coordinators_facade() {
    let found = behind_the_facade(&files("rs"));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_the_named_crates_ask_for_sled_libp2p_and_axum() {
    let may = [("sled", vec!["coordinator"]), ("axum", vec!["web"]), ("askama", vec!["web"])];
    for (wanted, packages) in may {
        let asking: Vec<_> =
            manifests().iter().filter(|(_, named)| named.contains(wanted)).map(|(package, _)| *package).collect();
        assert_eq!(asking, packages, "who asks for {wanted}");
    }
}

#[test]
fn a_wrong_arrow_is_noticed() {
    let manifest = "[dependencies]\ncoordinator.workspace = true\nserde = \"1\"\n[dev-dependencies]\nweb = { path = \"../web\" }\n";
    assert_eq!(broken_dependencies("node", &named_in(manifest)), ["node names coordinator", "node names web"]);
    assert!(broken_dependencies("web", &named_in("[dependencies]\ncoordinator.workspace = true\n")).is_empty());
}

#[test]
fn an_escaped_name_is_noticed() {
    let wrong = Source::made_up("web/src/page.rs", "//! x\nuse sled::Db;\n");
    let right = Source::made_up("coordinator/src/store/keys.rs", "use sled::Db;\n");
    let derived = Source::made_up("node/src/spool.rs", "#[derive(bincode::Encode)]\n");
    assert_eq!(
        escaped_names(&[wrong, right, derived]),
        ["web/src/page.rs:2 names sled", "node/src/spool.rs:1 names bincode"]
    );
}

#[test]
fn a_socket_in_the_wrong_place_is_noticed() {
    let wrong = Source::made_up("node/src/agent.rs", "let s = TcpStream::connect(a);\n");
    let right = Source::made_up("node/src/engine/connect.rs", "let s = TcpStream::connect(a);\n");
    assert_eq!(sockets_outside_engines(&[wrong, right]), ["node/src/agent.rs: let s = TcpStream::connect(a);"]);
}

#[test]
fn a_way_around_the_facade_is_noticed() {
    let page = Source::made_up("web/src/page.rs", "use coordinator::store::Store;\n");
    let opened = Source::made_up("coordinator/src/lib.rs", "pub mod hub;\n");
    let found = behind_the_facade(&[page, opened]);
    assert_eq!(found, ["web/src/page.rs names coordinator::store", "coordinator/src/lib.rs says pub mod hub;"]);
}
