//! The data directory of a server: one server at a time, its token, and the kubeconfig.
//!
//! Files are written whole or not at all, for their owner alone, and kept over restarts; the kubeconfig is written at each
//! start, because the port may be another one. Must not know what the store and the modules keep beside them.

use super::super::error::{CliError, Place, code};
use super::super::local::unusable;
use base64::Engine as _;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// File names in the directory.
pub(super) const KUBECONFIG: &str = "kubeconfig";
const LOCK: &str = "lock";
const TOKEN: &str = "token";

/// A file of this directory that has more bytes was not written by a server.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Tokens are made of 32 random bytes; one that somebody wrote by hand must at least be this long.
const TOKEN_CHARS_MIN: usize = 16;

/// How the names of files in the making begin.
const UNFINISHED: &str = ".tmp";

/// A data directory that is this server's as long as the value lives.
pub(super) struct DataDir {
    dir: PathBuf,
    token: String,
    /// Held, never read.
    _lock: File,
}

impl fmt::Debug for DataDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token is not for logs.
        f.debug_struct("DataDir").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl DataDir {
    /// Takes the directory, which is there, for this server.
    ///
    /// # Errors
    /// When another server has it, or a file cannot be read, written or understood.
    pub(super) fn open(dir: &Path) -> Result<Self, CliError> {
        let lock = lock(dir)?;
        remove_unfinished(dir);
        let mut data = Self { dir: dir.to_owned(), token: String::new(), _lock: lock };
        data.token = data.read_or_make_token()?;
        Ok(data)
    }

    /// What clients must show.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The path of one of its files.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A file's text; `None` when it is not there. From then on only its owner can read it.
    pub(super) fn read(&self, name: &str) -> Result<Option<String>, CliError> {
        let path = self.path(name);
        let read = || {
            let file = File::open(&path)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            let mut bytes = Vec::new();
            file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        match read() {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    /// Writes a file: whole and durable, or not at all.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), CliError> {
        let path = self.path(name);
        let write = || {
            let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.dir)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|error: io::Error| unusable(&path, &error))
    }

    /// The error for a file that says nothing sensible.
    pub(super) fn damaged(&self, name: &str, why: &str, help: &str) -> CliError {
        CliError::new(code::ENGINE, format!("{name} is damaged: {why}"))
            .at(Place::file(&self.path(name).display().to_string()))
            .help(help)
    }

    fn read_or_make_token(&self) -> Result<String, CliError> {
        let Some(text) = self.read(TOKEN)? else {
            let token = random_token()
                .map_err(|error| CliError::new(code::ENGINE, format!("there is no randomness for a token: {error}")))?;
            self.write(TOKEN, &format!("{token}\n"))?;
            return Ok(token);
        };
        let token = text.trim();
        if token.len() < TOKEN_CHARS_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = format!("it should hold one word of at least {TOKEN_CHARS_MIN} characters");
            return Err(self.damaged(
                TOKEN,
                &why,
                "delete it: the next start makes a new one and writes it to the kubeconfig",
            ));
        }
        Ok(token.to_owned())
    }

    /// Writes what kubectl needs to reach `url`, whose certificate the authority of `ca_pem` signed.
    pub(super) fn write_kubeconfig(&self, url: &str, ca_pem: &str) -> Result<(), CliError> {
        self.write(KUBECONFIG, &kubeconfig(url, ca_pem, &self.token))
    }
}

/// A killed server left them. One that stays costs room, nothing else.
fn remove_unfinished(dir: &Path) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes())) {
        _ = std::fs::remove_file(entry.path());
    }
}

fn kubeconfig(url: &str, ca_pem: &str, token: &str) -> String {
    let ca = base64::engine::general_purpose::STANDARD.encode(ca_pem);
    // JSON strings are YAML strings.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let (url, token) = (quoted(url), quoted(token));
    format!(
        "# Written by coracle serve at each start: changes are lost.
apiVersion: v1
kind: Config
current-context: coracle
clusters:
- name: coracle
  cluster:
    server: {url}
    certificate-authority-data: {ca}
users:
- name: coracle
  user:
    token: {token}
contexts:
- name: coracle
  context:
    cluster: coracle
    user: coracle
    namespace: default
"
    )
}

