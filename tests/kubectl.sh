#!/usr/bin/env bash
# Drives `coracle serve` with kubectl and curl as they are on this machine, from the first start to a SIGKILL and back.
#
#     tests/kubectl.sh target/debug/coracle
#
# Ends with 0 when everything was as it should be; otherwise it says what was not, and shows the server's log.
set -euo pipefail
coracle=$(realpath "$1")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
data=$work/data
server=
# kubectl keeps what it discovers in its home; this one is empty.
export HOME=$work/home KUBECONFIG=$data/kubeconfig NO_COLOR=1
mkdir -p "$HOME"

finish() {
    local code=$?
    if [ -n "$server" ]; then kill -9 "$server" 2>/dev/null || true; fi
    if [ $code -ne 0 ] && [ -f "$work/serve.log" ]; then
        echo "--- the server said"
        tail -40 "$work/serve.log"
    fi
    rm -rf "$work"
}
trap finish EXIT

fail() {
    echo "FAILED: $*"
    exit 1
}

# What a command prints, in $out; it must end with 0.
run() {
    out=$("$@" 2>&1) || fail "'$*' ended with $?: $out"
}

# What a command prints, in $out; it must not end with 0.
refuse() {
    if out=$("$@" 2>&1); then fail "'$*' was not refused: $out"; fi
}

has() {
    local text
    for text in "$@"; do
        [[ $out == *"$text"* ]] || fail "$text is not in: $out"
    done
}

is() {
    [ "$out" = "$1" ] || fail "expected: $1
but it is: $out"
}

# Until a command ends with 0 and its output has a text, for at most a minute.
soon() {
    local text=$1 _
    shift
    for _ in $(seq 600); do
        if out=$("$@" 2>&1) && [[ $out == *"$text"* ]]; then return; fi
        sleep 0.1
    done
    fail "'$*' never said $text, but: $out"
}

k() {
    kubectl "$@"
}

start() {
    "$coracle" serve --data-dir "$data" --listen "$1" 2>>"$work/serve.log" &
    server=$!
    soon ok k get --raw /readyz
    port=$(sed -n 's|.*server: .*https://127.0.0.1:\([0-9]*\).*|\1|p' "$KUBECONFIG")
    url=https://127.0.0.1:$port
}

web() {
    curl --silent --show-error --cacert "$data/ca.crt" -H "Authorization: Bearer $(cat "$data/token")" "$@"
}

job() {
    cat <<YAML
apiVersion: batch/v1
kind: Job
metadata: {name: $1, labels: {app: $1}}
spec:
  completions: ${4:-1}
  parallelism: ${4:-1}
  backoffLimit: 0
  template:
    metadata: {labels: {app: $1}}
    spec:
      restartPolicy: Never
      containers: [{name: c, image: "$2", args: [$3]}]
YAML
}

echo "== first start"
start 127.0.0.1:0
for file in kubeconfig token; do
    [ "$(stat -c %a "$data/$file")" = 600 ] || fail "$file can be read by others"
done
grep -q "export KUBECONFIG=" "$work/serve.log" || fail "the server does not say what to type next"
for path in livez readyz; do
    run curl --silent --show-error --fail --cacert "$data/ca.crt" "$url/$path"
    is ok
done
run curl --silent --show-error --fail --cacert "$data/ca.crt" "$url/version"
has '"gitVersion"'
for path in / /api /apis/batch/v1/jobs /modules /openapi/v3 /nope; do
    run curl --silent --show-error --cacert "$data/ca.crt" -o /dev/null -w '%{http_code}' "$url$path"
    is 401
done
run curl --silent --cacert "$data/ca.crt" -H "Authorization: Bearer wrong" "$url/api"
has '"reason":"Unauthorized"' '"code":401'

echo "== a second server on the same directory, and one on the same port"
refuse "$coracle" serve --data-dir "$data" --listen 127.0.0.1:0
has "error:" "$server"
refuse "$coracle" serve --data-dir "$work/other" --listen "127.0.0.1:$port"
has "cannot listen on 127.0.0.1:$port" "$server" "--listen 127.0.0.1:0"

