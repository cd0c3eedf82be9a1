//! Passwords that are tried first. A list of whole passwords says little about ones of 15 characters and more: those are
//! common words, names, years and runs of keys put together. So what everybody would put together is taken away, and
//! enough must be left.
//!
//! The words are those that lead the published lists of leaked passwords, this program's own, and the user's.

use std::collections::BTreeSet;

/// So many characters must be left.
pub(super) const LEAST_LEFT: usize = 8;

/// The shortest word of a user that is taken away.
const SHORTEST_OWN: usize = 3;
/// The shortest run of keys or letters that is taken away.
const SHORTEST_RUN: usize = 4;

const WORDS: &[&str] = &[
    "abc",
    "access",
    "admin",
    "administrator",
    "andrew",
    "angel",
    "apple",
    "arsenal",
    "ashley",
    "asdf",
    "autumn",
    "bailey",
    "baseball",
    "batman",
    "buster",
    "changeit",
    "changeme",
    "charlie",
    "chelsea",
    "chocolate",
    "company",
    "computer",
    "cookie",
    "daniel",
    "default",
    "demo",
    "donald",
    "dragon",
    "fall",
    "flower",
    "football",
    "freedom",
    "george",
    "ginger",
    "guest",
    "hannah",
    "harley",
    "hello",
    "hockey",
    "hunter",
    "iloveyou",
    "internet",
    "jennifer",
    "jessica",
    "jordan",
    "joshua",
    "killer",
    "letmein",
    "liverpool",
    "login",
    "london",
    "love",
    "maggie",
    "manager",
    "master",
    "matrix",
    "matthew",
    "merlin",
    "michael",
    "michelle",
    "monitor",
    "monkey",
    "mustang",
    "mynoob",
    "network",
    "nicole",
    "nothing",
    "operator",
    "orange",
    "passphrase",
    "passw0rd",
    "passwd",
    "password",
    "pepper",
    "pokemon",
    "portdrift",
    "princess",
    "purple",
    "pussy",
    "qazwsx",
    "qwerty",
    "ranger",
    "robert",
    "root",
    "samsung",
    "scan",
    "scanner",
    "secret",
    "secure",
    "security",
    "server",
    "shadow",
    "soccer",
    "spring",
    "starwars",
    "summer",
    "sunshine",
    "superman",
    "support",
    "system",
    "temp",
    "test",
    "thomas",
    "tigger",
    "trustno",
    "user",
    "viewer",
    "welcome",
    "whatever",
    "william",
    "winter",
    "yankees",
    "zxcvbn",
];

/// Keys in the order in which fingers find them.
const ROWS: [&str; 8] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "azertyuiop",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
];

/// How many characters are left of `password` when everything is taken away that is tried first: the common words, `known`
/// ones and their parts, years, runs of keys, and what only repeats. Spellings such as `p4ssw0rd` count as the word.
pub(super) fn left_of(password: &str, known: &[&str]) -> usize {
    let lower = password.to_lowercase();
    let words = words(known);
    [lower.clone(), plain(&lower)].iter().map(|text| left_of_spelling(text, &words)).min().unwrap_or_default()
}

fn left_of_spelling(text: &str, words: &BTreeSet<String>) -> usize {
    let characters: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
    let mut rest = once(&characters);
    let mut left: Vec<char> = Vec::new();
    while let Some((first, others)) = rest.split_first() {
        let known = [word(rest, words), year(rest), run(rest), same(rest)].into_iter().max().unwrap_or_default();
        rest = match known {
            0 => {
                left.push(*first);
                others
            }
            length => rest.get(length..).unwrap_or_default(),
        };
    }
    let kinds: BTreeSet<&char> = left.iter().collect();
    // "xyxyxyxyxyxyxyz" has length, but little that must be guessed.
    left.len().min(kinds.len() * 2)
}

