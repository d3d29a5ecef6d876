//! The real binary as a person types it: output, exit codes and error texts.

use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn finished(output: &Output) -> Ran {
    Ran {
        code: output.status.code().expect("it exits"),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn coracle(args: &[&str]) -> Ran {
    finished(&command().args(args).output().expect("the binary runs"))
}

fn with_stdin(args: &[&str], input: &str) -> Ran {
    let mut command = command();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    finished(&child.wait_with_output().expect("it ends"))
}

fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("guest-examples/prebuilt/{name}.wasm"))
}

fn run_guest(name: &str, args: &[&str]) -> Ran {
    let file = guest(name);
    let mut all = vec!["run", file.to_str().expect("text"), "--"];
    all.extend_from_slice(args);
    coracle(&all)
}

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)).expect("an example")
}

#[test]
fn every_example_ends_as_its_comment_says() {
    let cases = [
        ("pi.yaml", 0, "1/1"),
        ("indexed.yaml", 0, "5/5"),
        ("parallel.yaml", 0, "8/8"),
        ("work-queue.yaml", 0, "✔ work-queue"),
        ("failing-policy.yaml", 1, "PodFailurePolicy: Container exit-code for pod default/failing-policy-2-"),
        ("fuel.yaml", 1, "exit 152, FuelExhausted"),
        ("memory.yaml", 1, "exit 137, OOMKilled: memory limit 64 MiB reached"),
        ("deadline.yaml", 124, "DeadlineExceeded: Job was active longer than specified deadline"),
    ];
    for (file, code, said) in cases {
        let ran = coracle(&["run", &format!("examples/{file}"), "--progress", "plain"]);
        assert_eq!(ran.code, code, "{file}: {}", ran.err);
        assert!(ran.err.contains(said), "{file}: {}", ran.err);
    }
}

#[test]
fn stdout_is_what_the_pods_print_and_nothing_else() {
    let ran = coracle(&["run", "examples/indexed.yaml", "--progress", "quiet"]);
    let mut lines: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("JOB_COMPLETION_INDEX")).collect();
    lines.sort_unstable();
    let expected: Vec<String> = (0..5).map(|index| format!("JOB_COMPLETION_INDEX={index}")).collect();
    assert_eq!(lines, expected);
    assert_eq!(ran.out.lines().count(), 10, "{}", ran.out);
    assert_eq!(ran.err, "");
}

#[test]
fn a_program_ends_with_its_own_exit_code_and_raw_output() {
    let ran = run_guest("hello", &["there"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "hello, there\n", ""));
    for code in [0, 1, 42, 125, 126, 255] {
        assert_eq!(run_guest("exit-code", &[&code.to_string()]).code, code);
    }
    let ran = run_guest("crash", &[]);
    assert_eq!(ran.code, 134);
    assert!(ran.err.contains("crash/src/main.rs:"), "the backtrace names the guest's lines: {}", ran.err);
}

#[test]
fn a_program_as_an_indexed_job_runs_every_index() {
    let file = guest("index");
    let args = ["run", file.to_str().expect("text"), "--completions", "50", "--parallelism", "8"];
    let ran = coracle(&args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out.matches("JOB_COMPLETION_INDEX=").count(), 50);
    assert!(ran.err.contains("50/50"), "{}", ran.err);
}

