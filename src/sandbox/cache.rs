//! Compiled code on disk: one file a module, one directory for each set of engine settings. A file's time of change is when
//! its code was last loaded.
//!
//! Invariant: nothing is read from a place that another user could have written to, because what lies there is run.

use crate::modules::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, File, Metadata};
use std::hash::{Hash, Hasher};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wasmtime::{Engine, Module};

/// Bytes of compiled code that all engines under one root keep, at the most; what pods run right now stays in any case.
pub(super) const CACHE_BYTES_MAX: u64 = 4 << 30;

/// How the names of files in the making begin.
const UNFINISHED: &str = ".tmp";

/// The directory of one engine.
#[derive(Debug)]
pub(super) struct Cache {
    dir: PathBuf,
    /// Our user, who owns everything in it.
    uid: u32,
}

impl Cache {
    /// The cache of `engine` under `root`, made when it is missing; `None`, with a warning, when it cannot be made or
    /// trusted. Everything works without one, only more slowly.
    pub(super) fn open(root: &Path, engine: &Engine) -> Option<Self> {
        let dir = root.join(fingerprint(engine));
        match prepare(root, &dir) {
            Ok(uid) => Some(Self { dir, uid }),
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "compiled code is not kept: this directory cannot be used");
                None
            }
        }
    }

    /// The code that was kept for this module, if it is there and whole.
    pub(super) fn get(&self, engine: &Engine, digest: &Digest) -> Option<Module> {
        let path = self.path(digest);
        let file = File::open(&path).ok()?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file() && is_private(&metadata, self.uid)) {
            tracing::warn!(path = %path.display(), "this file is not used: another user could have written it");
            return None;
        }
        let used = file.try_clone();
        match super::mapped::load(engine, file) {
            Ok(module) => {
                // One that is thought older than it is goes sooner, nothing else.
                _ = used.and_then(|used| used.set_modified(clock()));
                Some(module)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "this compiled code is broken and is made again");
                None
            }
        }
    }

    /// Keeps a module's code. What goes wrong costs another compilation later, nothing else.
    pub(super) fn put(&self, digest: &Digest, module: &Module) {
        let path = self.path(digest);
        let write = || -> io::Result<()> {
            let code = module.serialize().map_err(io::Error::other)?;
            let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.dir)?;
            file.write_all(&code)?;
            // Without it a crash could leave a file with the name and without the bytes.
            file.as_file().sync_all()?;
            file.persist(&path).map(drop).map_err(|error| error.error)
        };
        if let Err(error) = write() {
            tracing::warn!(path = %path.display(), %error, "compiled code cannot be kept");
        }
    }

    /// Drops the code that was kept for this module by any engine under `root`, also by one that is not running now.
    pub(super) fn forget(root: &Path, digest: &Digest) {
        let Ok(engines) = fs::read_dir(root) else { return };
        for engine in engines.flatten() {
            let path = engine.path().join(file_name(digest));
            match fs::remove_file(&path) {
                Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    tracing::warn!(path = %path.display(), %error, "compiled code of a module that is gone stays");
                }
                _ => {}
            }
        }
    }

    /// Removes what was loaded least recently until all engines under `root` keep at the most `bytes_max`. What `is_used`
    /// stays.
    pub(super) fn trim(root: &Path, bytes_max: u64, is_used: impl Fn(&Digest) -> bool) {
        let of = |path: PathBuf| {
            let metadata = fs::symlink_metadata(&path).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), path))
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = files(root).filter_map(of).collect();
        let mut left: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        files.sort_unstable();
        for (_, bytes, path) in files {
            if left <= bytes_max {
                return;
            }
            if digest_of(&path).is_none_or(|digest| !is_used(&digest)) && remove(&path) {
                left = left.saturating_sub(bytes);
            }
        }
    }

    /// Removes the code of modules that are gone and what killed processes left in the making. For the only process that has
    /// `root`.
    pub(super) fn prune(root: &Path, is_kept: impl Fn(&Digest) -> bool) {
        for path in files(root) {
            if digest_of(&path).is_none_or(|digest| !is_kept(&digest)) {
                remove(&path);
            }
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(file_name(digest))
    }
}

fn file_name(digest: &Digest) -> String {
    format!("{}.cwasm", digest.hex())
}

/// Whose code a file holds; `None` of one in the making.
fn digest_of(path: &Path) -> Option<Digest> {
    path.file_name()?.to_str()?.strip_suffix(".cwasm").and_then(Digest::from_hex)
}

