//! What a benchmark prints: the same figures as lines for people and as one JSON object.
//!
//! Knows names and units, not what was measured. Invariant: a figure that has a line has a field.

use super::rounds::{Round, percentile, rate, ratio};
use crate::cli::machine::{self, Memory, Used};
use crate::cli::{bytes_text, grouped, say};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Threads with less than this, µs a pod, are left out of the text; JSON has them.
const SHOWN_US_MIN: f64 = 0.005;

/// Figures in the order in which they are shown.
#[derive(Debug)]
pub(super) struct Report {
    text: String,
    fields: Map<String, Value>,
}

impl Report {
    /// A report of what was measured here, with its settings.
    pub(super) fn new(bench: &str, settings: &[(&str, Value)]) -> Self {
        let mut report = Self { text: String::new(), fields: Map::new() };
        report.field("bench", bench);
        report.field("version", env!("CARGO_PKG_VERSION"));
        report.field("machine", machine::describe());
        report.field("threads", machine::cores());
        report.line("machine", &machine::describe());
        let mut shown = vec![format!("{bench}: {} threads", machine::cores())];
        for (name, value) in settings {
            let value_text = match value {
                Value::String(text) => text.clone(),
                value => value.as_u64().map_or_else(|| value.to_string(), grouped),
            };
            shown.push(format!("{} {value_text}", name.replace('_', " ")));
            report.field(name, value.clone());
        }
        report.line("settings", &shown.join(", "));
        report
    }

