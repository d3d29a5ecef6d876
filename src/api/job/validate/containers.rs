//! Containers of a pod template (kubernetes: `validateContainers`, `validateInitContainers`, `validateContainerCommon`).

use super::text::{dns_label, env_name, port_name, qualified_name};
use crate::api::field::{FieldErrors, quoted};
use crate::base::Quantity as Amount;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec, ResourceRequirements, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Arguments;

/// Rules about restarts that a container may have; further ones are not looked at (kubernetes:
/// `validateContainerRestartPolicy`).
const RESTART_RULES_MAX: usize = 20;
/// Exit codes that one of them may list.
const RESTART_EXIT_CODES_MAX: usize = 255;

const PORT_RANGE: std::ops::RangeInclusive<i32> = 1..=65535;

/// The containers and init containers of the pod at `path`.
pub(super) fn validate(pod: &PodSpec, path: Arguments<'_>, errors: &mut FieldErrors) {
    let volumes: BTreeSet<&str> = pod.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    if pod.containers.is_empty() {
        errors.required(format!("{path}.containers"), "");
    }
    let mut names = BTreeSet::new();
    for (at, container) in pod.containers.iter().enumerate() {
        let path = format_args!("{path}.containers[{at}]");
        common(container, &volumes, path, errors);
        if !names.insert(container.name.as_str()) {
            errors.duplicate(format!("{path}.name"), quoted(&container.name));
        }
        restarts(container, path, errors);
    }
    for (at, container) in pod.init_containers.iter().flatten().enumerate() {
        let path = format_args!("{path}.initContainers[{at}]");
        common(container, &volumes, path, errors);
        if !container.name.is_empty() && !names.insert(container.name.as_str()) {
            errors.duplicate(format!("{path}.name"), quoted(&container.name));
        }
    }
}

/// kubernetes: `validateContainerRestartPolicy`.
fn restarts(container: &Container, path: Arguments<'_>, errors: &mut FieldErrors) {
    let rules = container.restart_policy_rules.as_deref().unwrap_or(&[]);
    let Some(policy) = container.restart_policy.as_deref() else {
        if !rules.is_empty() {
            errors.required(format!("{path}.restartPolicy"), "must specify restartPolicy when restart rules are used");
        }
        return;
    };
    let supported = ["Always", "Never", "OnFailure"];
    if !supported.contains(&policy) {
        errors.not_supported(format!("{path}.restartPolicy"), quoted(policy), &supported);
    }
    let path = format!("{path}.restartPolicyRules");
    if rules.len() > RESTART_RULES_MAX {
        errors.too_many(&path, rules.len(), RESTART_RULES_MAX);
    }
    for (at, rule) in rules.iter().enumerate().take(RESTART_RULES_MAX) {
        let supported = ["Restart", "RestartAllContainers"];
        if !supported.contains(&rule.action.as_str()) {
            errors.not_supported(format!("{path}[{at}].action"), quoted(&rule.action), &supported);
        }
        let path = format!("{path}[{at}].exitCodes");
        let Some(codes) = &rule.exit_codes else {
            errors.required(path, "must be specified");
            continue;
        };
        let supported = ["In", "NotIn"];
        if !supported.contains(&codes.operator.as_str()) {
            errors.not_supported(format!("{path}.operator"), quoted(&codes.operator), &supported);
        }
        let count = codes.values.as_ref().map_or(0, Vec::len);
        if count > RESTART_EXIT_CODES_MAX {
            errors.too_many(format!("{path}.values"), count, RESTART_EXIT_CODES_MAX);
        }
    }
}

fn common(container: &Container, volumes: &BTreeSet<&str>, path: Arguments<'_>, errors: &mut FieldErrors) {
    if container.name.is_empty() {
        errors.required(format!("{path}.name"), "");
    } else {
        for message in dns_label(&container.name) {
            errors.invalid(format!("{path}.name"), quoted(&container.name), message);
        }
    }
    if container.image.as_deref().unwrap_or("").is_empty() {
        errors.required(format!("{path}.image"), "");
    }
    let supported = ["File", "FallbackToLogsOnError"];
    let policy = container.termination_message_policy.as_deref().unwrap_or("");
    if !supported.contains(&policy) {
        errors.not_supported(format!("{path}.terminationMessagePolicy"), quoted(policy), &supported);
    }
    ports(container.ports.as_deref().unwrap_or(&[]), format_args!("{path}.ports"), errors);
    for (at, variable) in container.env.iter().flatten().enumerate() {
        env(variable, format_args!("{path}.env[{at}]"), errors);
    }
    mounts(container.volume_mounts.as_deref().unwrap_or(&[]), volumes, format_args!("{path}.volumeMounts"), errors);
    let supported = ["Always", "IfNotPresent", "Never"];
    let policy = container.image_pull_policy.as_deref().unwrap_or("");
    if !supported.contains(&policy) {
        errors.not_supported(format!("{path}.imagePullPolicy"), quoted(policy), &supported);
    }
    if let Some(amounts) = &container.resources {
        resources(amounts, format_args!("{path}.resources"), errors);
    }
}

