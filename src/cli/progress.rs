//! How far a run is, for the person at the terminal: a bar, or plain lines where there is no terminal.

use super::grouped;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::io::Write as _;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// A bar on a terminal, plain lines otherwise
    Auto,
    /// A bar
    Tty,
    /// A line every 10 s or 10 %
    Plain,
    /// Nothing but errors and failures
    Quiet,
}

impl Mode {
    /// What `Auto` means here. `shares_terminal`: the pods' own output goes to the same terminal, so a bar would be torn;
    /// there is none then.
    pub(super) fn resolve(self, shares_terminal: bool) -> Self {
        match self {
            Self::Auto if shares_terminal => Self::Quiet,
            Self::Auto if std::io::stderr().is_terminal() => Self::Tty,
            Self::Auto => Self::Plain,
            given => given,
        }
    }
}

/// Plain lines come at the latest after this long, ms.
const PLAIN_EVERY_MS: u64 = 10_000;

/// What is done of all the Jobs of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) active: u64,
    /// Pods that ended in this run; a run that goes on counts earlier successes only above.
    pub(super) ended_here: u64,
    /// How many successes there will be; `None` when a Job has no completions.
    pub(super) wanted: Option<u64>,
}

impl Done {
    fn percent(&self) -> Option<u64> {
        let wanted = self.wanted.filter(|wanted| *wanted > 0)?;
        Some(self.succeeded.min(wanted) * 100 / wanted)
    }
}

/// The display of a run.
#[derive(Debug)]
pub(super) struct Progress {
    mode: Mode,
    name: String,
    bar: ProgressBar,
    /// Time and tenth of the last plain line.
    last: (u64, u64),
}

impl Progress {
    /// A display for Jobs called `name`, in a mode that was resolved.
    pub(super) fn new(mode: Mode, name: &str) -> Self {
        let target = if mode == Mode::Tty { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = "  {spinner} {wide_bar} {prefix}  {per_sec}  ETA {eta}  {msg}";
        bar.set_style(ProgressStyle::with_template(style).expect("a fixed template"));
        Self { mode, name: name.to_owned(), bar, last: (0, 0) }
    }

    /// Shows how far the run is, `elapsed_ms` after its start.
    pub(super) fn update(&mut self, done: Done, elapsed_ms: u64) {
        match self.mode {
            Mode::Tty => {
                if let Some(wanted) = done.wanted {
                    self.bar.set_length(wanted);
                }
                self.bar.set_position(done.succeeded);
                let of = done.wanted.map(|wanted| format!("/{}", grouped(wanted))).unwrap_or_default();
                self.bar.set_prefix(format!("{}{of}", grouped(done.succeeded)));
                let failed =
                    if done.failed > 0 { format!("✖ {} failed", grouped(done.failed)) } else { String::new() };
                self.bar.set_message(failed);
                self.bar.tick();
            }
            Mode::Plain => {
                let tenth = done.percent().unwrap_or(0) / 10;
                if elapsed_ms >= self.last.0 + PLAIN_EVERY_MS || tenth > self.last.1 {
                    self.last = (elapsed_ms, tenth);
                    self.say(&plain_line(&self.name, done, elapsed_ms));
                }
            }
            Mode::Auto | Mode::Quiet => {}
        }
    }

    /// Prints a line on stderr without tearing the bar.
    pub(super) fn say(&self, line: &str) {
        self.bar.suspend(|| _ = writeln!(anstream::stderr(), "{line}"));
    }

    /// Prints program output without tearing the bar.
    pub(super) fn print<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Whether anything but errors is said.
    pub(super) fn is_quiet(&self) -> bool {
        self.mode == Mode::Quiet
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn plain_line(name: &str, done: Done, elapsed_ms: u64) -> String {
    let percent = done.percent().map(|percent| format!(" {percent} %")).unwrap_or_default();
    let failed = if done.failed > 0 { format!(", {} failed", grouped(done.failed)) } else { String::new() };
    let rate = done.ended_here * 1000 / elapsed_ms.max(1);
    let eta = done.wanted.filter(|_| rate > 0).map(|wanted| wanted.saturating_sub(done.succeeded) / rate);
    let eta = eta.map(|seconds| format!(", ETA {seconds} s")).unwrap_or_default();
    format!(
        "{name}{percent}: {} ok{failed}, {} active, {}/s{eta}",
        grouped(done.succeeded),
        grouped(done.active),
        grouped(rate)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_says_how_far_and_how_fast() {
        let done = Done { succeeded: 100_231, failed: 1, active: 8, ended_here: 100_232, wanted: Some(1_000_000) };
        assert_eq!(
            plain_line("render", done, 10_000),
            "render 10 %: 100,231 ok, 1 failed, 8 active, 10,023/s, ETA 89 s"
        );
        let done = Done { succeeded: 3, failed: 0, active: 2, ended_here: 3, wanted: None };
        assert_eq!(plain_line("queue", done, 0), "queue: 3 ok, 2 active, 3,000/s");
    }
}