    /// A field of the object.
    pub(super) fn field(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    /// A line of the text.
    pub(super) fn line(&mut self, name: &str, text: &str) {
        _ = writeln!(self.text, "{name:<9} {text}");
    }

    /// Pods a second: the median, and each round. `prefix` begins the fields' names.
    pub(super) fn rate(&mut self, name: &str, prefix: &str, rounds: &[Round]) {
        let each: Vec<u64> = rounds.iter().map(|round| round.per_second()).collect();
        let shown: Vec<String> = each.iter().map(|rate| grouped(*rate)).collect();
        self.line(name, &format!("{} pods/s  (median of {})", grouped(rate(rounds)), shown.join(", ")));
        self.field(&format!("{prefix}pods_per_s"), rate(rounds));
        self.field(&format!("{prefix}pods_per_s_each"), each);
    }

    /// What the server used for `pods` pods.
    pub(super) fn cost(&mut self, prefix: &str, used: &Used, pods: u64) {
        let per_pod = |amount: u64| ratio(amount, pods).unwrap_or(0.0);
        let by_thread: BTreeMap<&String, f64> = used.threads_us.iter().map(|(name, us)| (name, per_pod(*us))).collect();
        let mut shown: Vec<_> = by_thread.iter().filter(|(_, us)| **us >= SHOWN_US_MIN).collect();
        shown.sort_by(|a, b| b.1.total_cmp(a.1));
        let shown: Vec<String> = shown.iter().map(|(name, us)| format!("{name} {us:.2}")).collect();
        let total = per_pod(used.total_us());
        let whose = prefix.replace('_', " ");
        self.line("cpu", &format!("{whose}{total:.2} µs a pod, by thread: {}", shown.join(", ")));
        let (written, stored) = (per_pod(used.written), per_pod(used.stored));
        self.line("written", &format!("{whose}{written:.0} bytes a pod to write calls, {stored:.0} to the disk"));
        self.field(&format!("{prefix}cpu_us_per_pod"), total);
        self.field(&format!("{prefix}cpu_us_per_pod_by_thread"), json!(by_thread));
        self.field(&format!("{prefix}bytes_written_per_pod"), written);
        self.field(&format!("{prefix}disk_bytes_per_pod"), stored);
    }

    /// What this process, the client, used for `pods` pods: it shares the cores with the server.
    pub(super) fn client(&mut self, used: &Used, pods: u64) {
        let per_pod = ratio(used.cpu_us(), pods).unwrap_or(0.0);
        self.line("client", &format!("{per_pod:.2} µs a pod in this process, which shares the cores"));
        self.field("client_cpu_us_per_pod", per_pod);
    }

    /// The server's memory at `when`. `prefix` begins the fields' names.
    pub(super) fn memory(&mut self, prefix: &str, memory: Memory, when: &str) {
        let tables = bytes_text(memory.page_tables);
        self.line("rss", &format!("{} and {tables} of page tables {when}", bytes_text(memory.rss)));
        self.field(&format!("{prefix}rss_bytes"), memory.rss);
        self.field(&format!("{prefix}page_table_bytes"), memory.page_tables);
    }

    /// Percentiles of times in µs; gives the fields for the object. Nothing is shown of nothing.
    pub(super) fn times(&mut self, name: &str, mut times_us: Vec<u64>, what: &str) -> Value {
        if times_us.is_empty() {
            return Value::Null;
        }
        times_us.sort_unstable();
        let (p50, p99) = (ms(percentile(&times_us, 50)), ms(percentile(&times_us, 99)));
        self.line(name, &format!("p50 {p50:.2} ms, p99 {p99:.2} ms  ({what})"));
        json!({"p50_ms": p50, "p99_ms": p99})
    }

    /// Times in µs of the rounds: the median and each, in ms, under `field`.
    pub(super) fn rounds_ms(&mut self, name: &str, field: &str, rounds_us: &[u64], what: &str) {
        let median = ms(super::rounds::median(rounds_us).unwrap_or(0));
        let each: Vec<f64> = rounds_us.iter().map(|us| ms(*us)).collect();
        let shown: Vec<String> = each.iter().map(|ms| format!("{ms:.1}")).collect();
        self.line(name, &format!("{median:.1} ms {what}  (median of {})", shown.join(", ")));
        self.field(&format!("{field}_ms"), median);
        self.field(&format!("{field}_ms_each"), each);
    }

    /// Prints it, the ratio last; `null` where there is none.
    pub(super) fn say(mut self, ratio: Option<f64>, json: bool) {
        self.field("ratio", ratio);
        if json {
            say(&format!("{}\n", Value::Object(self.fields)));
            return;
        }
        if let Some(ratio) = ratio {
            self.line("ratio", &format!("{ratio:.3}"));
        }
        say(&self.text);
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub(super) fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_field() {
        let mut report = Report::new("x", &[("image", "i".into()), ("pods", 1000.into())]);
        report.rate("floor", "floor_", &[Round { pods: 10, us: 1000 }]);
        let used = Used {
            threads_us: BTreeMap::from([("wasm".to_owned(), 40), ("tick".to_owned(), 0)]),
            process_us: 50,
            written: 70,
            stored: 10,
        };
        report.cost("", &used, 10);
        report.memory("", Memory { rss: 4096, page_tables: 1024 }, "now");
        let times = report.times("create", vec![3000, 1000, 2000], "w");
        report.rounds_ms("ready", "ready", &[2000, 1000, 9000], "until then");
        assert_eq!(times, json!({"p50_ms": 2.0, "p99_ms": 3.0}));
        assert_eq!(report.times("disk", Vec::new(), "w"), Value::Null);
        let fields = Value::Object(report.fields.clone());
        let expected = [
            ("pods", json!(1000)),
            ("floor_pods_per_s", json!(10_000)),
            ("cpu_us_per_pod", json!(5.0)),
            ("cpu_us_per_pod_by_thread", json!({"wasm": 4.0, "tick": 0.0})),
            ("bytes_written_per_pod", json!(7.0)),
            ("disk_bytes_per_pod", json!(1.0)),
            ("rss_bytes", json!(4096)),
            ("page_table_bytes", json!(1024)),
            ("ready_ms", json!(2.0)),
        ];
        for (name, value) in expected {
            assert_eq!(fields[name], value, "{name}");
        }
        let lines: Vec<&str> = report.text.lines().skip(1).collect();
        assert!(lines[0].starts_with("settings  x: ") && lines[0].ends_with(" threads, image i, pods 1,000"));
        assert_eq!(
            lines[1..],
            [
                "floor     10,000 pods/s  (median of 10,000)",
                "cpu       5.00 µs a pod, by thread: wasm 4.00",
                "written   7 bytes a pod to write calls, 1 to the disk",
                "rss       4 KiB and 1 KiB of page tables now",
                "create    p50 2.00 ms, p99 3.00 ms  (w)",
                "ready     2.0 ms until then  (median of 2.0, 1.0, 9.0)",
            ]
        );
    }
}
