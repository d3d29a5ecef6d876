//! What a pod's guest is given: its arguments and its environment.
//!
//! Pure: no IO, no clock, the same launch always gives the same setup. Start with [`Agent::prepare`]. Invariant: a guest sees
//! the variables of its template and of Kubernetes' rules, nothing of the machine it runs on.

use super::env::{Env, Room};
use super::runtime::PodSetup;
use super::texts::{KEPT_BYTES_MAX, Records, Texts};
use crate::base::NO_INDEX;
use crate::model::{EnvValue, FieldPath, Launch};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Label and annotation of an Indexed Job's pods (kubernetes: `batch.JobCompletionIndexAnnotation`).
const INDEX_KEY: &str = "batch.kubernetes.io/job-completion-index";

/// kubernetes: `completionIndexEnvName`.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// Set by every container runtime to the name that the container has as a host.
const HOSTNAME_VARIABLE: &str = "HOSTNAME";

/// What arguments and environment may have together, bytes: what Linux gives a process (`ARG_MAX` with 8 MiB of stack).
pub const SETUP_BYTES_MAX: usize = 2 << 20;

/// A pod's arguments and environment are longer than [`SETUP_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "argument list too long: command, args and env have more than {SETUP_BYTES_MAX} bytes after $(NAME) references are \
     expanded; shorten them or the values they refer to"
)]
pub struct SetupTooLong;

/// Prepares one pod after another. A pod whose arguments and environment are as long as those of the one before it allocates
/// nothing, if that one has ended.
#[derive(Debug, Default)]
pub(super) struct Agent {
    room: Room,
    /// A value or an argument in the making.
    value: String,
    records: Records,
    /// What the pod before got.
    args: Texts,
    env: Texts,
}

impl Agent {
    /// Arguments, environment and limits of a pod.
    ///
    /// `$(NAME)` in `command`, `args` and plain values is expanded as the kubelet does; a value sees only the variables
    /// before it (kubernetes: `makeEnvironmentVariables`, `ExpandContainerCommandAndArgs`).
    ///
    /// # Errors
    /// [`SetupTooLong`]; a later try ends the same way.
    pub(super) fn prepare(&mut self, launch: &Launch) -> Result<PodSetup, SetupTooLong> {
        let setup = self.setup(launch);
        self.room.clear();
        self.records.clear();
        self.value.clear();
        self.value.shrink_to(KEPT_BYTES_MAX);
        setup
    }

    fn setup(&mut self, launch: &Launch) -> Result<PodSetup, SetupTooLong> {
        let template = &launch.plan.template;
        let pod = Pod { launch, index: (launch.index != NO_INDEX).then_some(launch.index) };
        let Self { room, value, records, .. } = self;
        let mut env = Env::new(room, template.env.len());
        pod.environment(&mut env, value)?;
        records.clear();
        pod.arguments(&mut env, value, records)?;
        let args = self.args.renew(records);
        // The container runtime adds it, not the kubelet: it is no variable that a reference can name.
        if env.get(HOSTNAME_VARIABLE).is_none() {
            env.set(HOSTNAME_VARIABLE, pod.hostname(value))?;
        }
        records.clear();
        env.write(records);
        let env = self.env.renew(records);
        Ok(PodSetup { args, env, memory_bytes_max: template.memory_bytes_max, fuel: template.fuel })
    }
}

/// One pod's identity. What it is asked for and has to make, it makes in `out`.
struct Pod<'a> {
    launch: &'a Launch,
    index: Option<u32>,
}

impl<'a> Pod<'a> {
    /// The template's variables in order, then the completion index unless the template has a variable of that name
    /// (kubernetes: `addCompletionIndexEnvVariable` appends it).
    fn environment(&self, env: &mut Env<'_, 'a>, out: &mut String) -> Result<(), SetupTooLong> {
        for variable in &self.launch.plan.template.env {
            let value = match &variable.value {
                EnvValue::Text(text) => env.expand(text, out)?,
                EnvValue::Field(path) => self.field(path, out),
            };
            env.set(&variable.name, value)?;
        }
        if let Some(index) = self.index.filter(|_| env.get(INDEX_VARIABLE).is_none()) {
            env.set(INDEX_VARIABLE, written(out, format_args!("{index}")))?;
        }
        Ok(())
    }

