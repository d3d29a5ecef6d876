//! Modules by digest, in memory or in a directory, and the table of their names.
//!
//! Knows nothing of HTTP and nothing of who uses a module: [`Modules::remove`] asks its caller. Invariant: the table of
//! names is on disk before a name is shown or gone.

use super::builtin;
use super::digest::Digest;
use super::image::{ImageError, ImageRef};
use super::upload::{Places, Staged, Upload};
use dashmap::DashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest module that is taken, bytes.
pub const MODULE_BYTES_MAX: usize = 64 << 20;
/// The most names that the table holds.
pub const NAMES_MAX: usize = 10_000;
/// The most modules that are kept, the built-in ones included.
pub const MODULES_MAX: usize = 10_000;

/// Uploads that are whole in memory at once, at the most: they are looked at and compiled.
pub const WHOLE_MAX: usize = 2;

/// Modules that are whole in memory at once to be described, at the most. No description waits for a compilation.
pub const DESCRIBED_MAX: usize = 2;

/// How the names of files in the making begin.
pub(super) const UNFINISHED: &str = ".new-";

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
    /// The store holds [`MODULES_MAX`] modules.
    #[error("there are {MODULES_MAX} modules already: delete one that is not needed")]
    TooManyModules,
    /// As many uploads as there are places for.
    #[error("{} uploads are under way already", super::UPLOADS_MAX)]
    TooManyUploads,
    /// The bytes are not those of the digest in the name.
    #[error("the module has {found}, not {wanted}")]
    WrongDigest {
        /// In the name.
        wanted: Digest,
        /// Of the bytes.
        found: Digest,
    },
    /// The built-in modules stay.
    #[error("`{name}` is built in and stays")]
    Builtin {
        /// What was to be removed.
        name: String,
    },
}

/// A name and its module, or a module without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// `name:tag`.
    pub name: Option<String>,
    /// Its module.
    pub digest: Digest,
    /// The module's size.
    pub bytes: u64,
    /// Whether every build carries it.
    pub is_builtin: bool,
}

/// What [`Modules::remove`] takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Names, `name:tag`.
    pub names: Vec<String>,
    /// What they name.
    pub digest: Digest,
    /// Whether the module goes with them: it has no other name.
    pub takes_module: bool,
}

impl Removal {
    /// Whether `image` means nothing any more afterwards.
    #[must_use]
    pub fn hits(&self, image: &str) -> bool {
        let Ok(image) = ImageRef::parse(image) else { return false };
        match image.digest {
            Some(digest) => self.takes_module && digest == self.digest,
            None => self.names.contains(&image.tagged()),
        }
    }
}

/// The module store. Shared by all threads; what runs per pod ([`Modules::find`]) is one lookup by key.
#[derive(Debug)]
pub struct Modules {
    dir: Option<PathBuf>,
    /// The directory, locked; without the lock another process is at work in it, and its unfinished files are let be.
    lock: Option<File>,
    held: DashMap<Digest, Held>,
    /// By every spelling that needs no parsing: `name:tag`, and `name` for `name:latest`.
    digests: DashMap<String, Digest>,
    /// `name:tag`, what the file holds. Locked while it is written, so that two writers cannot lose a name.
    names: Mutex<BTreeMap<String, Digest>>,
    places: Places,
    whole: Arc<Semaphore>,
    described: Arc<Semaphore>,
}

