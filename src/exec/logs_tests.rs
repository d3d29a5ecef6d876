//! Logs as workers write them and readers see them.

use super::log::PodLog;
use super::segments::{RECORD_HEADER, SEGMENT_HEADER, SegmentWriter, segment_header};
use super::{LOG_BYTES_MAX_DEFAULT, LOG_BYTES_PER_POD_MAX, LogEntry, Logs, LogsError, SEGMENTS_MAX, Stream};
use crate::base::{JobId, Time};
use crate::model::LogExtent;
use Stream::{Stderr, Stdout};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const JOB: JobId = JobId(7);

/// Logs in a folder, or in memory when `dir` is `None`, with one writer.
struct World {
    logs: Arc<Logs>,
    writer: SegmentWriter,
}

impl World {
    fn new(dir: Option<&Path>, boot: u32, max_bytes: u64) -> Self {
        let logs = Arc::new(Logs::open(dir, boot, max_bytes).expect("logs"));
        Self { writer: logs.writer(), logs }
    }

    fn append(&mut self, ordinal: u32, prev: LogExtent, at: u64, runs: &[(Stream, &[u8])]) -> LogExtent {
        let log = PodLog::default();
        runs.iter().for_each(|(stream, bytes)| log.write(*stream, bytes));
        self.writer.append(JOB, ordinal, prev, &log, Time(at))
    }

    fn flush(&mut self) {
        self.writer.flush().expect("a write");
    }

    /// All output of a chain, streams and times aside.
    fn text(&self, extent: LogExtent) -> String {
        let entries = self.logs.read(extent).expect("a log");
        String::from_utf8(entries.into_iter().flat_map(|entry| entry.bytes).collect()).expect("text")
    }
}

fn entry(at: u64, stream: Stream, text: &str) -> LogEntry {
    LogEntry { at: Time(at), stream, bytes: text.as_bytes().to_vec() }
}

fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn chains_read_back_oldest_first_in_a_folder_and_in_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    for dir in [Some(dir.path()), None] {
        let mut world = World::new(dir, 1, LOG_BYTES_MAX_DEFAULT);
        let none = LogExtent::default();
        let a = world.append(0, none, 10, &[(Stdout, b"a1\n"), (Stderr, b"a2\n")]);
        let b = world.append(1, none, 11, &[(Stdout, b"b1\n")]);
        world.flush();
        let a_first = a;
        let a = world.append(0, a, 12, &[(Stdout, b"a3\n")]);
        let nothing = world.append(0, a, 13, &[]);
        assert_eq!(nothing, a, "no output is no record");
        world.flush();
        let all = [entry(10, Stdout, "a1\n"), entry(10, Stderr, "a2\n"), entry(12, Stdout, "a3\n")];
        assert_eq!(world.logs.read(a).expect("a log"), all);
        assert_eq!(world.logs.read(b).expect("a log"), [entry(11, Stdout, "b1\n")]);
        assert_eq!((a.bytes, b.bytes), (9, 3));
        assert_eq!(world.logs.read_after(a, a_first).expect("a log"), [entry(12, Stdout, "a3\n")]);
        assert_eq!(world.logs.read_after(a, a).expect("a log"), []);
        assert_eq!(world.logs.read(none).expect("an empty log"), []);
    }
}

#[test]
fn a_segment_is_the_golden_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut world = World::new(Some(dir.path()), 3, LOG_BYTES_MAX_DEFAULT);
    let first = world.append(5, LogExtent::default(), 1_795_405_437_123, &[(Stdout, b"hi\n"), (Stderr, b"oh")]);
    world.append(5, first, 1_795_405_437_124, &[(Stdout, b"12345678")]);
    world.flush();
    let files = segment_files(dir.path());
    assert_eq!(files, [dir.path().join("0000000000.log")]);
    let bytes = fs::read(&files[0]).expect("a segment");
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("segment.golden").trim(), "logs of earlier builds could not be read: raise FORMAT");
}

