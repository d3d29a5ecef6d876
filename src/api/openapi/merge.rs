//! How lists of the API are merged: by a key, as a set, or not at all.
//!
//! kubernetes: the `patchStrategy`, `patchMergeKey`, `listType` and `listMapKey` tags of `k8s.io/api/*/v1/types.go`.
//! Invariant: a list that is not here is replaced as a whole.

/// Strategic merge patch of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patch {
    /// Replaced.
    Replace,
    /// A set of plain values.
    Merge,
    /// Items with equal keys are merged.
    Key(&'static str),
    /// As `Key`; of an item, only the fields that were sent last stay.
    KeyRetaining(&'static str),
}

/// Server-side apply of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Apply {
    /// Owned as a whole.
    Atomic,
    /// Each value has an owner.
    Set,
    /// Items with equal keys are one.
    Map(&'static [&'static str]),
}

/// A list: schema, field, and how it is merged.
pub(super) type Merge = (&'static str, &'static str, Patch, Apply);

use Apply::{Atomic, Map, Set};
use Patch::{Key, KeyRetaining, Merge as MergeSet, Replace};

const CONTAINER: &str = "io.k8s.api.core.v1.Container";
const CONTAINER_STATUS: &str = "io.k8s.api.core.v1.ContainerStatus";
const EPHEMERAL: &str = "io.k8s.api.core.v1.EphemeralContainer";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const NAMESPACE_STATUS: &str = "io.k8s.api.core.v1.NamespaceStatus";
const NODE_SPEC: &str = "io.k8s.api.core.v1.NodeSpec";
const NODE_STATUS: &str = "io.k8s.api.core.v1.NodeStatus";
const POD_SPEC: &str = "io.k8s.api.core.v1.PodSpec";
const POD_STATUS: &str = "io.k8s.api.core.v1.PodStatus";

/// All of them, by schema.
pub(super) const MERGES: &[Merge] = &[
    (OBJECT_META, "finalizers", MergeSet, Set),
    (OBJECT_META, "managedFields", Replace, Atomic),
    (OBJECT_META, "ownerReferences", Key("uid"), Map(&["uid"])),
    ("io.k8s.api.batch.v1.JobStatus", "conditions", Key("type"), Atomic),
    ("io.k8s.api.batch.v1.PodFailurePolicy", "rules", Replace, Atomic),
    ("io.k8s.api.batch.v1.PodFailurePolicyOnExitCodesRequirement", "values", Replace, Set),
    (POD_SPEC, "containers", Key("name"), Map(&["name"])),
    (POD_SPEC, "ephemeralContainers", Key("name"), Map(&["name"])),
    (POD_SPEC, "hostAliases", Key("ip"), Map(&["ip"])),
    (POD_SPEC, "imagePullSecrets", Key("name"), Map(&["name"])),
    (POD_SPEC, "initContainers", Key("name"), Map(&["name"])),
    (POD_SPEC, "readinessGates", Replace, Atomic),
    (POD_SPEC, "resourceClaims", KeyRetaining("name"), Map(&["name"])),
    (POD_SPEC, "schedulingGates", Key("name"), Map(&["name"])),
    (POD_SPEC, "tolerations", Replace, Atomic),
    (POD_SPEC, "topologySpreadConstraints", Key("topologyKey"), Map(&["topologyKey", "whenUnsatisfiable"])),
    (POD_SPEC, "volumes", KeyRetaining("name"), Map(&["name"])),
    (CONTAINER, "args", Replace, Atomic),
    (CONTAINER, "command", Replace, Atomic),
    (CONTAINER, "env", Key("name"), Map(&["name"])),
    (CONTAINER, "envFrom", Replace, Atomic),
    (CONTAINER, "ports", Key("containerPort"), Map(&["containerPort", "protocol"])),
    (CONTAINER, "volumeDevices", Key("devicePath"), Map(&["devicePath"])),
    (CONTAINER, "volumeMounts", Key("mountPath"), Map(&["mountPath"])),
    (EPHEMERAL, "args", Replace, Atomic),
    (EPHEMERAL, "command", Replace, Atomic),
    (EPHEMERAL, "env", Key("name"), Map(&["name"])),
    (EPHEMERAL, "envFrom", Replace, Atomic),
    (EPHEMERAL, "ports", Key("containerPort"), Map(&["containerPort", "protocol"])),
    (EPHEMERAL, "volumeDevices", Key("devicePath"), Map(&["devicePath"])),
    (EPHEMERAL, "volumeMounts", Key("mountPath"), Map(&["mountPath"])),
    (POD_STATUS, "conditions", Key("type"), Map(&["type"])),
    (POD_STATUS, "containerStatuses", Replace, Atomic),
    (POD_STATUS, "hostIPs", Key("ip"), Atomic),
    (POD_STATUS, "podIPs", Key("ip"), Map(&["ip"])),
    (POD_STATUS, "resourceClaimStatuses", KeyRetaining("name"), Map(&["name"])),
    (CONTAINER_STATUS, "allocatedResourcesStatus", Key("name"), Map(&["name"])),
    (CONTAINER_STATUS, "volumeMounts", Key("mountPath"), Map(&["mountPath"])),
    (NAMESPACE_STATUS, "conditions", Key("type"), Map(&["type"])),
    (NODE_SPEC, "podCIDRs", MergeSet, Set),
    (NODE_STATUS, "addresses", Key("type"), Map(&["type"])),
    (NODE_STATUS, "conditions", Key("type"), Map(&["type"])),
];
