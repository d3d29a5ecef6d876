//! What machine this is, and where its time goes: for benchmarks.

use std::collections::BTreeMap;
use std::time::Instant;

/// Cores that this process may use.
pub(super) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1))
}

/// Processor, cores, memory and kernel in one line.
pub(super) fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.and_then(|line| line.split_once(':').map(|(_, value)| value.trim().to_owned()))
    };
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_else(|| "unknown memory".to_owned());
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{processor}, {} cores, {memory}, Linux {}", cores(), kernel.trim())
}

/// A clock for what is measured in microseconds.
#[expect(clippy::disallowed_methods, reason = "benchmarks read a clock")]
pub(super) fn instant() -> Instant {
    Instant::now()
}

/// CPU time of a process's living threads by name, `wasm-0` and `wasm-1` as `wasm`, in microseconds.
pub(super) fn thread_cpu_us(pid: u32) -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return times };
    for task in tasks.flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let Ok(schedstat) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
        let ns: u64 = schedstat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let group = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
        *times.entry(group).or_default() += ns / 1000;
    }
    times
}

/// Resident memory of a process, bytes.
pub(super) fn rss_bytes(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Bytes that a process handed to write calls, those of its sockets included.
pub(super) fn written_bytes(pid: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0)
}
