//! Modules by digest, in memory or in a directory, and the table of their names.

use super::builtin;
use super::digest::Digest;
use super::image::{ImageError, ImageRef};
use dashmap::DashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The largest module that is taken, bytes.
pub const MODULE_BYTES_MAX: usize = 64 << 20;
/// The most names that the table holds.
pub const NAMES_MAX: usize = 10_000;

const NAMES_FILE: &str = "names.json";
/// The version of the table's file.
const NAMES_VERSION: u32 = 1;

/// What can go wrong with modules.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// The directory cannot be read or made.
    #[error("cannot open the modules in {}: {source}", path.display())]
    Open {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The table of names is not one.
    #[error("cannot read the names of modules in {}: {why}", path.display())]
    Names {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The disk refuses a module or the table.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More than [`MODULE_BYTES_MAX`].
    #[error("the module has {bytes} bytes, the limit is {MODULE_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The name is no image name.
    #[error(transparent)]
    Name(#[from] ImageError),
    /// The name begins like those of the built-in modules.
    #[error("`{name}` cannot be given: names that begin with `{}` belong to the built-in modules", builtin::PREFIX)]
    Reserved {
        /// The name.
        name: String,
    },
    /// A name for a module that is not here.
    #[error("no module {digest} here: add it before it gets a name")]
    UnknownDigest {
        /// The digest.
        digest: Digest,
    },
    /// The table holds [`NAMES_MAX`] names.
    #[error("there are {NAMES_MAX} names already")]
    TooManyNames,
}

/// The module store. Shared by all threads; what runs per pod ([`Modules::resolve`]) is one lookup by key.
#[derive(Debug)]
pub struct Modules {
    dir: Option<PathBuf>,
    held: DashMap<Digest, Held>,
    /// By every spelling that needs no parsing: `name:tag`, and `name` for `name:latest`.
    digests: DashMap<String, Digest>,
    /// `name:tag`, what the file holds. Locked while it is written, so that two writers cannot lose a name.
    names: Mutex<BTreeMap<String, Digest>>,
}

/// Where a module's bytes are.
#[derive(Debug)]
enum Held {
    Builtin(&'static [u8]),
    Memory(Arc<[u8]>),
    File,
}

#[derive(Serialize, Deserialize)]
struct NamesFile {
    version: u32,
    names: BTreeMap<String, String>,
}

impl Modules {
    /// Opens the store in `dir`, which is made when it is missing; without one it lives in memory. The built-in modules
    /// are there under `coracle/<name>` either way.
    ///
    /// # Errors
    /// The directory cannot be read or made, or its table of names is broken.
    pub fn open(dir: Option<&Path>) -> Result<Self, ModulesError> {
        let modules = Self {
            dir: dir.map(Path::to_owned),
            held: DashMap::new(),
            digests: DashMap::new(),
            names: Mutex::default(),
        };
        for (name, bytes) in builtin::BUILTIN {
            let digest = Digest::of(bytes);
            modules.held.insert(digest, Held::Builtin(bytes));
            modules.publish(&format!("{}{name}:latest", builtin::PREFIX), digest);
        }
        if let Some(dir) = dir {
            modules.read_dir(dir)?;
        }
        Ok(modules)
    }

    fn read_dir(&self, dir: &Path) -> Result<(), ModulesError> {
        let open = |source| ModulesError::Open { path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(open)?;
        for entry in fs::read_dir(dir).map_err(open)? {
            let name = entry.map_err(open)?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".wasm"));
            if let Some(digest) = stem.and_then(Digest::from_hex) {
                self.held.entry(digest).or_insert(Held::File);
            }
        }
        let path = dir.join(NAMES_FILE);
        let names = match fs::read_to_string(&path) {
            Ok(text) => parse_names(&text).map_err(|why| ModulesError::Names { path, why })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(ModulesError::Open { path, source }),
        };
        for (name, digest) in &names {
            self.publish(name, *digest);
        }
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        Ok(())
    }

    fn publish(&self, tagged: &str, digest: Digest) {
        if let Some(name) = tagged.strip_suffix(":latest") {
            self.digests.insert(name.to_owned(), digest);
        }
        self.digests.insert(tagged.to_owned(), digest);
    }

    /// Keeps `bytes`, durably if the store has a directory. They need not be a good module: that is for
    /// [`inspect`](super::inspect()) to say.
    ///
    /// # Errors
    /// More than [`MODULE_BYTES_MAX`] bytes, or a disk that refuses them.
    pub fn add(&self, bytes: &[u8]) -> Result<Digest, ModulesError> {
        if bytes.len() > MODULE_BYTES_MAX {
            return Err(ModulesError::TooLarge { bytes: bytes.len() });
        }
        let digest = Digest::of(bytes);
        // Reads the file: one that was damaged on disk is replaced by a second upload.
        if self.bytes(&digest).is_some() {
            return Ok(digest);
        }
        let held = match &self.dir {
            None => Held::Memory(bytes.into()),
            Some(dir) => {
                write_atomically(dir, &file_name(&digest), bytes)?;
                Held::File
            }
        };
        self.held.insert(digest, held);
        Ok(digest)
    }

    /// Gives `name` (`name` or `name:tag`) to a module; whatever had it before loses it.
    ///
    /// # Errors
    /// The name is invalid or reserved, the module is not here, the table is full or cannot be written.
    pub fn tag(&self, name: &str, digest: Digest) -> Result<(), ModulesError> {
        let image = ImageRef::parse(name)?;
        if image.digest.is_some() {
            return Err(ImageError::Invalid { image: name.to_owned(), why: "a name to give has no digest" }.into());
        }
        if image.name.starts_with(builtin::PREFIX) {
            return Err(ModulesError::Reserved { name: image.tagged() });
        }
        if !self.held.contains_key(&digest) {
            return Err(ModulesError::UnknownDigest { digest });
        }
        let tagged = image.tagged();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX && !names.contains_key(&tagged) {
            return Err(ModulesError::TooManyNames);
        }
        let mut changed = names.clone();
        changed.insert(tagged.clone(), digest);
        if let Some(dir) = &self.dir {
            write_atomically(dir, NAMES_FILE, render_names(&changed).as_bytes())?;
        }
        *names = changed;
        self.publish(&tagged, digest);
        Ok(())
    }

    /// The module that `image` means: `name` (its tag is `latest`), `name:tag`, or `name@sha256:…`, where the digest
    /// alone decides.
    ///
    /// # Errors
    /// [`ImageError`] with the text for the user.
    pub fn resolve(&self, image: &str) -> Result<Digest, ImageError> {
        if let Some(digest) = self.digests.get(image) {
            return Ok(*digest);
        }
        let parsed = ImageRef::parse(image)?;
        let found = match parsed.digest {
            Some(digest) => self.held.contains_key(&digest).then_some(digest),
            None => self.digests.get(&parsed.tagged()).map(|digest| *digest),
        };
        found.ok_or_else(|| {
            let image = parsed.digest.map_or_else(|| parsed.tagged(), |digest| format!("{}@{digest}", parsed.name));
            ImageError::Unknown { image, have: self.names().into_iter().map(|(name, _)| name).collect() }
        })
    }

    /// A module's bytes; `None` when it is not here, or when its file no longer holds what its name says.
    #[must_use]
    pub fn bytes(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        let path = match &*self.held.get(digest)? {
            Held::Builtin(bytes) => return Some(Arc::from(*bytes)),
            Held::Memory(bytes) => return Some(Arc::clone(bytes)),
            Held::File => self.dir.as_ref()?.join(file_name(digest)),
        };
        match fs::read(&path) {
            Ok(bytes) if Digest::of(&bytes) == *digest => Some(bytes.into()),
            Ok(_) => {
                tracing::warn!(path = %path.display(), "this module's file does not hold what its name says");
                None
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "this module's file cannot be read");
                None
            }
        }
    }

    /// Every `name:tag` with its module: those that were given first, then the built-in ones, each in order.
    #[must_use]
    pub fn names(&self) -> Vec<(String, Digest)> {
        let given = self.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let builtin = builtin::BUILTIN.iter().map(|(name, bytes)| {
            let name = format!("{}{name}:latest", builtin::PREFIX);
            let digest = self.digests.get(&name).map_or_else(|| Digest::of(bytes), |digest| *digest);
            (name, digest)
        });
        given.into_iter().chain(builtin).collect()
    }
}

fn file_name(digest: &Digest) -> String {
    format!("{}.wasm", digest.hex())
}

fn parse_names(text: &str) -> Result<BTreeMap<String, Digest>, String> {
    let file: NamesFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if file.version != NAMES_VERSION {
        return Err(format!("version {}, this build reads {NAMES_VERSION}", file.version));
    }
    let parse = |(name, digest): (String, String)| match digest.parse() {
        Ok(digest) => Ok((name, digest)),
        Err(error) => Err(format!("`{name}`: {error}")),
    };
    file.names.into_iter().map(parse).collect()
}

fn render_names(names: &BTreeMap<String, Digest>) -> String {
    let names = names.iter().map(|(name, digest)| (name.clone(), digest.to_string())).collect();
    serde_json::to_string_pretty(&NamesFile { version: NAMES_VERSION, names }).expect("texts always encode")
}

/// After a crash the file holds either what it held before or all of `bytes`.
fn write_atomically(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), ModulesError> {
    let path = dir.join(name);
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|source| ModulesError::Write { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_modules_are_there_without_a_directory() {
        let modules = Modules::open(None).expect("in memory");
        let digest = modules.resolve("coracle/hello").expect("built in");
        assert_eq!(modules.resolve("coracle/hello:latest"), Ok(digest));
        assert_eq!(modules.resolve(&format!("any/name@{digest}")), Ok(digest));
        let bytes = modules.bytes(&digest).expect("held");
        assert_eq!(Digest::of(&bytes), digest);
    }

    #[test]
    fn a_name_moves_to_the_module_it_was_given_to_last() {
        let modules = Modules::open(None).expect("in memory");
        let (first, second) = (modules.add(b"one").expect("small"), modules.add(b"two").expect("small"));
        modules.tag("app", first).expect("a name");
        modules.tag("app:v2", second).expect("a name");
        assert_eq!((modules.resolve("app"), modules.resolve("app:v2")), (Ok(first), Ok(second)));
        modules.tag("app:latest", second).expect("a name");
        assert_eq!((modules.resolve("app"), modules.resolve("app:latest")), (Ok(second), Ok(second)));
        let given: Vec<String> = modules.names().into_iter().map(|(name, _)| name).take(3).collect();
        assert_eq!(given, ["app:latest", "app:v2", "coracle/crash:latest"]);
    }

    #[test]
    fn an_unknown_image_lists_what_is_here() {
        let modules = Modules::open(None).expect("in memory");
        let error = modules.resolve("helo").expect_err("no such module");
        assert!(
            error.to_string().starts_with("no module `helo:latest` here\n  = have: coracle/crash:latest, "),
            "{error}"
        );
        let missing = format!("hello@{}", Digest::of(b"?"));
        assert!(matches!(modules.resolve(&missing), Err(ImageError::Unknown { image, .. }) if image == missing));
    }

    #[test]
    fn names_that_cannot_be_given_are_refused() {
        let modules = Modules::open(None).expect("in memory");
        let digest = modules.add(b"one").expect("small");
        assert!(matches!(modules.tag("coracle/hello", digest), Err(ModulesError::Reserved { .. })));
        assert!(matches!(modules.tag("Hello", digest), Err(ModulesError::Name(_))));
        assert!(matches!(modules.tag(&format!("a@{digest}"), digest), Err(ModulesError::Name(_))));
        assert!(matches!(modules.tag("a", Digest::of(b"?")), Err(ModulesError::UnknownDigest { .. })));
    }

    #[test]
    fn the_table_of_names_ends_at_its_limit() {
        let modules = Modules::open(None).expect("in memory");
        let digest = modules.add(b"one").expect("small");
        *modules.names.lock().expect("unlocked") = (0..NAMES_MAX).map(|n| (format!("m{n}:latest"), digest)).collect();
        assert!(matches!(modules.tag("one-more", digest), Err(ModulesError::TooManyNames)));
        modules.tag("m0", digest).expect("a name that is there can move");
    }

    #[test]
    fn a_module_of_the_largest_size_is_taken_and_one_byte_more_is_not() {
        let modules = Modules::open(None).expect("in memory");
        let mut bytes = vec![0; MODULE_BYTES_MAX];
        assert!(modules.add(&bytes).is_ok());
        bytes.push(0);
        assert!(matches!(modules.add(&bytes), Err(ModulesError::TooLarge { .. })));
    }

    #[test]
    fn modules_and_names_survive_in_the_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let digest = {
            let modules = Modules::open(Some(dir.path())).expect("empty");
            let digest = modules.add(b"one").expect("small");
            modules.tag("app", digest).expect("a name");
            digest
        };
        let modules = Modules::open(Some(dir.path())).expect("what was written");
        assert_eq!(modules.resolve("app"), Ok(digest));
        assert_eq!(modules.bytes(&digest).as_deref(), Some(&b"one"[..]));
        let files = fs::read_dir(dir.path()).expect("there").count();
        assert_eq!(files, 2, "no temporary file stays behind");
    }

    #[test]
    fn a_file_that_does_not_match_its_name_is_not_served_until_it_is_added_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let modules = Modules::open(Some(dir.path())).expect("empty");
        let digest = modules.add(b"one").expect("small");
        fs::write(dir.path().join(file_name(&digest)), b"two").expect("ours");
        assert_eq!(modules.bytes(&digest), None);
        assert_eq!(modules.add(b"one").expect("small"), digest);
        assert_eq!(modules.bytes(&digest).as_deref(), Some(&b"one"[..]));
    }

    #[test]
    fn the_names_file_is_the_golden_one_and_broken_ones_are_refused() {
        let names = BTreeMap::from([("app:latest".to_owned(), Digest::of(b""))]);
        let golden = "{\n  \"version\": 1,\n  \"names\": {\n    \"app:latest\": \
            \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n  }\n}";
        assert_eq!(render_names(&names), golden);
        assert_eq!(parse_names(golden), Ok(names));
        for text in ["", "[]", r#"{"version":2,"names":{}}"#, r#"{"version":1,"names":{"a":"b"}}"#] {
            assert!(parse_names(text).is_err(), "{text}");
        }
    }
}
