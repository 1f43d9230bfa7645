# Helpers of the program's tests: sourced, with the program's path as $1 of the test.
set -euo pipefail
program=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# expect CODE PATTERN COMMAND...: exit code, and a pattern in the one-line message on stderr.
expect() {
    local code=$1 pattern=$2 got=0
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
    [ "$got" = "$code" ] || fail "exit $got instead of $code: $* : $(cat "$work/err")"
    grep -qE -- "$pattern" "$work/err" || fail "no '$pattern' in the message of: $* : $(cat "$work/err")"
    passed=$((passed + 1))
}

# expect_out PATTERN COMMAND...: success, and a pattern on stdout.
expect_out() {
    local pattern=$1
    shift
    "$@" >"$work/out" 2>"$work/err" </dev/null || fail "exit $?: $* : $(cat "$work/err")"
    grep -qE -- "$pattern" "$work/out" || fail "no '$pattern' in the output of: $* : $(cat "$work/out")"
    passed=$((passed + 1))
}

# A recipe that trains in a fraction of a second and uses every kind of state.
tiny_recipe() {
    cat <<'YAML'
schema: 1
name: tiny
log_every_steps: 10
model: {width: 16, depth: 2, heads: 2, mlp: 32, patch: 4, image_size: 16}
data:
  train: "synthetic:n=200,classes=4,size=16,seed=1"
  eval: "synthetic:n=64,classes=4,size=16,seed=2"
  train_ops: [flip_lr, "pad_crop(2)"]
train: {batch: 32, accumulate: 2, total_steps: 60, warmup_steps: 5, optimizer: adamw, lr: 0.003,
  wd: 0.05, loss: softmax_xent, mixup: 0.2, label_smoothing: 0.1}
eval: {every_steps: 20}
checkpoint: {every_steps: 7}
YAML
}
tiny_recipe >"$work/tiny.yaml"

finish() {
    [ "$passed" -ge "$1" ] || fail "only $passed checks ran, $1 were expected"
    echo "$passed checks passed"
}
