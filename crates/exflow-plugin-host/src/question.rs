//! What a plugin is asked: what it is shown of a project, and the key of its answer.

use crate::contract_0_2::{Entry, File as ShownFile, Folder, Request, Scalar, Setting};
use crate::{Plugin, PluginError, World};
use exflow_content::{Digest, Encoder, RelPath, Tree};
use exflow_diagnostics::Site;
use exflow_lock::Platform;
use exflow_manifest as manifest;
use std::collections::{BTreeMap, BTreeSet};

/// The tag and version of the key of an answer.
const TAG: &str = "exflow question 2";
/// What may be shown to a plugin of all files that it asks for, in bytes.
pub(crate) const MAX_SHOWN: u64 = 64 << 20;

/// What a plugin is asked about.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The project's name.
    pub name: &'a str,
    /// Its folder.
    pub folder: &'a RelPath,
    /// What it is built for.
    pub platform: &'a Platform,
    /// Where the plugin is asked for.
    pub site: Option<&'a Site>,
    /// The settings, as the manifest says.
    pub settings: &'a BTreeMap<String, manifest::Setting>,
    /// Every file of the workspace.
    pub sources: &'a Tree,
}

/// What a plugin is shown.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) files: BTreeSet<RelPath>,
    pub(crate) folders: BTreeSet<RelPath>,
    /// Files of what was made: of which fetch or step, where, and its blob and size if it is there.
    pub(crate) made: BTreeMap<(String, RelPath), Option<(Digest, u64)>>,
}

impl Shown {
    pub(crate) fn len(&self) -> usize {
        self.files.len() + self.folders.len() + self.made.len()
    }
}

/// The digest of everything that an answer depends on.
///
/// # Encoding
/// Tag `exflow question 2`; digest of the component; the project's name; its folder; platform; the list
/// of settings by name, each with its name and, as variants, 0 and a text, 1 and a number as two's
/// complement, or 2 and a flag; the list of files by path, each with its path and, optional, the digest
/// of its blob; the list of folders by path, each with its path and, optional, the list of its entries
/// by name, each with its name and whether it is a folder; the list of files of what was made by name and
/// path, each with name, path and, optional, the digest of its blob.
pub(crate) fn question(plugin: &Plugin, project: &Subject<'_>, shown: &Shown) -> Digest {
    let mut encoder = Encoder::new(TAG);
    encoder.digest(&plugin.digest);
    encoder.text(project.name).bytes(project.folder.as_bytes());
    encoder.text(&project.platform.to_string());
    encoder.list(project.settings.iter(), |encoder, (name, setting)| {
        encoder.text(name);
        match &setting.value {
            manifest::Scalar::Text(text) => encoder.variant(0).text(text),
            manifest::Scalar::Number(number) => encoder.variant(1).number(number.cast_unsigned()),
            manifest::Scalar::Flag(flag) => encoder.variant(2).flag(*flag),
        };
    });
    encoder.list(shown.files.iter(), |encoder, path| {
        encoder.bytes(path.as_bytes());
        encoder.optional(blob(project.sources, path), |encoder, blob| {
            encoder.digest(&blob);
        });
    });
    encoder.list(shown.folders.iter(), |encoder, path| {
        encoder.bytes(path.as_bytes());
        encoder.optional(entries(project.sources, path), |encoder, entries| {
            encoder.list(entries.iter(), |encoder, entry| {
                encoder.text(&entry.name).flag(entry.is_folder);
            });
        });
    });
    encoder.list(shown.made.iter(), |encoder, ((of, path), file)| {
        encoder.text(of).bytes(path.as_bytes());
        encoder.optional(file.as_ref(), |encoder, (blob, _)| {
            encoder.digest(blob);
        });
    });
    encoder.digest_of()
}

fn blob(sources: &Tree, path: &RelPath) -> Option<Digest> {
    match sources.get(path) {
        Some(exflow_content::Entry::File { blob, .. }) => Some(*blob),
        _ => None,
    }
}