/// The common words, and the parts of the known ones.
fn words(known: &[&str]) -> BTreeSet<String> {
    let parts = known.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let own = parts.filter(|part| part.chars().count() >= SHORTEST_OWN).map(str::to_lowercase);
    let spelled: Vec<String> = own.flat_map(|word| [plain(&word), word]).collect();
    WORDS.iter().map(|word| (*word).to_owned()).chain(spelled).collect()
}

/// Digits and signs that stand for a letter, as that letter.
fn plain(text: &str) -> String {
    let letter = |c: char| match c {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    text.chars().map(letter).collect()
}

/// The part that repeats, where all of the text is repetitions of it.
fn once(characters: &[char]) -> &[char] {
    let repeats = |length: &usize| {
        characters.len().is_multiple_of(*length)
            && characters.chunks(*length).all(|chunk| characters.starts_with(chunk))
    };
    let unit = (1..=characters.len() / 2).find(repeats).unwrap_or(characters.len());
    characters.get(..unit).unwrap_or_default()
}

fn word(rest: &[char], words: &BTreeSet<String>) -> usize {
    let starts = |word: &&String| word.chars().count() <= rest.len() && word.chars().zip(rest).all(|(a, b)| a == *b);
    words.iter().filter(starts).map(|word| word.chars().count()).max().unwrap_or_default()
}

fn year(rest: &[char]) -> usize {
    let is_year =
        matches!(rest, ['1', '9', a, b, ..] | ['2', '0', a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit());
    if is_year { 4 } else { 0 }
}

/// A piece of a row of keys, forwards or backwards.
fn run(rest: &[char]) -> usize {
    let along = |row: Vec<char>| {
        let starts = (0..row.len()).filter_map(|start| row.get(start..));
        starts.map(|row| row.iter().zip(rest).take_while(|(a, b)| a == b).count()).max().unwrap_or_default()
    };
    let rows = ROWS.iter().flat_map(|row| [row.chars().collect(), row.chars().rev().collect()]);
    rows.map(along).max().filter(|length| *length >= SHORTEST_RUN).unwrap_or_default()
}

/// The same character again and again.
fn same(rest: &[char]) -> usize {
    let length = rest.iter().take_while(|c| Some(*c) == rest.first()).count();
    if length >= SHORTEST_RUN - 1 { length } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_everybody_puts_together_is_noticed() {
        for common in [
            "passwordpassword",
            "P4ssw0rd-P4ssw0rd!",
            "password1234567",
            "123456789012345",
            "qwertyuiopasdfghjkl",
            "1qaz2wsx3edc4rfv",
            "aaaaaaaaaaaaaaaaaaa",
            "abababababababab",
            "Summer2026Winter2026",
            "iloveyou iloveyou 1987",
            "portdrift-admin-2026",
            "letmein.letmein.letmein",
            "zyxwvutsrqponmlkji",
            "welcome-to-portdrift",
            "ada.lovelace.1815!",
            "@d@ Lovel4ce example",
        ] {
            let left = left_of(common, &["ada", "Ada", "Lovelace", "ada.lovelace@example.org"]);
            assert!(left < LEAST_LEFT, "{common}: {left}");
        }
    }

    #[test]
    fn some_words_of_ones_own_are_enough() {
        for good in [
            "correct horse battery",
            "four plain words",
            "green kettle by the door",
            "vR7#kq2Lw9!xTz4p",
            "the user likes pepper and old barns",
        ] {
            let left = left_of(good, &["ada", "ada@example.org"]);
            assert!(left >= LEAST_LEFT, "{good}: {left}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_measured_and_never_longer_than_it_is(text in any::<String>(), known in any::<String>()) {
            prop_assert!(left_of(&text, &[&known]) <= text.to_lowercase().chars().count());
        }

        #[test]
        fn a_known_word_again_and_again_leaves_too_little(known in "[a-z]{3,12}", times in 2usize..6) {
            prop_assert!(left_of(&known.repeat(times), &[&known]) < LEAST_LEFT);
        }
    }
}
