//! The scenarios that the controller is specified with, as a table: the spec, the pods before, and what one sync does; then
//! what the next one does once the pods that were deleted are gone and those that were created are there.
//!
//! A spec in words: `P2 C5 BL0 ADS10 BLPI1 MFI1 Indexed OnFailure suspend PRPFailed`, rules as `FailJob:In:5,6` (`@name` for
//! one container) or `Ignore:cond:DisruptionTarget`, a success policy as `SP:0,1#1`. Pods: `R`unning, `Rr` (ready),
//! `S`ucceeded, `F`ailed, `Pe`nding, `T`erminating; `1:R` has an index, `x:R` a bad one; then `=5` its exit code (`=a:5+b!:6` two
//! containers, the second one an init container), `(1)` restarts, `/1` its failure count, `~` the condition DisruptionTarget,
//! `@-5` its end, seconds from now. `started-15`, `n2@-5` and `given:Failed…` are what the status and the back-off record say.

use super::*;
use crate::base::Time;
use serde_json::{Value, json};

const NOW: Time = Time(1_800_000_000_000);
const R1: &str = "Ignore:In:1,2,3 FailJob:In:5,6,7";

fn spec(words: &str) -> Spec {
    let mut spec = json!({"template": {"spec": {"restartPolicy": "Never"}}});
    let (mut rules, mut success) = (Vec::new(), Vec::new());
    for word in words.split_whitespace() {
        let number = |prefix: &str| word.strip_prefix(prefix).and_then(|rest| rest.parse::<u32>().ok());
        let fields = [
            ("P", "parallelism"),
            ("C", "completions"),
            ("BL", "backoffLimit"),
            ("ADS", "activeDeadlineSeconds"),
            ("BLPI", "backoffLimitPerIndex"),
            ("MFI", "maxFailedIndexes"),
            ("TTL", "ttlSecondsAfterFinished"),
        ];
        if let Some((field, value)) = fields.iter().find_map(|(prefix, field)| Some((field, number(prefix)?))) {
            spec[*field] = json!(value);
        } else if let Some(rest) = word.strip_prefix("SP:") {
            let (indexes, count) = rest.split_once('#').map_or((Some(rest), None), |(indexes, count)| {
                ((!indexes.is_empty()).then_some(indexes), Some(count.parse::<u32>().expect("a number")))
            });
            success.push(json!({"succeededIndexes": indexes, "succeededCount": count}));
        } else if let Some((action, rest)) = word.split_once(':') {
            rules.push(rule(action, rest));
        } else {
            match word {
                "Indexed" => spec["completionMode"] = json!("Indexed"),
                "OnFailure" => spec["template"]["spec"]["restartPolicy"] = json!("OnFailure"),
                "suspend" => spec["suspend"] = json!(true),
                "PRPFailed" => spec["podReplacementPolicy"] = json!("Failed"),
                "theirs" => spec["managedBy"] = json!("example.com/x"),
                "ours" => spec["managedBy"] = json!("kubernetes.io/job-controller"),
                _ => panic!("no such word: {word}"),
            }
        }
    }
    if !rules.is_empty() {
        spec["podFailurePolicy"] = json!({"rules": rules});
    }
    if !success.is_empty() {
        spec["successPolicy"] = json!({"rules": success});
    }
    Spec::of(&json!({"spec": spec}))
}

fn rule(action: &str, rest: &str) -> Value {
    let (operator, values) = rest.split_once(':').expect("a colon");
    if operator == "cond" {
        return json!({"action": action, "onPodConditions": [{"type": values, "status": "True"}]});
    }
    let (values, container) =
        values.split_once('@').map_or((values, None), |(values, container)| (values, Some(container)));
    let values: Vec<i64> = values.split(',').map(|value| value.parse().expect("a number")).collect();
    json!({"action": action, "onExitCodes": {"operator": operator, "values": values, "containerName": container}})
}