/// What is right in a folder; none if there is no such folder. Names that are no text are left out.
fn entries(sources: &Tree, folder: &RelPath) -> Option<Vec<Entry>> {
    if !folder.is_root()
        && !matches!(sources.get(folder), Some(exflow_content::Entry::Folder { .. }))
    {
        return None;
    }
    let depth = folder.names().count() + 1;
    let entries = sources.within(folder).filter(|(path, _)| path.names().count() == depth);
    let entries = entries.filter_map(|(path, entry)| {
        let name = std::str::from_utf8(path.name()?).ok()?.to_owned();
        Some(Entry { name, is_folder: matches!(entry, exflow_content::Entry::Folder { .. }) })
    });
    Some(entries.collect())
}

/// What a plugin is called with.
pub(crate) fn request(
    project: &Subject<'_>,
    shown: &Shown,
    world: &dyn World,
) -> Result<Request, PluginError> {
    // Before any of them is read.
    let sizes = shown.files.iter().filter_map(|path| match project.sources.get(path) {
        Some(exflow_content::Entry::File { size, .. }) => Some(*size),
        _ => None,
    });
    let made = shown.made.values().flatten().map(|(_, size)| *size);
    if sizes.chain(made).fold(0u64, u64::saturating_add) > MAX_SHOWN {
        let limit = format!("{} MiB of files that it is shown", MAX_SHOWN >> 20);
        return Err(PluginError::Limit { limit });
    }
    let mut files = Vec::new();
    for path in &shown.files {
        let contents = match blob(project.sources, path) {
            None => None,
            Some(blob) => {
                let source = |source| PluginError::Source { path: path.to_string(), source };
                let bytes = world.read(path, MAX_SHOWN).map_err(source)?;
                if Digest::of(&bytes) != blob {
                    return Err(PluginError::Moved { path: path.to_string() });
                }
                Some(bytes)
            }
        };
        files.push(ShownFile { path: text(path), contents });
    }
    let folders = shown
        .folders
        .iter()
        .map(|path| Folder { path: text(path), entries: entries(project.sources, path) })
        .collect();
    let settings = project
        .settings
        .iter()
        .map(|(name, setting)| Setting {
            name: name.clone(),
            value: match &setting.value {
                manifest::Scalar::Text(text) => Scalar::Text(text.clone()),
                manifest::Scalar::Number(number) => Scalar::Number(*number),
                manifest::Scalar::Flag(flag) => Scalar::Flag(*flag),
            },
        })
        .collect();
    Ok(Request {
        project: project.name.to_owned(),
        root: text(project.folder),
        platform: project.platform.to_string(),
        settings,
        files,
        folders,
        made: Vec::new(),
    })
}

