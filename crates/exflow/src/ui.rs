//! What the user sees while something is under way. Only this crate talks to the terminal:
//! standard output is data, standard error is conversation.

use crate::events::Event;
use exflow_diagnostics::{Style, printable};
use exflow_fetch::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The terminal, or what stands in its place.
#[derive(Debug)]
pub(crate) struct Ui {
    style: Style,
    /// Bars, on a terminal that can show them.
    bars: Option<MultiProgress>,
    /// What is under way, by name.
    tasks: Mutex<BTreeMap<String, Task>>,
    /// Events go to standard output as JSON.
    json: bool,
}

#[derive(Debug)]
struct Task {
    bar: Option<ProgressBar>,
    begun: Instant,
    total: u64,
    done: u64,
    /// When a plain line last told how far it is.
    told: Instant,
}

/// How often a plain log says how far a download is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How often it is looked at what a step has printed last.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

/// How much of a log's end is looked at for that, in bytes.
const SEEN_OF_LOG: u64 = 512;

/// A download of so many bytes deserves to be followed in a plain log.
const WORTH_FOLLOWING: u64 = 1 << 20;

/// Something that takes so long deserves to be told when it's done.
const WORTH_TELLING: Duration = Duration::from_millis(50);

impl Ui {
    /// `color` overrides what the terminal and `NO_COLOR` say.
    pub(crate) fn new(color: Option<bool>, json: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let wanted = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let width = rustix::termios::tcgetwinsize(io::stderr())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| *columns > 0);
        let style = Style {
            color: color.unwrap_or(wanted && !dumb),
            unicode: true,
            width: width.unwrap_or(100).min(120),
        };
        let bars = (terminal && !dumb)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self { style, bars, tasks: Mutex::new(BTreeMap::new()), json }
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Says a line.
    pub(crate) fn say(&self, line: &str) {
        say(self.bars.as_ref(), line);
    }

    /// Says a line that begins with a verb, which is set off.
    pub(crate) fn tell(&self, verb: &str, rest: &str) {
        self.say(&told(self.style, verb, rest));
    }

    /// Says that a plugin is compiled; for those who have nothing of the session at hand then.
    pub(crate) fn compiling(&self) -> impl Fn(&str, u64) + Send + Sync + use<> {
        let (style, bars) = (self.style, self.bars.clone());
        move |name, bytes| {
            let what = format!("plugin `{name}`, {}: this is done once", size(bytes));
            say(bars.as_ref(), &told(style, "compiling", &what));
        }
    }

    /// Prints data.
    ///
    /// # Errors
    /// Where standard output can't be written to.
    #[expect(clippy::unused_self, reason = "all that is printed goes through the terminal")]
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Whether machines listen, and standard output is theirs.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Reports an event to machines, if they listen.
    pub(crate) fn event(&self, event: &Event<'_>) {
        if self.json {
            let event = serde_json::to_string(event).expect("an event is JSON");
            let _ = self.print(&(event + "\n"));
        }
    }

