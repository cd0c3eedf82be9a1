//! What stands behind the `?` of an address: names and values, kept in order and encoded for links.

use std::fmt::{self, Display};

/// Names with values. Empty values are left out of links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// These, in this order.
    pub(crate) fn of<const N: usize>(fields: [(&'static str, &str); N]) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name, value.trim().to_owned())).collect())
    }

    /// With this value in place of the one that the name had.
    pub(crate) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        let value = value.to_string();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
        self
    }

    /// The value of a name; empty when it has none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// Those with a value.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str())).filter(|(_, value)| !value.is_empty())
    }
}

impl Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.given().enumerate() {
            write!(f, "{}{name}={}", if index == 0 { '?' } else { '&' }, percent_encoded(value))?;
        }
        Ok(())
    }
}

/// All but letters, digits and a few harmless marks as `%xx`.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_what_is_given_encoded_and_nothing_else() {
        let fields = Fields::of([("state", ""), ("text", " a&b=\"c\" "), ("sort", "port")]);
        assert_eq!(fields.to_string(), "?text=a%26b%3D%22c%22&sort=port");
        assert_eq!(fields.clone().with("text", "").with("after", 7).to_string(), "?sort=port&after=7");
        assert_eq!(Fields::of([("state", " ")]).to_string(), "");
        assert_eq!((fields.get("sort"), fields.get("none")), ("port", ""));
    }
}