#[test]
fn directories_stdin_and_several_documents_work() {
    let dir = tempfile::tempdir().expect("a directory");
    let named = |name: &str| example("parallel.yaml").replace("name: parallel", &format!("name: {name}"));
    std::fs::write(dir.path().join("b.yaml"), named("b")).expect("written");
    std::fs::write(dir.path().join("a.yml"), format!("{}\n---\n{}", named("a1"), named("a2"))).expect("written");
    std::fs::write(dir.path().join("notes.txt"), "not a manifest").expect("written");
    let ran = coracle(&["run", dir.path().to_str().expect("text"), "--progress", "plain"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("✔ 3 Jobs  24/24"), "{}", ran.err);
    let one = dir.path().join("a.yml");
    let ran = coracle(&["run", "-f", one.to_str().expect("text"), "--progress", "tty"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 16), "{}", ran.err);
    let ran = with_stdin(&["run", "-"], &named("from-stdin"));
    assert!(ran.err.contains("✔ from-stdin  8/8"), "{}", ran.err);
}

#[test]
fn a_data_directory_remembers_finished_jobs_and_refuses_other_specs() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let args = |file: &str| {
        ["run", "--progress", "plain", "--data-dir", data.to_str().expect("text"), file].map(str::to_owned).to_vec()
    };
    let run = |file: &str| coracle(&args(file).iter().map(String::as_str).collect::<Vec<_>>());
    let first = run("examples/parallel.yaml");
    assert_eq!((first.code, first.out.lines().count()), (0, 8), "{}", first.err);
    let second = run("examples/parallel.yaml");
    assert_eq!((second.code, second.out.lines().count()), (0, 0), "it ran already: {}", second.err);
    let other = dir.path().join("other.yaml");
    std::fs::write(&other, example("parallel.yaml").replace("completions: 8", "completions: 9")).expect("written");
    let refused = run(other.to_str().expect("text"));
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("is in the data directory already, with another spec"), "{}", refused.err);
}

#[test]
fn a_program_that_ended_in_an_earlier_run_says_and_ends_the_same_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, file) = (dir.path().join("data"), guest("exit-code"));
    let args = ["run", "--data-dir", data.to_str().expect("text"), file.to_str().expect("text"), "--", "42"];
    assert_eq!(coracle(&args).code, 42);
    assert_eq!(coracle(&args).code, 42);
    let (data, file) = (dir.path().join("other"), guest("hello"));
    let args = ["run", "--data-dir", data.to_str().expect("text"), file.to_str().expect("text")];
    assert_eq!(coracle(&args).out, "hello, world\n");
    assert_eq!(coracle(&args).out, "hello, world\n");
}

#[test]
fn arguments_reach_a_program_as_they_are() {
    let ran = run_guest("hello", &["a$$b", "$(HOME)", "$(JOB_COMPLETION_INDEX)"]);
    assert_eq!(ran.out, "hello, a$$b $(HOME) $(JOB_COMPLETION_INDEX)\n");
}

/// Prints 64 bytes, `lines` times.
fn chatty(dir: &Path, lines: u32) -> PathBuf {
    let line = "x".repeat(63);
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 3)
            (data (i32.const 0) "\10\00\00\00\00\00\01\00")
            (data (i32.const 16) "{line}\n")
            (func (export "_start") (local $left i32)
                (local.set $left (i32.const 1))
                (loop $fill
                    (memory.copy (i32.add (i32.const 16) (i32.shl (local.get $left) (i32.const 6))) (i32.const 16) (i32.const 64))
                    (local.set $left (i32.add (local.get $left) (i32.const 1)))
                    (br_if $fill (i32.lt_u (local.get $left) (i32.const 1024))))
                (local.set $left (i32.const {}))
                (loop $print
                    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $print (local.get $left)))))"#,
        lines / 1024
    );
    let file = dir.join("chatty.wasm");
    std::fs::write(&file, wat::parse_str(text).expect("wat")).expect("written");
    file
}

#[test]
fn nothing_of_a_programs_output_is_lost_however_much_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    // 64 MiB: more than the log of a pod keeps.
    let file = chatty(dir.path(), 1 << 20);
    let output = command().arg("run").arg(&file).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.stdout.len(), 64 << 20);
}

#[test]
fn a_closed_or_full_stdout_ends_the_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = chatty(dir.path(), 1 << 20);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
    let output = command().arg("run").arg(&file).stdout(full).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot write the pods' output"), "{said}");
    let mut run = command().arg("run").arg(&file).stdout(Stdio::piped()).spawn().expect("the binary starts");
    drop(run.stdout.take());
    assert_eq!(run.wait().expect("it ends").code(), Some(141));
}

