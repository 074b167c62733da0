//! What `update-alternatives` would do, read from maintainer scripts.
//!
//! exflow runs no maintainer script. But most of Debian's commands that several packages can
//! supply (`cc`, `awk`, `which`, `pager`) exist only because a `postinst` registers them. Those
//! calls are almost always literal; a call with a shell variable in it is left out.

/// One `update-alternatives --install` or one of its `--slave`s.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    /// Where the link stands: `/usr/bin/awk`.
    pub(super) at: String,
    /// Its name in `/etc/alternatives`: `awk`.
    pub(super) name: String,
    /// What it leads to: `/usr/bin/mawk`.
    pub(super) path: String,
}

/// One alternative, and the links that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alternative {
    pub(super) priority: i64,
    pub(super) main: Link,
    pub(super) followers: Vec<Link>,
}

/// The alternatives that a maintainer script registers by literal calls.
pub(super) fn in_script(script: &str) -> Vec<Alternative> {
    let joined = script.replace("\\\n", " ");
    joined.lines().filter_map(in_line).collect()
}

fn in_line(line: &str) -> Option<Alternative> {
    let line = line.trim();
    let at = line.find("update-alternatives")?;
    // Only a command of its own: neither a comment nor a text.
    if !line[..at].trim_end().is_empty() && !line[..at].trim_end().ends_with(['&', ';', '|']) {
        return None;
    }
    let words: Vec<String> = line[at..]
        .split_ascii_whitespace()
        .take_while(|word| !matches!(*word, "||" | "&&" | ";" | ">" | "|"))
        .map(|word| word.trim_matches(['"', '\'', ';']).to_owned())
        .collect();
    if words.iter().any(|word| word.contains(['$', '`', '*'])) {
        return None;
    }
    let install = words.iter().position(|word| word == "--install")?;
    let link = |words: &[String]| match words {
        [link, name, path, ..] if link.starts_with('/') && path.starts_with('/') => {
            Some(Link { at: link.clone(), name: name.clone(), path: path.clone() })
        }
        _ => None,
    };
    let main = link(&words[install + 1..])?;
    let priority = words.get(install + 4)?.parse().ok()?;
    let followers = (install + 5..words.len())
        .filter(|at| matches!(&words[*at][..], "--slave" | "--follower"))
        .filter_map(|at| link(&words[at + 1..]))
        .collect();
    Some(Alternative { priority, main, followers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_literal_calls() {
        let script = "#!/bin/sh\n# update-alternatives --install /a a /b 1\n\
            update-alternatives --quiet \\\n  --install /usr/bin/cc cc /usr/bin/gcc 20 \\\n  \
            --slave /usr/share/man/man1/cc.1.gz cc.1.gz /usr/share/man/man1/gcc.1.gz\n\
            if x; then\n\tupdate-alternatives --install \"/usr/bin/c89\" c89 /usr/bin/c89-gcc 20 || true\nfi\n\
            update-alternatives --install /usr/bin/$x x /usr/bin/y 1\n\
            echo update-alternatives --install /e e /f 1\n\
            update-alternatives --remove x /y\n";
        let found = in_script(script);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].main.name, "cc");
        assert_eq!(found[0].priority, 20);
        assert_eq!(found[0].followers.len(), 1);
        assert_eq!(found[1].main.path, "/usr/bin/c89-gcc");
    }
}
