//! Manifests from files, directories and stdin.

use super::error::{CliError, Place, code};
use super::{hints, inspect};
use crate::api::{Document, read_documents};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// kubernetes: kubectl's `FileExtensions`.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// Bytes of one file of manifests, at the most.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A file's text.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// A manifest and where it stands.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) source: usize,
    pub(super) document: Document,
}

impl Manifest {
    fn text(&self, at: &str) -> Option<&str> {
        self.document.value.pointer(at)?.as_str()
    }

    pub(super) fn kind(&self) -> &str {
        self.text("/kind").unwrap_or("")
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.text("/metadata/namespace").filter(|namespace| !namespace.is_empty())
    }

    /// The module names in its pod template.
    pub(super) fn images(&self) -> impl Iterator<Item = (usize, &str)> {
        let containers = self.document.value.pointer("/spec/template/spec/containers");
        let containers = containers.and_then(|value| value.as_array()).into_iter().flatten();
        containers.enumerate().filter_map(|(at, container)| Some((at, container.get("image")?.as_str()?)))
    }

    /// Where the field at `path` stands.
    pub(super) fn place(&self, sources: &[Source], path: &str) -> Place {
        let source = &sources[self.source];
        let skipped = usize::try_from(self.document.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let text: String = source.text.lines().skip(skipped).flat_map(|line| [line, "\n"]).collect();
        let mut place = Place::file(&source.name);
        if let Some((line, column)) = hints::find_key(&text, path) {
            let key = path.rsplit('.').next().unwrap_or(path);
            place.line = skipped + line;
            place.column = column;
            place.text = text.lines().nth(line - 1).unwrap_or_default().to_owned();
            place.width = key.split('[').next().unwrap_or(key).chars().count();
            place.hint =
                hints::did_you_mean(key).filter(|known| *known != key).map(|known| format!("did you mean `{known}`?"));
        }
        place
    }
}

/// Reads every manifest of `paths`, in order: files, directories (their manifests by name, as kubectl reads them), `-`.
pub(super) fn read(paths: &[PathBuf]) -> Result<(Vec<Source>, Vec<Manifest>), CliError> {
    let mut sources = Vec::new();
    for path in paths {
        for file in expand(path)? {
            sources.push(read_source(&file)?);
        }
    }
    let mut manifests = Vec::new();
    for (source, Source { name, text }) in sources.iter().enumerate() {
        let documents = read_documents(text)
            .map_err(|error| CliError::new(code::USAGE, format!("not a manifest: {error}")).at(Place::file(name)))?;
        manifests.extend(documents.into_iter().map(|document| Manifest { source, document }));
    }
    if manifests.is_empty() {
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        let what =
            format!("no manifest in {}", if names.is_empty() { "the directory".to_owned() } else { names.join(", ") });
        return Err(CliError::new(code::USAGE, what).help("a Job looks like examples/pi.yaml"));
    }
    Ok((sources, manifests))
}

fn expand(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| inspect::cannot_read(path, &error))?;
    let is_manifest = |file: &PathBuf| {
        file.extension().and_then(|ext| ext.to_str()).is_some_and(|ext| EXTENSIONS.contains(&ext)) && !file.is_dir()
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_manifest).collect();
    files.sort();
    Ok(files)
}

fn read_source(path: &Path) -> Result<Source, CliError> {
    let cannot = |error: std::io::Error| inspect::cannot_read(path, &error);
    let mut text = String::new();
    let name = if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
        "stdin".to_owned()
    } else {
        let file = std::fs::File::open(path).map_err(cannot)?;
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
        path.display().to_string()
    };
    if text.len() as u64 > FILE_BYTES_MAX {
        let what = format!("the file has more than {} MiB", FILE_BYTES_MAX >> 20);
        return Err(CliError::new(code::USAGE, what).at(Place::file(&name)).help("split it into several files"));
    }
    Ok(Source { name, text })
}
