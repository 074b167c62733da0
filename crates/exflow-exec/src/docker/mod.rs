//! Runs commands in containers of a Docker daemon, which may be on another machine.
//!
//! What a command works on goes to the daemon as the layers of an image: exflow's own init, the
//! base, and each input. The daemon keeps layers, so that only those are sent that it lacks; nothing
//! is mounted from this machine. The init process (`init/` in this crate) starts the command on
//! exactly those files, and sends its outputs back over the connection that its log comes by.

mod answer;
mod executor;
mod layers;
#[path = "../../init/src/protocol.rs"]
mod protocol;

pub use executor::DockerExecutor;

#[cfg(test)]
mod tests {
    use super::protocol::{Frame, MAGIC, MAX_BYTES, Request, encode_wanted, read_wanted};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..40)
    }

    fn any_request() -> impl Strategy<Value = Request> {
        let list = || vec(bytes(), 0..4);
        (list(), list(), list(), bytes(), any::<u64>(), any::<u64>()).prop_map(
            |(argv, env, outputs, workdir, mtime, open_files)| Request {
                end_of_log: workdir.clone(),
                argv,
                env,
                workdir,
                outputs,
                mtime,
                open_files,
            },
        )
    }

    fn any_frame() -> impl Strategy<Value = Frame> {
        let text = || "[a-z ]{0,20}";
        prop_oneof![
            any::<i32>().prop_map(Frame::Exited),
            any::<i32>().prop_map(Frame::Killed),
            Just(Frame::NoProgram),
            (text(), text()).prop_map(|(action, reason)| Frame::Failed { action, reason }),
            Just(Frame::Output),
            Just(Frame::Missing),
            Just(Frame::NoFolder),
            (bytes(), text()).prop_map(|(path, kind)| Frame::Unsupported { path, kind }),
            (bytes(), any::<u32>()).prop_map(|(path, mode)| Frame::Folder { path, mode }),
            (bytes(), bytes()).prop_map(|(path, target)| Frame::Link { path, target }),
            (bytes(), any::<u32>(), any::<u64>(), any::<[u8; 32]>())
                .prop_map(|(path, mode, size, content)| Frame::File { path, mode, size, content }),
            Just(Frame::Listed),
            Just(Frame::End),
        ]
    }

    proptest! {
        #[test]
        fn a_request_is_read_as_it_was_written(request in any_request(), rest in bytes()) {
            let written = [request.encode().unwrap(), rest.clone()].concat();
            let mut reader = written.as_slice();
            prop_assert_eq!(Request::read(&mut reader).unwrap(), request);
            prop_assert_eq!(reader, rest, "what stands behind it is left alone");
        }

        #[test]
        fn frames_are_read_as_they_were_written(frames in vec(any_frame(), 0..6)) {
            let mut written = Vec::new();
            for frame in &frames {
                frame.write(&mut written).unwrap();
            }
            let mut reader = written.as_slice();
            for frame in frames {
                prop_assert_eq!(Frame::read(&mut reader).unwrap(), frame);
            }
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn what_is_wanted_is_read_as_it_was_written(numbers in proptest::collection::btree_set(0..50u32, 0..20)) {
            let numbers: Vec<u32> = numbers.into_iter().collect();
            let bytes = encode_wanted(&numbers).unwrap();
            prop_assert_eq!(read_wanted(&mut bytes.as_slice(), 50).unwrap(), numbers.clone());
            let largest = numbers.last().map_or(0, |last| *last as usize);
            if !numbers.is_empty() {
                prop_assert!(read_wanted(&mut bytes.as_slice(), largest).is_err());
            }
        }

        #[test]
        fn reading_never_panics(bytes in vec(any::<u8>(), 0..300)) {
            let mut reader = bytes.as_slice();
            while Frame::read(&mut reader).is_ok() && !reader.is_empty() {}
            let _ = Request::read(&mut [MAGIC, &bytes].concat().as_slice());
        }
    }

    /// Whoever sends a length gets no memory for it.
    #[test]
    fn lengths_are_bounded() {
        let long = (MAX_BYTES + 1).to_le_bytes();
        assert!(Frame::read(&mut [b"l".as_slice(), &long].concat().as_slice()).is_err());
        let request = [MAGIC, &u32::MAX.to_le_bytes()].concat();
        assert!(Request::read(&mut request.as_slice()).is_err());
    }
}
