//! Protobuf bodies: from the wire to the value that a JSON body would give.
//!
//! Owns the envelope and the wire format; `tables` says which field is which. One path of defaults and validation follows, the
//! same as for JSON. It must not know what a field means. Invariant: a field that is set and not converted is a [`Fault`] that
//! names it, never silence; that holds for numbers that no table has, too, which a newer client may send.

mod tables;
#[cfg(test)]
mod tests;
mod wire;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};
pub(in crate::api) use tables::{DELETE_OPTIONS, EVICTION, JOB, NAMESPACE, PRIORITY_CLASS};
use wire::{Field as WireField, Fields, Payload};

/// What every body begins with (kubernetes: `runtime/serializer/protobuf`).
const MAGIC: &[u8; 4] = b"k8s\0";

/// A field of a message.
#[derive(Debug)]
pub(in crate::api) struct Field {
    number: u64,
    /// Its name in JSON.
    name: &'static str,
    shape: Shape,
    kind: Kind,
}

/// How often a field stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    List,
    /// Entries `{1: key, 2: value}`.
    Map,
}

/// What a field's bytes become.
#[derive(Debug)]
enum Kind {
    Text,
    Flag,
    /// `int32` or `int64`; the object's type says whether it fits.
    Number,
    /// `{1: seconds, 2: nanos}`: a text, or null when both are zero.
    Time,
    /// `{1: text}`
    Quantity,
    Message(&'static [Field]),
    /// The server says this itself.
    Ignored,
    /// Its form is not read here.
    Unread,
}

/// Why a body gives no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes are no such message.
    Broken(String),
    /// This field is set and not converted.
    Unread(String),
}

impl Fault {
    fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }

    /// The fault of a field inside `name`.
    fn within(self, name: &str) -> Self {
        match self {
            Self::Unread(path) if path.starts_with('[') => Self::Unread(format!("{name}{path}")),
            Self::Unread(path) => Self::Unread(format!("{name}.{path}")),
            Self::Broken(what) => Self::Broken(what),
        }
    }
}

/// A body without its wrapping (kubernetes: `runtime.Unknown`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub(super) api_version: &'a str,
    pub(super) kind: &'a str,
    /// The object's message.
    pub(super) raw: &'a [u8],
}

/// Takes the wrapping off.
///
/// # Errors
/// [`Fault::Broken`].
pub(super) fn open(body: &[u8]) -> Result<Envelope<'_>, Fault> {
    let message = body.strip_prefix(MAGIC).ok_or_else(|| {
        Fault::broken("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    })?;
    let mut envelope = Envelope { api_version: "", kind: "", raw: &[] };
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => {
                for field in Fields::new(field.bytes("typeMeta")?) {
                    let field = field?;
                    match field.number {
                        1 => envelope.api_version = field.text("apiVersion")?,
                        2 => envelope.kind = field.text("kind")?,
                        _ => return Err(Fault::broken(format!("unknown field {} in typeMeta", field.number))),
                    }
                }
            }
            2 => envelope.raw = field.bytes("raw")?,
            3 if !field.bytes("contentEncoding")?.is_empty() => {
                return Err(Fault::broken("a contentEncoding is not supported"));
            }
            4 if !matches!(field.text("contentType")?, "" | "application/vnd.kubernetes.protobuf") => {
                return Err(Fault::broken("a contentType is not supported"));
            }
            3 | 4 => {}
            number => return Err(Fault::broken(format!("unknown field {number} in the envelope"))),
        }
    }
    Ok(envelope)
}

/// The value of a message whose fields are `table`. Depth is bounded by the tables, size by that of the body.
///
/// # Errors
/// [`Fault`], for the first field that is wrong.
pub(super) fn object(message: &[u8], table: &[Field]) -> Result<Value, Fault> {
    let mut object = Map::new();
    merge(message, table, &mut object)?;
    Ok(Value::Object(object))
}

/// The value of a whole body.
#[cfg(test)]
pub(in crate::api) fn value_of(body: &[u8], table: &[Field]) -> Value {
    object(open(body).expect("a body").raw, table).expect("a message")
}

