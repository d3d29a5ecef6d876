//! Which server, and who we are to it: kubeconfigs as kubectl reads them.
//!
//! Reads files, opens no connection. Invariant: what a kubeconfig says and is not offered here is an error, not left out.

use crate::api::read_documents;
use crate::cli::error::{CliError, Place, code};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use hyper::Uri;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::ffi::OsString;
use std::fmt;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of a kubeconfig or of a file that it names, at the most.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where the server is found.
#[derive(Debug, Default, Clone, Args)]
pub(in crate::cli) struct RemoteArgs {
    /// The kubeconfig that names the server [default: $KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) kubeconfig: Option<PathBuf>,

    /// The context in it [default: its current-context]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) context: Option<String>,
}

/// A text that is not for logs.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// How the server proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// By a certificate of these authorities, as PEM.
    Authorities(Vec<u8>),
    /// By a certificate of an authority that this machine trusts.
    System,
    /// Not at all.
    Anyone,
}

/// A server, and who we are to it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) url: Uri,
    pub(super) trust: Trust,
    /// The name that its certificate must have, when it is not the one in the URL.
    pub(super) server_name: Option<String>,
    pub(super) token: Option<Secret>,
    /// Certificate and key as PEM.
    pub(super) identity: Option<(Vec<u8>, Secret)>,
    /// The context's namespace.
    pub(super) namespace: Option<String>,
    /// The file and context that this comes from, for messages.
    pub(super) origin: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: Option<String>,
    contexts: Option<Vec<Named>>,
    clusters: Option<Vec<Named>>,
    users: Option<Vec<Named>>,
}

/// An entry of one of the lists; what it is about stands under `context`, `cluster` or `user`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    context: Value,
    cluster: Value,
    user: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    user: Option<String>,
    namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    exec: Value,
    auth_provider: Value,
    username: Option<String>,
    #[serde(rename = "as")]
    impersonate: Option<String>,
}

/// A kubeconfig that was read.
struct Loaded {
    path: PathBuf,
    file: File,
}

impl Loaded {
    /// A path in it is relative to it.
    fn relative(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or_else(|| Path::new("")).join(path)
    }
}

impl Target {
    /// The server that `args` and the environment name.
    pub(super) fn find(args: &RemoteArgs) -> Result<Self, CliError> {
        let variable = std::env::var_os("KUBECONFIG").filter(|text| !text.is_empty());
        Self::find_in(args, variable, std::env::var_os("HOME").map(PathBuf::from).as_deref())
    }

