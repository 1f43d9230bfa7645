#!/usr/bin/env bash
# Studies: expansion, bad input, several workers, workers that die, runs that fail or diverge, and the table
# as the record.
. "$(dirname "$0")/common.sh"

study() { # study NAME SWEEP-LINES: the tiny recipe with axes
    { tiny_recipe; echo "sweep:"; cat; } >"$work/$1.yaml"
}
sweep() { "$program" sweep "$work/$1.yaml" --dir "$work/$1" -q "${@:2}"; }
rows() { tail -n +2 "$work/$1/sweep.csv" | wc -l; }
equal() {
    [ "$1" = "$2" ] || fail "$3: $1 instead of $2"
    passed=$((passed + 1))
}

# Product less exclude; a range holds its end; --plan writes nothing.
study grid <<'Y'
  model.h: [relu, softmax]
  model.alpha: {from: 0, to: 0.3, step: 0.1}
  seed: [0, 1]
  exclude: ["model.h=softmax model.alpha!=0.3", "seed=1 model.h=relu model.alpha=0"]
Y
expect_out '^9 runs, .* 9 to do' sweep grid --plan
expect_out '[0-9.]+ hours at 100 GFLOP/s' sweep grid --plan --gflops 100
grep -q 'h-relu_alpha-0.3_seed-1 ' "$work/out" || fail "no end of the range"
[ ! -e "$work/grid" ] || fail "--plan wrote something"
expect 78 "belongs to a study" "$program" train "$work/grid.yaml"

# Bad input, one sentence each.
bad() { # bad PATTERN: axes from stdin
    study bad
    expect 78 "$1" sweep bad --plan
    [ "$(wc -l <"$work/err")" = 1 ] || fail "more than one line: $(cat "$work/err")"
}
bad "bad.yaml:[0-9]+: unknown key 'model.alpa', did you mean 'model.alpha'" <<<'  model.alpa: [0, 1]'
bad "has no values, so the study has no runs" <<<'  model.alpha: []'
bad "exclude leaves no run" <<<$'  seed: [0, 1]\n  exclude: ["seed!=7"]'
bad "two runs would have the name alpha-1;" <<<'  model.alpha: [1, 1.0]'
bad "needs from, to and step" <<<'  model.alpha: {from: 0, to: 1}'
bad "never gets from 0 to 1" <<<'  model.alpha: {from: 0, to: 1, step: -1}'
bad "more than 10000 runs" <<<$'  model.alpha: {from: 0, to: 1, step: 0.005}\n  seed: {from: 0, to: 99, step: 1}'
bad "neither key=value nor" <<<$'  seed: [0, 1]\n  exclude: [seed]'
bad "exclude: .*model.h" <<<$'  seed: [0, 1]\n  exclude: ["model.h=tanh"]'
bad "bad.yaml:[0-9]+: model.alpha" <<<'  model.alpha: [high]'
bad "changes no result" <<<'  data.workers: [0, 1]'
bad "run heads-3: " <<<'  model.heads: [2, 3]'
expect 78 "has no axes" "$program" sweep "$work/tiny.yaml" --plan
expect 78 "is an axis" sweep grid --set seed=3
expect 64 "jobs" sweep grid --jobs 0
expect 66 "no recipe" "$program" sweep "$work/none.yaml"

# Two workers share a folder; every run is done once, with the bytes of a run alone.
study two <<<'  seed: [0, 1, 2, 3, 4, 5]'
sweep two --jobs 2 >"$work/one.txt" &
first=$!
sweep two >"$work/two.txt"
wait $first
sweep two >/dev/null # a worker that had nothing left does not wait for the other
equal "$(rows two)" 6 "rows of two workers"
"$program" train "$work/tiny.yaml" --set seed=3 --run-dir "$work/alone" -q >/dev/null
cmp "$work/alone/model.safetensors" "$work/two/runs/seed-3/model.safetensors" || fail "seed 3 differs"
equal "$(ls -A "$work/two/claims" | wc -l)" 0 "claims left"
expect_out '6 runs, 6 done' sweep two --status

# The table is the record: with it alone nothing is trained again.
mkdir "$work/record"
cp "$work/two.yaml" "$work/record.yaml"
cp "$work/two/sweep.csv" "$work/record/"
expect_out '6 runs, 6 done' sweep record
equal "$(ls "$work/record/runs" | wc -l)" 0 "runs trained in spite of the table"
expect 78 "made by another recipe" sweep record --set train.lr=0.01
sed -i 's/$/\r/' "$work/record/sweep.csv" # a spreadsheet's line ends
expect_out '6 runs, 6 done' sweep record --status
sed -i '3s/,done,.*/,done,0/' "$work/record/sweep.csv"
expect 65 "damaged: its row .* fields instead of" sweep record
rm "$work/record/sweep.csv"
expect 78 "study of another recipe" sweep record --set train.lr=0.01
cp "$work/grid.yaml" "$work/record.yaml"
cp "$work/two/sweep.csv" "$work/record/"
expect 78 "with other axes.* by --from$" sweep record