    /// The command and its arguments; the image stands for a command that the template does not name.
    fn arguments(&self, env: &mut Env<'_, 'a>, out: &mut String, args: &mut Records) -> Result<(), SetupTooLong> {
        let template = &self.launch.plan.template;
        if template.command.is_empty() {
            args.push(&[&template.image]);
        }
        for text in template.command.iter().chain(&template.args) {
            let arg = env.expand(text, out)?;
            env.spend(arg.len())?;
            args.push(&[arg]);
        }
        Ok(())
    }

    /// The value of a `fieldRef`; a label or annotation that the pod does not have is empty (kubernetes:
    /// `fieldpath.ExtractFieldPathAsString`).
    fn field<'o>(&self, path: &FieldPath, out: &'o mut String) -> &'o str
    where
        'a: 'o,
    {
        let Launch { job, ordinal, plan, .. } = self.launch;
        match path {
            FieldPath::Name => self.name(out),
            FieldPath::Namespace => &plan.namespace,
            FieldPath::Uid => written(out, format_args!("{}", plan.uid_key.pod_uid(*job, *ordinal))),
            FieldPath::Label(key) => self.metadata(key, &plan.template.labels, out),
            FieldPath::Annotation(key) => self.metadata(key, &plan.template.annotations, out),
        }
    }

    fn metadata<'o>(&self, key: &str, of_template: &'o BTreeMap<String, String>, out: &'o mut String) -> &'o str {
        match self.index {
            Some(index) if key == INDEX_KEY => written(out, format_args!("{index}")),
            _ => of_template.get(key).map(String::as_str).unwrap_or_default(),
        }
    }

    fn name<'o>(&self, out: &'o mut String) -> &'o str {
        let Launch { ordinal, plan, .. } = self.launch;
        out.clear();
        plan.names.push_pod_name(out, &plan.job_name, self.index, *ordinal);
        out
    }

    /// kubernetes: an Indexed Job's pods have `spec.hostname` `<job>-<index>`, other pods their name.
    fn hostname<'o>(&self, out: &'o mut String) -> &'o str {
        match self.index {
            Some(index) => written(out, format_args!("{}-{index}", self.launch.plan.job_name)),
            None => self.name(out),
        }
    }
}

/// What `text` says, in place of what was in `out`.
fn written<'o>(out: &'o mut String, text: fmt::Arguments<'_>) -> &'o str {
    out.clear();
    out.write_fmt(text).expect("a String takes everything");
    out
}

#[cfg(test)]
mod tests {
    use super::super::env::SCANNED_MAX;
    use super::*;
    use crate::base::{JobId, PodNames, Uid, UidKey};
    use crate::model::{EnvVar, PodTemplate, RunPlan};
    use std::sync::Arc;

    const JOB_UID: Uid = Uid(0x1234);

    fn launch(template: PodTemplate, index: u32) -> Launch {
        let plan = RunPlan {
            job_name: "pi".into(),
            namespace: "default".into(),
            job_uid: JOB_UID,
            names: PodNames::new(JOB_UID),
            uid_key: UidKey(9),
            template: Arc::new(template),
        };
        Launch { job: JobId(7), ordinal: 3, index, slot: 0, plan: Arc::new(plan) }
    }

    fn prepare(launch: &Launch) -> Result<PodSetup, SetupTooLong> {
        Agent::default().prepare(launch)
    }

    fn suffix() -> String {
        PodNames::new(JOB_UID).suffix(3).map(char::from).iter().collect()
    }

    fn text(name: &str, value: &str) -> EnvVar {
        EnvVar { name: name.to_owned(), value: EnvValue::Text(value.to_owned()) }
    }

    fn field(name: &str, path: &str) -> EnvVar {
        let path = FieldPath::parse(path).expect("a field path that is offered");
        EnvVar { name: name.to_owned(), value: EnvValue::Field(path) }
    }

