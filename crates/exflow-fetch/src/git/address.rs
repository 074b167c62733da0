//! Addresses of git repositories: which of them git is given, and how they are shown.

use super::GitError;
use exflow_packages::without_secrets;

/// The transports that git may use. Others run programs that the address names, or that nobody expects.
pub(super) const TRANSPORTS: &str = "file:git:http:https:ssh";

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To this host's own files.
    Local,
    /// To another host, or at least to a server.
    Remote,
}

/// Looks whether git may be given an address: it must be taken for one, and nothing else.
pub(super) fn kind(url: &str) -> Result<Kind, GitError> {
    let refused = |reason| Err(GitError::Address(reason));
    if url.starts_with('-') {
        return refused("it begins with `-`");
    }
    if url.is_empty() || url.chars().any(|letter| letter.is_control() || letter == ' ') {
        return refused("it has spaces or control characters, or nothing at all");
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        return match scheme {
            _ if rest.is_empty() => refused("it leads nowhere"),
            _ if rest.starts_with('-') => refused("its host begins with `-`"),
            "file" => Ok(Kind::Local),
            "git" | "http" | "https" | "ssh" => Ok(Kind::Remote),
            _ => refused("it is of none of `https`, `ssh`, `http`, `git` and `file`"),
        };
    }
    if url.starts_with('/') {
        return Ok(Kind::Local);
    }
    // `user@host:path`, as ssh has it; `name::address` is for a program called so.
    match url.split_once(':') {
        Some((host, path))
            if !host.contains('/') && !path.is_empty() && !path.starts_with([':', '-']) =>
        {
            Ok(Kind::Remote)
        }
        _ => refused("it is neither absolute nor of `https`, `ssh`, `http`, `git` and `file`"),
    }
}

/// The address of a submodule, which may be relative to that of the repository that names it
/// (git-submodule(1), "add").
pub(super) fn submodule(parent: &str, url: &str) -> Result<String, GitError> {
    let mut rest = url;
    let mut base = parent.trim_end_matches('/');
    if !(url.starts_with("./") || url.starts_with("../")) {
        if kind(url)? == Kind::Local && kind(parent)? == Kind::Remote {
            return Err(GitError::Address("it would have this host's own files read"));
        }
        return Ok(url.to_owned());
    }
    let begin = base.find("://").map_or(0, |at| at + 3);
    let mut separator = "/";
    loop {
        if let Some(below) = rest.strip_prefix("./") {
            rest = below;
        } else if let Some(above) = rest.strip_prefix("../") {
            let at = base[begin..].rfind('/').or_else(|| {
                separator = ":";
                base[begin..].rfind(':').filter(|_| begin == 0)
            });
            let Some(at) = at else {
                return Err(GitError::Address("it leads out of the host"));
            };
            base = &base[..begin + at];
            rest = above;
        } else {
            break;
        }
    }
    let url = format!("{base}{separator}{rest}");
    kind(&url)?;
    Ok(url)
}

/// An address as it may be shown: without names, passwords and tokens, and no longer than a message may be.
pub(super) fn shown(url: &str) -> String {
    without_secrets(url).chars().filter(|letter| !letter.is_control()).take(300).collect()
}

/// The same, for all addresses in a text of git's.
pub(super) fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let is_scheme =
            |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.');
        let begin = rest[..at].trim_end_matches(is_scheme).len();
        let is_end =
            |letter: char| letter.is_whitespace() || matches!(letter, '\'' | '"' | '<' | '>');
        let end = rest[at..].find(is_end).map_or(rest.len(), |end| at + end);
        out += &rest[..begin];
        out += &without_secrets(&rest[begin..end]);
        rest = &rest[end..];
    }
    out += rest;
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_git_is_given() {
        for (url, expected) in [
            ("https://example.com/a.git", Kind::Remote),
            ("ssh://git@example.com:22/a", Kind::Remote),
            ("git@example.com:a/b.git", Kind::Remote),
            ("git://example.com/a", Kind::Remote),
            ("/srv/a.git", Kind::Local),
            ("file:///srv/a.git", Kind::Local),
        ] {
            assert_eq!(kind(url).ok(), Some(expected), "{url}");
        }
        for url in [
            "",
            "-oProxyCommand=x",
            "--upload-pack=x",
            "ext::sh -c x",
            "ext::sh",
            "fd::17",
            "http::x",
            "foo::https://example.com/a",
            "foo://example.com/a",
            "ssh://-oProxyCommand=x/a",
            "host:-x",
            "host:",
            "https://",
            "../a",
            "a/b:c",
            "https://a/\nb",
            "https://a b",
        ] {
            assert!(kind(url).is_err(), "{url}");
        }
    }

    #[test]
    fn submodules_may_be_relative() {
        for (parent, url, expected) in [
            ("https://h/a/b.git", "../c.git", "https://h/a/c.git"),
            ("https://h/a/b.git/", "../../d/c", "https://h/d/c"),
            ("https://h/a/b", "./c", "https://h/a/b/c"),
            ("git@h:a/b", "../c", "git@h:a/c"),
            ("git@h:b", "../c", "git@h:c"),
            ("/srv/a", "../c", "/srv/c"),
            ("file:///srv/a", "/srv/c", "/srv/c"),
            ("https://h/a", "git@other:b", "git@other:b"),
        ] {
            assert_eq!(submodule(parent, url).ok().as_deref(), Some(expected), "{parent} {url}");
        }
        for (parent, url) in [
            ("https://h/a", "../../c"),
            ("https://h/a", "../../../../c"),
            ("https://h:1/a", "../../c"),
            ("https://h/a", "/etc"),
            ("git@h:a", "file:///etc"),
            ("https://h/a", "ext::sh"),
            ("https://h/a", "c"),
        ] {
            assert!(submodule(parent, url).is_err(), "{parent} {url}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        for (text, expected) in [
            ("https://user:secret@h/a", "https://h/a"),
            ("https://secret@h/a?token=secret", "https://h/a"),
            ("git@h:a", "h:a"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(
            masked(
                "fatal: 'https://user:secret@h/a/': no, ssh://u:sec/ret@h:1/b and http://h/c@d\n"
            ),
            "fatal: 'https://h/a/': no, ssh://h:1/b and http://h/c@d\n"
        );
        assert_eq!(masked("x://"), "x://");
    }
}