    /// kubernetes: client-go `ClientConfigLoadingRules`: of several files, the first that has an entry counts.
    fn find_in(args: &RemoteArgs, variable: Option<OsString>, home: Option<&Path>) -> Result<Self, CliError> {
        let (paths, is_explicit) = match (&args.kubeconfig, variable) {
            (Some(path), _) => (vec![path.clone()], true),
            (None, Some(list)) => {
                (std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect(), false)
            }
            (None, None) => (home.map(|home| home.join(".kube/config")).into_iter().collect(), false),
        };
        let mut files = Vec::new();
        for path in &paths {
            match read(path) {
                Ok(bytes) => files.push(parse(path, &bytes)?),
                Err(error) if error.kind() == ErrorKind::NotFound && !is_explicit => {}
                Err(error) => return Err(unreadable(path, &error)),
            }
        }
        if files.is_empty() {
            let looked: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            let what = format!("there is no kubeconfig that names a server (looked at {})", looked.join(", "));
            return Err(CliError::new(code::USAGE, what)
                .help("coracle serve   starts a server and prints the line to paste: export KUBECONFIG=…"));
        }
        resolve(&files, args.context.as_deref())
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it has more than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(code::USAGE, format!("cannot read the file: {error}")).at(Place::file(&path.display().to_string()))
}

fn wrong(path: &Path, why: impl fmt::Display) -> CliError {
    CliError::new(code::USAGE, format!("the kubeconfig cannot be used: {why}"))
        .at(Place::file(&path.display().to_string()))
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Loaded, CliError> {
    let text = std::str::from_utf8(bytes).map_err(|error| wrong(path, error))?;
    let document = read_documents(text).map_err(|error| wrong(path, error))?.into_iter().next();
    let file = document.map_or_else(|| Ok(File::default()), |document| typed(path, document.value))?;
    Ok(Loaded { path: path.to_owned(), file })
}

fn typed<T: DeserializeOwned + Default>(path: &Path, value: Value) -> Result<T, CliError> {
    if value.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(value).map_err(|error| wrong(path, error))
}

/// The first entry of this name, and the file that has it.
fn entry<'a>(
    files: &'a [Loaded],
    list: fn(&File) -> &Option<Vec<Named>>,
    name: &str,
) -> Option<(&'a Loaded, &'a Named)> {
    files.iter().find_map(|loaded| {
        let named = list(&loaded.file).iter().flatten().find(|entry| entry.name == name)?;
        Some((loaded, named))
    })
}

fn resolve(files: &[Loaded], context: Option<&str>) -> Result<Target, CliError> {
    let first = &files[0].path;
    let current =
        files.iter().find_map(|loaded| loaded.file.current_context.as_deref().filter(|name| !name.is_empty()));
    let Some(name) = context.or(current) else {
        return Err(wrong(first, "it has no current-context").help("name one: --context NAME"));
    };
    let Some((at, named)) = entry(files, |file| &file.contexts, name) else {
        let have: Vec<&str> = files
            .iter()
            .flat_map(|loaded| loaded.file.contexts.iter().flatten())
            .map(|entry| entry.name.as_str())
            .collect();
        let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
        return Err(wrong(first, format!("there is no context {name:?}; there are: {have}")));
    };
    let context: Context = typed(&at.path, named.context.clone())?;
    let Some((cluster_at, named)) = entry(files, |file| &file.clusters, &context.cluster) else {
        return Err(wrong(
            &at.path,
            format!("context {name:?} names a cluster that is not there: {:?}", context.cluster),
        ));
    };
    let cluster: Cluster = typed(&cluster_at.path, named.cluster.clone())?;
    let mut target = of_cluster(cluster_at, &cluster)?;
    target.namespace = context.namespace.filter(|namespace| !namespace.is_empty());
    target.origin = format!("{}, context {name:?}", cluster_at.path.display());
    if let Some(user) = context.user.filter(|user| !user.is_empty()) {
        let Some((user_at, named)) = entry(files, |file| &file.users, &user) else {
            return Err(wrong(&at.path, format!("context {name:?} names a user that is not there: {user:?}")));
        };
        add_user(&mut target, user_at, &user, typed(&user_at.path, named.user.clone())?)?;
    }
    Ok(target)
}

fn of_cluster(at: &Loaded, cluster: &Cluster) -> Result<Target, CliError> {
    if cluster.proxy_url.is_some() {
        return Err(wrong(&at.path, "proxy-url is not offered"));
    }
    let authorities =
        data_or_file(at, cluster.certificate_authority_data.as_deref(), cluster.certificate_authority.as_deref())?;
    // kubernetes: client-go `defaultServerUrlFor`; a token must not go where nobody proved who they are.
    let has_tls = authorities.is_some() || cluster.insecure_skip_tls_verify;
    let scheme = if has_tls { "https" } else { "http" };
    let text =
        if cluster.server.contains("://") { cluster.server.clone() } else { format!("{scheme}://{}", cluster.server) };
    let url: Uri = text.parse().map_err(|error| wrong(&at.path, format!("server {:?}: {error}", cluster.server)))?;
    if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
        return Err(wrong(&at.path, format!("server {:?} is no http or https URL", cluster.server)));
    }
    let trust = match authorities {
        _ if cluster.insecure_skip_tls_verify => Trust::Anyone,
        Some(pem) => Trust::Authorities(pem),
        None => Trust::System,
    };
    let server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
    Ok(Target { url, trust, server_name, token: None, identity: None, namespace: None, origin: String::new() })
}