    fn pairs(map: &[(&str, &str)]) -> BTreeMap<String, String> {
        map.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Names and values, in order.
    fn variables(env: &Texts) -> Vec<(String, String)> {
        let pair = |text: &str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        env.iter().map(|text| pair(text).expect("a name and a value")).collect()
    }

    #[test]
    fn the_environment_follows_kubernetes_rules() {
        type Case<'a> = (&'a str, Vec<EnvVar>, Vec<(&'a str, &'a str)>);
        let name = format!("pi-{}", suffix());
        let cases: [Case<'_>; 10] = [
            ("nothing but the host name", vec![], vec![("HOSTNAME", &name)]),
            (
                "a value sees the variables before it",
                vec![text("A", "1"), text("B", "$(A)2"), text("C", "$(B)3")],
                vec![("A", "1"), ("B", "12"), ("C", "123"), ("HOSTNAME", &name)],
            ),
            (
                "a value does not see itself or the variables after it",
                vec![text("A", "$(A)$(B)"), text("B", "2")],
                vec![("A", "$(A)$(B)"), ("B", "2"), ("HOSTNAME", &name)],
            ),
            (
                "of two definitions the last has the value, the first the place",
                vec![text("A", "1"), text("B", "b"), text("A", "2")],
                vec![("A", "2"), ("B", "b"), ("HOSTNAME", &name)],
            ),
            (
                "a redefinition can build on the earlier value",
                vec![text("P", "/bin"), text("P", "$(P):/usr/bin")],
                vec![("P", "/bin:/usr/bin"), ("HOSTNAME", &name)],
            ),
            (
                "fields",
                vec![field("N", "metadata.name"), field("S", "metadata.namespace"), text("M", "$(S)/$(N)")],
                vec![("N", &name), ("S", "default"), ("M", "default/NAME"), ("HOSTNAME", &name)],
            ),
            (
                "a field's value is not expanded",
                vec![text("A", "1"), field("L", "metadata.labels['odd']"), field("T", "metadata.annotations['odd']")],
                vec![("A", "1"), ("L", "$(A)"), ("T", "$$(A)"), ("HOSTNAME", &name)],
            ),
            (
                "a label that is not there is empty",
                vec![field("L", "metadata.labels['x']")],
                vec![("L", ""), ("HOSTNAME", &name)],
            ),
            (
                "the index label exists on Indexed pods only",
                vec![field("L", "metadata.labels['batch.kubernetes.io/job-completion-index']")],
                vec![("L", ""), ("HOSTNAME", &name)],
            ),
            ("the template's own host name stays", vec![text("HOSTNAME", "me")], vec![("HOSTNAME", "me")]),
        ];
        for (case, env, expected) in cases {
            let template = PodTemplate {
                env,
                labels: pairs(&[("odd", "$(A)")]),
                annotations: pairs(&[("odd", "$$(A)")]),
                ..PodTemplate::default()
            };
            let got = variables(&prepare(&launch(template, NO_INDEX)).expect(case).env);
            let expected: Vec<_> =
                expected.iter().map(|(key, value)| ((*key).to_owned(), value.replace("NAME", &name))).collect();
            assert_eq!(got, expected, "{case}");
        }
    }

    #[test]
    fn an_indexed_pod_knows_its_index() {
        let template = PodTemplate {
            env: vec![
                text("EARLY", "$(JOB_COMPLETION_INDEX)"),
                field("LABEL", "metadata.labels['batch.kubernetes.io/job-completion-index']"),
                field("NOTE", "metadata.annotations['batch.kubernetes.io/job-completion-index']"),
                field("NAME", "metadata.name"),
            ],
            args: vec!["--part=$(JOB_COMPLETION_INDEX)".to_owned()],
            labels: pairs(&[(INDEX_KEY, "99")]),
            ..PodTemplate::default()
        };
        let setup = prepare(&launch(template, 12)).expect("short");
        let name = format!("pi-12-{}", suffix());
        let expected = pairs(&[
            ("EARLY", "$(JOB_COMPLETION_INDEX)"),
            ("HOSTNAME", "pi-12"),
            ("JOB_COMPLETION_INDEX", "12"),
            ("LABEL", "12"),
            ("NAME", &name),
            ("NOTE", "12"),
        ]);
        assert_eq!(variables(&setup.env).into_iter().collect::<BTreeMap<_, _>>(), expected);
        assert_eq!(setup.args.iter().nth(1), Some("--part=12"));
    }

    #[test]
    fn a_template_that_defines_the_index_variable_keeps_its_own() {
        let template = PodTemplate { env: vec![text("JOB_COMPLETION_INDEX", "mine")], ..PodTemplate::default() };
        let setup = prepare(&launch(template, 5)).expect("short");
        assert_eq!(setup.env.iter().next(), Some("JOB_COMPLETION_INDEX=mine"));
        assert_eq!(setup.env.len(), 2);
    }

