//! A command whose inputs are all known by content: what an executor runs, and what a key is of.

use exflow_content::{DecodeError, Decoder, Digest, Encoder, RelPath};
use std::collections::BTreeMap;

/// The tag and version of a command's canonical encoding.
const TAG: &str = "exflow command 1";

/// A run step with every input by content. It is complete: an executor adds nothing.
///
/// # Encoding
/// Tag `exflow command 1`; base tree digest; the list of mounts (path, tree digest) in order;
/// the list of arguments; the list of variables (name, value) by name; working folder; the list
/// of outputs in order. Commands have no network, and so no field that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The root file system.
    pub base: Digest,
    /// Trees laid over it, in this order: folders merge, the later one wins. Paths here and below
    /// are relative to the root.
    pub mounts: Vec<Mount>,
    /// The program, absolute or found in the command's own `PATH`, and its arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The working folder.
    pub workdir: RelPath,
    /// The folders that are kept when it ends well.
    pub outputs: Vec<RelPath>,
}

/// A tree at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub at: RelPath,
    /// What.
    pub tree: Digest,
}

impl Command {
    /// The key: the digest of everything that can affect the result.
    pub fn key(&self) -> Digest {
        self.encoder().digest_of()
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        self.encoder().finish()
    }

    fn encoder(&self) -> Encoder {
        let mut encoder = Encoder::new(TAG);
        encoder.digest(&self.base);
        encoder.list(self.mounts.iter(), |encoder, mount| {
            encoder.bytes(mount.at.as_bytes()).digest(&mount.tree);
        });
        encoder.list(self.argv.iter(), |encoder, argument| {
            encoder.text(argument);
        });
        encoder.list(self.env.iter(), |encoder, (name, value)| {
            encoder.text(name).text(value);
        });
        encoder.bytes(self.workdir.as_bytes());
        encoder.list(self.outputs.iter(), |encoder, output| {
            encoder.bytes(output.as_bytes());
        });
        encoder
    }

    /// Reads a canonical encoding back.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        fn path(decoder: &mut Decoder<'_>) -> Result<RelPath, DecodeError> {
            RelPath::new(decoder.bytes()?).map_err(|_| DecodeError::Field("path"))
        }
        let mut decoder = Decoder::new(bytes, TAG)?;
        let base = decoder.digest()?;
        let mut mounts = Vec::new();
        for _ in 0..decoder.number()? {
            mounts.push(Mount { at: path(&mut decoder)?, tree: decoder.digest()? });
        }
        let mut argv = Vec::new();
        for _ in 0..decoder.number()? {
            argv.push(decoder.text()?.to_owned());
        }
        let mut env = BTreeMap::new();
        for _ in 0..decoder.number()? {
            env.insert(decoder.text()?.to_owned(), decoder.text()?.to_owned());
        }
        let workdir = path(&mut decoder)?;
        let mut outputs = Vec::new();
        for _ in 0..decoder.number()? {
            outputs.push(path(&mut decoder)?);
        }
        decoder.end()?;
        Ok(Self { base, mounts, argv, env, workdir, outputs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Command {
        let path = |text: &str| RelPath::new(text).expect("clean");
        Command {
            base: Digest::of(b"base"),
            mounts: vec![Mount { at: path("src"), tree: Digest::of(b"sources") }],
            argv: vec!["mix".into(), "release".into()],
            env: BTreeMap::from([("MIX_ENV".into(), "prod".into())]),
            workdir: path("src/hello"),
            outputs: vec![path("src/hello/_exflow/release")],
        }
    }

    /// Keys name what is in users' stores. If this fails, the encoding has changed: give it a new
    /// version in `TAG`, and say so in the changelog.
    #[test]
    fn the_key_is_pinned() {
        assert_eq!(
            sample().key().to_string(),
            "8855e09d1d6eb16e575483dc0e613e684d25b534b4373cab0b7782e6b60a774c"
        );
    }

    #[test]
    fn every_field_is_in_the_key() {
        let path = |text: &str| RelPath::new(text).expect("clean");
        let changes: [fn(&mut Command); 8] = [
            |command| command.base = Digest::of(b"other"),
            |command| command.mounts[0].tree = Digest::of(b"other"),
            |command| command.mounts.clear(),
            |command| command.argv.push(String::new()),
            |command| command.argv = vec!["mix release".into()],
            |command| command.env = BTreeMap::from([("MIX_ENV".into(), "dev".into())]),
            |command| command.workdir = RelPath::root(),
            |command| command.outputs.clear(),
        ];
        let mut keys = vec![sample().key()];
        for change in changes {
            let mut command = sample();
            change(&mut command);
            keys.push(command.key());
        }
        let mut command = sample();
        command.mounts[0].at = path("other");
        keys.push(command.key());
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }

    fn any_command() -> impl Strategy<Value = Command> {
        let path =
            || "[a-c]{1,3}(/[a-c]{1,3})?".prop_map(|text| RelPath::new(text).expect("clean"));
        let texts = || proptest::collection::vec("[a-c =]{0,3}", 0..4);
        let env = proptest::collection::btree_map("[A-C]{1,2}", "[a-c]{0,3}", 0..4);
        let mounts = proptest::collection::vec((path(), any::<[u8; 32]>()), 0..3);
        (any::<[u8; 32]>(), mounts, texts(), env, path(), proptest::collection::vec(path(), 0..3))
            .prop_map(|(base, mounts, argv, env, workdir, outputs)| Command {
                base: Digest::from_bytes(base),
                mounts: mounts
                    .into_iter()
                    .map(|(at, tree)| Mount { at, tree: Digest::from_bytes(tree) })
                    .collect(),
                argv,
                env,
                workdir,
                outputs,
            })
    }

    proptest! {
        #[test]
        fn decode_is_the_inverse_of_encode(command in any_command()) {
            prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
        }

        #[test]
        fn the_encoding_is_injective(a in any_command(), b in any_command()) {
            prop_assert_eq!(a == b, a.key() == b.key());
        }

        #[test]
        fn decode_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Command::decode(&[sample().encode(), bytes].concat());
        }
    }
}
