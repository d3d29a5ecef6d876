//! All logs of this machine: which segments there are, how much they may take, and where a live pod's log ends.
//!
//! Workers append through [`SegmentWriter`]s, any thread reads. Knows nothing of pods' lives. Start with [`Logs::open`].
//! Invariant: a segment's number is never given twice, over all boots of a data directory.

use super::Stream;
use super::ends::{Ends, Pod};
use super::log::LOG_BYTES_PER_POD_MAX;
use super::reader::{self, LogRecord, Reader};
use super::segments::{SEGMENT_BYTES, SEGMENT_HEADER, Segment, SegmentWriter, read_segment_header, segment_header};
use crate::base::{JobId, Time, mix};
use crate::model::{Exit, LogExtent};
use dashmap::DashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What all logs together may take when nothing else is said, bytes.
pub const LOG_BYTES_MAX_DEFAULT: u64 = 1 << 30;

/// Closed segments that are kept at the most, whatever their size: each is a file, and each boot leaves one a worker.
pub const SEGMENTS_MAX: usize = 16_384;

/// No segment is smaller than this for the sake of `max_bytes`.
const SEGMENT_BYTES_MIN: u32 = 64 << 10;

/// Bells for readers of living logs. More of them wake fewer readers for nothing.
const BELLS: usize = 64;

/// Why a log cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The folder of the logs or a segment cannot be opened or made.
    #[error("cannot open the logs at {}: {source}; check that the folder exists and can be written", path.display())]
    Open {
        /// What was opened.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Output could not be written; it is lost.
    #[error("cannot write a log segment: {source}; check the free space of the data directory")]
    Write {
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The log was there, but its segments were removed to keep the limit, or did not survive the machine.
    #[error("the log is gone: its segment {segment} was removed to stay within the limit on all logs, or is broken")]
    Gone {
        /// The segment that is missing.
        segment: u32,
    },
}

/// A piece of a pod's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// When it was taken from the guest.
    pub at: Time,
    /// Where the guest wrote it.
    pub stream: Stream,
    /// What it wrote; not cut at ends of lines.
    pub bytes: Vec<u8>,
}

/// The logs of this machine.
#[derive(Debug)]
pub struct Logs {
    /// `None`: segments are files without a name.
    dir: Option<PathBuf>,
    boot: u32,
    max_bytes: u64,
    writers: AtomicU32,
    next_segment: AtomicU32,
    segments: DashMap<u32, Arc<Segment>>,
    /// Numbers of the segments that nobody appends to, which can be removed.
    closed: Mutex<BTreeSet<u32>>,
    bytes: AtomicU64,
    /// Of pods that a worker has.
    live: DashMap<Pod, LogExtent>,
    /// Of pods that a worker had.
    ends: Ends,
    /// What readers of living logs wait at.
    bells: [Notify; BELLS],
}

impl Logs {
    /// Opens the logs in `dir`, which is made if needed, for the boot with this number; without a folder they are kept in
    /// unnamed temporary files and end with the process. All segments together stay within `max_bytes` and one open
    /// segment a worker; the oldest are removed.
    ///
    /// # Errors
    /// [`LogsError::Open`].
    pub fn open(dir: Option<&Path>, boot: u32, max_bytes: u64) -> Result<Self, LogsError> {
        let logs = Self {
            dir: dir.map(Path::to_owned),
            boot,
            max_bytes,
            writers: AtomicU32::new(0),
            next_segment: AtomicU32::new(0),
            segments: DashMap::new(),
            closed: Mutex::default(),
            bytes: AtomicU64::new(0),
            live: DashMap::new(),
            ends: Ends::default(),
            bells: std::array::from_fn(|_| Notify::new()),
        };
        if let Some(dir) = dir {
            logs.open_dir(dir).map_err(|source| LogsError::Open { path: dir.to_owned(), source })?;
        }
        Ok(logs)
    }