/// Reads `message` into `object`; of a repeated single field the last counts, messages are merged (protobuf's rule).
fn merge(message: &[u8], table: &[Field], object: &mut Map<String, Value>) -> Result<(), Fault> {
    for wired in Fields::new(message) {
        let wired = wired?;
        let Some(field) = table.iter().find(|field| field.number == wired.number) else {
            return Err(Fault::Unread(format!("field number {}", wired.number)));
        };
        match (&field.kind, field.shape) {
            (Kind::Ignored, _) => {}
            (Kind::Unread, _) => return Err(Fault::Unread(field.name.to_owned())),
            (Kind::Message(inner), Shape::One) => {
                let bytes = wired.bytes(field.name)?;
                merge(bytes, inner, map_in(entry(object, field))).map_err(|fault| fault.within(field.name))?;
            }
            (kind, Shape::One) => *entry(object, field) = value(&wired, field.name, kind)?,
            (kind, Shape::List) => {
                let Value::Array(items) = entry(object, field) else { unreachable!("a list is made as one") };
                push(&wired, field.name, kind, items)?;
            }
            (kind, Shape::Map) => {
                let (key, value) = key_and_value(wired.bytes(field.name)?, field.name, kind)?;
                map_in(entry(object, field)).insert(key, value);
            }
        }
    }
    Ok(())
}

/// The place of `field`, made when it is not there.
fn entry<'a>(object: &'a mut Map<String, Value>, field: &Field) -> &'a mut Value {
    object.entry(field.name).or_insert_with(|| match (field.shape, &field.kind) {
        (Shape::List, _) => Value::Array(Vec::new()),
        (Shape::Map, _) | (Shape::One, Kind::Message(_)) => Value::Object(Map::new()),
        (Shape::One, _) => Value::Null,
    })
}

fn map_in(place: &mut Value) -> &mut Map<String, Value> {
    match place {
        Value::Object(object) => object,
        _ => unreachable!("a message is made as an object"),
    }
}

/// Adds an item, or several when numbers are packed.
fn push(wired: &WireField<'_>, name: &str, kind: &Kind, items: &mut Vec<Value>) -> Result<(), Fault> {
    if let (Kind::Number, Payload::Bytes(packed)) = (kind, &wired.payload) {
        let mut packed = *packed;
        while !packed.is_empty() {
            items.push(wire::varint(&mut packed)?.cast_signed().into());
        }
        return Ok(());
    }
    let at = format!("[{}]", items.len());
    items.push(value(wired, name, kind).map_err(|fault| match kind {
        Kind::Message(_) => fault.within(&at).within(name),
        _ => fault,
    })?);
    Ok(())
}

fn key_and_value(message: &[u8], name: &str, kind: &Kind) -> Result<(String, Value), Fault> {
    let (mut key, mut found) = (String::new(), Value::String(String::new()));
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => key = field.text(name)?.to_owned(),
            2 => found = value(&field, name, kind)?,
            number => return Err(Fault::Unread(format!("{name}.field number {number}"))),
        }
    }
    Ok((key, found))
}

fn value(wired: &WireField<'_>, name: &str, kind: &Kind) -> Result<Value, Fault> {
    Ok(match kind {
        Kind::Text => wired.text(name)?.into(),
        Kind::Flag => (wired.varint(name)? != 0).into(),
        Kind::Number => wired.varint(name)?.cast_signed().into(),
        Kind::Time => time(wired.bytes(name)?, name)?,
        Kind::Quantity => quantity(wired.bytes(name)?, name)?,
        Kind::Message(table) => object(wired.bytes(name)?, table)?,
        Kind::Ignored => Value::Null,
        Kind::Unread => return Err(Fault::Unread(name.to_owned())),
    })
}

fn time(message: &[u8], name: &str) -> Result<Value, Fault> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => seconds = field.varint(name)?.cast_signed(),
            2 => nanos = field.varint(name)?.cast_signed(),
            number => return Err(Fault::Unread(format!("{name}.field number {number}"))),
        }
    }
    if (seconds, nanos) == (0, 0) {
        return Ok(Value::Null);
    }
    // The API shows whole seconds.
    let time = Timestamp::from_second(seconds).map_err(|_| Fault::broken(format!("{name} is out of range")))?;
    Ok(time.to_string().into())
}

fn quantity(message: &[u8], name: &str) -> Result<Value, Fault> {
    let mut text = "";
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => text = field.text(name)?,
            number => return Err(Fault::Unread(format!("{name}.field number {number}"))),
        }
    }
    Ok(text.into())
}