fn ago(seconds: &str) -> Time {
    let (sign, digits) = seconds.strip_prefix('-').map_or((1, seconds), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let number = |text: String| text.parse::<i64>().expect("a number");
    let ms = number(format!("0{whole}")) * 1000 + number(format!("{part:0<3}"));
    Time(NOW.0.checked_add_signed(sign * ms).expect("a time after 1970"))
}

fn job(words: &str) -> Job {
    let mut job = Job::default();
    for (id, word) in (0..).zip(words.split_whitespace()) {
        if let Some(at) = word.strip_prefix("started") {
            job.status.start_time = Some(ago(at));
        } else if let Some(record) = word.strip_prefix('n') {
            let (n, at) = record.split_once('@').expect("an @");
            job.backoff = Backoff { n: n.parse().expect("a number"), last: ago(at) };
        } else if let Some(kind) = word.strip_prefix("given:") {
            let (kind, reason) = match kind {
                "FailureTarget" => ("FailureTarget", "PodFailurePolicy"),
                "SuccessCriteriaMet" => ("SuccessCriteriaMet", "SuccessPolicy"),
                "FailureTarget=False" => ("FailureTarget", ""),
                "Suspended" => ("Suspended", "JobSuspended"),
                _ => panic!("{kind}"),
            };
            let status = !reason.is_empty();
            job.status.conditions.push(Condition { kind, status, reason, message: "given".to_owned(), at: NOW });
        } else {
            job.pods.push(pod(id, word));
        }
    }
    job
}

fn pod(id: u32, word: &str) -> Pod {
    let (index, rest) = word.split_once(':').filter(|(index, _)| !index.contains('=')).unwrap_or(("", word));
    let letters: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    let mut pod = Pod::new(id, format!("default/mypod-{id}"), index.parse().ok(), "main", NOW);
    pod.created = ago("-7200");
    let mut rest = &rest[letters.len()..];
    let mut end = ago("-3600");
    let mut codes = String::from(if letters == "S" { "0" } else { "1" });
    while let Some(mark) = rest.chars().next() {
        let body = &rest[1..];
        let stop = body.find(['(', '/', '@', '~', '=']).unwrap_or(body.len());
        let (text, after) = body.split_at(stop);
        match mark {
            '=' => codes = text.to_owned(),
            '(' => pod.containers[0].restarts = text.trim_end_matches(')').parse().expect("a number"),
            '/' => pod.failures = text.parse().expect("a number"),
            '@' => end = ago(text),
            '~' => pod.conditions.push(("DisruptionTarget".to_owned(), "True".to_owned())),
            _ => panic!("{word}"),
        }
        rest = after;
    }
    let restarts = pod.containers[0].restarts;
    let ended = |code: &str| Some((code.parse().expect("a number"), end));
    let containers = codes.split('+').map(|part| {
        let (name, code) = part.split_once(':').unwrap_or(("main", part));
        Container {
            name: name.trim_end_matches('!').to_owned(),
            init: name.ends_with('!'),
            restarts,
            ended: ended(code),
        }
    });
    let containers: Vec<Container> = containers.collect();
    pod.assigned = letters != "Pe";
    match letters.as_str() {
        "S" => pod.phase = Phase::Succeeded,
        "F" => pod.phase = Phase::Failed,
        "R" => pod.phase = Phase::Running,
        "Rr" => (pod.phase, pod.ready) = (Phase::Running, Some(pod.created)),
        "T" => (pod.phase, pod.deleted) = (Phase::Running, Some(end)),
        "Pe" => {}
        _ => panic!("{word}"),
    }
    // A container of a pod that runs may have ended (vector 84).
    if pod.is_terminal() || word.contains('=') {
        pod.containers = containers;
    }
    pod
}

/// What a sync did and the status after it.
fn told(job: &Job, work: &Work) -> String {
    let mut words = Vec::new();
    let indexes: Vec<String> = work.create.iter().filter_map(|pod| Some(shown(pod.index?, pod))).collect();
    match (work.create.len(), indexes.is_empty()) {
        (0, _) => {}
        (count, true) => words.push(format!("+{count}")),
        (_, false) => words.push(format!("+{}", indexes.join(","))),
    }
    if !work.delete.is_empty() {
        words.push(format!("-{}", work.delete.len()));
    }
    let status = &job.status;
    let counts = [
        ("a", status.active),
        ("r", status.ready),
        ("t", status.terminating),
        ("s", status.succeeded),
        ("f", status.failed),
    ];
    words.extend(counts.iter().filter(|(_, count)| *count > 0).map(|(letter, count)| format!("{letter}{count}")));
    if !status.completed_indexes.is_empty() {
        words.push(format!("[{}]", print_indexes(&status.completed_indexes)));
    }
    if !status.failed_indexes.is_empty() {
        words.push(format!("{{{}}}", print_indexes(&status.failed_indexes)));
    }
    words.extend(status.conditions.iter().map(|condition| match (condition.kind, condition.status) {
        ("Suspended", true) => "Suspended".to_owned(),
        ("Suspended", false) => "Resumed".to_owned(),
        ("Failed" | "Complete", true) => condition.kind.to_owned(),
        (_, true) => condition.reason.to_owned(),
        (kind, false) => format!("{kind}=False"),
    }));
    if status.start_time.is_none() {
        words.push("unstarted".to_owned());
    }
    words.join(" ")
}

fn shown(index: u32, pod: &NewPod) -> String {
    let (failures, ignored) = (pod.failures, pod.ignored);
    match (failures, ignored) {
        (0, 0) => format!("{index}"),
        (_, 0) => format!("{index}/{failures}"),
        _ => format!("{index}/{failures}~{ignored}"),
    }
}

/// The pods that were deleted are gone, those that were to be created are there.
fn settle(job: &mut Job, work: &Work) {
    job.pods.retain(|pod| !work.delete.contains(&pod.id));
    for (id, new) in (1000..).zip(&work.create) {
        let made = Pod::new(id, format!("default/mypod-{id}"), new.index, "main", NOW);
        job.pods.push(Pod { failures: new.failures, ignored: new.ignored, ..made });
    }
}

/// Number, spec, pods before, what the sync does, what the next one does (`-`: not asked).
type Row = (u32, &'static str, &'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    // Basic counting.
    (1, "P2 C5", "", "+2 a2", "a2"),
    (2, "P2", "", "+2 a2", "a2"),
    (3, "P2 C5", "Pe Pe", "a2", "a2"),
    (4, "P3 C5", "Rr Rr R", "a3 r2", "-"),
    (5, "P2 C5", "R S", "+1 a2 s1", "a2 s1"),
    (6, "P2", "R R", "a2", "-"),
    (7, "P2", "R", "+1 a2", "-"),
    (8, "P2 C5", "R R R", "-1 a2 t1", "a2"),
    (9, "P2 C5", "R R R R R R R R R R", "-8 a2 t8", "a2"),
    (10, "P3 C4", "R R R S S", "-1 a2 t1 s2", "a2 s2"),
    (11, "P2 C5", "R R S S", "a2 s2", "-"),
    (12, "P2 C5", "S S S S S", "s5 CompletionsReached Complete", "s5 CompletionsReached Complete"),
    (13, "P2", "R S", "a1 s1", "-"),
    (14, "P2", "S S", "s2 CompletionsReached Complete", "-"),
    (15, "P2", "S F", "s1 f1 CompletionsReached Complete", "-"),
    (16, "P1 C1", "F", "+1 a1 f1", "a1 f1"),
    (17, "P2 C5", "R S@0 F@-1", "+1 a2 s1 f1", "-"),
    (18, "P1 C0", "", "CompletionsReached Complete", "-"),
    (19, "P0 C3", "", "", "-"),
    (20, "P1 C3", "R R R", "-2 a1 t2", "a1"),
    (21, "", "", "+1 a1", "-"),
    (22, "P4", "S R R R", "a3 s1", "-"),
    // backoffLimit.
    (24, "P1 C1 BL0", "R", "a1", "-"),
    (25, "P1 C1 BL0", "F", "f1 BackoffLimitExceeded Failed", "-"),
    (26, "P1 C1 BL1", "F@-10", "+1 a1 f1", "-"),
    (26, "P1 C1 BL1", "F@-9.999", "f1", "f1"),
    (27, "P1 C1 BL1", "F F", "f2 BackoffLimitExceeded Failed", "-"),
    (28, "P2 C2", "R F@-320 F@-320 F@-320 F@-320 F@-320 F@-320", "+1 a2 f6", "-"),
    (28, "P2 C2", "R F@-319 F@-319 F@-319 F@-319 F@-319 F@-319", "a1 f6", "-"),
    (29, "P2 C2", "F F F F F F F", "f7 BackoffLimitExceeded Failed", "-"),
    (30, "P2 C3 BL0", "Rr Rr F", "-2 t2 f3 BackoffLimitExceeded", "f3 BackoffLimitExceeded Failed"),
    (33, "P1 C1", "F@0", "f1", "-"),
    (34, "P3 C3", "F@-40 F@-41 F@-42", "+3 a3 f3", "-"),
    (34, "P3 C3", "F@-39.9 F@-41 F@-42", "f3", "-"),
    (36, "P1 C2", "S@0 F@0", "+1 a1 s1 f1", "-"),
    (37, "P1 C1", "n2@-100 F@-40", "+1 a1 f1", "-"),
    (37, "P1 C1", "n2@-100 F@-39", "f1", "-"),
    // OnFailure.
    (38, "BL0 OnFailure", "R(0)", "a1", "-"),
    (39, "BL0 OnFailure", "R(1)", "-1 t1 f1 BackoffLimitExceeded", "f1 BackoffLimitExceeded Failed"),
    (40, "BL1 OnFailure", "R(0)", "a1", "-"),
    (41, "BL1 OnFailure", "R(1)", "-1 t1 f1 BackoffLimitExceeded", "f1 BackoffLimitExceeded Failed"),
    (41, "BL1 OnFailure", "Pe(1)", "-1 t1 f1 BackoffLimitExceeded", "f1 BackoffLimitExceeded Failed"),
    (42, "P1 C5 BL2 OnFailure", "R(2)", "-1 t1 f1 BackoffLimitExceeded", "-"),
    (43, "P2 C5 BL2 OnFailure", "R(1) R(1)", "-2 t2 f2 BackoffLimitExceeded", "-"),
    (44, "P2 C5 BL3 OnFailure", "R(1) R(1)", "a2", "-"),
    (45, "P2 C4 suspend OnFailure", "R(1) R(1)", "-2 t2 Suspended unstarted", "Suspended unstarted"),
    (46, "P2 C4 suspend OnFailure", "S(1) S(1) S(2) S(0)", "s4 CompletionsReached Complete unstarted", "-"),
    // Deadline and suspension.
    (48, "P1 C1 ADS10", "started-15 R", "-1 t1 f1 DeadlineExceeded", "f1 DeadlineExceeded Failed"),
    (49, "P1 C2 ADS10", "started-15 R S", "-1 t1 s1 f1 DeadlineExceeded", "-"),
    (50, "P1 C1 ADS10", "started-10", "DeadlineExceeded Failed", "-"),
    (50, "P1 C1 ADS10", "started-9.999", "+1 a1", "-"),
    (51, "P1 C1 BL0 ADS1", "started-10 F", "f1 BackoffLimitExceeded Failed", "-"),
    (52, "suspend ADS10", "started-15", "Suspended unstarted", "Suspended unstarted"),
    (53, "suspend", "", "Suspended unstarted", "Suspended unstarted"),
    (54, "P2 C4 suspend", "started-15 R R", "-2 t2 Suspended unstarted", "Suspended unstarted"),
    (55, "P2 C4", "given:Suspended", "+2 a2 Resumed", "a2 Resumed"),
    (57, "suspend C0", "", "CompletionsReached Complete unstarted", "-"),
    (131, "P2 suspend", "S R", "-1 t1 s1 CompletionsReached unstarted", "s1 CompletionsReached Complete unstarted"),
    (132, "P2 BL0", "S R F", "-1 t1 s1 f2 BackoffLimitExceeded", "s1 f2 BackoffLimitExceeded Failed"),
    // podReplacementPolicy.
    (59, "P1 PRPFailed", "R F T", "a1 t1 f1", "-"),
    (60, "P1 C1", "R F T", "a1 t1 f2", "-"),
    (61, "P1 C1 PRPFailed", "R R T T T T", "-1 a1 t5", "-"),
    (62, "P2 C5 Indexed PRPFailed", "1:T", "+0 a1 t1", "-"),
    (63, "P2 C5 Indexed", "1:T", "+0,1 a2 t1 f1", "-"),
    (64, "P2 C2 PRPFailed", "T T", "t2", "-"),
    (64, "P2 C2 PRPFailed", "F F", "+2 a2 f2", "-"),
    (65, "P2 C2", "T T", "+2 a2 t2 f2", "-"),
    (66, "P1 C1 PRPFailed", "S", "s1 CompletionsReached Complete", "-"),
    (67, "P1 C1 Count:In:9", "T", "t1", "-"),
    // Indexed.
    (68, "P2 C5 Indexed", "", "+0,1 a2", "a2"),
    (69, "P2 C3 Indexed", "0:S 1:F 1:S 2:S", "s3 f1 [0-2] CompletionsReached Complete", "-"),
    (
        70,
        "P2 C3 BL0 Indexed",
        "0:S 1:F 2:R",
        "-1 t1 s1 f2 [0] BackoffLimitExceeded",
        "s1 f2 [0] BackoffLimitExceeded Failed",
    ),
    (71, "P2 C3 Indexed", "0:S 1:S 1:S", "+2 a1 s2 [0,1]", "-"),
    (72, "P8 C20 Indexed", "0:R 2:S 3:Pe 4:S 5:S 7:S 8:S 9:S", "+1,6,10,11,12,13 a8 s6 [2,4,5,7-9]", "-"),
    (73, "P3 C4 Indexed", "0:F 1:Pe 2:F", "+0,2 a3 f2", "-"),
    (74, "P5 C5 Indexed", "0:S 1:R 2:R 2:Pe x:R", "-2 a2 t2 s1 [0]", "-"),
    (75, "P2 C5 Indexed", "0:S 5:R 6:S 7:Pe 8:F", "-2 t2 s1 [0]", "+1,2 a2 s1 [0]"),
    (76, "P2 C5 Indexed", "0:S 1:R 2:R x:R x:Pe x:S x:F", "-2 a2 t2 s1 [0]", "-"),
    (77, "P4 C4 Indexed", "0:S 1:S 2:S 3:S", "s4 [0-3] CompletionsReached Complete", "-"),
    (80, "P0 C0 Indexed", "0:R 1:R 2:R", "-3 t3 CompletionsReached", "CompletionsReached Complete"),
    (81, "P1 C1 Indexed", "0:S 1:R", "-1 t1 s1 [0] CompletionsReached", "s1 [0] CompletionsReached Complete"),
    // podFailurePolicy.
    (83, "FailJob:In:5@main", "F=monitoring:5+main:42", "+1 a1 f1", "-"),
    (84, R1, "R=5", "a1", "-"),
    (85, R1, "F=5", "f1 PodFailurePolicy Failed", "-"),
    (86, "P2 C2 Ignore:In:1,2,3 FailJob:In:5,6,7", "R F=5", "-1 t1 f2 PodFailurePolicy", "f2 PodFailurePolicy Failed"),
    (87, "FailJob:NotIn:5,6,7", "F=42", "f1 PodFailurePolicy Failed", "-"),
    (88, "FailJob:NotIn:5,6,7", "F=5", "+1 a1 f1", "-"),
    (88, "FailJob:NotIn:5,6,7", "F=0", "+1 a1 f1", "-"),
    (89, R1, "F=init!:5+main:143", "f1 PodFailurePolicy Failed", "-"),
    (90, "BL0 Ignore:In:1,2,3 FailJob:In:5,6,7", "F=a:2+b:6", "+1 a1", "-"),
    (91, "BL0 Ignore:In:1,2,3 FailJob:In:5,6,7", "F=1", "+1 a1", "-"),
    (91, "BL0 Ignore:In:1,2,3 FailJob:In:5,6,7", "F=1@0", "", "-"),
    (92, "BL0 Ignore:In:1,2,3 FailJob:In:5,6,7", "F=10", "f1 BackoffLimitExceeded Failed", "-"),
    (93, "Count:In:1,2 Ignore:In:2,3", "F=2", "+1 a1 f1", "-"),
    (94, "BL0 Ignore:cond:DisruptionTarget", "F~", "+1 a1", "-"),
    (95, "FailJob:cond:DisruptionTarget", "F~", "f1 PodFailurePolicy Failed", "-"),
    (96, "BL0 Ignore:cond:DisruptionTarget", "F~@0", "", "-"),
    (97, R1, "given:FailureTarget F=5", "f1 PodFailurePolicy Failed", "-"),
    // backoffLimitPerIndex.
    (98, "P2 C2 BLPI1 Indexed", "0:F 0:S/1 1:S", "s2 f1 [0,1] CompletionsReached Complete", "-"),
    (99, "P2 C2 BLPI1 Indexed", "0:F", "+0/1,1 a2", "a2 f1"),
    (100, "P2 C2 BLPI1 Indexed", "0:F 0:Pe/1", "+1 a2 f1", "-"),
    (101, "P2 C2 BLPI1 Indexed", "0:F/1", "+1 a1 f1 {0}", "-"),
    (102, "P2 C2 BLPI1 Indexed FailIndex:In:3", "0:F=3", "+1 a1 f1 {0}", "-"),
    (103, "P1 C2 BLPI1 Indexed Ignore:In:3", "0:F=3", "+0/0~1 a1", "a1"),
    (104, "P2 C2 BL1 BLPI1 Indexed", "0:F 1:F", "f2 BackoffLimitExceeded Failed", "-"),
    (105, "P2 C2 BLPI1 Indexed", "0:F/1 1:S", "s1 f1 [1] {0} FailedIndexes Failed", "-"),
    (
        106,
        "P4 C4 BLPI1 MFI1 Indexed",
        "0:F/1 1:S 2:F/1 3:R",
        "-1 t1 s1 f3 [1] {0,2} MaxFailedIndexesExceeded",
        "s1 f3 [1] {0,2} MaxFailedIndexesExceeded Failed",
    ),
    (107, "P1 C4 BLPI0 MFI0 Indexed", "0:F", "f1 {0} MaxFailedIndexesExceeded Failed", "-"),
    (
        108,
        "P3 C3 BLPI1 BL2 Indexed",
        "0:F 0:R/1 1:F 1:R/1 2:F",
        "-2 t2 f5 BackoffLimitExceeded",
        "f5 BackoffLimitExceeded Failed",
    ),
    (109, "P2 C4 BLPI1 Indexed", "0:S 1:F 1:F/1 2:S 3:F 3:F/1", "s2 f4 [0,2] {1,3} FailedIndexes Failed", "-"),
    (133, "P2 C3 BLPI1 Indexed", "0:F@0 1:R", "a1", "a1"),
    // successPolicy.
    (
        110,
        "P3 C3 Indexed SP:0,1#1",
        "0:F 0:R 1:S 2:R",
        "-2 t2 s1 f1 [1] SuccessPolicy",
        "s1 f1 [1] SuccessPolicy Complete",
    ),
    (
        111,
        "P2 C2 Indexed SP:0,1#1 FailJob:cond:DisruptionTarget",
        "0:F~ 0:R 1:S",
        "-1 t1 s1 f2 [1] PodFailurePolicy",
        "-",
    ),
    (112, "P2 C2 BL1 Indexed SP:0,1#1", "0:F 0:F 1:S", "s1 f2 [1] BackoffLimitExceeded Failed", "-"),
    (113, "P2 C2 BLPI1 Indexed SP:0,1#1", "0:F/1 1:S", "s1 f1 [1] {0} FailedIndexes Failed", "-"),
    (
        114,
        "P2 C2 Indexed SP:0,1#1 FailJob:cond:DisruptionTarget",
        "given:SuccessCriteriaMet 0:F~ 1:S",
        "s1 f1 [1] SuccessPolicy Complete",
        "-",
    ),
    (
        115,
        "P2 C2 BL0 Indexed SP:0,1#1",
        "given:SuccessCriteriaMet 0:F 0:F 1:S",
        "s1 f2 [1] SuccessPolicy Complete",
        "-",
    ),
    (116, "P2 C2 Indexed SP:0,1#1", "given:FailureTarget 1:S", "s1 [1] PodFailurePolicy Failed", "-"),
    (117, "P1 C10 Indexed SP:0-2", "0:S 1:S 2:S 4:S 5:S 6:S 7:S", "s7 [0-2,4-7] SuccessPolicy Complete", "-"),
    (118, "P1 C10 Indexed SP:9 SP:4,6", "0:S 1:S 2:S 4:S 5:S 6:S 7:S", "s7 [0-2,4-7] SuccessPolicy Complete", "-"),
    (119, "P1 C10 Indexed SP:3-6#2", "0:S 1:S 2:S 6:S 7:S", "+3 a1 s5 [0-2,6,7]", "-"),
    (120, "P1 C10 Indexed SP:1-3,5-7", "2:S 3:S 4:S 6:S 7:S 8:S", "+0 a1 s6 [2-4,6-8]", "-"),
    (120, "P1 C10 Indexed SP:1-3,5-7#4", "2:S 3:S 4:S 6:S 7:S 8:S", "s6 [2-4,6-8] SuccessPolicy Complete", "-"),
    (121, "P1 C10 Indexed SP:#10 SP:", "0:S", "+1 a1 s1 [0]", "-"),
    (122, "P1 C10 Indexed SP:#4", "0:S 1:S 2:S", "+3 a1 s3 [0-2]", "-"),
    (123, "P2 C5 Indexed SP:0", "0:S 1:F", "s1 f1 [0] SuccessPolicy Complete", "-"),
    // Ownership, and what is deferred.
    (126, "theirs", "", "unstarted", "-"),
    (127, "ours", "", "+1 a1", "-"),
    (128, "", "given:FailureTarget=False", "+1 a1 FailureTarget=False", "-"),
    (134, "P2 C4", "F@0 Rr", "a1 r1 f1", "-"),
];

#[test]
fn every_scenario_gives_what_is_specified() {
    let mut wrong = Vec::new();
    for (number, words, pods, first, second) in ROWS {
        let (spec, mut job) = (spec(words), job(pods));
        let work = job.sync(&spec, NOW, &BTreeSet::new());
        let mut check = |got: String, expected: &str| {
            if got != expected {
                wrong.push(format!("{number} {words} | {pods}\n  expected {expected}\n  got      {got}"));
            }
        };
        check(told(&job, &work), first);
        if *second != "-" {
            settle(&mut job, &work);
            let work = job.sync(&spec, NOW, &BTreeSet::new());
            check(told(&job, &work), second);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn messages_name_container_pod_code_and_rule() {
    let message = |words: &str, pods: &str| {
        let mut job = job(pods);
        job.sync(&spec(words), NOW, &BTreeSet::new());
        let messages: Vec<String> = job.status.conditions.iter().map(|c| c.message.clone()).collect();
        assert!(messages.iter().all(|message| *message == messages[0]), "the second phase copies the first");
        messages[0].clone()
    };
    let matched = "failed with exit code 5 matching FailJob rule at index 1";
    assert_eq!(
        message(R1, "F=main-container:5"),
        format!("Container main-container for pod default/mypod-0 {matched}")
    );
    assert_eq!(message(R1, "F=init!:5+main:143"), format!("Container init for pod default/mypod-0 {matched}"));
    let disrupted = "Pod default/mypod-0 has condition DisruptionTarget matching FailJob rule at index 0";
    assert_eq!(message("FailJob:cond:DisruptionTarget", "F~"), disrupted);
    assert_eq!(message(R1, "given:FailureTarget F=5"), "given");
    assert_eq!(message("P1 C10 Indexed SP:9 SP:4,6", "4:S 6:S"), "Matched rules at index 1");
}

/// Vectors 32, 35, 56, 58, 78, 79, 124 and 129 need more than a row.
#[test]
fn histories_of_several_syncs() {
    let none = BTreeSet::new();
    // 32: each new pod fails at once.
    let (limited, mut it) = (spec("P1 C1"), Job::default());
    let (mut now, mut gaps) = (NOW, Vec::new());
    for id in 0.. {
        let work = it.sync(&limited, now, &none);
        if it.status.is_finished() {
            break;
        }
        if let Some(again) = work.again {
            gaps.push(again.since_ms(now) / 1000);
            now = again;
            it.sync(&limited, now, &none);
        }
        let mut failed = pod(id, "F");
        failed.containers[0].ended = Some((1, now));
        it.pods.push(failed);
    }
    assert_eq!((gaps, it.status.failed), (vec![10, 20, 40, 80, 160, 320], 7));
    // 35: a success between failures of one sync.
    let mut it = job("F@-0.004 F@-0.003 F@-0.001 F@0 S@-0.002");
    it.sync(&spec("P1 C5"), NOW, &none);
    assert_eq!(it.backoff, Backoff { n: 2, last: NOW });
    // 56 and 58: a Job that is being deleted.
    let mut it = Job { deleting: true, ..job("R R") };
    let work = it.sync(&spec("P2 C4 suspend"), NOW, &none);
    assert_eq!((told(&it, &work).as_str(), it.pods[0].finalizer), ("a2 unstarted", false));
    let mut it = Job { deleting: true, ..job("Pe R S") };
    let work = it.sync(&spec("P2 C5"), NOW, &none);
    assert_eq!((told(&it, &work).as_str(), it.pods[1].finalizer), ("a2 s1", false));
    // 78 and 79: fewer completions drop what is above them, and what was dropped does not come back.
    let mut it = job("0:R 1:S 2:F");
    it.sync(&spec("P3 C3 Indexed"), NOW, &none);
    let work = it.sync(&spec("P1 C1 Indexed"), NOW, &none);
    assert_eq!(told(&it, &work), "a1 f1");
    let mut it = job("2:S");
    it.sync(&spec("P3 C3 Indexed"), NOW, &none);
    it.sync(&spec("P2 C2 Indexed"), NOW, &none);
    let work = it.sync(&spec("P3 C3 Indexed"), NOW, &none);
    assert_eq!(told(&it, &work), "+0,1,2 a3");
    // 130: when a finished Job goes.
    let (short, mut it) = (spec("P1 C1 TTL10"), job("S"));
    it.sync(&short, NOW, &none);
    assert_eq!(it.status.ttl_due(&short), Some(NOW.plus_ms(10_000)));
}
