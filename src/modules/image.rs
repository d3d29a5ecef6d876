//! Image names: `hello`, `team/hello:v2`, `registry:5000/hello@sha256:…`.
//!
//! The grammar is the one that Kubernetes hands image names to (distribution/reference: `regexp.go`,
//! `ParseNormalizedNamed`), so that a name which a cluster refuses is refused here as well.

use super::digest::Digest;
use std::fmt;

/// The longest name without tag and digest (distribution/reference: `RepositoryNameTotalLengthMax`).
const NAME_LEN_MAX: usize = 255;
/// The longest tag (distribution/reference: `TagRegexp`).
const TAG_LEN_MAX: usize = 128;
/// How many names an error lists.
const HAVE_MAX: usize = 10;

/// An image name in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRef {
    /// Host and path.
    pub name: String,
    /// What follows `:`.
    pub tag: Option<String>,
    /// What follows `@`; it decides, whatever the tag says.
    pub digest: Option<Digest>,
}

/// Why an image name leads to no module. The texts are whole messages for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Not an image name (Kubernetes: `InvalidImageName`).
    #[error("couldn't parse image name `{image}`: {why}")]
    Invalid {
        /// The name as given.
        image: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// No module has this name or digest (Kubernetes: `ErrImagePull`).
    #[error(
        "no module `{image}` here\n  = have: {}\n  = help: coracle push ./{stem}.wasm gives it to a server; coracle run ./{stem}.wasm needs none",
        Have(have),
        stem = file_stem(image)
    )]
    Unknown {
        /// The name with its tag or digest.
        image: String,
        /// The names that there are.
        have: Vec<String>,
    },
}

struct Have<'a>(&'a [String]);

impl fmt::Display for Have<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        f.write_str(&self.0[..self.0.len().min(HAVE_MAX)].join(", "))?;
        match self.0.len().saturating_sub(HAVE_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// What the module's file is probably called: the name's last part.
fn file_stem(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

impl ImageRef {
    /// Reads `name[:tag][@digest]`.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] with the first rule that the text breaks.
    pub fn parse(image: &str) -> Result<Self, ImageError> {
        let invalid = |why| ImageError::Invalid { image: image.to_owned(), why };
        let (rest, digest) = match image.split_once('@') {
            None => (image, None),
            Some((rest, digest)) => {
                let digest =
                    digest.parse().map_err(|_| invalid("the digest is not sha256: and 64 hexadecimal digits"))?;
                (rest, Some(digest))
            }
        };
        // A colon before the last slash belongs to the host's port.
        let path_start = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[path_start..].find(':') {
            None => (rest, None),
            Some(at) => (&rest[..path_start + at], Some(&rest[path_start + at + 1..])),
        };
        check_name(name).map_err(invalid)?;
        tag.map_or(Ok(()), check_tag).map_err(invalid)?;
        Ok(Self { name: name.to_owned(), tag: tag.map(str::to_owned), digest })
    }

    /// `name:tag`, with `latest` where the tag is missing: the key of the table of names.
    #[must_use]
    pub fn tagged(&self) -> String {
        format!("{}:{}", self.name, self.tag.as_deref().unwrap_or("latest"))
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, tag) => write!(f, ":{}", tag.as_deref().unwrap_or("latest")),
        }
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.len() > NAME_LEN_MAX {
        return Err("the name is longer than 255 characters");
    }
    if Digest::from_hex(name).is_some() {
        return Err("64 hexadecimal digits are an image id, not a name");
    }
    let path = match name.split_once('/') {
        Some((host, path)) if is_host_like(host) => {
            check_host(host)?;
            path
        }
        _ => name,
    };
    path.split('/').try_for_each(check_component)
}

/// distribution/reference: `splitDockerDomain`.
fn is_host_like(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase())
}

