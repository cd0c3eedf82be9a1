//! The policy against tasks: what is let through, and what each refusal says.

use super::*;
use protocol::task::{EngineChoice, RunId};
use std::time::Duration;

fn task(targets: &str, args: &str) -> Task {
    let ports = None;
    let spec = TaskSpec {
        targets: TargetSet::try_from(targets.to_owned()).unwrap(),
        ports,
        args: args.parse().unwrap(),
        engine: EngineChoice::Auto,
        time_limit: Duration::from_secs(600),
    };
    Task { id: TaskId { run: RunId(1), index: 0 }, fence: 1, lease: Duration::from_secs(45), spec }
}

fn with_nmap(policy: Policy, raw: bool) -> Policy {
    let nmap = NmapFacts { path: PathBuf::from("/usr/bin/nmap"), version: "7.93".to_owned(), raw };
    policy.with_engines(&EngineFacts { builtin: "1".to_owned(), raw: false, nmap: Some(nmap) })
}

fn roster() -> TargetSet {
    "10.0.0.0/8,192.168.0.0/16,2001:db8::/64".parse().unwrap()
}

#[test]
fn each_refusal_names_what_was_asked_and_who_can_allow_it() {
    let strict = "ranges = \"10.1.0.0/16\"\nmax_rate = 100\nallow_t5 = false\n";
    let mut lines = Vec::new();
    for (file, targets, args) in [
        ("", "", ""),
        ("", "10.0.0.0/23", ""),
        ("", "10.0.0.1,172.16.0.9", ""),
        (strict, "10.1.0.1,10.2.0.7", ""),
        (strict, "10.1.0.1", "-T5"),
        (strict, "10.1.0.1", "--max-rate 500"),
        ("", "10.0.0.1", "-R"),
        ("", "10.0.0.1", "-sS"),
        ("", "10.0.0.1", "-A"),
        ("raw_packets = true", "10.0.0.1", "-sS"),
        ("", "10.0.0.0/24", "-T0"),
    ] {
        let policy = with_nmap(Policy::parse(file).unwrap(), false);
        let refused = policy.admit(task(targets, args), &roster()).expect_err(args);
        lines.push(format!("{targets} {args}: {refused}"));
    }
    let refused = Policy::default().admit(task("10.0.0.1", "-sC"), &roster()).expect_err("no nmap");
    lines.push(refused.to_string());
    insta::assert_snapshot!(lines.join("\n"), @"
     : the task has no addresses
    10.0.0.0/23 : the task has 512 addresses, more than the 256 of one task
    10.0.0.1,172.16.0.9 : address 172.16.0.9 is outside the ranges this node is approved for; approve the range, or scan it from another node
    10.1.0.1,10.2.0.7 : address 10.2.0.7 is outside `ranges` of this node's policy file
    10.1.0.1 -T5: option -T5 is not allowed by this node's policy; choose -T4 or slower
    10.1.0.1 --max-rate 500: a rate of 500 packets a second is over the 100 that this node's policy allows
    10.0.0.1 -R: option -R is not allowed by this node's policy; its owner can add it to `options` in the policy file
    10.0.0.1 -sS: -sS needs raw packets, which this node's policy does not allow; its owner can set `raw_packets = true`
    10.0.0.1 -A: -sC, -O, --traceroute needs raw packets, which this node's policy does not allow; its owner can set `raw_packets = true`
    10.0.0.1 -sS: -sS needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
    10.0.0.0/24 -T0: the scan arguments are not valid here: `-T0` is so slow that it takes at most 16 addresses, these are 256; use -T2 or fewer addresses
    nmap is needed for -sC; install nmap 7.80 or later on this node, or leave that out
    ");
}

#[test]
fn what_roster_and_owner_allow_is_admitted_with_its_limits() {
    let policy = with_nmap(Policy::default(), true);
    let admitted = policy.admit(task("10.0.0.0/24", "-T5 -F --max-retries 1"), &roster()).unwrap();
    assert_eq!((admitted.max_rate(), admitted.raw()), (None, false));
    let file = "ranges = \"10.1.0.0/16\"\noptions = [\"-R\"]\nraw_packets = true\nmax_rate = 100\nmax_tasks = 2\n";
    let policy = with_nmap(Policy::parse(file).unwrap(), true);
    assert_eq!(policy.max_tasks(), 2);
    assert_eq!(policy.ranges(&roster()).to_string(), "10.1.0.0/16");
    let admitted = policy.admit(task("10.1.0.7", "-sS -R --max-rate 50"), &roster()).unwrap();
    assert_eq!((admitted.max_rate(), admitted.raw()), (Some(50), true));
    let admitted = policy.admit(task("10.1.0.7", "-sS"), &roster()).unwrap();
    assert_eq!(admitted.max_rate(), Some(100));
}

#[test]
fn a_missing_file_is_the_default_and_a_wrong_one_is_named_by_line() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Policy::load(&folder.path().join("policy.toml")).unwrap(), Policy::default());
    assert!(matches!(Policy::load(folder.path()), Err(PolicyError::Unreadable { .. })));
    let errors: Vec<String> = [
        "max_rate = 5\nrange = \"10.0.0.0/8\"\n",
        "\n\nranges = \"10.0.0.0/99\"\n",
        "max_tasks = 0",
        "raw_packets = \"yes\"",
        "options = [\n  \"-R\",\n  \"-sV\",\n]",
        "options = [\"--script=http-title\", \"--script=banner,finger\"]",
        "spool_limit_mib = 0",
        "= 1",
    ]
    .iter()
    .map(|text| Policy::parse(text).expect_err(text).to_string())
    .collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    line 2, column 1 of the policy file: unknown field `range`, expected one of `ranges`, `options`, `raw_packets`, `max_rate`, `max_host_rate`, `max_node_rate`, `max_tasks`, `identify_fully_every`, `allow_t5`, `nmap`, `spool_limit_mib`, `spool_keep_free_mib`
    line 3, column 10 of the policy file: target "10.0.0.0/99" has no valid prefix length; write /0 to /32 for IPv4 or /0 to /128 for IPv6
    line 1, column 13 of the policy file: invalid value: integer `0`, expected a nonzero u16
    line 1, column 15 of the policy file: invalid type: string "yes", expected a boolean
    line 1, column 11 of the policy file: "-sV" is no option that a policy lets in; write for instance "-R" or "--script=banner"
    line 1, column 11 of the policy file: "--script=http-title" is no option that a policy lets in; write for instance "-R" or "--script=banner"
    line 1, column 19 of the policy file: invalid value: integer `0`, expected a nonzero u32
    line 1, column 1 of the policy file: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`
    "#);
}

/// The keys that the parser knows, in its own words.
fn keys() -> Vec<String> {
    let told = Policy::parse("no_such_key = 1").expect_err("unknown").to_string();
    let (_, list) = told.split_once("expected one of ").unwrap();
    list.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
}

#[test]
fn the_example_holds_nothing_and_its_lines_are_valid_and_name_every_key() {
    assert_eq!(Policy::parse(EXAMPLE).unwrap(), Policy::default());
    let set: String = EXAMPLE.lines().filter_map(|line| line.strip_prefix('#')).fold(String::new(), |all, line| {
        if line.starts_with(|first: char| first.is_ascii_lowercase()) { all + line + "\n" } else { all }
    });
    let policy = Policy::parse(&set).unwrap();
    let named: Vec<&str> = set.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(named, keys(), "each key has its line, in the order of the fields");
    let Policy { ranges, options, raw_packets, max_rate, max_host_rate, max_node_rate, .. } = policy;
    let Policy { max_tasks, allow_t5, nmap, spool_limit_mib, .. } = policy;
    assert_eq!((ranges.is_some(), options.len(), max_rate.is_some(), nmap.is_some()), (true, 2, true, true));
    let usual = Policy::default();
    assert_eq!((raw_packets, max_tasks, allow_t5), (usual.raw_packets, usual.max_tasks, usual.allow_t5));
    assert_eq!((max_host_rate, max_node_rate), (usual.max_host_rate, usual.max_node_rate));
    assert_eq!(spool_limit_mib, usual.spool_limit_mib);
}

#[test]
fn the_example_names_every_option_that_a_policy_lets_in() {
    let words = EXAMPLE.split(|letter: char| letter.is_whitespace() || "\"[],():".contains(letter));
    let gated: BTreeSet<&str> = words.filter(|word| GatedOption::try_from((*word).to_owned()).is_ok()).collect();
    let told: Vec<&str> = gated.into_iter().collect();
    insta::assert_snapshot!(told.join(" "), @"--script=banner -PO -R -sA -sF -sM -sN -sO -sW -sX -sY -sZ");
}

#[test]
fn the_spool_is_as_large_as_the_owner_says() {
    let limits = |text: &str| Policy::parse(text).unwrap().spool_limits();
    assert_eq!(limits(""), SpoolLimits::default());
    let set = limits("spool_limit_mib = 2\nspool_keep_free_mib = 3\n");
    assert_eq!(set, SpoolLimits { bytes: 2 << 20, keep_free_bytes: Some(3 << 20) });
}

#[test]
fn a_policy_is_told_in_words() {
    let file = "ranges = \"10.1.0.0/16\"\noptions = [\"-R\", \"-PO\"]\nraw_packets = true\nmax_rate = 100\nspool_keep_free_mib = 3\n";
    let told = [Policy::default(), Policy::parse(file).unwrap()].map(|policy| policy.words().join("\n"));
    insta::assert_snapshot!(told.join("\n\n"), @"
    ranges: every range of its approval
    options that need its word: none
    raw packets: no
    rate of each task: as the scan says
    rate to each host: 250000 packets a second
    rate of the node: 500000 packets a second
    tasks at a time: 4
    services identified fully: every 10 looks
    -T5: yes
    nmap: on the PATH
    undelivered results: 1024 MiB
    kept free on their disk: 5 %, at least 512 MiB

    ranges: 10.1.0.0/16
    options that need its word: -PO -R
    raw packets: yes
    rate of each task: 100 packets a second
    rate to each host: 250000 packets a second
    rate of the node: 500000 packets a second
    tasks at a time: 4
    services identified fully: every 10 looks
    -T5: yes
    nmap: on the PATH
    undelivered results: 1024 MiB
    kept free on their disk: 3 MiB
    ");
}

#[test]
fn a_half_open_scan_needs_the_owners_word_and_the_right_and_then_no_nmap() {
    let facts = |raw| EngineFacts { builtin: "1".to_owned(), raw, nmap: None };
    let admit = |file: &str, raw, args: &str| {
        let policy = Policy::parse(file).unwrap().with_engines(&facts(raw));
        policy
            .admit(task("10.0.0.1", args), &roster())
            .map(|task| task.may_send_raw())
            .map_err(|error| error.to_string())
    };
    assert_eq!(admit("raw_packets = true", true, "-sS"), Ok(true));
    assert_eq!(admit("", true, "-sT"), Ok(false));
    assert_eq!(admit("", true, ""), Ok(false), "not without the owner's word");
    let refused = [
        admit("", true, "-sS"),
        admit("raw_packets = true", false, "-sS"),
        admit("raw_packets = true", true, "-sS -O"),
    ];
    let told: Vec<String> = refused.into_iter().map(|refused| refused.expect_err("refused")).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    -sS needs raw packets, which this node's policy does not allow; its owner can set `raw_packets = true`
    -sS needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
    nmap is needed for -O; install nmap 7.80 or later on this node, or leave that out
    ");
}
