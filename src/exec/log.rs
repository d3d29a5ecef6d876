//! What a guest writes, on its way to its log.
//!
//! Owns the bytes between a guest's `write` and its worker's next look. Knows nothing of files. Invariant: the buffer is
//! always a whole number of runs (stream, length, bytes), the form in which it lies in a segment.

use super::Stream;
use std::sync::{Arc, Mutex, PoisonError};

/// Output of one pod that is kept, bytes; older output is dropped, as log rotation does.
pub const LOG_BYTES_PER_POD_MAX: usize = 10 << 20;

/// A guest gives its worker a turn when this much waits: more than a turn's ordinary output, far less than what is kept.
const FULL_BYTES: usize = 1 << 20;

/// Room for output that is kept for the next pod, bytes.
const KEPT_BYTES_MAX: usize = 4 << 10;

/// Before each run: one byte for the stream, four for the length.
const RUN_HEADER: usize = 5;

/// A pod's output since it was last taken. The sandbox writes, the pod's worker takes; both on one thread, the lock is
/// there because WASI's streams must be `Send`.
#[derive(Clone, Debug, Default)]
pub struct PodLog(Arc<Mutex<Buffer>>);

/// Runs, oldest first, from `head` on. Writes to one stream without another in between share a run.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// What lies before was dropped.
    head: usize,
    /// Where the last run begins; meaningless while there is none.
    last: usize,
}

impl PodLog {
    /// Appends what the guest wrote to `stream`. Never blocks, never fails; holds the last
    /// [`LOG_BYTES_PER_POD_MAX`] bytes.
    pub fn write(&self, stream: Stream, bytes: &[u8]) {
        self.buffer().write(stream, bytes);
    }

    /// Takes what was written since the last call: runs of one stream each, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<(Stream, Vec<u8>)> {
        let mut runs = Vec::new();
        self.drain_into(|body| runs = read_runs(body).map(|(stream, bytes)| (stream, bytes.to_vec())).collect());
        runs
    }

    /// Whether so much waits that the guest should give its worker a turn before it writes more; a guest that does not
    /// loses its oldest output.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.buffer().len() >= FULL_BYTES
    }

    /// How many bytes wait, headers of runs included.
    pub(super) fn len(&self) -> usize {
        self.buffer().len()
    }

    /// Hands over what was written since the last call as encoded runs, and forgets it. A little room stays, for the pod or
    /// for the next one.
    pub(super) fn drain_into<T>(&self, sink: impl FnOnce(&[u8]) -> T) -> T {
        let mut buffer = self.buffer();
        let given = sink(&buffer.bytes[buffer.head..]);
        buffer.clear();
        given
    }

    /// Gives back the room, unless something waits there: a parked guest may never write again.
    pub(super) fn give_back_room(&self) {
        let mut buffer = self.buffer();
        if buffer.len() == 0 {
            *buffer = Buffer::default();
        }
    }

    /// An empty log for another pod: this one, with its room, if nobody else has it any more, else a new one.
    pub(super) fn renew(&mut self) -> Self {
        match Arc::get_mut(&mut self.0).map(Mutex::get_mut) {
            Some(Ok(buffer)) => buffer.clear(),
            Some(Err(_)) | None => *self = Self::default(),
        }
        self.clone()
    }

    fn buffer(&self) -> std::sync::MutexGuard<'_, Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// Forgets what waits, and room for more than [`KEPT_BYTES_MAX`].
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        (self.head, self.last) = (0, 0);
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let bytes = &bytes[bytes.len().saturating_sub(LOG_BYTES_PER_POD_MAX - RUN_HEADER)..];
        // Once, not for the header and for the bytes.
        self.bytes.reserve(RUN_HEADER + bytes.len());
        if self.len() == 0 || self.run_at(self.last).0 != stream {
            self.last = self.bytes.len();
            self.bytes.extend(run_header(stream, 0));
        }
        self.bytes.extend_from_slice(bytes);
        self.set_run(self.last, stream, self.bytes.len() - self.last - RUN_HEADER);
        if self.len() > LOG_BYTES_PER_POD_MAX {
            self.drop_oldest(self.len() - LOG_BYTES_PER_POD_MAX);
        }
    }

    /// Drops at least `excess` bytes, runs or the beginning of a run.
    fn drop_oldest(&mut self, excess: usize) {
        let end = self.head + excess;
        while self.head < end {
            let (stream, len) = self.run_at(self.head);
            let next = self.head + RUN_HEADER + len;
            let cut = end.min(next);
            self.head = if cut + RUN_HEADER < next {
                if self.head == self.last {
                    self.last = cut;
                }
                self.set_run(cut, stream, next - cut - RUN_HEADER);
                cut
            } else {
                next
            };
        }
        // Moving the rest once per half a buffer keeps dropping linear in what is written.
        if self.head > LOG_BYTES_PER_POD_MAX / 2 {
            self.bytes.drain(..self.head);
            self.last -= self.head;
            self.head = 0;
        }
    }

    fn run_at(&self, at: usize) -> (Stream, usize) {
        let (stream, bytes) = first_run(&self.bytes[at..]).expect("the buffer holds whole runs");
        (stream, bytes.len())
    }

    fn set_run(&mut self, at: usize, stream: Stream, len: usize) {
        self.bytes[at..at + RUN_HEADER].copy_from_slice(&run_header(stream, len));
    }
}