#[test]
fn a_pod_that_cannot_start_ends_the_run() {
    // Each variable is twice as long as the one before.
    let double = |n: u32| json!({"name": format!("V{n}"), "value": format!("$(V{0})$(V{0})", n - 1)});
    let env: Vec<Value> =
        [json!({"name": "V0", "value": "xxxxxxxx"})].into_iter().chain((1..=24).map(double)).collect();
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "long"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "coracle/hello", "env": env}],
        }}},
    });
    let ran = with_stdin(&["run", "-"], &job.to_string());
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("cannot start: argument list too long"), "{}", ran.err);
}

#[test]
fn a_data_directory_serves_one_run_at_a_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("text");
    let mut first = command()
        .args(["run", "--progress", "plain", "--data-dir", data, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let manifest = example("deadline.yaml").replace("activeDeadlineSeconds: 2", "activeDeadlineSeconds: 600");
    first.stdin.take().expect("piped").write_all(manifest.as_bytes()).expect("it reads");
    let stderr = std::io::BufReader::new(first.stderr.take().expect("piped"));
    let created = std::io::BufRead::lines(stderr).map_while(Result::ok).find(|line| line.contains("created"));
    assert!(created.is_some(), "the first run creates its Job");
    let second = coracle(&["run", "--data-dir", data, "examples/pi.yaml"]);
    first.kill().expect("SIGKILL");
    first.wait().expect("ours");
    assert_eq!(second.code, 3, "{}", second.err);
    assert!(second.err.contains("another process is using the store"), "{}", second.err);
}

#[test]
fn an_interrupted_run_ends_with_130() {
    let mut run = command()
        .args(["run", "--progress", "plain", "examples/deadline.yaml"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stderr = std::io::BufReader::new(run.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("created") {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut stderr, &mut line).expect("text"), 0, "it ended by itself");
    }
    let code = loop {
        let sent = Command::new("kill").args(["-INT", &run.id().to_string()]).status().expect("kill");
        match run.try_wait().expect("ours") {
            Some(status) => break status.code(),
            None => assert!(sent.success()),
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert_eq!(code, Some(130));
}

#[test]
fn mistakes_are_told_with_their_place_and_what_to_do() {
    let job = example("pi.yaml");
    let cases: [(&str, String, i32, &[&str]); 11] = [
        (
            "unknown field",
            job.replace("backoffLimit", "backofLimit"),
            2,
            &["unknown field `backofLimit` in Job.spec", "stdin:12:3", "did you mean `backoffLimit`?"],
        ),
        (
            "unknown image",
            job.replace("coracle/pi", "coracle/pie"),
            4,
            &["no module `coracle/pie:latest` here", "have: "],
        ),
        (
            "not offered",
            format!("{job}      runtimeClassName: x\n"),
            2,
            &["spec.template.spec.runtimeClassName: Forbidden: not offered", "stdin:"],
        ),
        (
            "invalid",
            job.replace("restartPolicy: Never", "restartPolicy: Always"),
            2,
            &["valid values: \"OnFailure\", \"Never\""],
        ),
        (
            "namespace",
            job.replace("metadata:\n  name: pi\n", "metadata:\n  name: pi\n  namespace: my ns\n"),
            2,
            &["namespaces \"my ns\" not found", "stdin:11:3", "put the Namespace's manifest beside"],
        ),
        (
            "a Job before the namespace that it is in",
            job.replace("metadata:\n  name: pi\n", "metadata:\n  name: pi\n  namespace: mine\n")
                .replace("restartPolicy: Never", "restartPolicy: Always")
                + "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: mine\n",
            2,
            &["valid values: \"OnFailure\", \"Never\""],
        ),
        (
            "a comment of wide characters in the list",
            job.replace(
                "        - name: pi\n",
                "# ééé\n        - name: a\n          image: coracle/pi\n# ééééééé\n        - name: pi\n",
            ),
            2,
            &["spec.template.spec.containers"],
        ),
        (
            "later documents",
            format!("{job}---\nkind: Service\napiVersion: v1\n"),
            2,
            &["kind \"Service\" cannot be run"],
        ),
        ("not yaml", "a: [".to_owned(), 2, &["not a manifest", "stdin"]),
        ("nothing", "\n".to_owned(), 2, &["no manifest in stdin"]),
        ("another kind", "kind: Service\napiVersion: v1\n".to_owned(), 2, &["kind \"Service\" cannot be run"]),
    ];
    for (case, input, code, texts) in cases {
        let ran = with_stdin(&["run", "-"], &input);
        assert_eq!(ran.code, code, "{case}: {}", ran.err);
        assert!(ran.err.starts_with("error: "), "{case}: {}", ran.err);
        for text in texts {
            assert!(ran.err.contains(text), "{case}: {text:?} is not in {}", ran.err);
        }
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let cases: [(&[&str], &str); 6] = [
        (&["run"], "required"),
        (&["run", "no-such-file.yaml"], "cannot read the file"),
        (&["run", "examples/pi.yaml", "--", "x"], "arguments after `--` are for a wasm program"),
        (&["run", "examples/pi.yaml", "--completions", "3"], "--completions is for a wasm program"),
        (&["run", "a.wasm", "b.wasm"], "a wasm program runs alone"),
        (&["dance"], "unrecognized subcommand"),
    ];
    for (args, text) in cases {
        let ran = coracle(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(text), "{args:?}: {}", ran.err);
    }
}

#[test]
fn inspect_says_what_a_module_is_and_what_is_refused() {
    let ran = coracle(&["inspect", guest("hello").to_str().expect("text")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for text in ["command (WASI preview 1)", "memory   2 MiB at the start", "wasi_snapshot_preview1.fd_write", "_start"]
    {
        assert!(ran.out.contains(text), "{text:?} is not in {}", ran.out);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let cases = [
        (
            "lib.wat",
            "(module (func (export \"_initialize\")) (func (export \"add\")))",
            "has no entry point: it is a reactor",
        ),
        ("needs.wat", "(module (import \"env\" \"host_log\" (func)) (func (export \"_start\")))", "env.host_log"),
    ];
    for (name, text, refusal) in cases {
        let file = dir.path().join(name).with_extension("wasm");
        std::fs::write(&file, wat::parse_str(text).expect("wat")).expect("written");
        for verb in ["inspect", "run"] {
            let ran = coracle(&[verb, file.to_str().expect("text")]);
            assert_eq!(ran.code, 4, "{verb} {name}: {}", ran.err);
            assert!(ran.err.contains(refusal), "{verb} {name}: {}", ran.err);
        }
    }
    let text = dir.path().join("text.wasm");
    std::fs::write(&text, "hello").expect("written");
    let ran = coracle(&["inspect", text.to_str().expect("text")]);
    assert_eq!(ran.code, 4);
    assert!(ran.err.contains("is not WebAssembly"), "{}", ran.err);
}

/// `ttlSecondsAfterFinished: 0` takes the Job away in the moment of its end.
#[test]
fn a_job_that_goes_by_itself_is_summed_up_all_the_same() {
    let job = |args: &[&str]| {
        let container = json!({"name": "c", "image": "coracle/exit-code", "args": args});
        let spec = json!({"restartPolicy": "Never", "containers": [container]});
        let spec = json!({"ttlSecondsAfterFinished": 0, "backoffLimit": 0, "template": {"spec": spec}});
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "gone"}, "spec": spec}).to_string()
    };
    let ran = with_stdin(&["run", "-"], &job(&["0"]));
    assert!(ran.code == 0 && ran.err.contains("1/1"), "{}", ran.err);
    let ran = with_stdin(&["run", "-"], &job(&["3"]));
    assert!(ran.code == 1 && ran.err.contains("BackoffLimitExceeded"), "{}", ran.err);
}

#[test]
fn without_arguments_it_shows_examples() {
    let ran = coracle(&[]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("coracle run examples/pi.yaml"), "{}", ran.out);
}
