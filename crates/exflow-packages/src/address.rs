//! Addresses of what is fetched.

/// An address without who asks, and without what may show who may ask: a query, as in signed addresses. What looks like
/// `git@host:path`, as ssh has it, is taken for that.
pub fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        let url = before_query(url);
        return url.rsplit_once('@').map_or(url, |(_, rest)| rest).to_owned();
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    // A password may have any letter in it, also those that should not be there: then what is before them is no host with
    // a port.
    let is_whole = authority.rsplit_once(':').is_none_or(|(host, port)| {
        host.starts_with('[') || port.bytes().all(|byte| byte.is_ascii_digit())
    });
    let asks =
        if is_whole || authority.contains('@') { authority.rfind('@') } else { rest.rfind('@') };
    let rest = asks.map_or(rest, |at| &rest[at + 1..]);
    format!("{scheme}://{}", before_query(rest))
}

fn before_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_left_out() {
        for (url, expected) in [
            (
                "https://me:secret@host.example/a@b/c?token=secret#secret",
                "https://host.example/a@b/c",
            ),
            ("http://user:pass@host:1/a@b", "http://host:1/a@b"),
            ("http://user@host", "http://host"),
            ("https://a:b@c@host?x=@", "https://host"),
            ("http://host/a@b", "http://host/a@b"),
            ("http://host:443/a@b", "http://host:443/a@b"),
            ("http://[::1]:443/a@b", "http://[::1]:443/a@b"),
            ("http://[::1]/a@b", "http://[::1]/a@b"),
            ("https://me:pa/ss@host/a", "https://host/a"),
            ("https://me:pa?ss@host/a", "https://host/a"),
            ("ssh://git@host:22/a", "ssh://host:22/a"),
            ("git@host.example:a/b.git", "host.example:a/b.git"),
            ("/srv/a.git", "/srv/a.git"),
            ("https://", "https://"),
            ("nothing", "nothing"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(url), expected, "{url}");
        }
    }
}