fn add_user(target: &mut Target, at: &Loaded, name: &str, user: User) -> Result<(), CliError> {
    let unoffered = [
        ("exec", !user.exec.is_null()),
        ("auth-provider", !user.auth_provider.is_null()),
        ("username", user.username.is_some()),
        ("as", user.impersonate.is_some()),
    ];
    if let Some((field, _)) = unoffered.iter().find(|(_, is_set)| *is_set) {
        return Err(wrong(
            &at.path,
            format!("user {name:?} has {field}, which is not offered: a token or a client certificate is"),
        ));
    }
    // kubernetes: the file wins over the token.
    target.token = match &user.token_file {
        Some(file) => {
            let file = at.relative(file);
            let token = read(&file).map_err(|error| unreadable(&file, &error))?;
            Some(Secret(String::from_utf8_lossy(&token).trim().to_owned()))
        }
        None => user.token.filter(|token| !token.is_empty()).map(Secret),
    };
    let certificate = data_or_file(at, user.client_certificate_data.as_deref(), user.client_certificate.as_deref())?;
    let key = data_or_file(at, user.client_key_data.as_deref(), user.client_key.as_deref())?;
    target.identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, Secret(String::from_utf8_lossy(&key).into_owned()))),
        (None, None) => None,
        _ => {
            return Err(wrong(
                &at.path,
                format!("user {name:?} has a client certificate without a key, or a key without one"),
            ));
        }
    };
    Ok(())
}

