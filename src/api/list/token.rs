//! `continue`: where a list that was cut goes on.
//!
//! Knows the text that clients carry, not the lists. Invariant: any text is a token or a refusal; a token says where to go
//! on, never what may be seen.

use crate::api::Status;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Bytes of a token; a longer one is refused with 400. Namespace and name have at most 63 and 253.
const TOKEN_BYTES_MAX: usize = 1024;

const API_VERSION: &str = "meta.k8s.io/v1";

/// Where a list goes on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Token {
    #[serde(rename = "v")]
    api_version: String,
    /// The version of the list; -1 is whatever is current (kubernetes: `handleCompactedErrorForPaging`).
    rv: i64,
    /// The key of the last object that was given.
    pub(super) start: String,
    /// How many objects were left, if they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) left: Option<usize>,
}

impl Token {
    /// Goes on after `start`, in the list of version `rv` or, without one, in the current one.
    pub(super) fn new(rv: Option<u64>, start: String, left: Option<usize>) -> Self {
        let rv = rv.map_or(-1, |rv| i64::try_from(rv).unwrap_or(-1));
        Self { api_version: API_VERSION.to_owned(), rv, start, left }
    }

    /// The version of the list; `None` is the current one.
    pub(super) fn rv(&self) -> Option<u64> {
        u64::try_from(self.rv).ok()
    }

    pub(super) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("texts and numbers are always JSON"))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// 400.
    pub(super) fn decode(text: &str) -> Result<Self, Status> {
        let refuse =
            |why: String| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        if text.len() > TOKEN_BYTES_MAX {
            return Err(refuse(format!("more than {TOKEN_BYTES_MAX} bytes")));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| refuse(error.to_string()))?;
        let token: Self = serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        if token.api_version != API_VERSION {
            return Err(refuse(format!("server does not recognize this encoded version {:?}", token.api_version)));
        }
        match token.rv {
            0 => Err(refuse("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned())),
            _ => Ok(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back() {
        for token in [
            Token::new(Some(7), "default/a".to_owned(), Some(3)),
            Token::new(None, "default/a/12".to_owned(), None),
            Token::new(Some(1), format!("{}/{}/{}", "n".repeat(63), "j".repeat(253), u32::MAX), Some(usize::MAX)),
        ] {
            assert_eq!(Token::decode(&token.encode()), Ok(token));
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for text in [
            "!".to_owned(),
            encode(""),
            encode("{}"),
            encode(r#"{"v":"v9","rv":1,"start":"a"}"#),
            encode(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a"}"#),
            encode(r#"{"v":"meta.k8s.io/v1","rv":1.5,"start":"a"}"#),
            "A".repeat(TOKEN_BYTES_MAX + 1),
        ] {
            assert_eq!(Token::decode(&text).map_err(|status| status.code()), Err(400), "{text}");
        }
    }
}