#[test]
fn a_chain_crosses_segments_and_the_oldest_are_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    for dir in [Some(dir.path()), None] {
        // Segments of 64 KiB, four of them in all.
        let mut world = World::new(dir, 1, 256 << 10);
        let chunk = |number: u32| format!("{number:08}").repeat(1000);
        let early = world.append(1, LogExtent::default(), 1, &[(Stdout, b"early")]);
        let mut extent = LogExtent::default();
        for number in 0..100 {
            extent = world.append(0, extent, u64::from(number), &[(Stdout, chunk(number).as_bytes())]);
            world.flush();
        }
        let text = world.text(extent);
        assert_eq!(extent.bytes, 800_000);
        assert!(text.ends_with(&format!("{}{}", chunk(98), chunk(99))));
        assert!(text.starts_with(&text[..8].repeat(1000)), "whole records only");
        assert!((100_000..=256 << 10).contains(&text.len()), "{}", text.len());
        let gone = world.logs.read(early);
        assert!(matches!(gone, Err(LogsError::Gone { segment: 0 })), "{gone:?}");
        if let Some(dir) = dir {
            let files = segment_files(dir);
            let bytes: u64 = files.iter().map(|file| fs::metadata(file).expect("a file").len()).sum();
            assert!(bytes <= 256 << 10, "{bytes}");
            assert!(files.len() <= 5);
        }
    }
}

#[test]
fn a_record_may_be_larger_than_a_segment() {
    let mut world = World::new(None, 1, 0);
    let big = vec![b'x'; 200_000];
    let a = world.append(0, LogExtent::default(), 1, &[(Stdout, &big)]);
    world.flush();
    assert_eq!(world.text(a).len(), big.len(), "an open segment is never removed");
    let b = world.append(1, LogExtent::default(), 1, &[(Stdout, b"next")]);
    world.flush();
    assert_eq!(world.text(b), "next");
    assert!(matches!(world.logs.read(a), Err(LogsError::Gone { .. })));
}

#[test]
fn a_read_stops_after_ten_mebibytes() {
    let mut world = World::new(None, 1, LOG_BYTES_MAX_DEFAULT);
    let line = b"0123456789abcde\n".repeat(1 << 14);
    let mut extent = LogExtent::default();
    for _ in 0..50 {
        extent = world.append(0, extent, 1, &[(Stdout, &line)]);
    }
    world.flush();
    let text = world.text(extent);
    assert_eq!(text.len(), LOG_BYTES_PER_POD_MAX);
    assert!(text.starts_with("0123"));
    assert_eq!(extent.bytes, 50 << 18);
}

#[test]
fn segment_numbers_go_on_over_boots() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut extents = Vec::new();
    for boot in 1..=3 {
        let mut world = World::new(Some(dir.path()), boot, LOG_BYTES_MAX_DEFAULT);
        extents.push(world.append(boot, LogExtent::default(), 1, &[(Stdout, format!("boot {boot}").as_bytes())]));
        world.flush();
        for (boot, &extent) in (1..).zip(&extents) {
            assert_eq!(world.text(extent), format!("boot {boot}"));
        }
    }
    assert_eq!(extents.iter().map(|extent| extent.segment).collect::<Vec<_>>(), [0, 1, 2]);
    // What is no segment is left alone, and its number is not used.
    fs::write(dir.path().join("0000000041.log"), b"not a segment").expect("a file");
    fs::write(dir.path().join("notes.txt"), b"mine").expect("a file");
    let mut world = World::new(Some(dir.path()), 4, LOG_BYTES_MAX_DEFAULT);
    assert_eq!(world.append(9, LogExtent::default(), 1, &[(Stdout, b"x")]).segment, 42);
    assert!(dir.path().join("0000000041.log").exists() && dir.path().join("notes.txt").exists());
}

