#!/usr/bin/env bash
# A run that is killed or stopped at any moment and started again ends with the same bytes.
. "$(dirname "$0")/common.sh"

train() { "$program" train "$work/tiny.yaml" --run-dir "$1" -q "${@:2}"; }

# Everything a recipe determines.
same_run() {
    cmp "$work/straight/model.safetensors" "$1/model.safetensors" || fail "weights differ: $2"
    cmp "$work/straight/metrics.jsonl" "$1/metrics.jsonl" || fail "metrics differ: $2"
    for f in weights.safetensors state-00000-of-00001.safetensors; do
        cmp "$work/straight/checkpoints/step-000000060/$f" "$1/checkpoints/step-000000060/$f" ||
            fail "$f of the last checkpoint differs: $2"
    done
    passed=$((passed + 1))
}

train "$work/straight" >/dev/null
[ -f "$work/straight/DONE" ] || fail "no DONE"
start=$(date +%s%N)
train "$work/again" >/dev/null
length_ms=$((($(date +%s%N) - start) / 1000000))
same_run "$work/again" "a second run"

# Threads and loader workers change no bit.
for threads in 1 3; do
    train "$work/threads$threads" --threads $threads --set data.workers=$((threads - 1)) >/dev/null
    same_run "$work/threads$threads" "$threads threads"
done

# kill -9 at random moments, three times a run.
seed=${SOFTLESS_TEST_SEED:-1}
RANDOM=$seed
echo "seed $seed, a straight run takes $length_ms ms"
runs=${SOFTLESS_TEST_KILL_RUNS:-8}
for ((i = 0; i < runs; i++)); do
    for ((k = 0; k < 3; k++)); do
        "$program" train "$work/tiny.yaml" --run-dir "$work/killed$i" -q >/dev/null 2>&1 & # pid is the program's own
        pid=$!
        sleep "$(awk -v r=$RANDOM -v ms="$length_ms" 'BEGIN { printf "%.3f", r / 32768 * ms / 1000 }')"
        kill -9 $pid 2>/dev/null || true
        wait $pid 2>/dev/null || true
    done
    train "$work/killed$i" >/dev/null || fail "the run killed three times does not go on"
    same_run "$work/killed$i" "killed three times (run $i)"
done

# TERM, INT, HUP and USR1 save and exit 75; the next start goes on. A longer run, so that the signal
# meets it at work.
for signal in TERM INT HUP USR1; do
    if [ $signal = HUP ] && ! (trap : HUP && [ -n "$(trap -p HUP)" ]); then
        echo "skipped: HUP is ignored here (nohup), so it stays ignored"
        passed=$((passed + 1))
        continue
    fi
    dir=$work/stopped$signal code=0
    "$program" train "$work/tiny.yaml" --set train.total_steps=100000 --set train.warmup_steps=5 \
        --run-dir "$dir" -q >/dev/null 2>"$work/err" &
    pid=$!
    for ((k = 0; k < 200; k++)); do
        [ -s "$dir/metrics.jsonl" ] && break
        sleep 0.05
    done
    kill -$signal $pid
    wait $pid || code=$?
    [ "$code" = 75 ] || fail "$signal gives exit $code: $(cat "$work/err")"
    grep -q 'state saved .*(signal: ' "$work/err" || fail "$signal: $(cat "$work/err")"
    grep -q '"reason": *"signal"' "$dir"/checkpoints/step-*/manifest.json || fail "$signal: no manifest"
    passed=$((passed + 1))
done

# nohup's HUP stays ignored; TERM then ends the run as ever.
dir=$work/nohup code=0
(
    trap '' HUP
    exec "$program" train "$work/tiny.yaml" --set train.total_steps=100000 --run-dir "$dir" -q
) >/dev/null 2>"$work/err" &
pid=$!
for ((k = 0; k < 200; k++)); do
    [ -s "$dir/metrics.jsonl" ] && break
    sleep 0.05
done
kill -HUP $pid
sleep 0.5
kill -TERM $pid || fail "HUP ended a run that ignores it: $(cat "$work/err")"
wait $pid || code=$?
[ "$code" = 75 ] || fail "TERM after an ignored HUP gives exit $code: $(cat "$work/err")"
passed=$((passed + 1))

# A directory in use, a directory of another config, a damaged checkpoint.
"$program" train "$work/tiny.yaml" --set train.total_steps=100000 --run-dir "$work/busy" -q >/dev/null 2>&1 &
pid=$!
for ((k = 0; k < 200; k++)); do
    [ -s "$work/busy/metrics.jsonl" ] && break
    sleep 0.05
done
expect 69 'process|lock|use' "$program" train "$work/tiny.yaml" --set train.total_steps=100000 \
    --run-dir "$work/busy" -q
kill -9 $pid
wait $pid 2>/dev/null || true
expect 78 'train.lr: 0.003 -> 0.004' train "$work/again" --set train.lr=0.004
cp -r "$work/straight" "$work/damaged"
rm "$work/damaged/DONE" "$work/damaged/model.safetensors"
printf 'x' | dd of="$work/damaged/checkpoints/step-000000060/weights.safetensors" bs=1 seek=3000 \
    conv=notrunc status=none
cp -r "$work/damaged" "$work/strict"
train "$work/damaged" >/dev/null || fail "no fallback to the older checkpoint"
same_run "$work/damaged" "newest checkpoint damaged"
expect 65 'weights.safetensors' train "$work/strict" --strict

# precision: auto keeps what it came to: fp32 with the C kernels, whatever this CPU takes by default.
expect 75 stopped env SOFTLESS_ISA=c timeout --preserve-status -s TERM 1 "$program" train "$work/tiny.yaml" \
    --set train.total_steps=100000 --run-dir "$work/kept" -q
grep -q '"precision": "fp32"' "$work/kept/env.json" || fail "the C kernels do not mean fp32"
expect 75 stopped timeout --preserve-status -s TERM 1 "$program" train "$work/tiny.yaml" \
    --set train.total_steps=100000 --run-dir "$work/kept" -q
grep -q '"precision": "fp32"' "$work/kept/env.json" || fail "a run that goes on changed its type"

# What nan_policy: skip has counted goes on with the run: of three updates in a row none is left.
diverging() {
    expect 76 'training diverged' "$program" train "$work/tiny.yaml" --set train.nan_policy=skip --set train.lr=1e6 \
        --set model.alpha=0 --set model.qk_norm=none --set train.warmup_steps=0 --set checkpoint.every_steps=1 \
        --run-dir "$work/skip"
    [ "$(grep -c 'update skipped' "$work/err")" = "$1" ] || fail "not $1 updates skipped: $(cat "$work/err")"
}
diverging 3
diverging 0

finish $((runs + 14))
