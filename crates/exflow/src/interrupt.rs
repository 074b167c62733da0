//! Ctrl-C: the first asks everything to stop, the second stops at once.

use crate::report::INTERRUPTED;
use exflow_fetch::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Write};

/// Cancels `cancel` when the user wishes to stop.
pub(crate) fn listen(cancel: &Cancel) {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    let cancel = cancel.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if cancel.is_cancelled() {
                std::process::exit(INTERRUPTED.into());
            }
            cancel.cancel();
            // Nobody listens any more: that is no reason to fail.
            let _ = writeln!(io::stderr(), "stopping; Ctrl-C again stops at once");
        }
    });
}
