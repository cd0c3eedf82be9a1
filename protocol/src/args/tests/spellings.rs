//! Every option of the table in every spelling that nmap would take or a hurried author would try.

use super::super::script::{DEFAULT, EXTRA};
use super::super::table::{Opt, REFUSED, SET_BY_NODE, TAKEN, option_table};
use super::super::value::Form;
use super::super::{ArgsError, ScanArgs};
use super::{accepted, company, refusal, sample, sample_value};

#[test]
fn every_option_has_one_row_in_canonical_order() {
    for pair in TAKEN.windows(2) {
        assert!(pair[0].option < pair[1].option, "{} before {}", pair[0].name, pair[1].name);
    }
    assert_eq!(TAKEN.last().unwrap().option, Opt::ScriptArgs, "the last of the enum");
    assert_eq!(TAKEN.len(), Opt::ScriptArgs as usize + 1);
    let names: Vec<_> = option_table().into_iter().map(|line| line.option).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "no option in two classes");
}

#[test]
fn each_option_is_taken_exactly_as_written() {
    for row in TAKEN {
        let text = format!("{}{}", company(row.option), sample(row));
        let args = accepted(&text);
        assert!(args.typed(row.option), "{text}");
        assert_eq!(accepted(&format!("  {}\t\n", text.replace(' ', "  "))), args, "white space around {text}");
        let is_long = row.name.starts_with("--");
        let equals = format!("{}{}={}", company(row.option), row.name, sample_value(row));
        if is_long && row.form != Form::Flag {
            assert_eq!(accepted(&equals), args, "{equals}");
        } else {
            refusal(&equals);
        }
    }
}

#[test]
fn each_option_is_refused_in_every_other_spelling() {
    for row in TAKEN {
        let (before, text, value) = (company(row.option), sample(row), sample_value(row));
        let twice = format!("{before}{text} {text}").parse::<ScanArgs>();
        assert_eq!(twice, Err(ArgsError::Twice(row.name)), "{text} twice");
        let mut wrong = vec![
            format!("{before}127.0.0.1 {text}"),
            format!("{before}{text} 127.0.0.1"),
            format!("{before}-- {text}"),
            format!("{before}'{text}'"),
            format!("{before}{}x", row.name),
            format!("{before}{}\u{a0}{value}", row.name),
        ];
        if row.form != Form::Flag {
            wrong.push(format!("{before}{}", row.name));
            wrong.push(format!("{before}{}=", row.name));
            wrong.push(format!("{before}{} -sV", row.name));
        }
        if row.form.is_glued() {
            wrong.push(format!("{before}{} {value}", row.name));
            wrong.push(format!("{before}-{text}"));
        }
        if let Some(name) = row.name.strip_prefix("--") {
            wrong.push(format!("{before}-{name} {value}"));
            wrong.push(format!("{before}-{name}={value}"));
            wrong.push(format!("{before}{}{value}", &row.name[..row.name.len() - 1]));
            wrong.push(format!("{before}{} {value}", &row.name[..row.name.len() - 1]));
            wrong.push(format!("{before}{} {value}", row.name.to_uppercase()));
            wrong.push(format!("{before}--{}x{value}", name));
            if name.contains('-') {
                wrong.push(format!("{before}--{} {value}", name.replace('-', "_")));
            }
            if row.form != Form::Flag {
                wrong.push(format!("{before}{}{value}", row.name));
            }
        }
        wrong.iter().for_each(|text| drop(refusal(text)));
    }
}

#[test]
fn another_case_is_never_the_same_option() {
    let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    for row in TAKEN {
        for name in [row.name.to_lowercase(), row.name.to_uppercase(), row.name.chars().map(swap).collect()] {
            if name != row.name {
                let text = format!("{}{}", company(row.option), sample(row).replacen(row.name, &name, 1));
                let same = text.parse::<ScanArgs>().is_ok_and(|args| args.typed(row.option));
                assert!(!same, "{text} was taken as {}", row.name);
            }
        }
    }
}

#[test]
fn every_refused_option_is_refused_in_every_spelling() {
    let listed = REFUSED.iter().flat_map(|refusal| refusal.names).chain(SET_BY_NODE);
    for name in listed.filter(|name| **name != "-oX -") {
        let mut texts =
            vec![name.to_string(), format!("{name} x"), format!("{name}=x"), format!("{name}7"), format!("-sV {name}")];
        if let Some(long) = name.strip_prefix("--") {
            texts.push(format!("-{long}"));
            texts.push(format!("-{long}=x"));
            texts.push(name[..name.len() - 1].to_owned());
        }
        for text in texts {
            let message = refusal(&text);
            let word = text.split(' ').find(|word| *word != "-sV").unwrap();
            assert!(message.contains(&format!("`{word}")), "{text}: {message}");
        }
    }
}

#[test]
fn joined_letters_follow_the_table() {
    let row = |letters: &str| accepted(letters).to_string();
    assert_eq!(row("-sSV"), "-sS -sV");
    assert_eq!(row("-sVUT"), "-sT -sU -sV");
    assert_eq!(row("-sSUVC"), "-sS -sU -sV -sC");
    assert_eq!("-sVV".parse::<ScanArgs>(), Err(ArgsError::Twice("-sV")));
    assert_eq!("-sV -sSV".parse::<ScanArgs>(), Err(ArgsError::Twice("-sV")));
    for first in ('a'..='z').chain('A'..='Z').chain('0'..='9') {
        for second in ('a'..='z').chain('A'..='Z').chain('0'..='9') {
            let text = format!("-s{first}{second}");
            let may = "TSUVC".contains(first) && "TSUVC".contains(second) && first != second;
            let two_types = "TS".contains(first) && "TS".contains(second);
            assert_eq!(text.parse::<ScanArgs>().is_ok(), may && !two_types, "{text}");
        }
    }
}

#[test]
fn too_much_text_is_refused_before_it_is_read() {
    let long = "-n ".repeat(4_000);
    assert_eq!(long.parse::<ScanArgs>(), Err(ArgsError::TooLong { size: long.len(), limit: 8_192 }));
}

#[test]
fn canonical_text_may_not_outgrow_the_limit_either() {
    let scripts = [DEFAULT, EXTRA].concat().join(",");
    let tail = format!(" --script={scripts} --script-args=http.useragent=");
    let grown = "-sS -sU -sV".len() - "-sSUV".len();
    let ports = (8_192 - "-sSUV --exclude-ports ".len() - tail.len() - 40) / "10001,".len();
    let ports: Vec<String> = (0..ports).map(|index| (10_001 + 2 * index).to_string()).collect();
    let head = format!("-sSUV --exclude-ports {}{tail}", ports.join(","));
    let text = |size: usize| format!("{head}{}", "a".repeat(size - head.len()));
    let fits = accepted(&text(8_192 - grown));
    assert_eq!(accepted(&fits.to_string()), fits);
    let error = text(8_192 - grown + 1).parse::<ScanArgs>();
    assert_eq!(error, Err(ArgsError::TooLong { size: 8_193, limit: 8_192 }));
}