/// What engines have put under `root`; what anybody else did is let be.
fn files(root: &Path) -> impl Iterator<Item = PathBuf> {
    let within = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let engines = within(root.to_owned()).filter(move |dir| Digest::from_hex(&name(dir)).is_some());
    engines.flat_map(within).filter(move |file| digest_of(file).is_some() || name(file).starts_with(UNFINISHED))
}

fn remove(path: &Path) -> bool {
    match fs::remove_file(path) {
        Ok(()) => true,
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "compiled code cannot be removed");
            false
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "orders files by their use, decides nothing that a Job sees")]
fn clock() -> SystemTime {
    SystemTime::now()
}

/// Makes both directories, checks them, and tells our user id.
fn prepare(root: &Path, dir: &Path) -> io::Result<u32> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // Who owns a file that we make is who we are; there is no safe call that says it.
    let uid = tempfile::tempfile_in(dir)?.metadata()?.uid();
    for path in [root, dir] {
        let metadata = fs::symlink_metadata(path)?;
        if !(metadata.is_dir() && is_private(&metadata, uid)) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{} must be a directory of ours that nobody else can write to (chmod 700)", path.display()),
            ));
        }
    }
    Ok(uid)
}

fn is_private(metadata: &Metadata, uid: u32) -> bool {
    metadata.uid() == uid && metadata.mode() & 0o022 == 0
}

/// Everything of the engine that decides whether compiled code fits it, as 64 hexadecimal digits.
fn fingerprint(engine: &Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Digest(hasher.0.finalize().into()).hex()
}

