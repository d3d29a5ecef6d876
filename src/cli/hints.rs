//! "Did you mean": the fields of a Job that people write, and where a key stands in a YAML text.

/// Field names of the objects in a Job manifest (kubernetes v1.36: batch/v1 and core/v1).
const FIELDS: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "annotations",
    "apiVersion",
    "args",
    "automountServiceAccountToken",
    "backoffLimit",
    "backoffLimitPerIndex",
    "command",
    "completionMode",
    "completions",
    "containerName",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "env",
    "envFrom",
    "fieldPath",
    "fieldRef",
    "finalizers",
    "generateName",
    "hostAliases",
    "hostNetwork",
    "hostname",
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "initContainers",
    "kind",
    "labels",
    "lifecycle",
    "limits",
    "livenessProbe",
    "managedBy",
    "manualSelector",
    "maxFailedIndexes",
    "metadata",
    "name",
    "namespace",
    "nodeName",
    "nodeSelector",
    "onExitCodes",
    "onPodConditions",
    "operator",
    "ownerReferences",
    "parallelism",
    "podFailurePolicy",
    "podReplacementPolicy",
    "ports",
    "priority",
    "priorityClassName",
    "readinessProbe",
    "requests",
    "resources",
    "restartPolicy",
    "rules",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "securityContext",
    "selector",
    "serviceAccountName",
    "spec",
    "startupProbe",
    "stdin",
    "subdomain",
    "successPolicy",
    "suspend",
    "template",
    "terminationGracePeriodSeconds",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tolerations",
    "topologySpreadConstraints",
    "ttlSecondsAfterFinished",
    "tty",
    "value",
    "valueFrom",
    "values",
    "volumeDevices",
    "volumeMounts",
    "volumes",
    "workingDir",
    "action",
];

/// The field that was probably meant.
pub(super) fn did_you_mean(field: &str) -> Option<&'static str> {
    let score = |known: &&str| strsim::jaro_winkler(field, known);
    let best = FIELDS.iter().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(best) > 0.85).then_some(best)
}

/// Line and column, both from 1, of the key at `path` (`spec.template.spec.containers[0].image`) in a YAML text in block
/// style. `None` when the text is written another way.
pub(super) fn find_key(text: &str, path: &str) -> Option<(usize, usize)> {
    let mut lines = text.lines().enumerate().peekable();
    let mut found = None;
    for step in path.split('.') {
        let (key, item) = match step.split_once('[') {
            Some((key, index)) => (key, index.trim_end_matches(']').parse::<usize>().ok()?),
            None => (step, 0),
        };
        let is_key = |line: &str| {
            let bare = line.trim_start().trim_start_matches("- ").trim_start();
            bare.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'))
        };
        let (at, line) = lines.find(|(_, line)| is_key(line))?;
        found = Some((at + 1, line.find(key)? + 1));
        if step.contains('[') {
            // The list's items: lines that begin with a dash at the depth of the first.
            let depth = lines.peek().map(|(_, line)| line.len() - line.trim_start().len())?;
            for _ in 0..item {
                lines.next();
                while lines.peek().is_some_and(|(_, line)| !line.get(depth..).is_some_and(|rest| rest.starts_with('-')))
                {
                    lines.next();
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
apiVersion: batch/v1
spec:
  paralelism: 4
  template:
    spec:
      containers:
      - name: a
        image: x
      - name: b
        imagee: y
";

    #[test]
    fn keys_are_found_where_they_stand() {
        let cases = [
            ("spec.paralelism", Some((3, 3))),
            ("spec.template.spec.containers[0].image", Some((8, 9))),
            ("spec.template.spec.containers[1].name", Some((9, 9))),
            ("spec.template.spec.containers[1].imagee", Some((10, 9))),
            ("spec.nothing", None),
        ];
        for (path, place) in cases {
            assert_eq!(find_key(TEXT, path), place, "{path}");
        }
    }

    #[test]
    fn near_misses_are_recognised_and_others_left_alone() {
        assert_eq!(did_you_mean("paralelism"), Some("parallelism"));
        assert_eq!(did_you_mean("comand"), Some("command"));
        assert_eq!(did_you_mean("zzz"), None);
    }
}
