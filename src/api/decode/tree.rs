//! JSON and YAML as one kind of tree.
//!
//! Owns the bound on depth and the search for repeated keys, which serde_json drops in silence. Invariant: a tree is never
//! deeper than [`DEPTH_MAX`], so that walking it by recursion is safe.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Objects and lists may be nested this deep. The deepest path of a Job has about 20 levels.
pub const DEPTH_MAX: usize = 64;

/// Repeated keys beyond this many are not noted.
const REPEATED_MAX: usize = super::STRICT_ERRORS_MAX;

/// A value read from outside, with the paths of the keys that stood twice in an object (the last one counts).
#[derive(Debug, PartialEq)]
pub struct Tree {
    /// The value.
    pub value: Value,
    /// Such as `spec.completions`, in order.
    pub repeated: Vec<String>,
}

/// Why bytes are no tree.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TreeError {
    /// What is wrong.
    pub message: String,
    /// The line, from 1; 0 when unknown.
    pub line: u64,
}

/// Reads one JSON value.
///
/// # Errors
/// Not JSON, or deeper than [`DEPTH_MAX`].
pub fn read_json(bytes: &[u8]) -> Result<Tree, TreeError> {
    let mut reader = Reader::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Node(&mut reader).deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| {
        let message = match error.classify() {
            // The reference's words for a cut body; other tails of Go's decoder differ from ours.
            serde_json::error::Category::Eof => "unexpected end of JSON input".to_owned(),
            _ => error.to_string(),
        };
        TreeError { message, line: error.line().try_into().unwrap_or(0) }
    })?;
    Ok(Tree { value, repeated: reader.repeated })
}

/// Reads one YAML document as kubectl reads it (YAML 1.1 booleans and octal numbers). A repeated key is an error.
///
/// # Errors
/// Not YAML, more than one document, or beyond a bound.
pub fn read_yaml(text: &str) -> Result<Tree, TreeError> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        strict_booleans: false,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, flow_nesting_limit: DEPTH_MAX },
    };
    let mut reader = Reader::default();
    let value = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        Node(&mut reader).deserialize(deserializer)
    });
    let value = value.map_err(|error| TreeError {
        line: error.location().map_or(0, |location| location.line()),
        message: error.to_string(),
    })?;
    Ok(Tree { value, repeated: reader.repeated })
}

#[derive(Default)]
struct Reader {
    path: Vec<Step>,
    repeated: Vec<String>,
}

enum Step {
    Key(String),
    Index(usize),
}

impl Reader {
    fn enter<E: Error>(&mut self, step: Step) -> Result<(), E> {
        if self.path.len() >= DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.path.push(step);
        Ok(())
    }

    fn note_repeated(&mut self, key: &str) {
        if self.repeated.len() < REPEATED_MAX {
            let mut text = String::new();
            for step in &self.path {
                match step {
                    Step::Key(key) => text.extend([key, "."]),
                    Step::Index(index) => {
                        text.pop();
                        text.push_str(&format!("[{index}]."));
                    }
                }
            }
            self.repeated.push(super::cut(&(text + key)).to_owned());
        }
    }
}

/// Reads the value at the reader's place.
struct Node<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        Number::from_i128(value).map(Value::Number).ok_or_else(|| E::custom("a number is too large"))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        Number::from_u128(value).map(Value::Number).ok_or_else(|| E::custom("a number is too large"))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            self.0.enter(Step::Index(list.len()))?;
            let item = items.next_element_seed(Node(self.0))?;
            self.0.path.pop();
            match item {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                self.0.note_repeated(&key);
            }
            self.0.enter(Step::Key(key.clone()))?;
            let value = entries.next_value_seed(Node(self.0))?;
            self.0.path.pop();
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