fn check_host(host: &str) -> Result<(), &'static str> {
    const WHY: &str = "the registry's host is not a host name with an optional port";
    let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if host.split('.').all(label) && port.is_none_or(is_port) { Ok(()) } else { Err(WHY) }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn check_component(component: &str) -> Result<(), &'static str> {
    if component.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("repository name must be lowercase");
    }
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut separators = component.split(|c: char| c.is_ascii() && is_word(c as u8)).filter(|part| !part.is_empty());
    let is_separator = |part: &str| matches!(part, "." | "_" | "__") || part.bytes().all(|b| b == b'-');
    let bytes = component.as_bytes();
    let edges = bytes.first().copied().is_some_and(is_word) && bytes.last().copied().is_some_and(is_word);
    if edges && separators.all(is_separator) {
        Ok(())
    } else {
        Err("each part of the name is lower-case letters and digits, joined by `.`, `_`, `__` or dashes")
    }
}

/// `[\w][\w.-]{0,127}`
fn check_tag(tag: &str) -> Result<(), &'static str> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = tag.as_bytes().first().copied().is_some_and(is_word);
    let rest = tag.bytes().all(|b| is_word(b) || b == b'.' || b == b'-');
    if tag.len() > TAG_LEN_MAX {
        Err("the tag is longer than 128 characters")
    } else if first && rest {
        Ok(())
    } else {
        Err("a tag is letters, digits, `_`, `.` and `-`, and begins with none of the last two")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_kubernetes_reads_them() {
        let digest = Digest::of(b"x");
        let long_tag = "t".repeat(TAG_LEN_MAX);
        let cases = [
            ("hello".to_owned(), "hello", None, None),
            ("hello:v2".to_owned(), "hello", Some("v2"), None),
            ("coracle/exit-code".to_owned(), "coracle/exit-code", None, None),
            ("localhost:5000/a/b:1".to_owned(), "localhost:5000/a/b", Some("1"), None),
            ("Registry.Example:5000/a__b".to_owned(), "Registry.Example:5000/a__b", None, None),
            (format!("hello@{digest}"), "hello", None, Some(digest)),
            (format!("hello:v1@{digest}"), "hello", Some("v1"), Some(digest)),
            ("a.b_c__d---e0:_T.-".to_owned(), "a.b_c__d---e0", Some("_T.-"), None),
            (format!("a:{long_tag}"), "a", Some(long_tag.as_str()), None),
            ("a".repeat(NAME_LEN_MAX), "a".repeat(NAME_LEN_MAX).leak(), None, None),
        ];
        for (image, name, tag, digest) in cases {
            let expected = ImageRef { name: name.to_owned(), tag: tag.map(str::to_owned), digest };
            assert_eq!(ImageRef::parse(&image), Ok(expected), "{image}");
        }
    }

    #[test]
    fn what_kubernetes_refuses_is_invalid() {
        let cases = [
            String::new(),
            ":latest".to_owned(),
            "Hello".to_owned(),
            "a/Hello".to_owned(),
            "hello world".to_owned(),
            "hello:".to_owned(),
            "hello:-x".to_owned(),
            "hello:a:b".to_owned(),
            "hello@sha256:12".to_owned(),
            "hello@md5:00".to_owned(),
            "a..b".to_owned(),
            "a___b".to_owned(),
            "-a".to_owned(),
            "a-".to_owned(),
            "a//b".to_owned(),
            "/a".to_owned(),
            "a/".to_owned(),
            "host:port/a".to_owned(),
            ".example/a".to_owned(),
            "größe".to_owned(),
            format!("a:{}", "t".repeat(TAG_LEN_MAX + 1)),
            "a".repeat(NAME_LEN_MAX + 1),
            Digest::of(b"x").hex(),
        ];
        for image in cases {
            assert!(matches!(ImageRef::parse(&image), Err(ImageError::Invalid { .. })), "{image}");
        }
    }

    #[test]
    fn an_unknown_image_names_what_there_is_and_what_to_do() {
        let have = vec!["hello:latest".to_owned(), "mandel:latest".to_owned()];
        let error = ImageError::Unknown { image: "team/helo:latest".to_owned(), have };
        assert_eq!(
            error.to_string(),
            "no module `team/helo:latest` here\n  = have: hello:latest, mandel:latest\n  = help: coracle push \
             ./helo.wasm gives it to a server; coracle run ./helo.wasm needs none"
        );
        let have = (0..=HAVE_MAX).map(|n| format!("m{n}:latest")).collect();
        let error = ImageError::Unknown { image: "x:latest".to_owned(), have };
        assert!(error.to_string().contains("m9:latest and 1 more"), "{error}");
    }
}