# Another study takes over the rows of its own recipes, whatever its name and axes, and trains the rest.
study other <<'Y'
  model.alpha: [1, 0.5]
  seed: [5, 6]
  exclude: ["seed=6"]
Y
sed -i 's/^name: tiny/name: other/' "$work/other.yaml"
expect_out '2 runs, .* 1 to do,' sweep other --from "$work/two/sweep.csv" --plan
expect_out '2 runs, 1 missing, 1 done' sweep other --from "$work/two/sweep.csv" --status
[ ! -e "$work/other" ] || fail "a plan wrote $work/other"
expect 0 "1 rows taken over" "$program" sweep "$work/other.yaml" --dir "$work/other" --from "$work/two/sweep.csv"
equal "$(ls "$work/other/runs")" alpha-0.5_seed-5 "runs trained"
equal "$(grep ^alpha-1_seed-5 "$work/other/sweep.csv" | cut -d, -f6-)" \
    "$(grep ^seed-5 "$work/two/sweep.csv" | cut -d, -f5-)" "results of the row taken over"
expect 66 "none.csv" sweep other --from "$work/none.csv"
expect 65 "not the table of a study" sweep other --from "$work/other.yaml"

# A worker killed at any moment: another one goes on at once (same host), to the same bytes.
study killed <<<'  seed: [3, 4]'
for delay in 0.05 0.15 0.3; do
    "$program" sweep "$work/killed.yaml" --dir "$work/killed" -q >/dev/null 2>&1 &
    pid=$!
    sleep $delay
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
done
expect_out '2 runs, 2 done' sweep killed
cmp "$work/alone/model.safetensors" "$work/killed/runs/seed-3/model.safetensors" || fail "seed 3 differs after kills"

# Ctrl-C: 75, the state is saved, the same command ends the work.
study long <<<'  seed: [0, 1]'
"$program" sweep "$work/long.yaml" --dir "$work/long" --set train.total_steps=200000 -q >/dev/null 2>&1 &
pid=$!
for _ in $(seq 200); do
    [ -e "$work/long/runs/seed-0/checkpoints/LAST" ] && break
    sleep 0.05
done
kill -TERM $pid
code=0
wait $pid || code=$?
equal $code 75 "exit code of a stopped sweep"
grep -rq signal "$work/long/runs/seed-0/checkpoints" || fail "no checkpoint of the signal"
equal "$(ls -A "$work/long/claims" | wc -l)" 0 "claims of a stopped sweep"

# A claim of another host stands until it is too old.
study claim <<<'  seed: [0, 1]'
mkdir -p "$work/claim/claims"
echo "process 1 on elsewhere" >"$work/claim/claims/seed-0"
expect_out '2 runs, 1 running, 1 done' sweep claim
touch -d '1 hour ago' "$work/claim/claims/seed-0"
expect_out '2 runs, 2 done' sweep claim

# A run that fails leaves the others alone; its code is the sweep's, and the next sweep tries again.
study fails <<Y
  data.eval: ["$work/absent", "synthetic:n=64,classes=4,size=16,seed=2"]
Y
expect 66 "run eval-.*absent failed: .*absent" sweep fails
equal "$(rows fails)" 1 "rows beside a failed run"
expect_out '2 runs, 1 failed, 1 done' sweep fails --status
# both runs take the same FLOP, so what is to do is what the one took
want=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "core_s") k = i }
    END { gsub(/"[^"]*"/, "x"); split($0, f, ","); printf "%.3g", f[k] / 3600 }' "$work/fails/sweep.csv")
grep -q "^$want core-hours to do, at the rate of the runs that are done$" "$work/out" || fail "not $want: $(cat "$work/out")"

# A diverged run is a result.
study diverges <<<'  train.lr: [0.003, 1e6]'
expect_out '2 runs, 1 done, 1 diverged' sweep diverges --set train.clip=0
grep -q '^lr-1000000,[0-9a-f]*,diverged,1000000,0,,' "$work/diverges/sweep.csv" || fail "$(cat "$work/diverges/sweep.csv")"
expect_out '2 runs, 1 done, 1 diverged' sweep diverges --set train.clip=0

finish 46
