//! Files with several YAML documents.
//!
//! Owns where a document starts; each document is read by itself, so that an error names the file's line.

use super::tree::{TreeError, read_yaml};
use serde_json::Value;

/// A file may hold this many documents.
pub const DOCUMENTS_MAX: usize = 10_000;

/// One document of a file.
#[derive(Debug, PartialEq)]
pub struct Document {
    /// The line of its first content, from 1.
    pub line: u64,
    /// The document.
    pub value: Value,
}

/// Why a file cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A document is not YAML.
    #[error("line {line}: {message}")]
    Document {
        /// The file's line, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// Too many documents.
    #[error("the file holds more than {DOCUMENTS_MAX} documents; split it")]
    TooMany,
}

/// Reads the documents of a text; empty ones are skipped. JSON is YAML, so it is read too.
///
/// # Errors
/// [`ManifestError`], for the first document that cannot be read.
pub fn read_documents(text: &str) -> Result<Vec<Document>, ManifestError> {
    let mut documents = Vec::new();
    for (first_line, part) in split(text) {
        let tree = read_yaml(part).map_err(|error: TreeError| ManifestError::Document {
            line: first_line - 1 + error.line.max(1),
            message: error.message,
        })?;
        if tree.value.is_null() {
            continue;
        }
        if documents.len() == DOCUMENTS_MAX {
            return Err(ManifestError::TooMany);
        }
        documents.push(Document { line: first_line + lines_before_content(part), value: tree.value });
    }
    Ok(documents)
}

/// The parts between lines that start with `---`, each with its first line's number. Such a line ends a document wherever
/// it stands, even inside a block scalar (YAML 1.2, 9.1.2).
fn split(text: &str) -> Vec<(u64, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (number, line) in (1_u64..).zip(text.split_inclusive('\n')) {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) && at > start {
            parts.push((start_line, &text[start..at]));
            (start, start_line) = (at, number);
        }
        at += line.len();
    }
    parts.push((start_line, &text[start..]));
    parts
}

fn lines_before_content(part: &str) -> u64 {
    let is_blank = |line: &&str| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line.starts_with('%') || line == "---"
    };
    u64::try_from(part.lines().take_while(is_blank).count()).unwrap_or(u64::MAX)
}