/// SHA-256 behind the standard `Hasher`: its whole result names the directory.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(self.0.clone().finalize());
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::arena::Arena;
    use crate::sandbox::engine::{Fuel, large, small};
    use std::os::unix::fs::PermissionsExt as _;

    const WASM: &[u8] = b"\0asm\x01\0\0\0";

    fn module(engine: &Engine) -> (Digest, Module) {
        (Digest::of(WASM), Module::from_binary(engine, WASM).expect("an empty module"))
    }

    #[test]
    fn code_is_kept_and_found_again() {
        let (engine, _) = large(1, Fuel::Free).expect("one slot");
        let root = tempfile::tempdir().expect("a directory");
        let cache = Cache::open(root.path(), &engine).expect("ours");
        let (digest, module) = module(&engine);
        assert!(cache.get(&engine, &digest).is_none());
        cache.put(&digest, &module);
        assert!(cache.get(&engine, &digest).is_some());
        let mode = fs::metadata(&cache.dir).expect("there").mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn forgotten_code_is_gone_from_every_engines_directory() {
        let root = tempfile::tempdir().expect("a directory");
        let caches = [Fuel::Free, Fuel::Counted].map(|fuel| {
            let (engine, _) = large(1, fuel).expect("one slot");
            let cache = Cache::open(root.path(), &engine).expect("ours");
            let (digest, module) = module(&engine);
            cache.put(&digest, &module);
            assert!(cache.path(&digest).exists());
            cache
        });
        fs::write(root.path().join("a file"), "").expect("ours");
        Cache::forget(root.path(), &Digest::of(WASM));
        Cache::forget(root.path(), &Digest::of(b"never there"));
        caches.iter().for_each(|cache| assert!(!cache.path(&Digest::of(WASM)).exists()));
    }

    /// A cache with three files of 100 bytes, each older than the one before it, and a file in the making.
    fn filled() -> (tempfile::TempDir, Vec<(Digest, PathBuf)>, PathBuf) {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join(Digest::of(b"an engine").hex());
        fs::create_dir(&dir).expect("ours");
        let file = |name: &str, age_s: u64| {
            let file = File::create(dir.join(name)).expect("ours");
            file.set_len(100).expect("ours");
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 - age_s);
            file.set_modified(time).expect("ours");
            dir.join(name)
        };
        let digests = [b"1", b"2", b"3"].map(|bytes| Digest::of(bytes));
        let kept = digests.iter().zip(1..).map(|(digest, age_s)| (*digest, file(&file_name(digest), age_s))).collect();
        let unfinished = file(".tmpX", 0);
        fs::write(root.path().join("notes.cwasm"), "not ours").expect("ours");
        (root, kept, unfinished)
    }

    #[test]
    fn what_was_loaded_least_recently_goes_at_the_limit_and_what_is_used_stays() {
        let there = |kept: &[(Digest, PathBuf)]| kept.iter().map(|(_, path)| path.exists()).collect::<Vec<_>>();
        let (root, kept, _) = filled();
        Cache::trim(root.path(), 400, |_| false);
        assert_eq!(there(&kept), [true, true, true], "at the limit");
        Cache::trim(root.path(), 399, |_| false);
        assert_eq!(there(&kept), [true, true, false]);
        let (root, kept, unfinished) = filled();
        Cache::trim(root.path(), 299, |digest| *digest == kept[2].0);
        assert_eq!(there(&kept), [false, false, true]);
        Cache::trim(root.path(), 0, |digest| *digest == kept[2].0);
        assert_eq!((there(&kept), unfinished.exists()), (vec![false, false, true], false));
        assert!(root.path().join("notes.cwasm").exists());
    }

    #[test]
    fn loading_makes_code_the_youngest() {
        let (engine, _) = large(1, Fuel::Free).expect("one slot");
        let root = tempfile::tempdir().expect("a directory");
        let cache = Cache::open(root.path(), &engine).expect("ours");
        let (digest, module) = module(&engine);
        cache.put(&digest, &module);
        let file = File::options().write(true).open(cache.path(&digest)).expect("ours");
        file.set_modified(SystemTime::UNIX_EPOCH).expect("ours");
        assert!(cache.get(&engine, &digest).is_some());
        assert_ne!(file.metadata().expect("ours").modified().expect("a time"), SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn code_of_unknown_modules_and_unfinished_files_are_pruned() {
        let (root, kept, unfinished) = filled();
        Cache::prune(root.path(), |digest| *digest == kept[1].0);
        assert_eq!(kept.iter().map(|(_, path)| path.exists()).collect::<Vec<_>>(), [false, true, false]);
        assert!(!unfinished.exists() && root.path().join("notes.cwasm").exists());
    }

    #[test]
    fn a_broken_file_is_not_used_and_is_replaced() {
        let (engine, _) = large(1, Fuel::Free).expect("one slot");
        let root = tempfile::tempdir().expect("a directory");
        let cache = Cache::open(root.path(), &engine).expect("ours");
        let (digest, module) = module(&engine);
        cache.put(&digest, &module);
        let whole = fs::read(cache.path(&digest)).expect("ours");
        for broken in [&whole[..whole.len() / 2], &b""[..], b"junk"] {
            fs::remove_file(cache.path(&digest)).expect("ours");
            fs::write(cache.path(&digest), broken).expect("ours");
            fs::set_permissions(cache.path(&digest), fs::Permissions::from_mode(0o600)).expect("ours");
            assert!(cache.get(&engine, &digest).is_none(), "{} bytes", broken.len());
        }
        cache.put(&digest, &module);
        assert!(cache.get(&engine, &digest).is_some());
    }

    #[test]
    fn what_others_could_write_is_not_used() {
        let (engine, _) = large(1, Fuel::Free).expect("one slot");
        let root = tempfile::tempdir().expect("a directory");
        let cache = Cache::open(root.path(), &engine).expect("ours");
        let (digest, module) = module(&engine);
        cache.put(&digest, &module);
        fs::set_permissions(cache.path(&digest), fs::Permissions::from_mode(0o666)).expect("ours");
        assert!(cache.get(&engine, &digest).is_none(), "a file");
        fs::set_permissions(&cache.dir, fs::Permissions::from_mode(0o770)).expect("ours");
        assert!(Cache::open(root.path(), &engine).is_none(), "the engine's directory");
        fs::set_permissions(&cache.dir, fs::Permissions::from_mode(0o700)).expect("ours");
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).expect("ours");
        assert!(Cache::open(root.path(), &engine).is_none(), "the root");
    }

    #[test]
    fn engines_with_other_settings_have_other_directories() {
        let (free, _) = large(1, Fuel::Free).expect("one slot");
        let (counted, _) = large(1, Fuel::Counted).expect("one slot");
        let (more, _) = large(2, Fuel::Free).expect("two slots");
        assert_ne!(fingerprint(&free), fingerprint(&counted));
        assert_eq!(fingerprint(&free), fingerprint(&more));
        let small = small(&Arena::new(1).expect("one slot"), Fuel::Free).expect("good settings");
        assert_ne!(fingerprint(&free), fingerprint(&small));
    }
}