#[test]
fn no_more_segments_are_kept_than_allowed() {
    let dir = tempfile::tempdir().expect("a folder");
    let boots = u32::try_from(SEGMENTS_MAX).expect("few") + 3;
    for boot in 0..boots {
        fs::write(dir.path().join(format!("{boot:010}.log")), segment_header(boot)).expect("a segment");
    }
    Logs::open(Some(dir.path()), boots, LOG_BYTES_MAX_DEFAULT).expect("the logs");
    let files = segment_files(dir.path());
    assert_eq!(files.len(), SEGMENTS_MAX);
    assert_eq!(files[0], dir.path().join("0000000003.log"));
}

/// Three hundred boots leave three hundred small segments: far more than the file descriptors that may be held.
#[test]
fn logs_of_many_boots_are_kept_and_hold_no_file_descriptors() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut extents = Vec::new();
    for boot in 0..300 {
        let mut world = World::new(Some(dir.path()), boot, LOG_BYTES_MAX_DEFAULT);
        extents.push(world.append(boot, LogExtent::default(), 1, &[(Stdout, b"x")]));
    }
    let logs = Logs::open(Some(dir.path()), 300, LOG_BYTES_MAX_DEFAULT).expect("the logs");
    let held = |fd: &fs::DirEntry| fs::read_link(fd.path()).is_ok_and(|path| path.starts_with(dir.path()));
    let fds = fs::read_dir("/proc/self/fd").expect("procfs").flatten().filter(held).count();
    assert_eq!(fds, 0);
    for extent in extents {
        assert_eq!(logs.read(extent).expect("a log").len(), 1);
    }
}

#[test]
fn lost_pods_keep_what_they_wrote_before_a_crash() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut before = World::new(Some(dir.path()), 1, LOG_BYTES_MAX_DEFAULT);
    before.append(1, LogExtent::default(), 1, &[(Stdout, b"another boot")]);
    drop(before);
    let mut world = World::new(Some(dir.path()), 2, LOG_BYTES_MAX_DEFAULT);
    let none = LogExtent::default();
    let mut second = world.logs.writer();
    let one = world.append(1, none, 1, &[(Stdout, b"first ")]);
    let two = world.append(2, none, 1, &[(Stdout, b"two")]);
    let one = world.append(1, one, 2, &[(Stdout, b"second")]);
    world.flush();
    let other = PodLog::default();
    other.write(Stdout, b"elsewhere");
    let three = second.append(JOB, 3, none, &other, Time(1));
    second.flush().expect("a write");
    world.append(1, one, 3, &[(Stdout, b"never flushed")]);
    std::mem::forget(world.writer);
    let logs = Logs::open(Some(dir.path()), 3, LOG_BYTES_MAX_DEFAULT).expect("logs");
    let wanted: BTreeSet<_> = [1, 3, 4].map(|ordinal| (JOB, ordinal)).into();
    let found = logs.recover(&wanted);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [((JOB, 1), one), ((JOB, 3), three)]);
    assert_eq!(logs.recover(&[(JOB, 2)].into()).into_values().collect::<Vec<_>>(), [two]);
    assert!(logs.recover(&BTreeSet::new()).is_empty());
}

#[test]
fn a_torn_tail_is_recognised_wherever_it_is_cut_or_changed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut world = World::new(Some(dir.path()), 1, LOG_BYTES_MAX_DEFAULT);
    let first = world.append(0, LogExtent::default(), 1, &[(Stdout, b"first")]);
    let second = world.append(0, first, 2, &[(Stdout, b"second"), (Stderr, b"third")]);
    world.flush();
    drop(world);
    let path = segment_files(dir.path()).remove(0);
    let whole = fs::read(&path).expect("a segment");
    let start = usize::try_from(second.offset).expect("small");
    let cut = (start..whole.len()).map(|len| whole[..len].to_vec());
    let changed = (start..whole.len()).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        bytes
    });
    let zeroed = std::iter::once([&whole[..start], &vec![0; 4096]].concat());
    for bytes in cut.chain(changed).chain(zeroed) {
        fs::write(&path, &bytes).expect("a write");
        let logs = Logs::open(Some(dir.path()), 2, LOG_BYTES_MAX_DEFAULT).expect("logs");
        let found = logs.recover(&[(JOB, 0)].into());
        assert_eq!(found.get(&(JOB, 0)), Some(&first), "{bytes:?}");
        assert!(matches!(logs.read(second), Err(LogsError::Gone { segment: 0 })), "{bytes:?}");
        assert_eq!(logs.read(first).expect("a log"), [entry(1, Stdout, "first")]);
    }
}