fn run_header(stream: Stream, len: usize) -> [u8; RUN_HEADER] {
    let [a, b, c, d] = u32::try_from(len).expect("a run is shorter than LOG_BYTES_PER_POD_MAX").to_le_bytes();
    [stream_number(stream), a, b, c, d]
}

/// The file descriptor's number, which is also how the stream lies on disk.
fn stream_number(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    }
}

fn first_run(body: &[u8]) -> Option<(Stream, &[u8])> {
    let (header, rest) = body.split_first_chunk::<RUN_HEADER>()?;
    let [number, len @ ..] = *header;
    let stream = match number {
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        _ => return None,
    };
    Some((stream, rest.get(..usize::try_from(u32::from_le_bytes(len)).ok()?)?))
}

/// The runs of `body`, up to the first that is not whole.
pub(super) fn read_runs(mut body: &[u8]) -> impl Iterator<Item = (Stream, &[u8])> {
    std::iter::from_fn(move || {
        let (stream, bytes) = first_run(body)?;
        body = &body[RUN_HEADER + bytes.len()..];
        Some((stream, bytes))
    })
}

/// The same output in bodies of at the most `bytes_max` each, which is more than a run's header.
pub(super) fn split_runs(body: &[u8], bytes_max: usize) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut part: Vec<u8> = Vec::new();
    for (stream, bytes) in read_runs(body) {
        for piece in bytes.chunks(bytes_max - RUN_HEADER) {
            if !part.is_empty() && part.len() + RUN_HEADER + piece.len() > bytes_max {
                parts.push(std::mem::take(&mut part));
            }
            part.extend(run_header(stream, piece.len()));
            part.extend_from_slice(piece);
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stream::{Stderr, Stdout};

    #[test]
    fn output_is_split_without_a_byte_lost() {
        let log = PodLog::default();
        let writes = [(Stdout, 25), (Stderr, 1), (Stdout, 10), (Stderr, 15), (Stdout, 3)];
        for (at, (stream, len)) in (b'a'..).zip(writes) {
            log.write(stream, &vec![at; len]);
        }
        let (parts, mut whole) = log.drain_into(|body| (split_runs(body, 20), read_all(body)));
        assert!(parts.iter().all(|part| (1..=20).contains(&part.len())), "{parts:?}");
        let mut joined: Vec<(Stream, Vec<u8>)> = Vec::new();
        for (stream, bytes) in parts.iter().flat_map(|part| read_all(part)) {
            match joined.last_mut() {
                Some((last, text)) if *last == stream => text.extend(bytes),
                _ => joined.push((stream, bytes)),
            }
        }
        whole.retain(|(_, bytes)| !bytes.is_empty());
        assert_eq!(joined, whole);
        assert_eq!(split_runs(&[], 20).len(), 0);
    }

    fn read_all(body: &[u8]) -> Vec<(Stream, Vec<u8>)> {
        read_runs(body).map(|(stream, bytes)| (stream, bytes.to_vec())).collect()
    }

    #[test]
    fn writes_to_one_stream_share_a_run() {
        let log = PodLog::default();
        for (stream, text) in [(Stdout, "a"), (Stdout, "b"), (Stderr, "c"), (Stderr, ""), (Stdout, "d")] {
            log.write(stream, text.as_bytes());
        }
        assert_eq!(log.take(), [(Stdout, b"ab".to_vec()), (Stderr, b"c".to_vec()), (Stdout, b"d".to_vec())]);
        assert_eq!(log.take(), []);
        assert_eq!(log.len(), 0);
    }

    #[test]
    fn a_log_is_for_another_pod_when_nobody_has_it() {
        let room = |log: &PodLog| log.buffer().bytes.capacity();
        let mut last = PodLog::default();
        let first = last.renew();
        first.write(Stdout, b"hello");
        assert!(!Arc::ptr_eq(&first.0, &last.renew().0), "the first pod has it");
        let second = last.renew();
        second.write(Stdout, b"lost");
        let place = Arc::as_ptr(&second.0);
        drop(second);
        let third = last.renew();
        assert!(Arc::as_ptr(&third.0) == place && third.len() == 0 && room(&third) > 0);
        assert_eq!(first.take(), [(Stdout, b"hello".to_vec())]);
        third.write(Stdout, &[b'x'; KEPT_BYTES_MAX]);
        third.give_back_room();
        assert_eq!(third.len(), RUN_HEADER + KEPT_BYTES_MAX, "what waits stays");
        third.drain_into(|_| ());
        assert!((1..=KEPT_BYTES_MAX).contains(&room(&third)));
        third.give_back_room();
        assert_eq!(room(&third), 0);
    }

    #[test]
    fn a_write_longer_than_the_limit_keeps_its_end() {
        let log = PodLog::default();
        let mut bytes = vec![b'x'; LOG_BYTES_PER_POD_MAX + 100];
        bytes.extend(b"end");
        log.write(Stdout, &bytes);
        let runs = log.take();
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].1.len(), LOG_BYTES_PER_POD_MAX - RUN_HEADER);
        assert!(runs[0].1.ends_with(b"xend"));
    }

    #[test]
    fn output_without_pause_drops_the_oldest_and_never_grows() {
        let log = PodLog::default();
        // A line is 7 bytes, so that cuts fall at every place of a run.
        for line in 0..3_000_000_u32 {
            let stream = if line % 1000 == 0 { Stderr } else { Stdout };
            log.write(stream, format!("{:06}\n", line % 1_000_000).as_bytes());
            assert!(log.len() <= LOG_BYTES_PER_POD_MAX);
        }
        assert!(log.buffer().bytes.len() <= LOG_BYTES_PER_POD_MAX * 3 / 2 + 64);
        let all: Vec<u8> = log.take().into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert!(all.len() > LOG_BYTES_PER_POD_MAX - 64 * 1024, "{}", all.len());
        let tail: Vec<u8> = (0..3_000_000)
            .rev()
            .take(100_000)
            .rev()
            .flat_map(|line| format!("{:06}\n", line % 1_000_000).into_bytes())
            .collect();
        assert!(all.ends_with(&tail));
    }

    #[test]
    fn single_bytes_to_alternating_streams_stay_within_the_limit() {
        let log = PodLog::default();
        for turn in 0..4_000_000_u32 {
            log.write(if turn % 2 == 0 { Stdout } else { Stderr }, b"z");
        }
        assert!(log.len() <= LOG_BYTES_PER_POD_MAX);
        assert!(log.take().iter().all(|(_, bytes)| bytes == b"z"));
    }
}