/// 32 random bytes in hexadecimal.
fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Takes the lock that the kernel gives back when the process ends, however it ends, and writes our pid for the next one.
fn lock(dir: &Path) -> Result<File, CliError> {
    let path = dir.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
    let mut file = opened.map_err(|error| unusable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(taken(dir, file)),
        Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|error| unusable(&path, &error))?;
    Ok(file)
}

fn taken(dir: &Path, file: File) -> CliError {
    let mut text = String::new();
    _ = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
    // Empty for the moment between the other's lock and its pid.
    let by = text.trim().parse::<u32>().map_or(String::new(), |pid| format!(" (pid {pid})"));
    CliError::new(code::ENGINE, format!("another coracle server{by} is using the data directory"))
        .at(Place::file(&dir.display().to_string()))
        .help("use that server, stop it, or name another --data-dir")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn a_directory_has_one_server_and_its_token_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = DataDir::open(dir.path()).expect("the first");
        assert_eq!(first.token().len(), 64);
        let second = DataDir::open(dir.path()).expect_err("it is taken");
        let said = format!("{second:?}");
        assert!(said.contains(&format!("(pid {}) is using the data directory", std::process::id())), "{said}");
        let token = first.token().to_owned();
        drop(first);
        assert_eq!(DataDir::open(dir.path()).expect("it is free").token(), token);
    }

    #[test]
    fn what_a_killed_server_left_goes_and_all_else_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in [".tmpAbC123", "notes"] {
            std::fs::write(dir.path().join(name), "x").expect("written");
        }
        let first = DataDir::open(dir.path()).expect("the first");
        assert!(!first.path(".tmpAbC123").exists() && first.path("notes").exists());
        // Who does not have the directory leaves the files of who has it.
        std::fs::write(first.path(".tmpAbC123"), "x").expect("written");
        DataDir::open(dir.path()).expect_err("it is taken");
        assert!(first.path(".tmpAbC123").exists());
    }

    #[test]
    fn the_token_is_not_in_debug_output() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = DataDir::open(dir.path()).expect("opened");
        assert!(!format!("{data:?}").contains(data.token()), "{data:?}");
    }

    #[test]
    fn secrets_are_their_owners_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(TOKEN), "a-token-of-my-own-choice\n").expect("written");
        std::fs::set_permissions(dir.path().join(TOKEN), Permissions::from_mode(0o644)).expect("changed");
        let data = DataDir::open(dir.path()).expect("opened");
        assert_eq!(data.token(), "a-token-of-my-own-choice");
        data.write_kubeconfig("https://127.0.0.1:1", "PEM").expect("written");
        for name in [LOCK, TOKEN, KUBECONFIG] {
            assert_eq!(mode(&data.path(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn a_damaged_token_is_an_error_that_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        for text in [
            "",
            "short",
            "two words that are long enough",
            "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}",
        ] {
            std::fs::write(dir.path().join(TOKEN), text).expect("written");
            let error = DataDir::open(dir.path()).expect_err("damaged");
            assert!(format!("{error:?}").contains("token is damaged"), "{error:?}");
        }
    }

    #[test]
    fn the_kubeconfig_is_yaml_with_everything_that_kubectl_needs() {
        let text = kubeconfig("https://[::1]:6443", "-----BEGIN\n", "a\"b: c");
        let documents = crate::api::read_documents(&text).expect("YAML");
        let config = &documents[0].value;
        let at = |path: &str| config.pointer(path).and_then(serde_json::Value::as_str).unwrap_or_default();
        assert_eq!(at("/clusters/0/cluster/server"), "https://[::1]:6443");
        assert_eq!(at("/clusters/0/cluster/certificate-authority-data"), "LS0tLS1CRUdJTgo=");
        assert_eq!(at("/users/0/user/token"), "a\"b: c");
        assert_eq!(at("/current-context"), at("/contexts/0/name"));
        assert_eq!(at("/contexts/0/context/cluster"), at("/clusters/0/name"));
        assert_eq!(at("/contexts/0/context/user"), at("/users/0/name"));
    }
}