#[test]
fn a_log_whose_beginning_is_broken_keeps_its_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut world = World::new(Some(dir.path()), 1, LOG_BYTES_MAX_DEFAULT);
    let first = world.append(0, LogExtent::default(), 1, &[(Stdout, b"first")]);
    let second = world.append(0, first, 2, &[(Stdout, b"second")]);
    world.flush();
    let path = segment_files(dir.path()).remove(0);
    let mut bytes = fs::read(&path).expect("a segment");
    bytes[usize::try_from(SEGMENT_HEADER + RECORD_HEADER).expect("small") + 6] = b'!';
    fs::write(&path, &bytes).expect("a write");
    assert_eq!(world.text(second), "second");
}

#[test]
fn an_extent_that_points_into_the_middle_reads_as_gone() {
    let mut world = World::new(None, 1, LOG_BYTES_MAX_DEFAULT);
    let extent = world.append(0, LogExtent::default(), 1, &[(Stdout, &[0; 500])]);
    world.flush();
    for offset in (0..extent.offset).chain(extent.offset + 1..800).chain([u32::MAX - 1, u32::MAX]) {
        let read = world.logs.read(LogExtent { offset, ..extent });
        assert!(matches!(read, Err(LogsError::Gone { .. })), "{offset}: {read:?}");
    }
}

#[test]
fn logs_are_read_while_they_are_written() {
    let mut world = World::new(None, 1, LOG_BYTES_MAX_DEFAULT);
    let logs = world.logs.clone();
    let (sender, extents) = std::sync::mpsc::channel::<LogExtent>();
    let reader = std::thread::spawn(move || {
        let mut reads = 0;
        for extent in extents {
            let bytes: usize = logs.read(extent).expect("a log").iter().map(|entry| entry.bytes.len()).sum();
            assert_eq!(bytes, usize::try_from(extent.bytes).expect("small"));
            reads += 1;
        }
        reads
    });
    let mut extent = LogExtent::default();
    for number in 0..1000_u64 {
        extent = world.append(0, extent, number, &[(Stdout, format!("line {number}\n").as_bytes())]);
        world.append(1, LogExtent::default(), number, &[(Stderr, &[b'x'; 3000])]);
        world.flush();
        sender.send(extent).expect("the reader lives");
    }
    drop(sender);
    assert_eq!(reader.join().expect("no panic"), 1000);
}

#[test]
fn output_is_dropped_while_no_segment_can_be_made_and_kept_again_after() {
    let dir = tempfile::tempdir().expect("a folder");
    let logs_dir = dir.path().join("logs");
    let mut world = World::new(Some(&logs_dir), 1, LOG_BYTES_MAX_DEFAULT);
    fs::remove_dir(&logs_dir).expect("an empty folder");
    let none = LogExtent::default();
    assert_eq!(world.append(0, none, 1, &[(Stdout, b"lost")]), none);
    assert!(matches!(world.writer.flush(), Err(LogsError::Open { .. })));
    fs::create_dir(&logs_dir).expect("a folder");
    let extent = world.append(0, none, 2, &[(Stdout, b"kept")]);
    world.flush();
    assert_eq!(world.text(extent), "kept");
}
