//! What holds for every text and for every byte string.

use super::super::ScanArgs;
use super::super::table::{TAKEN, option_table};
use super::{refusal, sample};
use proptest::prelude::*;

/// Texts that are often taken, and texts that look like them.
fn texts() -> impl Strategy<Value = String> {
    let listed: Vec<String> = TAKEN.iter().map(sample).collect();
    let names: Vec<&str> = option_table().iter().map(|line| line.option).collect();
    let word = prop_oneof![
        8 => proptest::sample::select(listed),
        1 => proptest::sample::select(names).prop_map(str::to_owned),
        1 => "-{0,2}[a-zA-Z0-9=,.:-]{0,12}",
        1 => any::<String>(),
        2 => ("--(host-timeout|scan-delay|max-rtt-timeout)[ =]", 0u32..400, "ms|s|m|h").prop_map(|(a, b, c)| format!("{a}{b}{c}")),
        2 => ("--(max-retries|min-rate|max-hostgroup|top-ports)[ =]", 0u32..9_000).prop_map(|(a, b)| format!("{a}{b}")),
        1 => ("-P[SAUYO]", proptest::collection::vec(0u32..300, 1..5))
            .prop_map(|(a, b)| format!("{a}{}", b.iter().map(u32::to_string).collect::<Vec<_>>().join(","))),
    ];
    proptest::collection::vec(word, 0..5).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn what_is_taken_survives_text_and_bytes(text in texts()) {
        if let Ok(args) = text.parse::<ScanArgs>() {
            let shown = args.to_string();
            prop_assert_eq!(shown.parse::<ScanArgs>(), Ok(args.clone()), "{}", shown);
            prop_assert_eq!(ScanArgs::try_from(String::from(args.clone())), Ok(args.clone()));
            let expanded: ScanArgs = args.expanded().parse().unwrap();
            prop_assert_eq!(expanded.nmap_options(), args.nmap_options());
            let bytes = crate::codec::encode(&args);
            prop_assert_eq!(crate::codec::decode::<ScanArgs>(&bytes, 1 << 14).unwrap(), args);
        }
    }

    #[test]
    fn what_nmap_gets_are_options_of_the_table_and_nothing_else(text in texts()) {
        if let Ok(args) = text.parse::<ScanArgs>() {
            for option in args.nmap_options() {
                let name = option.split_once('=').map_or(option.as_str(), |(name, _)| name);
                let known = TAKEN.iter().any(|row| row.name == name || row.form.is_glued() && name.starts_with(row.name));
                prop_assert!(known, "{} from {}", option, text);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused_without_panic(text in any::<String>()) {
        let _ = text.parse::<ScanArgs>();
    }
}

#[test]
fn bytes_are_refused_where_the_text_is() {
    for text in ["-oN evil", "-sS -sT", "--script vuln", "-T4 -T4", "10.0.0.1"] {
        let bytes = crate::codec::encode(&text.to_owned());
        let error = crate::codec::decode::<ScanArgs>(&bytes, 1 << 14).expect_err(text).to_string();
        assert!(error.contains(&refusal(text)), "{error}");
    }
}
