//! What is taken as a scan, what is refused, and in which words.

use super::*;
use proptest::prelude::*;

fn draft() -> ScanDraft {
    ScanDraft { name: "Office".into(), targets: "127.0.10.0/24".into(), ports: "22,80".into(), ..Default::default() }
}

fn errors(changes: &[fn(&mut ScanDraft)]) -> String {
    let refused = changes.iter().map(|change| {
        let mut draft = draft();
        change(&mut draft);
        draft.check().expect_err(&draft.targets).to_string()
    });
    refused.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_plain_draft_is_taken_with_the_documented_defaults() {
    let definition = draft().check().unwrap();
    assert_eq!(definition.wanted().count(), 256);
    assert_eq!((definition.engine(), definition.site().as_str()), (EngineChoice::Auto, "main"));
    assert_eq!((definition.budget(), definition.special()), (65_536, false));
    assert_eq!((definition.cadence(), definition.scheduled()), (None, false));
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let bad = ScanDraft {
        name: " ".into(),
        targets: "10.0.0.300".into(),
        budget: "all".into(),
        ports: "0".into(),
        engine: "masscan".into(),
        interval: "soon".into(),
        cron: "tomorrow".into(),
        ..draft()
    };
    insta::assert_snapshot!(bad.check().unwrap_err().to_string().replace("; ", "\n"), @r#"
    name: give the scan a name
    targets: target "10.0.0.300" is not an address, a CIDR or a range
    host names are not taken, write the address
    budget: "all" is no address budget
    write a whole number from 1 to 33554432
    ports: port "0" is out of range
    ports run from 1 to 65535
    engine: engine "masscan" is unknown
    write auto, nmap or builtin
    interval: "soon" is no interval
    write whole minutes from 1 to 527040, for instance 1440 for daily
    cron: "tomorrow" is no cron expression
    write five fields (minute, hour, day of month, month, weekday), for instance 30 2 * * 1-5, or @hourly, @daily, @weekly or @monthly
    "#);
    insta::assert_snapshot!(errors(&[
        |draft| draft.exclusions = "127.0.0.0/8".into(),
        |draft| draft.scheduled = true,
        |draft| draft.name = "x".repeat(81),
        |draft| draft.name = "17".into(),
        |draft| (draft.interval, draft.cron) = ("10".into(), "0 2 * * *".into()),
        |draft| (draft.cron, draft.zone) = ("0 2 * * *".into(), "Berlin".into()),
        |draft| draft.interval = "527041".into(),
        |draft| draft.budget = "0".into(),
    ]), @r#"
    exclusions: the exclusions leave no address to scan; remove some
    interval: a scheduled scan needs an interval in minutes, for instance 1440 for daily, or a cron expression
    name: 81 characters are more than the 80 allowed; shorten it
    name: a name of digits alone reads as the number of a scan; add a word
    cron: a scan has an interval or a cron expression, not both; remove one
    zone: time zone "Berlin" is unknown; write its IANA name, such as Europe/Berlin, or UTC
    interval: "527041" is no interval; write whole minutes from 1 to 527040, for instance 1440 for daily
    budget: "0" is no address budget; write a whole number from 1 to 33554432
    "#);
}

#[test]
fn what_is_large_or_special_says_how_to_mean_it() {
    insta::assert_snapshot!(errors(&[
        |draft| draft.targets = "10.0.0.0/8".into(),
        |draft| (draft.targets, draft.budget) = ("10.0.0.0/24".into(), "16".into()),
        |draft| (draft.targets, draft.budget) = ("2001:db8::/64".into(), "33554432".into()),
        |draft| draft.budget = "33554433".into(),
        |draft| draft.targets = "10.0.0.1,224.0.0.0/24".into(),
        |draft| draft.targets = "fe80::1-fe80::f".into(),
    ]), @r#"
    targets: 16777216 addresses are more than the 65536 that this scan may ask for; if they are meant, write 16777216 in the field budget (`--budget 16777216`)
    targets: 256 addresses are more than the 16 that this scan may ask for; if they are meant, write 256 in the field budget (`--budget 256`)
    targets: 18446744073709551616 addresses are more than the 33554432 that any scan may ask for; split it
    budget: "33554433" is no address budget; write a whole number from 1 to 33554432
    targets: 224.0.0.0/4 is multicast (RFC 5771); leave it out, or if it is meant, set the field special (`--special`)
    targets: fe80::/10 is link-local (RFC 4291); leave it out, or if it is meant, set the field special (`--special`)
    "#);
    let meant = ScanDraft { targets: "10.0.0.0/8".into(), budget: "16777216".into(), ..draft() };
    assert_eq!(meant.check().unwrap().wanted().count(), 1 << 24);
    let two = ScanDraft { targets: "10.0.0.0/8,11.0.0.0/8".into(), budget: MAX_ADDRESS_BUDGET.to_string(), ..draft() };
    assert_eq!(two.check().unwrap().wanted().count(), u128::from(MAX_ADDRESS_BUDGET));
    let special = ScanDraft { targets: "224.0.0.1".into(), special: true, ..draft() };
    assert!(special.check().unwrap().special());
    let left_out =
        ScanDraft { targets: "223.255.255.0-224.0.0.255".into(), exclusions: "224.0.0.0/4".into(), ..draft() };
    assert_eq!(left_out.check().unwrap().wanted().count(), 256);
}

#[test]
fn a_whole_network_of_a_first_number_costs_no_more_than_a_small_one() {
    let bytes = |targets: &str| {
        let draft = ScanDraft { targets: targets.into(), budget: "16777216".into(), ..draft() };
        protocol::codec::encode(&draft.check().unwrap()).len()
    };
    assert!(bytes("10.0.0.0/8") <= bytes("10.1.2.0/24") + 4);
}

proptest! {
    #[test]
    fn a_definition_written_as_a_draft_is_read_as_itself(
        (name, description) in ("[a-zA-Z][a-z0-9 ]{0,40}", "[ -~]{0,60}"),
        (third, exclude, ports) in (0..255u8, proptest::option::of(0..255u8), proptest::option::of(1..65_535u16)),
        (interval, cron) in prop_oneof![
            (1..527_040u32).prop_map(|minutes| (minutes.to_string(), String::new())),
            (0..60u8, 0..24u8).prop_map(|(minute, hour)| (String::new(), format!("{minute} {hour} * * 1-5"))),
        ],
        (scheduled, budget) in (any::<bool>(), 256..MAX_ADDRESS_BUDGET),
    ) {
        let draft = ScanDraft {
            name,
            description,
            targets: format!("10.0.{third}.0/24"),
            exclusions: exclude.map(|last| format!("10.0.{third}.{last}")).unwrap_or_default(),
            budget: budget.to_string(),
            ports: ports.map(|port| format!("{port},U:53")).unwrap_or_default(),
            args: "-sS -sU -T4 --max-retries 1".into(),
            interval,
            cron,
            zone: "Europe/Berlin".into(),
            scheduled,
            ..ScanDraft::default()
        };
        let definition = draft.check().unwrap();
        prop_assert_eq!(ScanDraft::from(&definition).check().unwrap(), definition.clone());
        let bytes = protocol::codec::encode(&definition);
        prop_assert_eq!(protocol::codec::decode::<ScanDefinition>(&bytes, 1 << 20).unwrap(), definition);
    }
}
