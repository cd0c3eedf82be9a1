//! The pages of tokens and of the API, filled and empty.

use super::*;
use crate::api::docs::Docs;
use crate::faults::Faults;
use crate::page::tokens::{AllTokens, Row, ScopeChoice, Tokens};
use coordinator::tokens::Scope;

fn rows(word: &str) -> Vec<Row> {
    let row = |id: &str, last_used: Option<Timestamp>, is_over: bool| Row {
        id: id.to_owned(),
        name: word.into(),
        owner: word.into(),
        scopes: "read, scans".to_owned(),
        expires: NOW.plus(hours(2_000)),
        last_used,
        is_over,
    };
    vec![row("ciaxe5gv2hbm4kqn", Some(NOW.minus(hours(3))), false), row("b2xe5gv2hbm4kqna", None, true)]
}

fn choices() -> Vec<ScopeChoice> {
    Scope::ALL.map(|scope| ScopeChoice { scope, is_chosen: scope == Scope::Read }).into()
}

pub(super) fn filled(word: &str) -> Vec<(&'static str, Arc<dyn View>)> {
    let mut faults = Faults::default();
    faults.add("name", word);
    let own = Tokens {
        rows: rows(word),
        choices: choices(),
        name: word.into(),
        expires: word.into(),
        made: Some((word.into(), "pdt_0123456789abcdef".to_owned())),
        faults,
        told: Some(word.into()),
    };
    vec![("tokens", Arc::new(own)), ("all_tokens", Arc::new(AllTokens { rows: rows(word), told: Some(word.into()) }))]
}

pub(super) fn empty() -> Vec<(&'static str, Arc<dyn View>)> {
    let own = Tokens {
        rows: vec![],
        choices: choices(),
        name: String::new(),
        expires: String::new(),
        made: None,
        faults: Faults::default(),
        told: None,
    };
    vec![
        ("tokens", Arc::new(own)),
        ("all_tokens", Arc::new(AllTokens { rows: vec![], told: None })),
        ("docs", Arc::new(Docs::of_table())),
    ]
}
