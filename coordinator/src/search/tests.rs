//! Searches: what is understood, what fits, and what is said of the rest.

use super::{Fact, Field, Pattern, Query};
use crate::analysis::delta::PortId;
use crate::fixture::cases;
use proptest::prelude::*;
use protocol::Protocol;

const FIELDS: [Field; 7] =
    [Field::Address, Field::Name, Field::Network, Field::Port, Field::Service, Field::Mac, Field::Os];

fn port(protocol: Protocol, port: u16) -> Fact<'static> {
    Fact::Port(PortId { protocol, port })
}

/// A host with a bit of everything.
fn facts() -> Vec<Fact<'static>> {
    vec![
        Fact::Address("10.1.4.20".parse().unwrap()),
        Fact::Text(Field::Name, "Web-1.example"),
        Fact::Text(Field::Network, "Head Office"),
        Fact::Text(Field::Service, "http nginx 1.18.0"),
        Fact::Text(Field::Mac, "00:11:22:AA:BB:CC"),
        Fact::Text(Field::Mac, "Acme"),
        Fact::Text(Field::Os, "Linux 5.x"),
        port(Protocol::Tcp, 443),
        port(Protocol::Udp, 53),
    ]
}

fn fits(query: &str) -> bool {
    query.parse::<Query>().unwrap_or_else(|error| panic!("{query}: {error}")).fits(&FIELDS, &facts())
}

#[test]
fn words_and_fields_find_what_they_say() {
    let cases = [
        ("web", true),
        ("WEB-1", true),
        ("web-2", false),
        ("10.1.4.20", true),
        ("10.1.4.0/24", true),
        ("10.1.4.0-10.1.4.19", false),
        ("10.1.4.", true),
        ("443", true),
        ("44", false),
        ("20", false),
        ("port:443", true),
        ("port:443/tcp", true),
        ("port:443/udp", false),
        ("port:53", true),
        ("port:U:53", true),
        ("port:80,443", true),
        ("port:1-1000", true),
        ("port:444-1000", false),
        ("address:10.1.*", true),
        ("address:10.2.0.0/16", false),
        ("name:web*", true),
        ("name:*.example", true),
        ("name:web*org", false),
        ("name:w*1*ple", true),
        ("name:\"web*\"", false),
        ("host:web", true),
        ("network:\"head office\"", true),
        ("\"head office\"", true),
        ("\"office head\"", false),
        ("mac:00:11:22*", true),
        ("00:11:22:aa:bb:cc", true),
        ("mac:acme", true),
        ("service:nginx os:linux", true),
    ];
    for (query, expected) in cases {
        assert_eq!(fits(query), expected, "{query}");
    }
}

#[test]
fn and_or_and_not_bind_as_people_expect() {
    let cases = [
        ("web AND port:443", true),
        ("web port:22", false),
        ("port:22 OR port:443", true),
        ("NOT port:22", true),
        ("NOT NOT port:22", false),
        ("web NOT port:22", true),
        ("web AND NOT port:443", false),
        ("port:22 AND nothing OR web AND port:443", true),
        ("nothing AND web OR port:22", false),
        ("\"AND\"", false),
        ("and", false),
        ("NOT nothing OR nothing", true),
    ];
    for (query, expected) in cases {
        assert_eq!(fits(query), expected, "{query}");
    }
}

#[test]
fn a_kind_without_the_field_never_fits_not_even_with_not() {
    assert!(!fits("severity:critical") && !fits("NOT severity:critical") && fits("severity:critical OR web"));
    let query: Query = "state:open web".parse().unwrap();
    assert!(query.names(Field::State) && !query.names(Field::Name));
}

#[test]
fn addresses_of_the_newer_kind_are_no_fields() {
    for text in ["fe80::1", "dead::1", "fe80::/64", "aa:bb:cc:dd:ee:ff"] {
        assert!(text.parse::<Query>().is_ok(), "{text}");
    }
    let facts = [Fact::Address("fe80::1".parse().unwrap())];
    assert!("fe80::/64".parse::<Query>().unwrap().fits(&FIELDS, &facts));
}