    /// Something began. `total` is its length in bytes, if it has one.
    pub(crate) fn begin(&self, name: &str, total: Option<u64>) {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = match total {
                Some(total) => ProgressBar::new(total).with_style(
                    ProgressStyle::with_template(
                        "{spinner} {msg:30!} {bar:24} {bytes:>10}/{total_bytes} {bytes_per_sec}",
                    )
                    .expect("a valid template"),
                ),
                None => ProgressBar::new_spinner().with_style(
                    ProgressStyle::with_template("{spinner} {msg} {elapsed}")
                        .expect("a valid template"),
                ),
            };
            let bar = bars.add(bar.with_message(name.to_owned()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let now = Instant::now();
        let task = Task { bar, begun: now, total: total.unwrap_or(0), done: 0, told: now };
        self.tasks().insert(name.to_owned(), task);
    }

    /// Something went on by `bytes`.
    pub(crate) fn advance(&self, name: &str, bytes: u64) {
        let mut tasks = self.tasks();
        let Some(task) = tasks.get_mut(name) else { return };
        task.done += bytes;
        match &task.bar {
            Some(bar) => bar.inc(bytes),
            None if task.told.elapsed() > TELL_EVERY && task.total >= WORTH_FOLLOWING => {
                task.told = Instant::now();
                let line = format!("{name}: {} of {}", size(task.done), size(task.total));
                drop(tasks);
                self.say(&line);
            }
            None => {}
        }
    }

    /// Something ended: how long it took, if that is worth telling.
    pub(crate) fn end(&self, name: &str) -> Option<Duration> {
        let task = self.tasks().remove(name)?;
        if let Some(bar) = task.bar {
            bar.finish_and_clear();
        }
        let took = task.begun.elapsed();
        (took >= WORTH_TELLING).then_some(took)
    }

    /// Shows the last line of a log beside what is under way, on a terminal, as long as the answer lives.
    pub(crate) fn follow(&self, name: &str, log: &Path) -> Option<Followed> {
        let bar = self.tasks().get(name)?.bar.clone()?;
        let (name, log) = (name.to_owned(), log.to_owned());
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let room = self.style.width.saturating_sub(name.len() + 14);
        let follow = move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(FOLLOW_EVERY) {
                if let Some(line) = last_line(&log) {
                    let line: String = printable(&line).chars().take(room).collect();
                    bar.set_message(format!("{name}: {line}"));
                }
            }
        };
        // What can't be started isn't shown.
        std::thread::Builder::new().name("log".to_owned()).spawn(follow).ok()?;
        Some(Followed { _end: end })
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A log that is shown: until this is dropped.
#[derive(Debug)]
pub(crate) struct Followed {
    _end: Sender<()>,
}

/// The last line of a file that has something in it, as far as it is in the file's last few hundred bytes.
fn last_line(path: &Path) -> Option<String> {
    let text = end_of(path, SEEN_OF_LOG).ok()?;
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.to_owned())
}

/// The last bytes of a file, as text; the first letter may be cut.
pub(crate) fn end_of(path: &Path, bytes: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut end = Vec::new();
    file.take(bytes).read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}

/// Says a line, above the bars.
fn say(bars: Option<&MultiProgress>, line: &str) {
    let say = || {
        // Nobody listens any more: that is no reason to fail.
        let _ = writeln!(io::stderr(), "{}", line.trim_end());
    };
    match bars {
        Some(bars) => bars.suspend(say),
        None => say(),
    }
}

/// A line that begins with a verb, which is set off.
fn told(style: Style, verb: &str, rest: &str) -> String {
    let rest = printable(rest);
    if style.color {
        format!("\x1b[1;32m{verb:>10}\x1b[0m {rest}")
    } else {
        format!("{verb:>10} {rest}")
    }
}

/// A length in bytes, as people write it.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

/// A duration, as people write it.
pub(crate) fn seconds(duration: Duration) -> String {
    if duration.as_secs() >= 60 {
        format!("{}m{:02}s", duration.as_secs() / 60, duration.as_secs() % 60)
    } else {
        format!("{:.1}s", duration.as_secs_f64())
    }
}

/// Shows how far downloads are.
pub(crate) struct Shown<'a>(pub(crate) &'a Ui);

impl Progress for Shown<'_> {
    fn begin(&self, name: &str, total: u64) {
        self.0.begin(name, (total > 0).then_some(total));
    }

    fn advance(&self, name: &str, bytes: u64) {
        self.0.advance(name, bytes);
    }

    fn end(&self, name: &str) {
        self.0.end(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_log_is_the_last_that_says_something() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(last_line(&log), None);
        let cases = [
            ("", None),
            ("\n \n", None),
            ("==> plug\nCompiling 3 files (.ex)\n\n", Some("Compiling 3 files (.ex)")),
            ("half of a li", Some("half of a li")),
        ];
        for (text, line) in cases {
            std::fs::write(&log, text).unwrap();
            assert_eq!(last_line(&log).as_deref(), line, "{text:?}");
        }
        // Of a line that is longer only the end is seen, and a letter may be cut in two.
        std::fs::write(&log, "ä".repeat(2000) + "!").unwrap();
        assert!(last_line(&log).is_some_and(|line| line.ends_with("ä!")));
    }
}