/// kubernetes: the data wins over the file.
fn data_or_file(at: &Loaded, data: Option<&str>, file: Option<&Path>) -> Result<Option<Vec<u8>>, CliError> {
    let not_empty = |path: &&Path| !path.as_os_str().is_empty();
    match (data.filter(|data| !data.is_empty()), file.filter(not_empty)) {
        (Some(data), _) => {
            STANDARD.decode(data.trim()).map(Some).map_err(|error| wrong(&at.path, format!("base64: {error}")))
        }
        (None, Some(file)) => {
            let file = at.relative(file);
            read(&file).map(Some).map_err(|error| unreadable(&file, &error))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(kubeconfig: Option<&Path>, context: Option<&str>) -> RemoteArgs {
        RemoteArgs { kubeconfig: kubeconfig.map(Path::to_owned), context: context.map(str::to_owned) }
    }

    fn text_of(error: &CliError) -> String {
        format!("{error:?}")
    }

    const WHOLE: &str = "
apiVersion: v1
kind: Config
current-context: a
preferences: {}
contexts:
- name: a
  context: {cluster: c, user: u, namespace: team}
- name: b
  context: {cluster: insecure, user: ''}
clusters:
- name: c
  cluster: {server: 'https://127.0.0.1:6443/base', certificate-authority-data: UEVN, tls-server-name: coracle}
- name: insecure
  cluster: {server: 'https://[::1]:1', insecure-skip-tls-verify: true, certificate-authority: nowhere-but-not-read}
users:
- name: u
  user: {token: t0ken, client-certificate: cert.pem, client-key-data: S0VZ}
";

    #[test]
    fn a_context_leads_to_a_server_and_a_user() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config");
        std::fs::write(&path, WHOLE.replace(", certificate-authority: nowhere-but-not-read", "")).expect("written");
        std::fs::write(dir.path().join("cert.pem"), "CERT").expect("written");
        let found = Target::find_in(&args(Some(&path), None), None, None).expect("a server");
        assert_eq!(found.url, "https://127.0.0.1:6443/base");
        assert_eq!(found.trust, Trust::Authorities(b"PEM".to_vec()));
        assert_eq!((found.server_name.as_deref(), found.namespace.as_deref()), (Some("coracle"), Some("team")));
        assert_eq!(found.token, Some(Secret("t0ken".to_owned())));
        assert_eq!(found.identity, Some((b"CERT".to_vec(), Secret("KEY".to_owned()))));
        assert!(!format!("{found:?}").contains("t0ken"), "secrets are not for logs");
        let other = Target::find_in(&args(Some(&path), Some("b")), None, None).expect("a server");
        assert_eq!((other.trust, other.token, other.namespace), (Trust::Anyone, None, None));
    }

    #[test]
    fn of_several_files_the_first_that_has_an_entry_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, second) = (dir.path().join("first"), dir.path().join("sub/second"));
        std::fs::create_dir(dir.path().join("sub")).expect("made");
        std::fs::write(&first, "contexts: [{name: x, context: {cluster: c, user: u}}]\nclusters:\n").expect("written");
        let text = "current-context: x\ncontexts: [{name: x, context: {cluster: other}}]
clusters: [{name: c, cluster: {server: 'localhost:8080'}}]\nusers: [{name: u, user: {tokenFile: token}}]\n";
        std::fs::write(&second, text).expect("written");
        std::fs::write(dir.path().join("sub/token"), " abc\n").expect("written");
        let list = std::env::join_paths([Path::new(""), &dir.path().join("missing"), &first, &second]).expect("a list");
        let found = Target::find_in(&args(None, None), Some(list), None).expect("a server");
        assert_eq!(found.url, "http://localhost:8080");
        assert_eq!(found.token, Some(Secret("abc".to_owned())), "a relative path is relative to its kubeconfig");
    }

    #[test]
    fn without_a_variable_the_home_directory_has_it() {
        let home = tempfile::tempdir().expect("a directory");
        let missing = Target::find_in(&args(None, None), None, Some(home.path())).expect_err("nothing there");
        assert!(text_of(&missing).contains("export KUBECONFIG"), "{missing:?}");
        std::fs::create_dir(home.path().join(".kube")).expect("made");
        let text = "current-context: a\ncontexts: [{name: a, context: {cluster: a}}]\nclusters: [{name: a, cluster: {server: http://x}}]";
        std::fs::write(home.path().join(".kube/config"), text).expect("written");
        assert_eq!(Target::find_in(&args(None, None), None, Some(home.path())).expect("a server").url, "http://x");
    }

    #[test]
    fn a_server_without_a_scheme_is_asked_over_tls_where_the_cluster_says_whom_to_trust() {
        for (trust, url) in
            [("", "http://localhost:8080"), (", insecure-skip-tls-verify: true", "https://localhost:8080")]
        {
            let home = tempfile::tempdir().expect("a directory");
            std::fs::create_dir(home.path().join(".kube")).expect("made");
            let text = format!(
                "current-context: a\ncontexts: [{{name: a, context: {{cluster: a}}}}]\nclusters: [{{name: a, cluster: \
                 {{server: 'localhost:8080'{trust}}}}}]"
            );
            std::fs::write(home.path().join(".kube/config"), text).expect("written");
            assert_eq!(Target::find_in(&args(None, None), None, Some(home.path())).expect("a server").url, url);
        }
    }

    #[test]
    fn what_is_missing_wrong_or_not_offered_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config");
        let with = |cluster: &str, user: &str| {
            format!(
                "current-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
                 clusters: [{{name: c, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]"
            )
        };
        let good = "server: 'http://x'";
        let cases = [
            ("[".to_owned(), "cannot be used"),
            (String::new(), "no current-context"),
            ("current-context: b\ncontexts: [{name: a}]".to_owned(), "there are: a"),
            (
                "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]".to_owned(),
                "a cluster that is not there",
            ),
            (with(good, "").replace("user: u}", "user: v}"), "a user that is not there"),
            (with("server: 'ftp://x'", ""), "is no http or https URL"),
            (with("server: ''", ""), "server"),
            (with("server: [1]", ""), "cannot be used"),
            (with("server: 'http://x', proxy-url: 'http://y'", ""), "proxy-url is not offered"),
            (with("server: 'https://x', certificate-authority-data: '*'", ""), "base64"),
            (with("server: 'https://x', certificate-authority: none.pem", ""), "none.pem"),
            (with(good, "exec: {command: x}"), "has exec, which is not offered"),
            (with(good, "as: root"), "has as, which is not offered"),
            (with(good, "client-key-data: S0VZ"), "without a key"),
            (with(good, "tokenFile: none"), "cannot read the file"),
        ];
        for (text, why) in cases {
            std::fs::write(&path, &text).expect("written");
            let error = Target::find_in(&args(Some(&path), None), None, None).expect_err(why);
            assert!(text_of(&error).contains(why), "{text}: {error:?}");
        }
        let missing = Target::find_in(&args(Some(&dir.path().join("none")), None), None, None).expect_err("not there");
        assert!(text_of(&missing).contains("cannot read the file"), "{missing:?}");
    }

    #[test]
    fn a_file_of_the_largest_size_is_read_and_one_byte_more_is_not() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(FILE_BYTES_MAX).expect("grown");
        assert_eq!(read(file.path()).expect("within the limit").len() as u64, FILE_BYTES_MAX);
        file.as_file().set_len(FILE_BYTES_MAX + 1).expect("grown");
        assert!(read(file.path()).is_err());
    }
}