    /// Finds the segments of earlier boots. Files that are no segments of this format stay, but their numbers are taken.
    fn open_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let stem = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".log"));
            if let Some(number) = stem.and_then(|stem| stem.parse::<u32>().ok()) {
                found.insert(number, path);
            }
        }
        for (number, path) in found {
            self.next_segment.store(number.saturating_add(1), Ordering::Relaxed);
            let file = File::open(&path)?;
            let bytes = file.metadata()?.len();
            let mut header = [0; SEGMENT_HEADER as usize];
            let boot = file.read_exact_at(&mut header, 0).ok().and_then(|()| read_segment_header(&header));
            if let Some(boot) = boot {
                self.add(Segment { number, boot, file: None, path: Some(path), bytes: bytes.into() });
                self.closed(number);
            }
        }
        Ok(())
    }

    /// A pod's log: everything up to `extent`, oldest first, at the most the last 10 MiB. An empty log is no entries.
    ///
    /// # Errors
    /// [`LogsError::Gone`] when nothing of it is left. When only its beginning is gone, the rest is given.
    pub fn read(&self, extent: LogExtent) -> Result<Vec<LogEntry>, LogsError> {
        let mut reader = Reader::new(|number| self.segment(number));
        reader.read_after(extent, LogExtent::default(), LOG_BYTES_PER_POD_MAX)
    }

    /// What the chain that ends at `extent` holds after `seen`, an earlier end of the same chain; for followers, who are not
    /// held to the last 10 MiB as long as the segments are there. What is missing was removed.
    ///
    /// # Errors
    /// [`LogsError::Gone`] when nothing of it is left.
    pub fn read_after(&self, extent: LogExtent, seen: LogExtent) -> Result<Vec<LogEntry>, LogsError> {
        Reader::new(|number| self.segment(number)).read_after(extent, seen, usize::MAX)
    }

    /// Walks the chain that ends at `extent` backwards to `seen`, an earlier end of the same chain, or to its beginning: the newest
    /// record first. Ends early where the rest was removed, or when told to.
    ///
    /// # Errors
    /// [`LogsError::Gone`] when nothing of it is left.
    pub fn walk(
        &self,
        extent: LogExtent,
        seen: LogExtent,
        on_record: impl FnMut(&LogRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), LogsError> {
        Reader::new(|number| self.segment(number)).walk(extent, seen, on_record)
    }

    /// Reads the records at these places, which a [`Logs::walk`] gave, until told to end; `None` for one that was removed since.
    pub fn visit(&self, places: &[LogExtent], on_record: impl FnMut(Option<&LogRecord<'_>>) -> ControlFlow<()>) {
        Reader::new(|number| self.segment(number)).visit(places, on_record);
    }

    fn bell(&self, (job, ordinal): Pod) -> &Notify {
        let at = mix(u64::from(job.0) << 32 | u64::from(ordinal)) % self.bells.len() as u64;
        &self.bells[usize::try_from(at).expect("below the number of bells")]
    }

    /// Where the logs of the `wanted` pods ended when the boot before this one did: for pods that were alive when it
    /// crashed. Reads that boot's segments once; pods that wrote nothing are not in the answer.
    #[must_use]
    pub fn recover(&self, wanted: &BTreeSet<(JobId, u32)>) -> BTreeMap<(JobId, u32), LogExtent> {
        let mut found = BTreeMap::new();
        let mut segments: Vec<_> = self.segments.iter().map(|entry| entry.value().clone()).collect();
        segments.retain(|segment| segment.boot < self.boot);
        segments.sort_unstable_by_key(|segment| segment.number);
        let last_boot = segments.iter().map(|segment| segment.boot).max();
        // Later records of a pod lie in later segments, or further on in the same.
        for segment in segments.into_iter().filter(|segment| Some(segment.boot) == last_boot && !wanted.is_empty()) {
            reader::scan(&segment, |header, offset| {
                let pod = (header.job, header.ordinal);
                if wanted.contains(&pod) {
                    found.insert(pod, LogExtent { segment: segment.number, offset, bytes: header.chain.bytes });
                }
            });
        }
        found
    }

    /// Where the log of a pod that is alive ends so far; `None` when it is not alive or has written nothing yet.
    #[must_use]
    pub fn live(&self, job: JobId, ordinal: u32) -> Option<LogExtent> {
        self.live.get(&(job, ordinal)).map(|extent| *extent)
    }

    /// Where the log of a pod ends, be it alive or not, until its end is settled; `None` when it has written nothing yet, or its
    /// end is in its record: whoever asks for both asks here first.
    #[must_use]
    pub fn newest(&self, job: JobId, ordinal: u32) -> Option<LogExtent> {
        // In this order, because an end is kept before the pod is no longer alive.
        self.live(job, ordinal).or_else(|| self.ends.get((job, ordinal)))
    }

    /// Follows the log of a pod.
    #[must_use]
    pub fn follow(self: &Arc<Self>, job: JobId, ordinal: u32) -> Following {
        self.ends.follow((job, ordinal));
        Following { logs: self.clone(), pod: (job, ordinal) }
    }

    pub(super) fn set_live(&self, job: JobId, ordinal: u32, extent: LogExtent) {
        self.live.insert((job, ordinal), extent);
        self.bell((job, ordinal)).notify_waiters();
    }

    /// Takes the final extents of these exits, and lets go of those that `live` pods had. Returns the number for
    /// [`Logs::settle`], if anybody wrote anything.
    pub(super) fn hand_over(&self, exits: &[Exit], live: impl IntoIterator<Item = Pod>) -> Option<u64> {
        let (number, followed) = self.ends.add(exits);
        for pod in live {
            self.live.remove(&pod);
        }
        followed.into_iter().for_each(|pod| self.bell(pod).notify_waiters());
        number
    }

    /// The ends of these reports' exits ([`Report::log_ends`](crate::model::Report::log_ends)) are shown in the pods' records, or
    /// their Jobs are gone.
    pub fn settle(&self, numbers: &[u64]) {
        if !numbers.is_empty() {
            self.ends.settle(numbers);
        }
    }

    /// A writer for one worker.
    pub(super) fn writer(self: &Arc<Self>) -> SegmentWriter {
        self.writers.fetch_add(1, Ordering::Relaxed);
        SegmentWriter::new(self.clone())
    }

    /// The size at which a segment is closed. All open ones together take at the most a quarter of what is allowed.
    pub(super) fn segment_bytes(&self) -> u32 {
        let share = self.max_bytes / (4 * u64::from(self.writers.load(Ordering::Relaxed).max(1)));
        u32::try_from(share).unwrap_or(u32::MAX).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES)
    }

    pub(super) fn create_segment(&self) -> Result<Arc<Segment>, LogsError> {
        let number = self.next_segment.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.as_ref().map(|dir| dir.join(format!("{number:010}.log")));
        let file = match &path {
            // Output may hold secrets.
            Some(path) => OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path),
            None => tempfile::tempfile(),
        };
        let opened = file.and_then(|file| file.write_all_at(&segment_header(self.boot), 0).map(|()| file));
        let file = opened.map_err(|source| LogsError::Open { path: path.clone().unwrap_or_default(), source })?;
        Ok(self.add(Segment {
            number,
            boot: self.boot,
            file: Some(file),
            path,
            bytes: u64::from(SEGMENT_HEADER).into(),
        }))
    }

    fn add(&self, segment: Segment) -> Arc<Segment> {
        self.bytes.fetch_add(segment.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        let segment = Arc::new(segment);
        self.segments.insert(segment.number, segment.clone());
        segment
    }

    fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        self.segments.get(&number).map(|segment| segment.clone())
    }

    /// A writer added `bytes` to its segment.
    pub(super) fn grew(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.max_bytes {
            self.prune();
        }
    }

    /// Nobody appends to this segment any more.
    pub(super) fn closed(&self, number: u32) {
        // Readers open it again by its name, so that old segments hold no file descriptor.
        if let Some(mut segment) = self.segments.get_mut(&number)
            && segment.file.is_some()
            && let Some(path) = segment.path.clone()
        {
            let bytes = segment.bytes.load(Ordering::Relaxed).into();
            *segment = Arc::new(Segment { number, boot: segment.boot, file: None, path: Some(path), bytes });
        }
        self.closed_segments().insert(number);
        self.prune();
    }

    fn closed_segments(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the oldest closed segments until the limits hold.
    fn prune(&self) {
        let mut closed = self.closed_segments();
        while closed.len() > SEGMENTS_MAX || self.bytes.load(Ordering::Relaxed) > self.max_bytes {
            let Some(oldest) = closed.pop_first() else { return };
            let Some((_, segment)) = self.segments.remove(&oldest) else { continue };
            self.bytes.fetch_sub(segment.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
            if let Some(Err(error)) = segment.path.as_ref().map(fs::remove_file) {
                tracing::warn!(segment = oldest, %error, "cannot remove an old log segment");
            }
        }
    }
}

/// A place at the end of a pod's log. What was handed over is found from here although it was settled since.
#[derive(Debug)]
pub struct Following {
    logs: Arc<Logs>,
    pod: Pod,
}

impl Following {
    /// See [`Logs::newest`].
    #[must_use]
    pub fn newest(&self) -> Option<LogExtent> {
        let (job, ordinal) = self.pod;
        self.logs.newest(job, ordinal)
    }

    /// Resolves when the log may have grown, or ended, since it was enabled. Wakes without a reason, too: pods share the bells.
    pub fn grown(&self) -> Notified<'_> {
        self.logs.bell(self.pod).notified()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.logs.ends.unfollow(self.pod);
    }
}
