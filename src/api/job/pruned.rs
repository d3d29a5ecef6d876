//! Writes a typed object as JSON without what means nothing, in one pass and without a tree.
//!
//! Knows which emptiness says something (Go's `omitempty`), not what a Job is. A field is written first and taken back when
//! it turns out to say nothing. Invariant: fields of structs are dropped, entries of maps never (a label may be called
//! `stdin`), and the order is that of the types, which is the order of the keys.

use serde::ser::{self, Error as _, Impossible, Serialize, Serializer};
use serde_json::Error;

/// Switches whose `false` says nothing. The other ones (`suspend`, `manualSelector`, …) are pointers in the reference, so
/// their `false` is kept.
const FALSE_IS_ABSENT: [&str; 7] = ["stdin", "stdinOnce", "tty", "hostNetwork", "hostPID", "hostIPC", "readOnly"];

/// Numbers whose 0 says nothing.
const ZERO_IS_ABSENT: [&str; 2] = ["hostPort", "generation"];

/// Texts whose emptiness says something, for the same reason.
const EMPTY_IS_PRESENT: [&str; 7] = [
    "containerName",
    "succeededIndexes",
    "managedBy",
    "runtimeClassName",
    "hostnameOverride",
    "completionMode",
    "podReplacementPolicy",
];

/// Maps whose emptiness says nothing; other empty objects (`resources`, `securityContext`, `emptyDir`) are kept.
const MAPS: [&str; 7] = ["labels", "annotations", "matchLabels", "nodeSelector", "limits", "requests", "overhead"];

/// Lists that the reference prints empty too.
const LISTS: [&str; 3] = ["rules", "values", "containers"];

/// Bytes of a small Job.
const TEXT_BYTES: usize = 2048;

/// The JSON of an object of the API.
pub(super) fn text<T: Serialize>(object: &T) -> String {
    let mut out = Vec::with_capacity(TEXT_BYTES);
    object.serialize(Writer(&mut out)).expect("types of the API have text keys and finite numbers");
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// What was written, as far as it can mean nothing.
#[derive(Clone, Copy)]
enum Said {
    Null,
    False,
    Zero,
    EmptyText,
    EmptyList,
    EmptyObject,
    Something,
}

impl Said {
    fn is_kept(self, key: &str) -> bool {
        match self {
            Self::Null => false,
            Self::False => !FALSE_IS_ABSENT.contains(&key),
            Self::Zero => !ZERO_IS_ABSENT.contains(&key),
            Self::EmptyText => EMPTY_IS_PRESENT.contains(&key),
            Self::EmptyList => LISTS.contains(&key),
            Self::EmptyObject => !MAPS.contains(&key),
            Self::Something => true,
        }
    }

    fn unless(says: bool, nothing: Self) -> Self {
        if says { Self::Something } else { nothing }
    }
}

struct Writer<'a>(&'a mut Vec<u8>);

impl<'a> Writer<'a> {
    /// Writes a number, a text or the like.
    fn scalar<T: Serialize + ?Sized>(self, value: &T, said: Said) -> Result<Said, Error> {
        serde_json::to_writer(self.0, value)?;
        Ok(said)
    }

    fn number<T: Serialize + PartialEq + Default>(self, value: T) -> Result<Said, Error> {
        self.scalar(&value, Said::unless(value != T::default(), Said::Zero))
    }

    fn open(self, open: u8, close: u8) -> Open<'a> {
        self.0.push(open);
        Open { out: self.0, close, is_empty: true }
    }
}

fn no_such_type<T>() -> Result<T, Error> {
    Err(Error::custom("types of the API have no such fields"))
}

impl<'a> Serializer for Writer<'a> {
    type Ok = Said;
    type Error = Error;
    type SerializeSeq = Open<'a>;
    type SerializeTuple = Impossible<Said, Error>;
    type SerializeTupleStruct = Impossible<Said, Error>;
    type SerializeTupleVariant = Impossible<Said, Error>;
    type SerializeMap = Open<'a>;
    type SerializeStruct = Open<'a>;
    type SerializeStructVariant = Impossible<Said, Error>;

    fn serialize_bool(self, value: bool) -> Result<Said, Error> {
        self.scalar(&value, Said::unless(value, Said::False))
    }

    fn serialize_i8(self, value: i8) -> Result<Said, Error> {
        self.number(value)
    }

    fn serialize_i16(self, value: i16) -> Result<Said, Error> {
        self.number(value)
    }

    fn serialize_i32(self, value: i32) -> Result<Said, Error> {
        self.number(value)
    }

    fn serialize_i64(self, value: i64) -> Result<Said, Error> {
        self.number(value)
    }

    fn serialize_u8(self, value: u8) -> Result<Said, Error> {
        self.number(value)
    }