/// kubernetes: `validateContainerPorts`.
fn ports(ports: &[ContainerPort], path: Arguments<'_>, errors: &mut FieldErrors) {
    let range = "must be between 1 and 65535, inclusive";
    let mut names = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let path = format_args!("{path}[{at}]");
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let messages = port_name(name);
            if messages.is_empty() && !names.insert(name) {
                errors.duplicate(format!("{path}.name"), quoted(name));
            }
            for message in messages {
                errors.invalid(format!("{path}.name"), quoted(name), message);
            }
        }
        if port.container_port == 0 {
            errors.required(format!("{path}.containerPort"), "");
        } else if !PORT_RANGE.contains(&port.container_port) {
            errors.invalid(format!("{path}.containerPort"), port.container_port.to_string(), range);
        }
        if let Some(number) = port.host_port.filter(|&number| number != 0 && !PORT_RANGE.contains(&number)) {
            errors.invalid(format!("{path}.hostPort"), number.to_string(), range);
        }
        let supported = ["SCTP", "TCP", "UDP"];
        let protocol = port.protocol.as_deref().unwrap_or("");
        if !supported.contains(&protocol) {
            errors.not_supported(format!("{path}.protocol"), quoted(protocol), &supported);
        }
    }
}

/// kubernetes: `ValidateEnv`, `validateEnvVarValueFrom`.
fn env(variable: &EnvVar, path: Arguments<'_>, errors: &mut FieldErrors) {
    if variable.name.is_empty() {
        errors.required(format!("{path}.name"), "");
    }
    for message in env_name(&variable.name) {
        errors.invalid(format!("{path}.name"), quoted(&variable.name), message);
    }
    let Some(source) = &variable.value_from else { return };
    let path = format_args!("{path}.valueFrom");
    if let Some(field) = &source.field_ref {
        field_ref(field, format_args!("{path}.fieldRef"), errors);
    }
    let count = sources(source);
    let has_value = variable.value.as_ref().is_some_and(|value| !value.is_empty());
    if count == 0 {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        errors.invalid(path, quoted(""), detail);
    } else if has_value {
        errors.invalid(path, quoted(""), "may not be specified when `value` is not empty");
    } else if count > 1 {
        errors.invalid(path, quoted(""), "may not have more than one field specified at a time");
    }
}

fn sources(source: &EnvVarSource) -> usize {
    let given = [
        source.config_map_key_ref.is_some(),
        source.field_ref.is_some(),
        source.file_key_ref.is_some(),
        source.resource_field_ref.is_some(),
        source.secret_key_ref.is_some(),
    ];
    given.into_iter().filter(|&given| given).count()
}

/// Field paths of the downward API, in the reference's order.
const FIELD_PATHS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Paths that a pod has, but not as an environment variable.
const OTHER_FIELD_PATHS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase"];

/// kubernetes: `validateObjectFieldSelector`, `ConvertDownwardAPIFieldLabel`.
fn field_ref(field: &ObjectFieldSelector, path: Arguments<'_>, errors: &mut FieldErrors) {
    let at = format_args!("{path}.fieldPath");
    let (version, given) = (field.api_version.as_deref().unwrap_or(""), field.field_path.as_str());
    let mut unconverted = |why: String| {
        errors.invalid(at, quoted(given), format!("error converting fieldPath: {why}"));
    };
    if given.is_empty() {
        errors.required(at, "");
        return;
    }
    if version != "v1" {
        unconverted(format!("unsupported pod version: {version}"));
        return;
    }
    let subscripted =
        given.strip_suffix("']").and_then(|rest| rest.split_once("['")).filter(|(name, _)| !name.is_empty());
    let key = match subscripted {
        Some(("metadata.annotations", key)) => key.to_lowercase(),
        Some(("metadata.labels", key)) => key.to_owned(),
        Some(_) => return unconverted(format!("field label does not support subscript: {given}")),
        None if FIELD_PATHS.contains(&given) || given == "spec.host" => return,
        None if OTHER_FIELD_PATHS.contains(&given) => return errors.not_supported(at, quoted(given), &FIELD_PATHS),
        None => return unconverted(format!("field label not supported: {given}")),
    };
    for message in qualified_name(&key) {
        errors.invalid(path, quoted(&key), message);
    }
}