/// Where a module's bytes are.
#[derive(Debug)]
enum Held {
    Builtin(&'static [u8]),
    Memory(Arc<[u8]>),
    /// With its size.
    File(u64),
}

impl Held {
    fn size(&self) -> u64 {
        match self {
            Self::Builtin(bytes) => bytes.len() as u64,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(size) => *size,
        }
    }
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
        let mut modules = Self {
            dir: dir.map(Path::to_owned),
            lock: None,
            held: DashMap::new(),
            digests: DashMap::new(),
            names: Mutex::default(),
            places: Places::default(),
            whole: Arc::new(Semaphore::new(WHOLE_MAX)),
            described: Arc::new(Semaphore::new(DESCRIBED_MAX)),
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

    fn read_dir(&mut self, dir: &Path) -> Result<(), ModulesError> {
        let open = |source| ModulesError::Open { path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(open)?;
        self.lock = File::open(dir).ok().filter(|dir| dir.try_lock().is_ok());
        for entry in fs::read_dir(dir).map_err(open)? {
            let entry = entry.map_err(open)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with(UNFINISHED) && self.lock.is_some() {
                // A killed process left it. One that stays costs room, nothing else.
                _ = fs::remove_file(entry.path());
            } else if let Some(digest) = name.strip_suffix(".wasm").and_then(Digest::from_hex) {
                let size = entry.metadata().map_err(open)?.len();
                self.held.entry(digest).or_insert(Held::File(size));
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
        *self.lock_names() = names;
        Ok(())
    }

    fn lock_names(&self) -> MutexGuard<'_, BTreeMap<String, Digest>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, tagged: &str, digest: Digest) {
        if let Some(name) = tagged.strip_suffix(":latest") {
            self.digests.insert(name.to_owned(), digest);
        }
        self.digests.insert(tagged.to_owned(), digest);
    }

    fn unpublish(&self, tagged: &str) {
        if let Some(name) = tagged.strip_suffix(":latest") {
            self.digests.remove(name);
        }
        self.digests.remove(tagged);
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
        self.has_room(&digest)?;
        let held = match &self.dir {
            None => Held::Memory(bytes.into()),
            Some(dir) => {
                write_atomically(dir, &file_name(&digest), bytes)?;
                Held::File(bytes.len() as u64)
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
        may_be_given(&image)?;
        let mut names = self.lock_names();
        if !self.held.contains_key(&digest) {
            return Err(ModulesError::UnknownDigest { digest });
        }
        self.give(&mut names, image.tagged(), digest)
    }

    fn give(&self, names: &mut BTreeMap<String, Digest>, tagged: String, digest: Digest) -> Result<(), ModulesError> {
        if names.len() >= NAMES_MAX && !names.contains_key(&tagged) {
            return Err(ModulesError::TooManyNames);
        }
        let mut changed = names.clone();
        changed.insert(tagged.clone(), digest);
        self.write_names(&changed)?;
        *names = changed;
        self.publish(&tagged, digest);
        Ok(())
    }

    fn write_names(&self, names: &BTreeMap<String, Digest>) -> Result<(), ModulesError> {
        match &self.dir {
            None => Ok(()),
            Some(dir) => write_atomically(dir, NAMES_FILE, render_names(names).as_bytes()),
        }
    }

    /// A place for an upload that will be called `image`. Nothing of it is seen before [`Modules::keep`].
    ///
    /// # Errors
    /// The name is reserved, [`UPLOADS_MAX`](super::UPLOADS_MAX) uploads are under way, or the disk refuses a file.
    pub fn begin(&self, image: &ImageRef) -> Result<Upload, ModulesError> {
        may_be_given(image)?;
        Upload::begin(self.dir.as_deref(), &self.places)
    }

    /// Keeps an upload, durably if the store has a directory, and gives it the name in `image`; with a digest in `image` it
    /// gets no name. True when the name is new, or without a name the module. Whatever had the name before loses it, and
    /// stays.
    ///
    /// # Errors
    /// As [`Modules::tag`], too many modules, or bytes that do not have the digest in `image`; nothing is kept then.
    pub fn keep(&self, staged: Staged, image: &ImageRef) -> Result<bool, ModulesError> {
        may_be_given(image)?;
        let digest = staged.digest();
        if let Some(wanted) = image.digest.filter(|wanted| *wanted != digest) {
            return Err(ModulesError::WrongDigest { wanted, found: digest });
        }
        staged.sync()?;
        let bytes = staged.size();
        let mut names = self.lock_names();
        let was_held = self.held.contains_key(&digest);
        self.has_room(&digest)?;
        if !self.is_builtin(&digest) {
            // Also when it is held: a file that was damaged is whole again.
            let held = match staged.persist(self.dir.as_deref(), &file_name(&digest))? {
                Some(bytes) => Held::Memory(bytes),
                None => Held::File(bytes),
            };
            self.held.insert(digest, held);
        }
        if image.digest.is_some() {
            return Ok(!was_held);
        }
        let tagged = image.tagged();
        let is_new = !names.contains_key(&tagged);
        self.give(&mut names, tagged, digest).inspect_err(|_| {
            if !was_held {
                self.drop_module(&digest);
            }
        })?;
        Ok(is_new)
    }

    fn has_room(&self, digest: &Digest) -> Result<(), ModulesError> {
        if self.held.len() >= MODULES_MAX && !self.held.contains_key(digest) {
            return Err(ModulesError::TooManyModules);
        }
        Ok(())
    }

    /// Waits for a place in which a whole upload can be held in memory. There are [`WHOLE_MAX`].
    pub async fn room(&self) -> OwnedSemaphorePermit {
        place(&self.whole).await
    }

    /// Waits for a place in which a whole module can be held in memory to describe it. There are [`DESCRIBED_MAX`].
    pub async fn description_room(&self) -> OwnedSemaphorePermit {
        place(&self.described).await
    }

    /// Takes a name away, or with a digest in `image` the module with every name that it has. A module goes with its last
    /// name. `allow` is told what would go and may forbid it; `gone` is told of a module that went, before the same one can be
    /// kept again. No name is given meanwhile.
    ///
    /// # Errors
    /// There is no such name or module, it is built in, `allow` forbids it, or the table cannot be written.
    pub fn remove<E: From<ModulesError>>(
        &self,
        image: &ImageRef,
        allow: impl FnOnce(&Removal) -> Result<(), E>,
        gone: impl FnOnce(&Digest),
    ) -> Result<Removal, E> {
        let mut names = self.lock_names();
        let removal = self.removal(image, &names)?;
        allow(&removal)?;
        let mut changed = names.clone();
        changed.retain(|name, _| !removal.names.contains(name));
        self.write_names(&changed)?;
        *names = changed;
        removal.names.iter().for_each(|name| self.unpublish(name));
        if removal.takes_module {
            self.drop_module(&removal.digest);
            gone(&removal.digest);
        }
        Ok(removal)
    }

    fn removal(&self, image: &ImageRef, names: &BTreeMap<String, Digest>) -> Result<Removal, ModulesError> {
        let tagged = image.tagged();
        let Some(digest) = self.find_parsed(image) else { return Err(unknown(image, names).into()) };
        let is_reserved = image.digest.is_none() && image.name.starts_with(builtin::PREFIX);
        if is_reserved || (image.digest.is_some() && self.is_builtin(&digest)) {
            return Err(ModulesError::Builtin { name: image.to_string() });
        }
        let of_module = names.iter().filter(|(_, module)| **module == digest).map(|(name, _)| name.clone());
        let (removed, kept): (Vec<_>, Vec<_>) = of_module.partition(|name| image.digest.is_some() || *name == tagged);
        Ok(Removal { names: removed, digest, takes_module: kept.is_empty() && !self.is_builtin(&digest) })
    }

    /// Whether this module is here.
    #[must_use]
    pub fn holds(&self, digest: &Digest) -> bool {
        self.held.contains_key(digest)
    }

    /// Whether no other process works in the directory. A store in memory has none.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.lock.is_some()
    }

    /// Whether every build carries this module.
    #[must_use]
    pub fn is_builtin(&self, digest: &Digest) -> bool {
        self.held.get(digest).is_some_and(|held| matches!(*held, Held::Builtin(_)))
    }

    /// A file that cannot be removed comes back as a module without a name at the next start.
    fn drop_module(&self, digest: &Digest) {
        self.held.remove(digest);
        if let Some(path) = self.dir.as_ref().map(|dir| dir.join(file_name(digest)))
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(path = %path.display(), %error, "the file of a module that is gone stays");
        }
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
        self.find_parsed(&parsed).ok_or_else(|| unknown(&parsed, &self.lock_names()))
    }

    /// As [`Modules::resolve`], without a word on what is not here and without waiting for anybody: it is asked for each pod.
    #[must_use]
    pub fn find(&self, image: &str) -> Option<Digest> {
        let known = self.digests.get(image).map(|digest| *digest);
        known.or_else(|| self.find_parsed(&ImageRef::parse(image).ok()?))
    }

    fn find_parsed(&self, image: &ImageRef) -> Option<Digest> {
        match image.digest {
            Some(digest) => self.holds(&digest).then_some(digest),
            None => self.digests.get(&image.tagged()).map(|digest| *digest),
        }
    }

    /// A module's bytes; `None` when it is not here, or when its file no longer holds what its name says.
    #[must_use]
    pub fn bytes(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        let path = match &*self.held.get(digest)? {
            Held::Builtin(bytes) => return Some(Arc::from(*bytes)),
            Held::Memory(bytes) => return Some(Arc::clone(bytes)),
            Held::File(_) => self.dir.as_ref()?.join(file_name(digest)),
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
        let given = self.lock_names().clone();
        let builtin = builtin_names().filter_map(|name| {
            let digest = *self.digests.get(&name)?;
            Some((name, digest))
        });
        given.into_iter().chain(builtin).collect()
    }

    /// Everything that is here: as [`Modules::names`], then the modules without a name in order of their digests.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let names = self.names();
        let named: BTreeSet<Digest> = names.iter().map(|(_, digest)| *digest).collect();
        let mut nameless: Vec<Digest> =
            self.held.iter().map(|entry| *entry.key()).filter(|digest| !named.contains(digest)).collect();
        nameless.sort_unstable();
        let names = names.into_iter().map(|(name, digest)| (Some(name), digest));
        names
            .chain(nameless.into_iter().map(|digest| (None, digest)))
            .filter_map(|(name, digest)| {
                // One that was removed meanwhile is not listed.
                let bytes = self.held.get(&digest)?.size();
                let is_builtin = name.as_ref().is_some_and(|name| name.starts_with(builtin::PREFIX));
                Some(Listed { name, digest, bytes, is_builtin })
            })
            .collect()
    }
}

async fn place(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed")
}

/// Every `name:tag` of a built-in module.
fn builtin_names() -> impl Iterator<Item = String> {
    builtin::BUILTIN.iter().map(|(name, _)| format!("{}{name}:latest", builtin::PREFIX))
}

fn unknown(image: &ImageRef, names: &BTreeMap<String, Digest>) -> ImageError {
    ImageError::Unknown { image: image.to_string(), have: names.keys().cloned().chain(builtin_names()).collect() }
}

fn may_be_given(image: &ImageRef) -> Result<(), ModulesError> {
    if image.digest.is_none() && image.name.starts_with(builtin::PREFIX) {
        return Err(ModulesError::Reserved { name: image.tagged() });
    }
    Ok(())
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
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|source| ModulesError::Write { path: path.clone(), source })
}

#[cfg(test)]
mod tests;
