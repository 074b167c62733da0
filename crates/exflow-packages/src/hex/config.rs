//! A user's `hex.config`: where their repositories are, and what opens them.

use super::{Term, TermError, parse_terms};
use std::collections::BTreeMap;
use std::fmt;

/// What a repository wants to be shown. Nothing shows it by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct HexKey(String);

impl HexKey {
    /// A key; none where nothing is left of it without the space around it.
    pub fn new(key: &str) -> Option<Self> {
        let key = key.trim();
        (!key.is_empty()).then(|| Self(key.to_owned()))
    }

    /// The key, as it is sent: it stands alone in the header `Authorization`.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HexKey(…)")
    }
}

/// What is configured for a repository.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HexRepository {
    /// Where it is, if that is said.
    pub url: Option<String>,
    /// What opens it.
    pub key: Option<HexKey>,
}

/// Without the address, which may have a password in it.
impl fmt::Debug for HexRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_ref().map(|_| "…");
        f.debug_struct("HexRepository").field("url", &url).field("key", &self.key).finish()
    }
}

/// Reads a `hex.config`: the repositories by name, `hexpm`, `hexpm:acme` and what the user calls those of
/// their own. All else in it is Hex's business.
pub fn read_hex_config(bytes: &[u8]) -> Result<BTreeMap<String, HexRepository>, TermError> {
    let terms = parse_terms(bytes)?;
    let mut repositories = BTreeMap::new();
    for term in &terms {
        // A pair a term; older versions wrote one list of all.
        let settings = term.pair().into_iter().chain(term.pairs());
        for (_, value) in settings.filter(|(name, _)| name.text() == Some("$repos")) {
            for (name, settings) in value.pairs() {
                let Some(name) = name.text() else { continue };
                repositories.insert(name.to_owned(), repository(settings));
            }
        }
    }
    Ok(repositories)
}

fn repository(settings: &Term) -> HexRepository {
    let setting = |name: &str| {
        let mut settings = settings.pairs().into_iter();
        settings.find(|(key, _)| key.text() == Some(name)).and_then(|(_, value)| match value {
            // `nil`, which stands for nothing.
            Term::Atom(_) => None,
            value => value.text(),
        })
    };
    HexRepository {
        url: setting("url").filter(|url| !url.is_empty()).map(str::to_owned),
        key: setting("auth_key").and_then(HexKey::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(found: &HexRepository) -> Option<&str> {
        found.key.as_ref().map(HexKey::reveal)
    }

    #[test]
    fn repositories_are_found() {
        let new = br#"{'$write_key',<<"w">>}.
            {'$repos',#{<<"hexpm:acme">> =>
              #{auth_key => <<"secret">>,public_key => nil,url => <<"/repos/acme">>},
              <<"own">> => #{auth_key => nil,url => <<"https://hex.example">>}}}."#;
        let binary = br#"{<<"$repos">>, #{<<"hexpm:acme">> => #{auth_key => <<"secret">>, url => <<"/repos/acme">>},
            <<"own">> => #{url => <<"https://hex.example">>}}}."#;
        let old = br#"[{'$repos',[{<<"hexpm:acme">>,[{auth_key,<<"secret">>},{url,"/repos/acme"}]},
            {<<"own">>,[{url,<<"https://hex.example">>}]}]}]."#;
        for text in [&new[..], binary, old] {
            let found = read_hex_config(text).unwrap();
            assert_eq!(found.len(), 2);
            assert_eq!(key(&found["hexpm:acme"]), Some("secret"));
            assert_eq!(found["own"].url.as_deref(), Some("https://hex.example"));
            assert_eq!(key(&found["own"]), None);
        }
    }

    #[test]
    fn what_is_strange_is_left_out() {
        for text in ["", "a.", "{'$repos',1}.", "{'$repos',#{1 => 2}}.", "[1,{a},{'$repos'}]."] {
            assert!(read_hex_config(text.as_bytes()).unwrap().is_empty(), "{text}");
        }
        let found =
            read_hex_config(br#"{'$repos',#{a => 1,b => #{auth_key => <<" ">>}}}."#).unwrap();
        assert!(found.values().all(|repository| *repository == HexRepository::default()));
        // As the first versions wrote it, in Elixir.
        assert!(read_hex_config(br#"[key: "secret"]"#).is_err());
    }

    #[test]
    fn nothing_shows_a_key() {
        let text = br#"{'$repos',#{own => #{auth_key => <<"secret">>,
            url => <<"https://user:secret@hex.example">>}}}."#;
        let shown = format!("{:?}", read_hex_config(text).unwrap());
        assert!(!shown.contains("secret") && shown.contains("own"), "{shown}");
        for cut in 0..text.len() {
            if let Err(error) = read_hex_config(&text[..cut]) {
                assert!(!format!("{error} {error:?}").contains("secret"));
            }
        }
    }
}
