//! Which number is which field.
//!
//! The numbers are those of the published `generated.proto` files (kubernetes v1.36: `k8s.io/api/{batch,core,scheduling}/v1`,
//! `apimachinery/pkg/apis/meta/v1`); `tests` hold them against those of an independent library. Fields whose form is not read
//! here are named, so that the refusal can name them.

use super::Kind::{Flag, Ignored, Message, Number, Quantity, Text, Time, Unread};
use super::{Field, Kind, Shape};

const fn one(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, shape: Shape::One, kind }
}

const fn list(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, shape: Shape::List, kind }
}

const fn map(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, shape: Shape::Map, kind }
}

/// batch/v1 Job.
pub(in crate::api) static JOB: [Field; 3] =
    [one(1, "metadata", Message(&OBJECT_META)), one(2, "spec", Message(&JOB_SPEC)), one(3, "status", Ignored)];

/// core/v1 Namespace.
pub(in crate::api) static NAMESPACE: [Field; 3] =
    [one(1, "metadata", Message(&OBJECT_META)), one(2, "spec", Message(&NAMESPACE_SPEC)), one(3, "status", Ignored)];

/// scheduling.k8s.io/v1 PriorityClass.
pub(in crate::api) static PRIORITY_CLASS: [Field; 5] = [
    one(1, "metadata", Message(&OBJECT_META)),
    one(2, "value", Number),
    one(3, "globalDefault", Flag),
    one(4, "description", Text),
    one(5, "preemptionPolicy", Text),
];

/// policy/v1 Eviction.
pub(in crate::api) static EVICTION: [Field; 2] =
    [one(1, "metadata", Message(&OBJECT_META)), one(2, "deleteOptions", Message(&DELETE_OPTIONS))];

/// meta/v1 DeleteOptions.
pub(in crate::api) static DELETE_OPTIONS: [Field; 6] = [
    one(1, "gracePeriodSeconds", Number),
    one(2, "preconditions", Message(&PRECONDITIONS)),
    one(3, "orphanDependents", Flag),
    one(4, "propagationPolicy", Text),
    list(5, "dryRun", Text),
    one(6, "ignoreStoreReadErrorWithClusterBreakingPotential", Flag),
];

static PRECONDITIONS: [Field; 2] = [one(1, "uid", Text), one(2, "resourceVersion", Text)];

static NAMESPACE_SPEC: [Field; 1] = [list(1, "finalizers", Text)];

static OBJECT_META: [Field; 15] = [
    one(1, "name", Text),
    one(2, "generateName", Text),
    one(3, "namespace", Text),
    one(4, "selfLink", Text),
    one(5, "uid", Text),
    one(6, "resourceVersion", Text),
    one(7, "generation", Number),
    one(8, "creationTimestamp", Time),
    one(9, "deletionTimestamp", Time),
    one(10, "deletionGracePeriodSeconds", Number),
    map(11, "labels", Text),
    map(12, "annotations", Text),
    list(13, "ownerReferences", Message(&OWNER_REFERENCE)),
    list(14, "finalizers", Text),
    list(17, "managedFields", Ignored),
];

static OWNER_REFERENCE: [Field; 6] = [
    one(1, "kind", Text),
    one(3, "name", Text),
    one(4, "uid", Text),
    one(5, "apiVersion", Text),
    one(6, "controller", Flag),
    one(7, "blockOwnerDeletion", Flag),
];

static JOB_SPEC: [Field; 16] = [
    one(1, "parallelism", Number),
    one(2, "completions", Number),
    one(3, "activeDeadlineSeconds", Number),
    one(4, "selector", Message(&LABEL_SELECTOR)),
    one(5, "manualSelector", Flag),
    one(6, "template", Message(&POD_TEMPLATE)),
    one(7, "backoffLimit", Number),
    one(8, "ttlSecondsAfterFinished", Number),
    one(9, "completionMode", Text),
    one(10, "suspend", Flag),
    one(11, "podFailurePolicy", Message(&POD_FAILURE_POLICY)),
    one(12, "backoffLimitPerIndex", Number),
    one(13, "maxFailedIndexes", Number),
    one(14, "podReplacementPolicy", Text),
    one(15, "managedBy", Text),
    one(16, "successPolicy", Message(&SUCCESS_POLICY)),
];

static LABEL_SELECTOR: [Field; 2] =
    [map(1, "matchLabels", Text), list(2, "matchExpressions", Message(&LABEL_SELECTOR_REQUIREMENT))];

static LABEL_SELECTOR_REQUIREMENT: [Field; 3] =
    [one(1, "key", Text), one(2, "operator", Text), list(3, "values", Text)];

static POD_FAILURE_POLICY: [Field; 1] = [list(1, "rules", Message(&POD_FAILURE_POLICY_RULE))];

static POD_FAILURE_POLICY_RULE: [Field; 3] = [
    one(1, "action", Text),
    one(2, "onExitCodes", Message(&ON_EXIT_CODES)),
    list(3, "onPodConditions", Message(&ON_POD_CONDITIONS)),
];

static ON_EXIT_CODES: [Field; 3] = [one(1, "containerName", Text), one(2, "operator", Text), list(3, "values", Number)];