/// A path as the contract writes it; the root is empty.
pub(crate) fn text(path: &RelPath) -> String {
    path.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PluginBytes;

    use exflow_content::Mode;
    use exflow_diagnostics::SourceName;
    use exflow_plan::Proposal;
    use manifest::Setting;
    use std::io;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn file(content: &[u8], size: u64) -> exflow_content::Entry {
        exflow_content::Entry::File { mode: Mode::FILE, blob: Digest::of(content), size }
    }

    /// What is asked about, with a setting of each kind.
    struct Sample {
        folder: RelPath,
        settings: BTreeMap<String, Setting>,
        sources: Tree,
        shown: Shown,
    }

    /// A workspace whose files all have this content.
    struct Content(&'static [u8]);

    impl World for Content {
        fn read(&self, _: &RelPath, _: u64) -> io::Result<Vec<u8>> {
            Ok(self.0.to_vec())
        }

        fn make(&self, _: &Proposal) -> Option<BTreeMap<String, Digest>> {
            None
        }
    }

    impl Sample {
        fn new() -> Self {
            let site = Site::new(&SourceName::new("exflow.kdl"), 0..0);
            let setting = |name: &str, value: manifest::Scalar| {
                (name.to_owned(), Setting { value, site: site.clone() })
            };
            let mut sources = Tree::new();
            sources.insert(path("app/mix.exs"), file(b"mix", 3)).unwrap();
            sources.insert(path("app/lib/a.ex"), file(b"a", 1)).unwrap();
            Self {
                folder: path("app"),
                settings: [
                    setting("release", manifest::Scalar::Text("shop".into())),
                    setting("workers", manifest::Scalar::Number(-2)),
                    setting("strip", manifest::Scalar::Flag(true)),
                ]
                .into(),
                sources,
                shown: Shown {
                    files: [path("app/mix.exs"), path("app/mix.lock")].into(),
                    folders: [path("app"), path("none")].into(),
                    made: [
                        (("config".into(), path("a")), Some((Digest::of(b"a"), 1))),
                        (("config".into(), path("b")), None),
                    ]
                    .into(),
                },
            }
        }

        fn project(&self) -> Subject<'_> {
            Subject {
                name: "shop",
                folder: &self.folder,
                platform: &Platform::LinuxAmd64,
                site: None,
                settings: &self.settings,
                sources: &self.sources,
            }
        }

        fn key(&self) -> String {
            let plugin = Plugin {
                name: "mine".into(),
                digest: Digest::of(b"component"),
                bytes: PluginBytes::Embedded(b""),
            };
            question(&plugin, &self.project(), &self.shown).to_string()
        }
    }

    /// Keys name what is in users' stores. If this fails, the encoding has changed: give it a new
    /// version in `TAG`, and say so in the changelog.
    #[test]
    fn the_key_of_an_answer_is_pinned() {
        assert_eq!(
            Sample::new().key(),
            "43707bc31389e991504aaaeef06a30570082041996d234088caa5b861c0bed09"
        );
    }

    #[test]
    fn everything_that_is_shown_is_in_the_key_of_an_answer() {
        let mut keys = vec![Sample::new().key()];
        let changes: [fn(&mut Sample); 11] = [
            |sample| sample.folder = path("lib"),
            |sample| drop(sample.settings.remove("strip")),
            |sample| {
                sample.settings.get_mut("strip").unwrap().value = manifest::Scalar::Flag(false);
            },
            |sample| sample.shown.files.clear(),
            |sample| sample.shown.folders.clear(),
            |sample| sample.shown.made.clear(),
            |sample| {
                let file = Some((Digest::of(b"other"), 1));
                sample.shown.made.insert(("config".into(), path("a")), file);
            },
            |sample| {
                sample.shown.made.insert(("other".into(), path("a")), None);
            },
            |sample| sample.sources.insert(path("app/mix.exs"), file(b"new", 3)).unwrap(),
            |sample| sample.sources.insert(path("app/mix.lock"), file(b"", 0)).unwrap(),
            |sample| sample.sources.insert(path("app/README"), file(b"", 0)).unwrap(),
        ];
        for change in changes {
            let mut sample = Sample::new();
            change(&mut sample);
            keys.push(sample.key());
        }
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
        // What isn't shown is not in it.
        let mut sample = Sample::new();
        sample.sources.insert(path("app/lib/b.ex"), file(b"b", 1)).unwrap();
        assert_eq!(sample.key(), Sample::new().key());
    }

    #[test]
    fn nothing_is_read_where_it_is_more_than_may_be_shown() {
        let mut sample = Sample::new();
        sample.sources.insert(path("app/mix.lock"), file(b"large", MAX_SHOWN)).unwrap();
        let error = request(&sample.project(), &sample.shown, &Content(b""));
        let error = error.expect_err("it is too much");
        assert!(matches!(error, PluginError::Limit { .. }), "{error}");
        assert!(error.to_string().contains("64 MiB of files"), "{error}");
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_not_shown() {
        let sample = Sample::new();
        let error = request(&sample.project(), &sample.shown, &Content(b"new")).unwrap_err();
        let said = crate::diagnose(&error, "mine", None);
        assert_eq!(said.code.as_str(), "exflow::plugin::sources-changed");
        assert!(said.message.contains("app/mix.exs"), "{}", said.message);
    }
}