echo "== modules"
run "$coracle" push guest-examples/prebuilt/hello.wasm
has "hello:latest" "sha256:" "compiled in"
run web -T guest-examples/prebuilt/hello.wasm "$url/modules/hello:v1"
has "\"digest\":\"sha256:$(sha256sum guest-examples/prebuilt/hello.wasm | cut -d' ' -f1)\"" \
    "\"size\":$(stat -c %s guest-examples/prebuilt/hello.wasm)" '"kind":"command"' '"imports":[' '"compileMillis":'
run "$coracle" push guest-examples/prebuilt/sleep.wasm
run "$coracle" push guest-examples/prebuilt/exit-code.wasm
run "$coracle" push guest-examples/prebuilt/index.wasm scratch:v7
run web "$url/modules"
for name in hello:latest hello:v1 scratch:v7 coracle/pi:latest; do
    [[ $out =~ \"name\":\"${name%:*}\",\"size\":[0-9]+,\"tag\":\"${name#*:}\" ]] || fail "$name is not in: $out"
done
run web -X DELETE -o /dev/null -w '%{http_code}' "$url/modules/scratch:v7"
is 200
run web "$url/modules"
[[ $out != *scratch* ]] || fail "scratch is still there: $out"

echo "== modules that are refused leave nothing behind"
before=$(ls -R "$data/modules" "$data/cache" | sort)
echo "not a module" >"$work/bad.wasm"
# No _start: a type section and nothing else.
printf '\0asm\1\0\0\0' >"$work/library.wasm"
# (module (import "env" "host_log" (func)) (func (export "_start")) )
printf '\0asm\1\0\0\0\1\4\1\140\0\0\2\20\1\3env\10host_log\0\0\3\2\1\0\7\12\1\6_start\0\1\12\4\1\2\0\13' >"$work/import.wasm"
truncate -s $((64 * 1024 * 1024 + 1)) "$work/large.wasm"
for file in bad library import large; do
    run web -T "$work/$file.wasm" -o "$work/answer" -w '%{http_code}' "$url/modules/refused"
    [[ $out == 4* ]] || fail "$file.wasm was taken: $out $(cat "$work/answer")"
    grep -q '"kind":"Status"' "$work/answer" || fail "$file.wasm: $(cat "$work/answer")"
done
refuse "$coracle" push "$work/import.wasm" refused
has "env.host_log"
refuse "$coracle" push "$work/library.wasm" refused
has "_start"
[ "$before" = "$(ls -R "$data/modules" "$data/cache" | sort)" ] || fail "something was left behind"

echo "== version and discovery"
run k version
has "Server Version: v1.36"
run k api-resources
has "jobs" "batch/v1" "pods" "nodes" "namespaces" "events"
run k api-versions
has "batch/v1" "v1"

echo "== create, wait, get"
job hello hello world 2 >"$work/hello.yaml"
run k create -f "$work/hello.yaml"
is "job.batch/hello created"
run k wait --for=condition=complete job/hello --timeout=60s
is "job.batch/hello condition met"
run k get jobs
has "NAME" "STATUS" "COMPLETIONS" "DURATION" "AGE" "Complete" "2/2"
run k get jobs -o wide
has "CONTAINERS" "IMAGES" "SELECTOR" "batch.kubernetes.io/controller-uid="
run k get job hello -o name
is job.batch/hello
run k get job hello -o json
has '"kind": "Job"' '"apiVersion": "batch/v1"' '"succeeded": 2'
run k get jobs -o yaml
has "kind: List" "name: hello"
run k get jobs -l app=hello -o name
is job.batch/hello
run k get jobs -l 'app in (x, y)' -o name
is ""
run k get jobs -A
has "NAMESPACE" "default"
run k get pods
has "NAME" "READY" "STATUS" "RESTARTS" "AGE" "0/1" "Completed"
run k get pods -o wide
has "IP" "NODE" "NOMINATED NODE" "READINESS GATES"
run k get pods -l job-name=hello -o name
[ "$(wc -l <<<"$out")" -eq 2 ] || fail "$out"
pod=$(head -1 <<<"$out")
run k get "$pod" -o yaml
has "phase: Succeeded" "reason: Completed" "exitCode: 0"
run k get pods --field-selector status.phase=Failed -o name
is ""
refuse k get job nope
is 'Error from server (NotFound): jobs.batch "nope" not found'
run k get jobs -n kube-system
is "No resources found in kube-system namespace."

echo "== describe, events, logs"
run k describe job hello
has "Name:             hello" "Pods Statuses:    0 Active (0 Ready) / 2 Succeeded / 0 Failed" "Completions:      2" \
    "Image:      hello" "SuccessfulCreate" "Completed" "job-controller"
run k describe "$pod"
has "Status:           Succeeded" "Controlled By:  Job/hello" "Reason:       Completed" "Exit Code:    0"
run k get events
has "LAST SEEN" "REASON" "job/hello" "SuccessfulCreate"
run k events --for job/hello
has "Completed"
run k logs "$pod"
is "hello, world"
run k logs job/hello
has "hello, world"
run k logs -l job-name=hello --prefix --tail=5
has "[$pod/c] hello, world"
run k logs "$pod" --timestamps
[[ $out =~ ^20[0-9-]+T[0-9:.]+Z\ hello ]] || fail "$out"
job napping sleep '"1.5"' >"$work/napping.yaml"
run k create -f "$work/napping.yaml"
run k logs -f job/napping
has "awake after 1.5 s"
run k wait --for=condition=complete job/napping --timeout=60s

echo "== a Job that fails"
job broken exit-code '"3"' | run k create -f -
run k wait --for=condition=failed job/broken --timeout=60s
is "job.batch/broken condition met"
run k describe job broken
has "0 Active (0 Ready) / 0 Succeeded / 1 Failed" "BackoffLimitExceeded"
run k get pods -l job-name=broken
has "Error"

echo "== watches"
k get jobs -w >"$work/jobs.watch" 2>&1 &
jobs_watch=$!
k get pods -w -l app=watched -o name >"$work/pods.watch" 2>&1 &
pods_watch=$!
soon hello cat "$work/jobs.watch"
job watched hello you 3 | run k create -f -
soon "3/3" cat "$work/jobs.watch"
soon pod/watched- cat "$work/pods.watch"
run k delete job watched
kill $jobs_watch $pods_watch
wait $jobs_watch $pods_watch 2>/dev/null || true

echo "== apply"
job applied hello there >"$work/applied.yaml"
run k apply -f "$work/applied.yaml"
is "job.batch/applied created"
run k apply -f "$work/applied.yaml"
is "job.batch/applied unchanged"
sed -i 's/parallelism: 1/parallelism: 4/' "$work/applied.yaml"
refuse k apply -f "$work/applied.yaml"
has "UnsupportedMediaType"

echo "== create job, from protobuf"
run k create job typed --image=hello -- world
is "job.batch/typed created"
run k wait --for=condition=complete job/typed --timeout=60s
run k logs job/typed
is "hello, world"
run k create job refused --image=hello --dry-run=server
has "job.batch/refused created (server dry run)"
refuse k get job refused

echo "== label, annotate, patch"
run k label job hello tier=test
is "job.batch/hello labeled"
run k get jobs -l tier=test -o name
is job.batch/hello
run k label job hello tier-
is "job.batch/hello unlabeled"
run k annotate job hello note="first run"
is "job.batch/hello annotated"
run k get job hello -o 'jsonpath={.metadata.annotations.note}'
is "first run"
run k patch job hello --type=merge -p '{"metadata":{"labels":{"tier":"patched"}}}'
is "job.batch/hello patched"
run k patch job hello --type=merge -p '{"metadata":{"labels":{"tier":"patched"}}}'
is "job.batch/hello patched (no change)"
refuse k patch job hello --type=merge -p '{"spec":{"completions":9}}'
has 'The Job "hello" is invalid' "spec.completions" "field is immutable"

echo "== priority classes"
run k create priorityclass high --value=1000 --description="goes first"
is "priorityclass.scheduling.k8s.io/high created"
run k get priorityclasses
has VALUE GLOBAL-DEFAULT PREEMPTIONPOLICY "high " 1000 system-node-critical 2000001000 PreemptLowerPriority
job preferred hello:v1 "" | sed 's/^      restartPolicy/      priorityClassName: high\n      restartPolicy/' >"$work/preferred.yaml"
run k create -f "$work/preferred.yaml"
run k wait --for=condition=Complete job/preferred --timeout=60s
run k get pods -l app=preferred -o 'jsonpath={.items[0].spec.priority} {.items[0].spec.priorityClassName}'
is "1000 high"
run k delete job preferred
refuse k delete priorityclass system-node-critical
has "this is a system priority class and cannot be deleted"
run k delete pc high
has 'high" deleted'

echo "== nodes and namespaces"
run k get nodes
has "STATUS" "VERSION" "Ready" "v1.36"
run k get nodes -o wide
has "wasmtime://"
run k describe node
has "Capacity:" "cpu" "memory"
run k get ns
has "default" "kube-system" "Active"
run k create ns team
is "namespace/team created"
refuse k create ns team
is 'Error from server (AlreadyExists): namespaces "team" already exists'
run k label ns team owner=me
is "namespace/team labeled"
job there hello you | run k create -n team -f -
run k wait -n team --for=condition=complete job/there --timeout=60s
run k get jobs -A -o name
has job.batch/there
refuse k create job lost --image=hello -n nowhere
has 'namespaces "nowhere" not found'

echo "== refusals, in Kubernetes' words"
refuse k create -f "$work/hello.yaml"
has 'Error from server (AlreadyExists)' 'jobs.batch "hello" already exists'
sed 's/parallelism/paralelism/; s/name: hello/name: other/' "$work/hello.yaml" >"$work/typo.yaml"
refuse k create -f "$work/typo.yaml"
has "Error from server (BadRequest)" 'strict decoding error: unknown field "spec.paralelism"'
sed 's/restartPolicy: Never/restartPolicy: Always/; s/name: hello/name: other/' "$work/hello.yaml" >"$work/always.yaml"
refuse k create -f "$work/always.yaml"
has 'The Job "other" is invalid' 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'
job absent no-such-module '' | run k create -f -
soon "ErrImagePull" k get pods -l job-name=absent
run k delete job absent

echo "== pods are deleted and evicted"
job hands coracle/sleep '"600"' 2 >"$work/hands.yaml"
sed -i 's/backoffLimit: 0/backoffLimit: 9/' "$work/hands.yaml"
run k create -f "$work/hands.yaml"
soon "Running Running" k get pods -l app=hands -o 'jsonpath={.items[*].status.phase}'
run k get pods -l app=hands -o name
pod=$(head -1 <<<"$out")
other=$(tail -1 <<<"$out")
run k delete "$pod"
has "${pod#pod/}\" deleted"
run k delete "$other" --grace-period=0 --force
has "force deleted"
run k get job hands -o 'jsonpath={.status.failed}'
is 2
run k delete job hands --cascade=foreground
has 'job.batch "hands" deleted'
run k get pods -l app=hands -o name
is ""
run k create -f "$work/hands.yaml"
soon "Running Running" k get pods -l app=hands -o 'jsonpath={.items[*].status.phase}'
name=$(k get pods -l app=hands -o 'jsonpath={.items[0].metadata.name}')
echo "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"$name\",\"namespace\":\"default\"}}" \
    >"$work/eviction.json"
run k create --raw "/api/v1/namespaces/default/pods/$name/eviction" -f "$work/eviction.json"
has '"status":"Success"'
soon NotFound bash -c "kubectl get pod $name 2>&1 || true"
run k delete job hands --cascade=orphan
has 'job.batch "hands" deleted'
run k get pods -l app=hands -o 'jsonpath={.items[*].metadata.ownerReferences}'
is ""
run k get pods -l app=hands -o 'jsonpath={.items[*].status.phase}'
is Running
run k delete pods -l app=hands
has deleted
run k get pods -l app=hands -o name
is ""

echo "== drain, cordon, uncordon"
run k create -f "$work/hands.yaml"
soon "Running Running" k get pods -l app=hands -o 'jsonpath={.items[*].status.phase}'
run k drain coracle --pod-selector=app=hands --ignore-daemonsets --timeout=60s
has "node/coracle cordoned" "evicting pod default/hands-" "node/coracle drained"
run k get nodes
has "Ready,SchedulingDisabled"
job later hello you | run k create -f -
soon Unschedulable k get pods -l app=later -o 'jsonpath={.items[*].status.conditions[*].reason}'
run k get pods -l app=later -o 'jsonpath={.items[0].status.phase} {.items[0].spec.nodeName}'
is "Pending "
soon FailedScheduling k events --for "$(k get pods -l app=later -o name)"
has "1 node(s) were unschedulable"
run k uncordon coracle
is "node/coracle uncordoned"
run k wait --for=condition=complete job/later --timeout=60s
run k delete job hands later

echo "== ninety pods that each ask for a fifth of the CPU"
milli=$(($(k get node coracle -o 'jsonpath={.status.allocatable.cpu}') * 200))
job fifths coracle/sleep '"0.05"' 90 >"$work/fifths.yaml"
sed -i "s/name: c,/name: c, resources: {requests: {cpu: ${milli}m}},/" "$work/fifths.yaml"
run k create -f "$work/fifths.yaml"
soon "Insufficient cpu" k get events
run k wait --for=condition=complete job/fifths --timeout=120s
run k get job fifths -o 'jsonpath={.status.succeeded} {.status.failed}'
is "90 "
run k delete job fifths

echo "== a module in use stays"
job holder coracle/sleep '"600"' 2 | run k create -f -
run "$coracle" push guest-examples/prebuilt/sleep.wasm held
job holds held '"600"' | run k create -f -
run web -X DELETE -o "$work/answer" -w '%{http_code}' "$url/modules/held"
is 409
grep -q holds "$work/answer" || fail "$(cat "$work/answer")"

echo "== delete"
soon Running k get pods -l job-name=holder
run k delete job holder holds
has 'job.batch "holder" deleted' 'job.batch "holds" deleted'
for name in holder holds; do
    refuse k get job $name
    run k get pods -l job-name=$name -o name
    is ""
done
run k delete jobs --all -n team
has 'job.batch "there" deleted'
refuse k delete job nope
has 'jobs.batch "nope" not found'

echo "== coracle run --server"
job remote coracle/index '' 3 >"$work/remote.yaml"
sed -i 's/completions: 3/completions: 3\n  completionMode: Indexed/' "$work/remote.yaml"
run "$coracle" run "$work/remote.yaml" --server --progress plain
has "JOB_COMPLETION_INDEX=2" "3/3"
run k get job remote -o 'jsonpath={.status.completedIndexes}'
is 0-2
job remote-bad coracle/exit-code '"9"' >"$work/remote-bad.yaml"
refuse "$coracle" run "$work/remote-bad.yaml" --server --progress plain
has "remote-bad"

echo "== killed, and back"
job survivor coracle/sleep '"0.2"' 20 >"$work/survivor.yaml"
sed -i 's/parallelism: 20/parallelism: 4/; s/backoffLimit: 0/backoffLimit: 6/' "$work/survivor.yaml"
run k create -f "$work/survivor.yaml"
soon Running k get pods -l job-name=survivor
rv=$(k get job hello -o 'jsonpath={.metadata.resourceVersion}')
kill -9 "$server"
wait "$server" 2>/dev/null || true
start "127.0.0.1:$port"
run k get job hello -o 'jsonpath={.metadata.resourceVersion}'
is "$rv"
run k wait --for=condition=complete job/survivor --timeout=60s
run k get job survivor -o 'jsonpath={.status.succeeded}'
is 20
run k logs job/hello
has "hello, world"

echo "== stopped"
kill -TERM "$server"
code=0
wait "$server" || code=$?
[ $code -eq 0 ] || fail "SIGTERM ended the server with $code"
server=
refuse k get jobs
refuse "$coracle" run "$work/remote.yaml" --server
has "error:"
echo "everything was as it should be"