static ON_POD_CONDITIONS: [Field; 2] = [one(1, "type", Text), one(2, "status", Text)];

static SUCCESS_POLICY: [Field; 1] = [list(1, "rules", Message(&SUCCESS_POLICY_RULE))];

static SUCCESS_POLICY_RULE: [Field; 2] = [one(1, "succeededIndexes", Text), one(2, "succeededCount", Number)];

static POD_TEMPLATE: [Field; 2] = [one(1, "metadata", Message(&OBJECT_META)), one(2, "spec", Message(&POD_SPEC))];

static POD_SPEC: [Field; 42] = [
    list(1, "volumes", Unread),
    list(2, "containers", Message(&CONTAINER)),
    one(3, "restartPolicy", Text),
    one(4, "terminationGracePeriodSeconds", Number),
    one(5, "activeDeadlineSeconds", Number),
    one(6, "dnsPolicy", Text),
    map(7, "nodeSelector", Text),
    one(8, "serviceAccountName", Text),
    one(9, "serviceAccount", Text),
    one(10, "nodeName", Text),
    one(11, "hostNetwork", Flag),
    one(12, "hostPID", Flag),
    one(13, "hostIPC", Flag),
    one(14, "securityContext", Message(&NOTHING)),
    list(15, "imagePullSecrets", Unread),
    one(16, "hostname", Text),
    one(17, "subdomain", Text),
    one(18, "affinity", Unread),
    one(19, "schedulerName", Text),
    list(20, "initContainers", Message(&CONTAINER)),
    one(21, "automountServiceAccountToken", Flag),
    list(22, "tolerations", Message(&TOLERATION)),
    list(23, "hostAliases", Unread),
    one(24, "priorityClassName", Text),
    one(25, "priority", Number),
    one(26, "dnsConfig", Unread),
    one(27, "shareProcessNamespace", Flag),
    list(28, "readinessGates", Unread),
    one(29, "runtimeClassName", Text),
    one(30, "enableServiceLinks", Flag),
    one(31, "preemptionPolicy", Text),
    map(32, "overhead", Quantity),
    list(33, "topologySpreadConstraints", Unread),
    list(34, "ephemeralContainers", Unread),
    one(35, "setHostnameAsFQDN", Flag),
    one(36, "os", Unread),
    one(37, "hostUsers", Flag),
    list(38, "schedulingGates", Unread),
    list(39, "resourceClaims", Unread),
    one(40, "resources", Unread),
    one(41, "hostnameOverride", Text),
    one(42, "workloadRef", Unread),
];

/// A message of which only the empty one is offered: its fields are refused by their numbers.
static NOTHING: [Field; 0] = [];

static TOLERATION: [Field; 5] = [
    one(1, "key", Text),
    one(2, "operator", Text),
    one(3, "value", Text),
    one(4, "effect", Text),
    one(5, "tolerationSeconds", Number),
];

static CONTAINER: [Field; 25] = [
    one(1, "name", Text),
    one(2, "image", Text),
    list(3, "command", Text),
    list(4, "args", Text),
    one(5, "workingDir", Text),
    list(6, "ports", Message(&CONTAINER_PORT)),
    list(7, "env", Message(&ENV_VAR)),
    one(8, "resources", Message(&RESOURCES)),
    list(9, "volumeMounts", Unread),
    one(10, "livenessProbe", Unread),
    one(11, "readinessProbe", Unread),
    one(12, "lifecycle", Unread),
    one(13, "terminationMessagePath", Text),
    one(14, "imagePullPolicy", Text),
    one(15, "securityContext", Message(&NOTHING)),
    one(16, "stdin", Flag),
    one(17, "stdinOnce", Flag),
    one(18, "tty", Flag),
    list(19, "envFrom", Unread),
    one(20, "terminationMessagePolicy", Text),
    list(21, "volumeDevices", Unread),
    one(22, "startupProbe", Unread),
    list(23, "resizePolicy", Unread),
    one(24, "restartPolicy", Text),
    list(25, "restartPolicyRules", Message(&RESTART_RULE)),
];

static RESTART_RULE: [Field; 2] = [one(1, "action", Text), one(2, "exitCodes", Message(&RESTART_EXIT_CODES))];

static RESTART_EXIT_CODES: [Field; 2] = [one(1, "operator", Text), list(2, "values", Number)];

static CONTAINER_PORT: [Field; 5] = [
    one(1, "name", Text),
    one(2, "hostPort", Number),
    one(3, "containerPort", Number),
    one(4, "protocol", Text),
    one(5, "hostIP", Text),
];

static ENV_VAR: [Field; 3] = [one(1, "name", Text), one(2, "value", Text), one(3, "valueFrom", Message(&ENV_SOURCE))];

static ENV_SOURCE: [Field; 5] = [
    one(1, "fieldRef", Message(&FIELD_REF)),
    one(2, "resourceFieldRef", Unread),
    one(3, "configMapKeyRef", Unread),
    one(4, "secretKeyRef", Unread),
    one(5, "fileKeyRef", Unread),
];

static FIELD_REF: [Field; 2] = [one(1, "apiVersion", Text), one(2, "fieldPath", Text)];

static RESOURCES: [Field; 3] = [map(1, "limits", Quantity), map(2, "requests", Quantity), list(3, "claims", Unread)];
