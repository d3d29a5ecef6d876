//! Texts for `Warning` headers, few enough for a client to read (kubernetes: apiserver `filters/warning.go`).
//!
//! Knows the bounds and how a text becomes a header, not what is warned of. Invariant: what is kept is at most
//! [`CHARS_MAX`] and one text of [`TEXT_CHARS_MAX`], however much is added.

use axum::http::{HeaderMap, HeaderValue, header};

/// The texts of an answer may have this many characters together (kubernetes: `truncateAtTotalRunes`). Beyond that each is cut
/// to [`TEXT_CHARS_MAX`], and once that does not help either, nothing more is added.
const CHARS_MAX: usize = 4096;

/// kubernetes: `truncateItemRunes`.
const TEXT_CHARS_MAX: usize = 256;

/// What an answer warns of, in the order in which it was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Warnings {
    texts: Vec<String>,
    /// Characters of `texts`.
    chars: usize,
    /// There was too much: every text is cut.
    is_cut: bool,
}

impl Warnings {
    /// Adds a text, unless it is there already or nothing more is taken.
    pub(super) fn add(&mut self, text: &str) {
        let text = if self.is_cut { cut(text) } else { text };
        if text.is_empty() || self.is_full() || self.texts.iter().any(|known| known == text) {
            return;
        }
        self.texts.push(text.to_owned());
        self.chars += text.chars().count();
        if self.chars > CHARS_MAX && !self.is_cut {
            self.is_cut = true;
            self.texts.iter_mut().for_each(|text| *text = cut(text).to_owned());
            self.chars = self.texts.iter().map(|text| text.chars().count()).sum();
        }
    }

    /// Whether nothing more is taken.
    pub(super) fn is_full(&self) -> bool {
        self.is_cut && self.chars >= CHARS_MAX
    }

    /// The texts.
    pub(super) fn into_vec(self) -> Vec<String> {
        self.texts
    }

    /// Adds a header for each text: `299 - "<text>"`.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        for text in &self.texts {
            let value = format!("299 - \"{}\"", escaped(text));
            headers.append(header::WARNING, HeaderValue::from_bytes(value.as_bytes()).expect("no control characters"));
        }
    }
}

impl<'a> FromIterator<&'a str> for Warnings {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut warnings = Self::default();
        texts.into_iter().for_each(|text| warnings.add(text));
        warnings
    }
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(TEXT_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

/// `text` within quotes. The reference drops a text that has a control character; here only the character goes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    }
    out
}

/// What follows `299 - ` in the `Warning` headers of an answer.
#[must_use]
pub fn warnings_of(headers: &HeaderMap) -> Vec<String> {
    let texts = headers.get_all(header::WARNING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    texts.filter_map(|text| Some(text.strip_prefix("299 - ")?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(warnings: Warnings) -> Vec<usize> {
        warnings.into_vec().iter().map(|text| text.chars().count()).collect()
    }

    #[test]
    fn a_text_is_told_once() {
        let warnings = Warnings::from_iter(["a", "", "b", "a"]);
        assert_eq!(warnings.into_vec(), ["a", "b"]);
    }

    #[test]
    fn as_much_as_fits_is_told_in_full() {
        let long = "é".repeat(CHARS_MAX - 1);
        let mut warnings = Warnings::from_iter([long.as_str(), "b"]);
        assert_eq!((warnings.is_full(), lengths(warnings.clone())), (false, vec![CHARS_MAX - 1, 1]));
        warnings.add("c");
        assert_eq!((warnings.is_full(), lengths(warnings.clone())), (false, vec![TEXT_CHARS_MAX, 1, 1]));
        warnings.add(&long.replace('é', "ü"));
        assert_eq!(lengths(warnings), [TEXT_CHARS_MAX, 1, 1, TEXT_CHARS_MAX]);
    }

    #[test]
    fn what_does_not_fit_when_it_is_cut_is_not_told() {
        let texts: Vec<String> = (0..1000).map(|nth| format!("{nth:0300}")).map(reversed).collect();
        let warnings = Warnings::from_iter(texts.iter().map(String::as_str));
        assert!(warnings.is_full());
        assert_eq!(lengths(warnings.clone()), [TEXT_CHARS_MAX; CHARS_MAX / TEXT_CHARS_MAX]);
        let again = Warnings::from_iter(warnings.texts.iter().map(String::as_str));
        assert_eq!(again.texts, warnings.texts);
    }

    fn reversed(text: String) -> String {
        text.chars().rev().collect()
    }

    #[test]
    fn any_text_becomes_a_header_and_is_read_back() {
        let mut headers = HeaderMap::new();
        Warnings::from_iter(["é \"x\\\"", "a\nb\u{85}"]).write(&mut headers);
        headers.append(header::WARNING, HeaderValue::from_static("199 - \"other\""));
        assert_eq!(warnings_of(&headers), [r#""é \"x\\\"""#, "\"a\u{fffd}b\u{fffd}\""]);
    }
}
