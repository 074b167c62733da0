//! What `--json` prints: an object a line. Its schema is `schemas/events.schema.json`; docs/cli.md tells what events mean.
//!
//! Fields may be added, and events. A field keeps its name and its meaning.

use serde::Serialize;

/// Something that happened.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event<'a> {
    /// A plugin had to be asked.
    Plugin {
        plugin: &'a str,
        project: &'a str,
        /// How often it was called.
        calls: usize,
    },
    /// What runs the steps, once it is known.
    Executor { name: &'a str },
    /// A step was run, or an image was packed.
    Step {
        step: &'a str,
        status: Status,
        /// How long it took; of several that were run together, all of them.
        seconds: f64,
        /// How many were run together, where it was more than one.
        #[serde(skip_serializing_if = "Option::is_none")]
        together: Option<usize>,
    },
    /// An image went into a registry.
    Pushed {
        project: &'a str,
        reference: &'a str,
        /// The digest of its manifest: `sha256:…`.
        digest: &'a str,
        /// What the registry lacked of it.
        sent_bytes: u64,
    },
    /// A statement was attached to an image in a registry.
    Attached {
        project: &'a str,
        /// The digest of the image's manifest.
        subject: &'a str,
        /// The media type of the statement.
        r#type: &'a str,
        /// The digest of the statement's manifest.
        digest: String,
    },
    /// An image was built, or was there already.
    Built {
        project: &'a str,
        /// The digest of its manifest: `sha256:…`.
        digest: &'a str,
        /// Its length as it is sent: manifest, configuration and compressed layers.
        size_bytes: u64,
        /// The length of its files.
        unpacked_bytes: u64,
        /// Its layers, the lowest first.
        layers: Vec<Layer<'a>>,
        /// How many of the steps that it needs were run.
        steps_run: usize,
        /// How many of them were known.
        steps_cached: usize,
        /// The folder that has it as an OCI image layout.
        place: &'a str,
    },
    /// Something came out different when it was done once more.
    Different {
        /// A step, or an image.
        of: &'a str,
        /// How it was done.
        way: &'a str,
        /// The file that differs; none of an image whose files are the same.
        #[serde(flatten)]
        file: Option<DifferentFile<'a>>,
    },
    /// An image came out the same, or one of somebody else's is what is built here.
    Verified {
        project: &'a str,
        /// The digest of its manifest: `sha256:…`.
        digest: &'a str,
        /// The image that was compared, where one was.
        #[serde(skip_serializing_if = "Option::is_none")]
        image: Option<&'a str>,
    },
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// It ended well.
    Done,
    /// It did not.
    Failed,
    /// The user has stopped it.
    Stopped,
}

impl Status {
    /// The same for people.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A layer of an image.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Layer<'a> {
    /// What is in it.
    pub(crate) name: &'a str,
    /// Its length as it is sent.
    pub(crate) size_bytes: u64,
    /// The length of its files.
    pub(crate) unpacked_bytes: u64,
}

/// A file that came out different.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DifferentFile<'a> {
    /// Where it is in the step, or in the image.
    pub(crate) path: String,
    /// How it differs.
    pub(crate) how: String,
    /// Of a BEAM file: the chunks of it that differ.
    pub(crate) chunks: &'a [String],
    /// What usually causes it, where that can be told.
    pub(crate) cause: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_that_of_the_types() {
        let mut schema = schemars::schema_for!(Event<'_>);
        schema.insert("title".to_owned(), "exflow --json".into());
        let made = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let committed = include_str!("../../../schemas/events.schema.json");
        assert_eq!(committed, made, "schemas/events.schema.json is to be:\n{made}");
    }

    #[test]
    fn an_event_is_a_line() {
        let said = |event: &Event<'_>| serde_json::to_string(event).unwrap();
        let step = Event::Step { step: "a:b", status: Status::Done, seconds: 0.5, together: None };
        assert_eq!(said(&step), r#"{"event":"step","step":"a:b","status":"done","seconds":0.5}"#);
        let different = |file| said(&Event::Different { of: "a:b", way: "in Docker", file });
        assert_eq!(different(None), r#"{"event":"different","of":"a:b","way":"in Docker"}"#);
        let (path, how, chunks) = ("x".to_owned(), "differs".to_owned(), &["Code".to_owned()][..]);
        assert_eq!(
            different(Some(DifferentFile { path, how, chunks, cause: None })),
            r#"{"event":"different","of":"a:b","way":"in Docker","path":"x","how":"differs","chunks":["Code"],"cause":null}"#
        );
    }
}
