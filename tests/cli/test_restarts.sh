#!/usr/bin/env bash
# train --max-restarts: a training that is killed goes on by itself, one that is stopped does not.
. "$(dirname "$0")/common.sh"
cd "$work"
"$program" train tiny.yaml -q --run-dir straight >out

# The child process of $1, once there is one.
child_of() {
    local child= k
    for ((k = 0; k < 500; k++)); do
        child=$(cat "/proc/$1/task/$1/children" 2>/dev/null) && [ -n "$child" ] && break
        sleep 0.01
    done
    echo "${child% }"
}
# supervise DIR OPTION...: in the background, as $pid; messages in $work/err.
supervise() {
    "$program" train tiny.yaml -q --run-dir "$1" "${@:2}" >out 2>err &
    pid=$!
}
# ends CODE PATTERN: how $pid ends.
ends() {
    local code=0
    wait $pid || code=$?
    [ "$code" = "$1" ] || fail "exit $code instead of $1: $(cat err)"
    grep -qE -- "$2" err || fail "no '$2' in: $(cat err)"
    passed=$((passed + 1))
}
long=(--set train.total_steps=100000)

supervise again --max-restarts 3
[ -n "$(child_of $pid)" ] || { echo "skipped: this kernel does not list child processes"; exit 0; }
kill -9 "$(child_of $pid)"
ends 0 'killed by signal 9 .*; restart 1 of 3 in [0-9]+ s'
cmp straight/model.safetensors again/model.safetensors || fail "another model after a restart"
cmp straight/metrics.jsonl again/metrics.jsonl || fail "other metrics after a restart"

# No step is ever reported, so two tries came no further.
supervise stuck --max-restarts 9 "${long[@]}" --set log_every_steps=100000 --set eval.every_steps=0
for try in 1 2; do
    child=$(child_of $pid)
    kill -9 "$child"
    while kill -0 "$child" 2>/dev/null; do sleep 0.01; done
done
ends 75 'two tries in a row came no further'

supervise once --max-restarts 1 "${long[@]}"
for try in 1 2; do
    child=$(child_of $pid)
    for ((k = 0; k < 500; k++)); do # the second try has to come further than the first
        [ "$(cat once/metrics.jsonl 2>/dev/null | wc -l)" -ge $((30 * try)) ] && break
        sleep 0.02
    done
    kill -9 "$child"
    while kill -0 "$child" 2>/dev/null; do sleep 0.01; done
done
ends 75 '--max-restarts is reached'

# A signal to the supervisor: saved, and no restart.
supervise stopped --max-restarts 3 "${long[@]}"
for ((k = 0; k < 500; k++)); do
    [ -s stopped/metrics.jsonl ] && break
    sleep 0.02
done
kill -TERM $pid
ends 75 'state saved'
grep -q restart err && fail "a stopped run was started again: $(cat err)"

expect 78 "unknown key" "$program" train tiny.yaml --max-restarts 3 --set model.nope=1
expect 64 "does not go with" "$program" train tiny.yaml --max-restarts 3 --fresh

finish 6