    fn serialize_u16(self, value: u16) -> Result<Said, Error> {
        self.number(value)
    }

    fn serialize_u32(self, value: u32) -> Result<Said, Error> {
        self.number(value)
    }

    fn serialize_u64(self, value: u64) -> Result<Said, Error> {
        self.number(value)
    }

    fn serialize_f32(self, value: f32) -> Result<Said, Error> {
        self.number(value)
    }

    fn serialize_f64(self, value: f64) -> Result<Said, Error> {
        self.number(value)
    }

    fn serialize_char(self, value: char) -> Result<Said, Error> {
        self.scalar(&value, Said::Something)
    }

    fn serialize_str(self, value: &str) -> Result<Said, Error> {
        self.scalar(value, Said::unless(!value.is_empty(), Said::EmptyText))
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<Said, Error> {
        no_such_type()
    }

    fn serialize_none(self) -> Result<Said, Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Said, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Said, Error> {
        self.scalar(&(), Said::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Said, Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Said, Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Said, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Said, Error> {
        no_such_type()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a>, Error> {
        Ok(self.open(b'[', b']'))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        no_such_type()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        no_such_type()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        no_such_type()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'a>, Error> {
        Ok(self.open(b'{', b'}'))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Error> {
        Ok(self.open(b'{', b'}'))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        no_such_type()
    }
}

/// A list or an object whose end was not written yet.
struct Open<'a> {
    out: &'a mut Vec<u8>,
    close: u8,
    is_empty: bool,
}

impl Open<'_> {
    fn comma(&mut self) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
    }

    fn end(self, nothing: Said) -> Said {
        self.out.push(self.close);
        Said::unless(!self.is_empty, nothing)
    }
}

impl ser::SerializeSeq for Open<'_> {
    type Ok = Said;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        self.comma();
        item.serialize(Writer(self.out)).map(drop)
    }

    fn end(self) -> Result<Said, Error> {
        Ok(self.end(Said::EmptyList))
    }
}

impl ser::SerializeMap for Open<'_> {
    type Ok = Said;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.comma();
        key.serialize(Writer(self.out)).map(drop)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.out.push(b':');
        value.serialize(Writer(self.out)).map(drop)
    }

    fn end(self) -> Result<Said, Error> {
        Ok(self.end(Said::EmptyObject))
    }
}

impl ser::SerializeStruct for Open<'_> {
    type Ok = Said;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        let (start, was_empty) = (self.out.len(), self.is_empty);
        self.comma();
        // Names of fields need no escapes.
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        if !value.serialize(Writer(self.out))?.is_kept(key) {
            self.out.truncate(start);
            self.is_empty = was_empty;
        }
        Ok(())
    }

    fn end(self) -> Result<Said, Error> {
        Ok(self.end(Said::EmptyObject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::{Value, json};

    fn written(value: Value) -> String {
        text(&serde_json::from_value::<Job>(value).expect("a Job"))
    }

    #[test]
    fn what_says_nothing_is_left_out_wherever_it_stands() {
        let found = written(
            json!({"metadata": {"name": "", "labels": {}, "annotations": {"stdin": ""}, "generation": 0},
            "spec": {"suspend": false, "backoffLimit": 0, "completionMode": "", "podFailurePolicy": {"rules": []},
            "selector": {"matchExpressions": []}, "template": {"metadata": {}, "spec": {"hostNetwork": false,
            "securityContext": {}, "tolerations": [], "containers": [{"name": "é\"", "env": [{"name": "E", "value": ""}],
            "tty": false, "resources": {"limits": {}}, "ports": [{"containerPort": 0, "hostPort": 0}]}]}}}}),
        );
        let spec =
            r#"{"backoffLimit":0,"completionMode":"","podFailurePolicy":{"rules":[]},"selector":{},"suspend":false,"#;
        let container = r#"{"env":[{"name":"E"}],"name":"é\"","ports":[{"containerPort":0}],"resources":{}}"#;
        let template = format!(r#"{{"metadata":{{}},"spec":{{"containers":[{container}],"securityContext":{{}}}}}}"#);
        let metadata = r#"{"annotations":{"stdin":""}}"#;
        assert_eq!(
            found,
            format!(
                r#"{{"apiVersion":"batch/v1","kind":"Job","metadata":{metadata},"spec":{spec}"template":{template}}}}}"#
            )
        );
    }

    #[test]
    fn keys_come_in_their_order() {
        let golden = include_str!("../../../tests/goldens/apply-create-1.36.response.json");
        let found = written(serde_json::from_str(golden).expect("JSON"));
        let tree: Value = serde_json::from_str(&found).expect("JSON");
        assert_eq!(found, tree.to_string());
    }
}
