//! Addresses of what is fetched.

/// An address without who asks, and without what may show who may ask: a query, as in signed addresses.
///
/// What has no scheme is a path, or `git@host:path` as ssh has it, and has no query.
pub fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        let host = url.find('/').unwrap_or(url.len());
        return url[..host].rfind('@').map_or(url, |at| &url[at + 1..]).to_owned();
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    // A password may have any letter in it, also those that should not be there: then what is before them is no host.
    let asks = if authority.contains('@') || is_host(authority) {
        authority.rfind('@')
    } else {
        rest.rfind('@')
    };
    let rest = asks.map_or(rest, |at| &rest[at + 1..]);
    format!("{scheme}://{}", before_query(rest))
}

/// Whether this can be a host, perhaps with a port (RFC 3986, section 3.2).
fn is_host(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let is_address =
                address.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte));
            if !is_address || !(rest.is_empty() || rest.starts_with(':')) {
                return false;
            }
            ("", rest.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    !host.contains(['[', ']']) && port.is_none_or(is_port)
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
            ("https://me:/secret@h/a", "https://h/a"),
            ("https://me:123456/secret@h/a", "https://h/a"),
            ("https://[me:pa/ss@h/a", "https://h/a"),
            ("https://[me]pa/ss@h/a", "https://h/a"),
            ("https://me:p@s/s@h/a", "https://s/s@h/a"),
            ("ssh://git@host:22/a", "ssh://host:22/a"),
            ("git@host.example:a/b.git", "host.example:a/b.git"),
            ("git@host:team/a@b#c.git", "host:team/a@b#c.git"),
            ("me:secret@host/team/a@b.git", "host/team/a@b.git"),
            ("https://me:+80/secret@h/a", "https://h/a"),
            ("/srv/a.git", "/srv/a.git"),
            ("/srv/me@work/a#.git", "/srv/me@work/a#.git"),
            ("https://", "https://"),
            ("nothing", "nothing"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(url), expected, "{url}");
        }
    }
}
