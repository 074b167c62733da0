//! What a test needs and a machine may lack.

use rustix::process::geteuid;

/// Says that a test is left out, and why. Where the environment requires what is missing
/// (`EXFLOW_TEST_REQUIRE` names it, or is `all`), that is a failure.
pub fn missing(what: &str, test: &str) {
    let required = std::env::var("EXFLOW_TEST_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|name| name == what || name == "all");
    assert!(!is_required, "{test}: {what} is required, and this machine has none");
    #[expect(clippy::print_stderr, reason = "whoever runs the tests should know")]
    {
        eprintln!("left out: {test}: this machine has no {what}");
    }
}

/// A user and group without any rights, where this process may become them.
pub fn ordinary_user() -> Option<u32> {
    geteuid().is_root().then_some(65534)
}
