//! Label selectors: `a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x)`, `a`, `!a`, `a>1`, `a<1`, joined by commas.
//!
//! Knows the grammar and its errors (kubernetes: apimachinery `labels.Parse`), not whose labels they are. Invariant: what
//! was parsed has valid keys and values, at most [`REQUIREMENTS_MAX`] requirements and [`SELECTOR_BYTES_MAX`] bytes.

use crate::api::field::{FieldError, FieldErrorKind, quoted};
use crate::api::job::{label_value, qualified_name};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Bytes of a label selector or a field selector; a longer one is refused with 400.
pub(super) const SELECTOR_BYTES_MAX: usize = 16 * 1024;

/// Requirements of a selector; one with more is refused with 400.
pub(super) const REQUIREMENTS_MAX: usize = 256;

/// Why a text is refused before it is looked at; `None` when it is short enough.
pub(super) fn too_long(selector: &str) -> Option<String> {
    (selector.len() > SELECTOR_BYTES_MAX)
        .then(|| format!("a selector may not be more than {SELECTOR_BYTES_MAX} bytes, this one has {}", selector.len()))
}

/// Why a selector with so many requirements is refused.
pub(super) fn too_many() -> String {
    format!("a selector may not have more than {REQUIREMENTS_MAX} requirements")
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Greater,
    Less,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

/// Requirements that must all hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Labels(Vec<Requirement>);

impl Labels {
    /// Reads a selector.
    ///
    /// # Errors
    /// The message, in Kubernetes' words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match too_long(text) {
            Some(why) => Err(why),
            None => Parser { tokens: scan(text), at: 0 }.selector(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with the labels that `label` looks up is selected.
    pub(super) fn takes<'a>(&self, label: impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        self.0.iter().all(|requirement| requirement.takes(label(&requirement.key).as_deref()))
    }

    /// The one value that a label must have, if the selector says so.
    pub(super) fn exact(&self, key: &str) -> Option<&str> {
        let requirement = self.0.iter().find(|requirement| requirement.key == key)?;
        let mut values = requirement.values.iter();
        let (value, more) = (values.next(), values.next());
        value.filter(|_| requirement.operator == Operator::In && more.is_none()).map(String::as_str)
    }

    /// Whether a label is asked about.
    pub(super) fn mentions(&self, key: &str) -> bool {
        self.0.iter().any(|requirement| requirement.key == key)
    }
}

impl Requirement {
    fn new(key: String, operator: Operator, values: BTreeSet<String>) -> Result<Self, String> {
        let mut errors = Vec::new();
        let invalid = |path, value: &str, detail: String| {
            FieldError { kind: FieldErrorKind::Invalid, path, value: Some(quoted(value)), detail }.to_string()
        };
        for (nth, value) in values.iter().enumerate() {
            let is_ordered = matches!(operator, Operator::Greater | Operator::Less);
            if is_ordered && value.parse::<i64>().is_err() {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer".to_owned();
                errors.push(invalid(format!("values[{nth}]"), value, detail));
            }
        }
        for (nth, value) in values.iter().enumerate() {
            let messages = label_value(value);
            if !messages.is_empty() {
                errors.push(invalid(format!("values[{nth}][{key}]"), value, messages.join("; ")));
            }
        }
        match errors.as_slice() {
            [] => Ok(Self { key, operator, values }),
            [one] => Err(one.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }

    fn takes(&self, value: Option<&str>) -> bool {
        let is_one = || value.is_some_and(|value| self.values.contains(value));
        let number = |text: &str| text.parse::<i64>().ok();
        let order = || Some(number(value?)?.cmp(&number(self.values.first()?)?));
        match self.operator {
            Operator::In => is_one(),
            Operator::NotIn => !is_one(),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Greater => order().is_some_and(std::cmp::Ordering::is_gt),
            Operator::Less => order().is_some_and(std::cmp::Ordering::is_lt),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token<'a> {
    End,
    /// `(`, `)`, `,`, `!`, `=`, `==`, `!=`, `<` or `>`.
    Symbol(&'a str),
    /// Anything else, `in` and `notin` too.
    Word(&'a str),
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Token::End => "",
            Token::Symbol(text) | Token::Word(text) => text,
        }
    }
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn scan(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        let is_word = !is_symbol(first);
        let length = if is_word {
            rest.find(|c| is_symbol(c) || is_space(c)).unwrap_or(rest.len())
        } else if rest.starts_with("==") || rest.starts_with("!=") {
            2
        } else {
            1
        };
        let (token, after) = rest.split_at(length);
        tokens.push(if is_word { Token::Word(token) } else { Token::Symbol(token) });
        rest = after.trim_start_matches(is_space);
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.at).copied().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn selector(mut self) -> Result<Labels, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::End => return Ok(Labels(requirements)),
                Token::Word(_) | Token::Symbol("!") => {}
                Token::Symbol(other) => {
                    return Err(format!("found '{other}', expected: !, identifier, or 'end of string'"));
                }
            }
            if requirements.len() == REQUIREMENTS_MAX {
                return Err(too_many());
            }
            requirements.push(self.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?);
            match self.next() {
                Token::End => return Ok(Labels(requirements)),
                Token::Symbol(",") => match self.peek() {
                    Token::Word(_) | Token::Symbol("!") => {}
                    other => return Err(format!("found '{}', expected: identifier after ','", other.text())),
                },
                other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let is_negated = self.peek() == Token::Symbol("!");
        if is_negated {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key.to_owned(),
            other => return Err(format!("found '{}', expected: identifier", other.text())),
        };
        let messages = qualified_name(&key);
        if !messages.is_empty() {
            return Err(format!("<nil>: Invalid value: {}: {}", quoted(&key), messages.join("; ")));
        }
        let is_last = matches!(self.peek(), Token::End | Token::Symbol(","));
        if is_negated || is_last {
            let operator = if is_negated { Operator::DoesNotExist } else { Operator::Exists };
            return Requirement::new(key, operator, BTreeSet::new());
        }
        let (operator, is_set) = self.operator()?;
        let values = if is_set { self.values()? } else { BTreeSet::from([self.value()?]) };
        Requirement::new(key, operator, values)
    }

    /// The operator, and whether a set of values follows.
    fn operator(&mut self) -> Result<(Operator, bool), String> {
        Ok(match self.next() {
            Token::Word("in") => (Operator::In, true),
            Token::Word("notin") => (Operator::NotIn, true),
            Token::Symbol("=" | "==") => (Operator::In, false),
            Token::Symbol("!=") => (Operator::NotIn, false),
            Token::Symbol(">") => (Operator::Greater, false),
            Token::Symbol("<") => (Operator::Less, false),
            other => return Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", other.text())),
        })
    }

    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Symbol(",") => Ok(String::new()),
            Token::Word(word) => {
                self.next();
                Ok(word.to_owned())
            }
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    /// `(x,y)`; what is left out between the commas and the parentheses is the empty value.
    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        match self.next() {
            Token::Symbol("(") => {}
            other => return Err(format!("found '{}' expected: '('", other.text())),
        }
        let mut values = BTreeSet::new();
        let mut is_value_due = true;
        loop {
            match self.next() {
                Token::Word(word) if is_value_due => {
                    values.insert(word.to_owned());
                    is_value_due = false;
                }
                Token::Symbol(",") => {
                    if is_value_due {
                        values.insert(String::new());
                    }
                    is_value_due = true;
                }
                Token::Symbol(")") => {
                    if is_value_due {
                        values.insert(String::new());
                    }
                    return Ok(values);
                }
                other if values.is_empty() => {
                    return Err(format!("found '{}', expected: ',', ')' or identifier", other.text()));
                }
                other if is_value_due => return Err(format!("found '{}', expected: ',', or identifier", other.text())),
                other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Labels {
        Labels::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn selectors_take_what_kubernetes_takes() {
        let labels = [("app", "a"), ("tier", ""), ("n", "7"), ("x.io/y", "Z")];
        let cases = [
            ("", true),
            ("  ", true),
            ("app=a", true),
            ("app==a", true),
            (" app = a ", true),
            ("app=b", false),
            ("app!=b", true),
            ("app!=a", false),
            ("other!=a", true),
            ("app in (a)", true),
            ("app in (b,a)", true),
            ("app in ( b , c )", false),
            ("app notin (b)", true),
            ("app notin (a,b)", false),
            ("other notin (a)", true),
            ("app", true),
            ("other", false),
            ("!other", true),
            ("! other", true),
            ("!app", false),
            ("tier=", true),
            ("tier=,app=a", true),
            ("app=", false),
            ("tier in ()", true),
            ("tier in (,)", true),
            ("tier in (x,)", true),
            ("app in (,a)", true),
            ("n>6", true),
            ("n > 7", false),
            ("n<8", true),
            ("app>1", false),
            ("x.io/y=Z,app", true),
            ("x.io/y=Z,!app", false),
            ("in=x", false),
            ("app in (in,notin)", false),
            ("notin", false),
        ];
        for (text, is_taken) in cases {
            let label =
                |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| Cow::Borrowed(*value));
            assert_eq!(parse(text).takes(label), is_taken, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_in_kubernetes_words() {
        let name_part = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
                         an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        let cases = [
            ("a=b=c", "found '=', expected: ',' or 'end of string'".to_owned()),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt".to_owned()),
            ("=a", "found '=', expected: !, identifier, or 'end of string'".to_owned()),
            ("a,", "found '', expected: identifier after ','".to_owned()),
            ("a,,b", "found ',', expected: identifier after ','".to_owned()),
            ("!", "unable to parse requirement: found '', expected: identifier".to_owned()),
            ("!a=b", "found '=', expected: ',' or 'end of string'".to_owned()),
            ("a in", "unable to parse requirement: found '' expected: '('".to_owned()),
            ("a in x", "unable to parse requirement: found 'x' expected: '('".to_owned()),
            ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier".to_owned()),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'".to_owned()),
            ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'".to_owned()),
            ("a in (b,=)", "unable to parse requirement: found '=', expected: ',', or identifier".to_owned()),
            ("a=(", "unable to parse requirement: found '(', expected: identifier".to_owned()),
            ("-=b", format!("unable to parse requirement: <nil>: Invalid value: \"-\": {name_part}")),
            (
                "a>b",
                "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must \
                 be an integer"
                    .to_owned(),
            ),
            (
                "a=-",
                "unable to parse requirement: values[0][a]: Invalid value: \"-\": a valid label must be an empty string \
                 or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
                 character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
                 '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                    .to_owned(),
            ),
        ];
        for (text, why) in cases {
            assert_eq!(Labels::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_selector_ends_at_its_limits() {
        let requirements = |count: usize| vec!["a"; count].join(",");
        assert_eq!(parse(&requirements(REQUIREMENTS_MAX)).0.len(), REQUIREMENTS_MAX);
        assert_eq!(Labels::parse(&requirements(REQUIREMENTS_MAX + 1)), Err(too_many()));
        let bytes = |count: usize| format!("a in ({})", "b,".repeat((count - 7) / 2) + "b");
        assert!(Labels::parse(&bytes(SELECTOR_BYTES_MAX)).is_ok());
        assert!(Labels::parse(&bytes(SELECTOR_BYTES_MAX + 2)).is_err());
    }

    #[test]
    fn only_an_exact_value_narrows() {
        for (text, value) in [
            ("a=b", Some("b")),
            ("c,a in (b)", Some("b")),
            ("a in (b,c)", None),
            ("a!=b", None),
            ("a", None),
            ("b=a", None),
        ] {
            assert_eq!(parse(text).exact("a"), value, "{text}");
        }
    }
}
