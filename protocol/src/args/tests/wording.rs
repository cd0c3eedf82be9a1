//! The table and the refusals as a person reads them: a change of policy shows here.

use super::super::table::option_table;
use super::refusal;

#[test]
fn the_table_is_as_the_security_design_has_it() {
    let lines: Vec<String> = option_table()
        .into_iter()
        .map(|line| format!("{} | {} | {}", line.option, line.class, line.rule).trim_end().to_owned())
        .collect();
    insta::assert_snapshot!("option_table", lines.join("\n"));
}

/// Texts that must not be taken, one a line.
const REFUSED_TEXTS: &str = "\
192.168.1.1
-p 22
-p22
-oX -
-oX out.xml
-oXout.xml
-oN=f
-iL
-iR
-sI zombie
-sSI
-sAV
-sP
-s
-
--
-script default
--max-retr 1
--host_timeout 30s
--Reason
--datadi x
-v
-vv
-e eth0
-T
-T44
-T6
-t4
-T 4
-O2
-PN
-PS
-PS22,x
-PS1-33
-PST:22
-PO256
-P22
--open=1
--max-retries
--max-retries abc
--max-retries 11
--max-retries 01
--host-timeout 30
--host-timeout=4s
--host-timeout 25h
--host-timeout 1.5m
--top-ports 0
--top-ports 8301
--exclude-ports ssh
--version-light
-sV --version-light --version-all
-sn -sV
-sn -Pn
-sn -F
-sO -sV
-A -sO
-sS -sT
-sY -sZ
-F --top-ports 9
-n -R
-Pn -PE
--min-rate 9 --max-rate 8
--initial-rtt-timeout 2s --max-rtt-timeout 1s
--defeat-icmp-ratelimit
-sT --defeat-rst-ratelimit
-sU --defeat-rst-ratelimit
--script vuln
--script=all
--script http-open-proxy
--script ./evil.nse
--script http-*
--script default,
--script not intrusive
--script +banner
--script-args newtargets
--script-args http.useragent=a/b
--script-args http.useragent=
--script-args-file f
-sV \u{1b}[31m";

#[test]
fn each_refusal_names_the_option_the_reason_and_the_remedy() {
    let messages: Vec<String> =
        REFUSED_TEXTS.lines().map(|text| format!("{}\n    {}", text.escape_debug(), refusal(text))).collect();
    insta::assert_snapshot!("refusals", messages.join("\n"));
}
