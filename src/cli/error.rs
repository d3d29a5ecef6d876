//! Errors as people read them: what, where, why, and what to do.

use super::tell;
use std::fmt::Write as _;

/// Exit codes of the command; the README and `--help` list them.
pub(super) mod code {
    /// All done.
    pub(crate) const DONE: u8 = 0;
    /// A Job failed.
    pub(crate) const JOB_FAILED: u8 = 1;
    /// Wrong usage, or a manifest that is refused.
    pub(crate) const USAGE: u8 = 2;
    /// The engine or its store does not work.
    pub(crate) const ENGINE: u8 = 3;
    /// A module is unknown or refused.
    pub(crate) const MODULE: u8 = 4;
    /// A Job passed its deadline, as `timeout` says it.
    pub(crate) const DEADLINE: u8 = 124;
    /// Interrupted by ^C.
    pub(crate) const INTERRUPTED: u8 = 130;
    /// Whoever read stdout has gone: 128 + SIGPIPE.
    pub(crate) const UNREAD: u8 = 141;
}

/// An error with its exit code.
#[derive(Debug)]
pub(super) struct CliError {
    code: u8,
    what: String,
    place: Option<Box<Place>>,
    helps: Vec<String>,
}

/// A place in a file, with the line itself.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) file: String,
    /// From 1; 0 when only the file is known.
    pub(super) line: usize,
    /// From 1.
    pub(super) column: usize,
    pub(super) text: String,
    /// How many characters are meant.
    pub(super) width: usize,
    pub(super) hint: Option<String>,
}

impl CliError {
    pub(super) fn new(code: u8, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), place: None, helps: Vec::new() }
    }

    pub(super) fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }

    /// Its exit code.
    #[cfg(test)]
    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// Prints the error and gives its exit code.
    pub(super) fn report(&self) -> u8 {
        tell(&self.render());
        self.code
    }

    fn render(&self) -> String {
        let mut text = format!("error: {}", self.what);
        if let Some(place) = &self.place {
            place.render(&mut text);
        }
        for help in &self.helps {
            _ = write!(text, "\n  = help: {}", help.replace('\n', "\n          "));
        }
        text
    }
}

impl Place {
    /// A whole file.
    pub(super) fn file(file: &str) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, text: String::new(), width: 0, hint: None }
    }

    fn render(&self, text: &mut String) {
        if self.line == 0 {
            _ = write!(text, "\n --> {}", self.file);
            return;
        }
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let hint = self.hint.as_ref().map(|hint| format!(" help: {hint}")).unwrap_or_default();
        _ = write!(
            text,
            "\n{gutter}--> {}:{}:{}\n{gutter} |\n{number} | {}\n{gutter} | {}{}{hint}",
            self.file,
            self.line,
            self.column,
            self.text,
            " ".repeat(self.column.saturating_sub(1)),
            "^".repeat(self.width.max(1)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_why_and_what_to_do() {
        let error = CliError::new(code::USAGE, "unknown field `paralelism` in Job.spec")
            .at(Place {
                file: "job.yaml".to_owned(),
                line: 7,
                column: 3,
                text: "  paralelism: 4".to_owned(),
                width: 10,
                hint: Some("did you mean `parallelism`?".to_owned()),
            })
            .help("do this\nor that");
        assert_eq!(
            error.render(),
            "error: unknown field `paralelism` in Job.spec
 --> job.yaml:7:3
  |
7 |   paralelism: 4
  |   ^^^^^^^^^^ help: did you mean `parallelism`?
  = help: do this
          or that"
        );
    }
}
