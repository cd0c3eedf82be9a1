//! nmap's own opinion of what we accept: the installed program, on 127.0.0.1 only, without name resolution.

use super::super::script::{DEFAULT, EXTRA, NOT_DEFAULT, REFUSED_CATEGORIES};
use super::super::table::{Opt, TAKEN};
use super::super::{DefaultPorts, ScanArgs};
use super::{accepted, company, sample};
use std::process::{Command, Output};

/// Runs nmap; `None`, and says so, when it is not installed.
fn nmap(arguments: &[&str]) -> Option<Output> {
    match Command::new("nmap").env_clear().env("PATH", std::env::var_os("PATH")?).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped: nmap does not start: {error}");
            None
        }
    }
}

fn assert_taken(arguments: &[&str], output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nmap {}: {said}", arguments.join(" "));
    assert!(!said.contains("WARNING: Disabling"), "nmap {}: {said}", arguments.join(" "));
}

/// nmap's own list scan refuses options that only make sense when something is scanned.
fn fits_a_list_scan(args: &ScanArgs) -> bool {
    let scans = ["-sT", "-sS", "-sA", "-sW", "-sF", "-sN", "-sX", "-sM", "-sU", "-sY", "-sZ", "-sO", "-O", "-F"];
    let others = ["-sn", "-R", "--top-ports", "--defeat-rst-ratelimit"];
    !scans.iter().chain(&others).any(|name| args.has(name))
}

#[test]
fn nmap_reads_each_option_that_fits_a_list_scan() {
    for row in TAKEN {
        let args = accepted(&format!("{}{}", company(row.option), sample(row)));
        if !fits_a_list_scan(&args) {
            continue;
        }
        let options = args.nmap_options();
        let mut arguments = vec!["-sL", "-n"];
        arguments.extend(options.iter().map(String::as_str).filter(|option| *option != "-n"));
        arguments.extend(["--", "127.0.0.1"]);
        let Some(output) = nmap(&arguments) else { return };
        assert_taken(&arguments, &output);
    }
}

#[test]
fn nmap_runs_the_options_that_scan() {
    let Some(probe) = nmap(&["-n", "-sS", "-p", "1", "127.0.0.1"]) else { return };
    let is_raw = probe.status.success();
    let examples = [
        "",
        "-T4 -sV --host-timeout 30s --max-retries 1",
        "-A -T4 -sV --script=default",
        "-T5 -F --max-retries 1",
        "-sUV -sS",
        "-sn -PE",
        "-Pn -sT --script banner,ssl-cert --script-args banner.timeout=1s",
        "-PS22 -PA80 -PU53 -PY9 -PO1,6 -PE",
        "--min-rate 10 --max-rate 500 --min-parallelism 1 --max-parallelism 9 --min-hostgroup 1 --max-hostgroup 9",
        "--min-rtt-timeout 20ms --initial-rtt-timeout 50ms --max-rtt-timeout 1s --scan-delay 0s --max-scan-delay 10ms",
    ];
    let single = TAKEN.iter().filter(|row| !matches!(row.option, Opt::ReverseDns | Opt::Timing));
    let single = single.map(|row| format!("{}{}", company(row.option), sample(row)));
    let texts: Vec<String> = examples.into_iter().map(str::to_owned).chain(single).collect();
    for args in texts.iter().map(|text| accepted(text)).filter(|args| !fits_a_list_scan(args) || is_example(args)) {
        if args.needs_raw() && !is_raw {
            println!("skipped: {args}, because there is no right to send raw packets");
            continue;
        }
        run_one_port(&args);
    }
}

fn is_example(args: &ScanArgs) -> bool {
    args.given.len() != 1
}

fn run_one_port(args: &ScanArgs) {
    let options = args.nmap_options();
    let mut arguments: Vec<&str> = options.iter().map(String::as_str).collect();
    let has_ports = !args.discovery_only() && args.default_ports() == DefaultPorts::Standard;
    if has_ports && args.excluded_ports().is_none() && !args.has("-sO") {
        arguments.extend(["-p", "T:1,U:1,S:1"]);
    }
    arguments.extend(["--", "127.0.0.1"]);
    if let Some(output) = nmap(&arguments) {
        assert_taken(&arguments, &output);
    }
}

#[test]
fn nmap_reads_the_words_for_scripts_as_we_mean_them() {
    let default = scripts_of("-sC");
    let safe = scripts_of("--script safe-list");
    let (Some(default), Some(safe)) = (default, safe) else { return };
    assert!(default.iter().any(|name| name == "ssl-cert"), "{default:?}");
    for name in NOT_DEFAULT {
        assert!(!default.iter().chain(&safe).any(|found| found == name), "{name} would run");
    }
    assert!(safe.len() > 150, "most of the list is known to every nmap since 7.80: {}", safe.len());
    for name in &safe {
        assert!(DEFAULT.iter().chain(EXTRA).any(|known| known == name), "{name} would run unlisted");
    }
}

/// The scripts that nmap would choose, from its help, which runs none of them.
fn scripts_of(text: &str) -> Option<Vec<String>> {
    let options = accepted(text).nmap_options();
    let chosen = options.iter().find_map(|option| option.strip_prefix("--script=")).unwrap();
    let help = format!("--script-help={chosen}");
    let output = nmap(&[help.as_str()])?;
    assert_taken(&[help.as_str()], &output);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let address = "https://nmap.org/nsedoc/scripts/";
    Some(
        shown
            .lines()
            .filter_map(|line| line.strip_prefix(address))
            .map(|name| name.trim_end_matches(".html").to_owned())
            .collect(),
    )
}

#[test]
fn the_script_list_agrees_with_the_installed_categories() {
    let Ok(database) = std::fs::read_to_string("/usr/share/nmap/scripts/script.db") else {
        println!("skipped: nmap's script database is not in /usr/share/nmap");
        return;
    };
    for name in DEFAULT.iter().chain(EXTRA) {
        let entry = format!("filename = \"{name}.nse\"");
        let Some(line) = database.lines().find(|line| line.contains(&entry)) else { continue };
        let is_in = |category: &str| line.split("categories").nth(1).unwrap().contains(&format!("\"{category}\""));
        assert_eq!(is_in("default"), DEFAULT.contains(name), "{name}");
        assert!(is_in("default") || is_in("safe"), "{name}");
        assert!(!REFUSED_CATEGORIES.iter().any(|category| is_in(category)), "{line}");
    }
}
