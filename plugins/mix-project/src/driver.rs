//! The driver: what stands between Mix and the packages that are laid out. It is compiled in a step of its own, and
//! the others call it.

use crate::discover::FACTS;
use exflow_plugin_sdk::{Pair, Place, Step, StepOutput, Used, UsedThing, WrittenFile, pair};

/// The folder of the workspace in which packages are laid out, for all of its projects alike.
pub(crate) const ROOT: &str = "_exflow";
/// The same as steps see it.
pub(crate) const SEEN: &str = "/src/_exflow";
/// Where the compiled driver is.
pub(crate) const TOOLS: &str = "_exflow/tools";

/// The driver: what stands between Mix and the packages that are laid out.
const DRIVER: [(&str, &str); 10] = [
    ("batch.ex", include_str!("driver/batch.ex")),
    ("beam.ex", BEAM),
    ("exflow.ex", include_str!("driver/exflow.ex")),
    ("facts.ex", include_str!("driver/facts.ex")),
    ("package.ex", include_str!("driver/package.ex")),
    ("rebar3.ex", include_str!("driver/rebar3.ex")),
    ("reads.ex", include_str!("driver/reads.ex")),
    ("release.ex", include_str!("driver/release.ex")),
    ("scm.ex", include_str!("driver/scm.ex")),
    ("settle.ex", include_str!("driver/settle.ex")),
];

/// What makes modules the same each time.
pub(crate) const BEAM: &str = include_str!("driver/beam.ex");

/// Compiles the driver.
pub(crate) fn tools_step() -> Step {
    let path = |name: &str| format!("driver/{name}");
    let mut argv = texts(&["elixirc", "--ignore-module-conflict", "-o", "tools"]);
    argv.extend(DRIVER.map(|(name, _)| path(name)));
    let files = DRIVER.map(|(name, contents)| WrittenFile {
        path: format!("{ROOT}/{}", path(name)),
        contents: contents.to_owned(),
    });
    Step {
        name: "tools".to_owned(),
        stage: "deps".to_owned(),
        argv,
        env: Vec::new(),
        workdir: ROOT.to_owned(),
        sources: Vec::new(),
        files: files.to_vec(),
        uses: Vec::new(),
        outputs: vec![TOOLS.to_owned()],
        together: false,
        place: Place::Nowhere,
    }
}

/// Asks Mix what a `mix.exs` comes to. The first step of the proposal has to be the driver's.
pub(crate) fn facts_step(
    folder: &str,
    env: &str,
    mut uses: Vec<Used>,
    sources: Vec<String>,
    place: Place,
) -> Step {
    let name = match folder {
        "" => "facts".to_owned(),
        folder => lasting_name("facts", folder, '/'),
    };
    let output = format!("{ROOT}/facts/{name}");
    uses.push(tools());
    let to = format!("/src/{output}/{FACTS}");
    let from = format!("/src/{folder}");
    Step {
        argv: driver("Exflow.Facts.write(System.argv())", &[&from, &to]),
        name,
        stage: "deps".to_owned(),
        env: environment(env),
        workdir: ROOT.to_owned(),
        sources,
        files: Vec::new(),
        uses,
        outputs: vec![output],
        together: false,
        place,
    }
}

pub(crate) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A call of the driver.
pub(crate) fn driver(call: &str, arguments: &[&str]) -> Vec<String> {
    let tools = format!("/src/{TOOLS}");
    let mut argv = texts(&["elixir", "-pa", &tools, "-e", call, "--"]);
    argv.extend(texts(arguments));
    argv
}

/// What Mix is told by its environment.
pub(crate) fn environment(mix_env: &str) -> Vec<Pair> {
    vec![
        pair("EXFLOW_ROOT", SEEN),
        pair("MIX_ARCHIVES", "/nowhere"),
        pair("MIX_BUILD_PATH", &format!("{SEEN}/build")),
        pair("MIX_DEPS_PATH", &format!("{SEEN}/deps")),
        pair("MIX_ENV", mix_env),
        // From 1.18 on, Mix lets nobody else compile below the same folder. Here, several do, and each in a
        // folder of its own.
        pair("MIX_OS_CONCURRENCY_LOCK", "0"),
    ]
}

/// The driver, which the first step of each proposal makes.
pub(crate) fn tools() -> Used {
    used(0, TOOLS)
}

/// An output of a step, at the place where it was made.
pub(crate) fn used(step: u32, output: &str) -> Used {
    let what = UsedThing::Output(StepOutput { step, output: output.to_owned() });
    Used { what, at: output.to_owned() }
}

/// A name as the contract wants it that is the same in every round of questions, and that nothing else of its
/// kind has: what it can't say of `what` in letters, digits and `-` for `dash`, it says in a checksum.
pub(crate) fn lasting_name(kind: &str, what: &str, dash: char) -> String {
    let fits =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == dash;
    let letters = what.chars().map(|letter| letter.to_ascii_lowercase());
    let letters = letters.map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
    let plain = format!("{kind}-{}", letters.take(LONGEST).collect::<String>());
    if what.len() <= LONGEST && what.chars().all(fits) {
        return plain;
    }
    // FNV-1a: nobody gains by a collision in a project of their own.
    let sum = what.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}-{sum:016x}", plain.get(..40).unwrap_or(&plain))
}

/// How much of a package's or a folder's name is in a step's, in letters.
const LONGEST: usize = 50;

pub(crate) fn index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two folders never answer for each other.
    #[test]
    fn each_folder_is_asked_about_under_a_name_of_its_own() {
        let name = |folder: &str| {
            let at = Place::Nowhere;
            facts_step(folder, "prod", Vec::new(), Vec::new(), at).name
        };
        assert_eq!([name(""), name("a/b")], ["facts", "facts-a-b"]);
        let long = "x".repeat(70);
        let (long_a, long_b) = (format!("{long}/a"), format!("{long}/b"));
        let folders = ["", "a/b", "a-b", "a_b", "A/b", "a.b", "root", &long_a, &long_b];
        let names: std::collections::BTreeSet<String> =
            folders.iter().map(|folder| name(folder)).collect();
        assert_eq!(names.len(), folders.len(), "{names:?}");
        assert!(names.iter().all(|name| name.len() <= 64), "{names:?}");
    }
}