    #[test]
    fn many_variables_follow_the_same_rules_as_few() {
        for count in [SCANNED_MAX - 1, SCANNED_MAX, SCANNED_MAX + 1, 3 * SCANNED_MAX] {
            let name = |number: usize| format!("V{number}");
            // Each is the one before it and a letter; then the first is defined again, which keeps its place.
            let chain = (1..count).map(|number| text(&name(number), &format!("$(V{})x", number - 1)));
            let mut env: Vec<EnvVar> = std::iter::once(text("V0", "")).chain(chain).collect();
            env.push(text("V0", &format!("$(V{})!", count - 1)));
            let setup = prepare(&launch(PodTemplate { env, ..PodTemplate::default() }, 5)).expect("short");
            let got = variables(&setup.env);
            let mut expected: Vec<_> = (0..count).map(|number| (name(number), "x".repeat(number))).collect();
            expected[0].1 = "x".repeat(count - 1) + "!";
            expected.extend(
                [("JOB_COMPLETION_INDEX", "5"), ("HOSTNAME", "pi-5")].map(|(k, v)| (k.to_owned(), v.to_owned())),
            );
            assert_eq!(got, expected, "{count}");
        }
    }

    #[test]
    fn the_uid_is_the_pods_own() {
        let template = PodTemplate { env: vec![field("UID", "metadata.uid")], ..PodTemplate::default() };
        let setup = prepare(&launch(template, NO_INDEX)).expect("short");
        assert_eq!(variables(&setup.env)[0].1, UidKey(9).pod_uid(JobId(7), 3).to_string());
    }

    #[test]
    fn arguments_follow_kubernetes_rules() {
        type Texts = &'static [&'static str];
        let cases: [(&str, Texts, Texts, Texts); 5] = [
            ("neither: the image stands for the program", &[], &[], &["sum:v1"]),
            ("args only", &[], &["$(A)", "$$(A)"], &["sum:v1", "1", "$(A)"]),
            ("command only", &["run", "$(A)"], &[], &["run", "1"]),
            ("both", &["run"], &["$(A)", "$(B)"], &["run", "1", "$(B)"]),
            ("the host name is no variable of the kubelet", &[], &["$(HOSTNAME)"], &["sum:v1", "$(HOSTNAME)"]),
        ];
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        for (case, command, args, expected) in cases {
            let template = PodTemplate {
                image: "sum:v1".to_owned(),
                command: owned(command),
                args: owned(args),
                env: vec![text("A", "1")],
                ..PodTemplate::default()
            };
            let setup = prepare(&launch(template, NO_INDEX)).expect(case);
            assert_eq!(setup.args.iter().collect::<Vec<_>>(), expected, "{case}");
        }
    }

    #[test]
    fn values_that_double_with_every_level_end_at_the_limit() {
        let mut env = vec![text("V0", "0123456789abcdef")];
        env.extend((1..64).map(|level| text(&format!("V{level}"), &format!("$(V{0})$(V{0})", level - 1))));
        let template = PodTemplate { env, ..PodTemplate::default() };
        assert_eq!(prepare(&launch(template, NO_INDEX)), Err(SetupTooLong));
    }

    #[test]
    fn arguments_and_environment_fit_up_to_the_limit() {
        let host = "HOSTNAME".len() + "pi-".len() + suffix().len();
        for (bytes, fits) in [(SETUP_BYTES_MAX - host, true), (SETUP_BYTES_MAX - host + 1, false)] {
            let template = PodTemplate { command: vec!["x".repeat(bytes)], ..PodTemplate::default() };
            assert_eq!(prepare(&launch(template, NO_INDEX)).is_ok(), fits, "{bytes}");
        }
    }
    #[test]
    fn pods_prepared_one_after_another_are_as_if_alone() {
        let long = "x".repeat(SETUP_BYTES_MAX + 1);
        let many: Vec<EnvVar> = (0..2 * SCANNED_MAX).map(|number| text(&format!("V{number}"), "$(V0)v")).collect();
        let templates = [
            PodTemplate { args: vec!["$(A)".to_owned()], env: vec![text("A", "1")], ..PodTemplate::default() },
            PodTemplate { args: vec!["$(A)".to_owned()], env: many, ..PodTemplate::default() },
            PodTemplate {
                args: vec![long],
                env: vec![text("A", "$(V1)2"), field("N", "metadata.name")],
                ..PodTemplate::default()
            },
            PodTemplate { env: vec![field("N", "metadata.name"), text("B", "$(A)$(N)")], ..PodTemplate::default() },
        ];
        let mut agent = Agent::default();
        for (template, index) in templates.iter().flat_map(|template| [9, 10, NO_INDEX].map(|index| (template, index)))
        {
            let launch = launch(template.clone(), index);
            assert_eq!(agent.prepare(&launch), prepare(&launch), "{index}");
        }
    }
}
