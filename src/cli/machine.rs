//! What machine this is, and what a process on it has used: for benchmarks.
//!
//! Reads `/proc` and nothing else; what is not there counts as 0. Invariant: every figure of a process is the kernel's.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Ticks of a second in `/proc`, `USER_HZ`: 100 on every Linux.
const TICK_US: u64 = 10_000;

/// Cores that this process may use.
pub(super) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1))
}

/// Processor, cores, memory and kernel in one line.
pub(super) fn describe() -> String {
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_else(|| "unknown memory".to_owned());
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{processor}, {} cores, {memory}, Linux {}", cores(), kernel.trim())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What follows `name` and a colon at the beginning of a line.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':').map(|(_, value)| value.trim().to_owned()))
}

fn number(text: &str, name: &str) -> u64 {
    field(text, name).and_then(|value| value.split(' ').next()?.parse().ok()).unwrap_or(0)
}

/// A clock for what is measured in microseconds.
#[expect(clippy::disallowed_methods, reason = "benchmarks read a clock")]
pub(super) fn instant() -> Instant {
    Instant::now()
}

/// Microseconds since `start`.
pub(super) fn us_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// The type of the file system that `path` is on: a commit to `tmpfs` costs nothing.
pub(super) fn file_system(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    file_system_in(&read("/proc/self/mountinfo"), &path).unwrap_or_else(|| "an unknown file system".to_owned())
}

fn file_system_in(mounts: &str, path: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let place = place.split(' ').nth(4)?.to_owned();
        path.starts_with(&place).then(|| (place.len(), kind.split(' ').next().unwrap_or_default().to_owned()))
    };
    // Of two mounts at one place the later one is seen.
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

/// What a process has used since it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// CPU time of its living threads by name, `wasm-0` and `wasm-1` as `wasm`, µs.
    pub(super) threads_us: BTreeMap<String, u64>,
    /// CPU time of all its threads, those that ended included, µs; in steps of 10 ms.
    pub(super) process_us: u64,
    /// Bytes handed to write calls, those of some sockets included.
    pub(super) written: u64,
    /// Bytes that went to a disk.
    pub(super) stored: u64,
}

impl Used {
    /// What the process has used until now.
    pub(super) fn of(pid: u32) -> Self {
        let io = read(&format!("/proc/{pid}/io"));
        Self {
            threads_us: thread_cpu_us(pid),
            process_us: process_cpu_us(&read(&format!("/proc/{pid}/stat"))),
            written: number(&io, "wchar"),
            stored: number(&io, "write_bytes"),
        }
    }

    /// What this process has used until now.
    pub(super) fn here() -> Self {
        Self::of(std::process::id())
    }

    /// What was used between `before` and this.
    pub(super) fn since(&self, before: &Self) -> Self {
        let thread = |(name, us): (&String, &u64)| {
            (name.clone(), us.saturating_sub(before.threads_us.get(name).copied().unwrap_or(0)))
        };
        Self {
            threads_us: self.threads_us.iter().map(thread).collect(),
            process_us: self.process_us.saturating_sub(before.process_us),
            written: self.written.saturating_sub(before.written),
            stored: self.stored.saturating_sub(before.stored),
        }
    }

    /// Adds what was used at another time.
    pub(super) fn add(&mut self, other: &Self) {
        for (name, us) in &other.threads_us {
            *self.threads_us.entry(name.clone()).or_default() += us;
        }
        self.process_us += other.process_us;
        self.written += other.written;
        self.stored += other.stored;
    }

    /// CPU time of all its threads, µs: the finer figure, unless threads have ended.
    pub(super) fn total_us(&self) -> u64 {
        self.process_us.max(self.cpu_us())
    }

    /// CPU time of its living threads, µs.
    pub(super) fn cpu_us(&self) -> u64 {
        self.threads_us.values().sum()
    }
}

fn thread_cpu_us(pid: u32) -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return times };
    for task in tasks.flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let Ok(schedstat) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        let ns: u64 = schedstat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let group = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
        *times.entry(group).or_default() += ns / 1000;
    }
    times
}

fn process_cpu_us(stat: &str) -> u64 {
    // After the name in parentheses, which may hold anything, come the state and 10 numbers, then user and system time.
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    rest.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * TICK_US
}

/// Memory of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Memory {
    /// Resident, bytes.
    pub(super) rss: u64,
    /// The kernel's tables of its pages, bytes.
    pub(super) page_tables: u64,
}

impl Memory {
    /// What the process has now.
    pub(super) fn of(pid: u32) -> Self {
        let status = read(&format!("/proc/{pid}/status"));
        Self { rss: number(&status, "VmRSS") << 10, page_tables: number(&status, "VmPTE") << 10 }
    }

    /// Both together, bytes.
    pub(super) fn sum(self) -> u64 {
        self.rss + self.page_tables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_of_the_deepest_mount_counts() {
        let mounts = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      30 22 0:27 / /tmp rw,nosuid - tmpfs tmpfs rw\n\
                      31 30 0:28 / /tmp/disk rw - xfs /dev/vdb rw\n";
        let cases = [("/home/x", "ext4"), ("/tmp", "tmpfs"), ("/tmpfile", "ext4"), ("/tmp/disk/a", "xfs")];
        for (path, kind) in cases {
            assert_eq!(file_system_in(mounts, Path::new(path)).as_deref(), Some(kind), "{path}");
        }
        assert_eq!(file_system_in("", Path::new("/")), None);
    }

    #[test]
    fn a_process_is_read_as_the_kernel_writes_it() {
        assert_eq!(process_cpu_us("7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 9"), 2_000_000);
        assert_eq!(process_cpu_us(""), 0);
        assert_eq!(number("VmPTE:\t     228 kB\nVmRSS:\t 9 kB\n", "VmPTE"), 228);
        let memory = Memory::of(std::process::id());
        assert!(memory.rss > 0 && memory.page_tables > 0 && memory.sum() > memory.rss, "{memory:?}");
        assert_eq!(Memory::of(u32::MAX), Memory::default());
    }

    #[test]
    fn what_was_used_is_a_difference_that_adds_up() {
        let used = |wasm, written| Used {
            threads_us: BTreeMap::from([("wasm".to_owned(), wasm)]),
            process_us: wasm,
            written,
            stored: 0,
        };
        let mut sum = used(70, 9).since(&used(50, 4));
        assert_eq!(sum, used(20, 5));
        sum.add(&used(1, 2));
        assert_eq!((sum.cpu_us(), sum.written), (21, 7));
    }
}