/// kubernetes: `ValidateVolumeMounts`, names and paths.
fn mounts(mounts: &[VolumeMount], volumes: &BTreeSet<&str>, path: Arguments<'_>, errors: &mut FieldErrors) {
    let mut paths = BTreeSet::new();
    for (at, mount) in mounts.iter().enumerate() {
        let path = format_args!("{path}[{at}]");
        if mount.name.is_empty() {
            errors.required(format!("{path}.name"), "");
        }
        if !volumes.contains(mount.name.as_str()) {
            errors.not_found(format!("{path}.name"), quoted(&mount.name));
        }
        if mount.mount_path.is_empty() {
            errors.required(format!("{path}.mountPath"), "");
        }
        if !paths.insert(&mount.mount_path) {
            errors.invalid(format!("{path}.mountPath"), quoted(&mount.mount_path), "must be unique");
        }
    }
}

fn is_native(resource: &str) -> bool {
    !resource.contains('/') || resource.contains("kubernetes.io/")
}

fn is_huge_pages(resource: &str) -> bool {
    resource.starts_with("hugepages-")
}

/// kubernetes: `validateContainerResourceName`.
fn resource_name(resource: &str, path: Arguments<'_>, errors: &mut FieldErrors) {
    let messages = qualified_name(resource);
    if !messages.is_empty() {
        messages.into_iter().for_each(|message| errors.invalid(path, quoted(resource), message));
        return;
    }
    let of_containers = ["cpu", "memory", "ephemeral-storage"].contains(&resource) || is_huge_pages(resource);
    if !resource.contains('/') {
        if !of_containers {
            if !is_standard(resource) {
                errors.invalid(path, quoted(resource), "must be a standard resource type or fully qualified");
            }
            errors.invalid(path, quoted(resource), "must be a standard resource for containers");
        }
    } else if !is_native(resource)
        && (resource.starts_with("requests.") || !qualified_name(&format!("requests.{resource}")).is_empty())
    {
        errors.invalid(path, quoted(resource), "doesn't follow extended resource name standard");
    }
}

/// Resources of quotas and volumes, which no container may ask for (kubernetes: `standardResources`).
fn is_standard(resource: &str) -> bool {
    const OTHERS: [&str; 18] = [
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "persistentvolumeclaims",
        "configmaps",
        "storage",
        "requests.storage",
        "services.nodeports",
        "services.loadbalancers",
        "limits.storage",
    ];
    OTHERS.contains(&resource) || resource.starts_with("requests.hugepages-")
}

fn amount(resource: &str, value: Amount, path: Arguments<'_>, errors: &mut FieldErrors) {
    resource_name(resource, path, errors);
    if value.is_negative() {
        errors.invalid(path, quoted(&value.canonical()), "must be greater than or equal to 0");
    }
    if !is_native(resource) && !value.is_whole() {
        errors.invalid(path, value.canonical(), "must be an integer");
    }
}

/// kubernetes: `validateResourceRequirements`.
fn resources(resources: &ResourceRequirements, path: Arguments<'_>, errors: &mut FieldErrors) {
    // Decoding has refused what is no quantity.
    let parse = |Quantity(text): &Quantity| Amount::parse(text);
    for (resource, quantity) in resources.limits.iter().flatten() {
        if let Some(value) = parse(quantity) {
            amount(resource, value, format_args!("{path}.limits[{resource}]"), errors);
        }
    }
    for (resource, quantity) in resources.requests.iter().flatten() {
        let Some(value) = parse(quantity) else { continue };
        amount(resource, value, format_args!("{path}.requests[{resource}]"), errors);
        let may_overcommit = is_native(resource) && !is_huge_pages(resource);
        let limit = resources.limits.as_ref().and_then(|limits| limits.get(resource)).and_then(parse);
        let order = limit.map(|limit| (value.cmp(&limit), limit.canonical()));
        let at = format_args!("{path}.requests");
        match order {
            Some((Ordering::Less | Ordering::Greater, limit)) if !may_overcommit => {
                errors.invalid(at, quoted(&value.canonical()), format!("must be equal to {resource} limit of {limit}"));
            }
            Some((Ordering::Greater, limit)) => {
                let detail = format!("must be less than or equal to {resource} limit of {limit}");
                errors.invalid(at, quoted(&value.canonical()), detail);
            }
            None if !may_overcommit => {
                errors.required(format!("{path}.limits"), "Limit must be set for non overcommitable resources");
            }
            _ => {}
        }
    }
}