#[test]
fn what_is_not_understood_is_told_with_what_to_write() {
    let long = "x".repeat(501);
    let many = "x ".repeat(33);
    let bad = [
        "",
        "\"\"",
        "a \"b",
        "colour:red",
        "http://x",
        "port:",
        "port:ssh",
        "port:443/icmp",
        "a AND",
        "OR b",
        "a OR OR b",
        "NOT",
        "a NOT OR b",
        &long,
        &many,
    ];
    let told: Vec<String> = bad.iter().map(|text| text.parse::<Query>().unwrap_err().to_string()).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    type what to look for: an address, a name, a port, or field:value such as port:3389
    type what to look for: an address, a name, a port, or field:value such as port:3389
    a quote is not closed; write "…" around what belongs together
    colour is no field; the fields are address, name, network, site, port, service, os, mac, severity, state, rule, node; put the term in quotes to search for it as it stands
    http is no field; the fields are address, name, network, site, port, service, os, mac, severity, state, rule, node; put the term in quotes to search for it as it stands
    port: has no value; write for instance port:443/tcp
    port:ssh: port "ssh" is not a number or a range; write for instance 443, 1-1000 or U:53
    port:443/icmp: write tcp, udp or sctp behind the /, such as 443/tcp
    AND needs something on each side; put "AND" in quotes to search for the word
    OR needs something on each side; put "OR" in quotes to search for the word
    OR needs something on each side; put "OR" in quotes to search for the word
    NOT needs something on each side; put "NOT" in quotes to search for the word
    OR needs something on each side; put "OR" in quotes to search for the word
    the search has 501 characters; take at most 500
    the search has 33 terms; take at most 32
    "#);
}

/// As slow and plain as can be.
fn matches_slowly(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], rest) => rest.is_empty(),
        (['*', after @ ..], _) => {
            (0..=text.len()).any(|skipped| matches_slowly(after, text.get(skipped..).unwrap_or_default()))
        }
        ([first, after @ ..], [found, rest @ ..]) => first == found && matches_slowly(after, rest),
        (_, []) => false,
    }
}

proptest! {
    #![proptest_config(cases(2_000, 50_000))]

    #[test]
    fn any_text_is_a_search_or_an_error(text in "\\PC{0,60}") {
        if let Ok(query) = text.parse::<Query>() {
            let _ = query.fits(&FIELDS, &facts());
        }
    }

    #[test]
    fn a_search_fits_when_one_side_of_an_or_does(words in proptest::collection::vec(
        prop_oneof![Just("AND"), Just("OR"), Just("NOT"), Just("port:22"), Just("a*b"), Just("\"x y\""), Just("10.1.4.20"), Just("web")], 0..12)) {
        let text = words.join(" ");
        if let Ok(query) = text.parse::<Query>() {
            let fits = query.fits(&FIELDS, &facts());
            let by_hand = text.split(" OR ").any(|all| {
                all.replace(" AND ", " ").parse::<Query>().is_ok_and(|part| part.fits(&FIELDS, &facts()))
            });
            prop_assert_eq!(fits, by_hand);
        }
    }

    #[test]
    fn one_term_and_its_negation_never_agree(word in "[a-z0-9.*]{1,6}") {
        let both = [format!("name:{word}"), format!("NOT name:{word}")];
        let [yes, no] = both.map(|text| text.parse::<Query>().unwrap().fits(&FIELDS, &facts()));
        prop_assert_ne!(yes, no);
    }

    #[test]
    fn stars_match_as_the_plain_way_does(pattern in "[abä*]{1,8}", text in "[abAB]{0,8}|[abABäÄ]{0,8}") {
        let quick = Pattern { parts: pattern.split('*').map(str::to_owned).collect() };
        let lowered = text.to_lowercase();
        let (slow, letters): (Vec<char>, Vec<char>) = (pattern.chars().collect(), lowered.chars().collect());
        let fits = if pattern.contains('*') { matches_slowly(&slow, &letters) } else { lowered.contains(&pattern) };
        prop_assert_eq!(quick.is_in(&text), fits);
    }
}
