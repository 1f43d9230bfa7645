#!/usr/bin/env bash
# softless bench phases: every phase is there, the phases add up to the step, the products counted are those of the
# formula, which is computed once more here; figure and bad input.
. "$(dirname "$0")/common.sh"
cd "$work"

phases=("data" "forward attention" "forward rest" "backward attention" "backward rest" "optimizer")
check() { # check WHAT COMMAND...
    "${@:2}" || fail "$1"
    passed=$((passed + 1))
}
# column NAME FILE: the field of that name, after model and phase; the tables here hold no quoted comma before it
column() {
    awk -F, -v want="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == want) k = i; next } { print $2 ";" $3 ";" $k }' "$2"
}

# ---- one round: what is printed is one step ----
"$program" bench phases tiny.yaml --rounds 1 --model model.h=softmax --model model.h=relu --format csv >one.csv 2>err ||
    fail "$(cat err)"
check "rows" [ "$(wc -l <one.csv)" = 17 ]
for model in softmax relu; do
    for phase in "${phases[@]}"; do
        check "$model: $phase takes no time" awk -F';' -v m="$model" -v p="$phase" \
            '$1 == m && $2 == p && $3 > 0 { found++ } END { exit found != 1 }' <(column ms one.csv)
    done
    # eight numbers, each rounded to 1e-6
    check "$model: phases do not add up" awk -F';' -v m="$model" '$1 == m && $2 != "step" { sum += $3; least = $3 < least ? $3 : least }
        $1 == m && $2 == "step" { step = $3 } END { d = sum - step; exit !(d < 5e-6 && d > -5e-6 && least >= 0) }' <(column ms one.csv)
    # eight numbers of six digits
    check "$model: core-hours do not add up" awk -F';' -v m="$model" '$1 == m && $2 != "step" { sum += $3 }
        $1 == m && $2 == "step" { step = $3 } END { d = sum - step; exit !(step > 0 && d < 1e-5 * step && d > -1e-5 * step) }' \
        <(column core_h one.csv)
    check "$model to itself" [ "$(column "to $model" one.csv | grep "^$model;step;")" = "$model;step;1.00000" ]
done

# ---- FLOP: counted call by call, the program's formula, and the formula by hand ----
# by_hand PHASE B N L D F C DEPTH PATCH GATE MAP REP
by_hand() {
    awk -v phase="$1" -v B="$2" -v N="$3" -v L="$4" -v D="$5" -v F="$6" -v C="$7" -v depth="$8" -v P="$9" -v gate="${10}" \
        -v map="${11}" -v rep="${12}" 'BEGIN {
        scores = depth * L * L * D + map * L * D            # multiply-adds of q k^T, and again of P v
        patch = N * 3 * P * P * D
        rest = depth * (L * 3 * D * D + gate * L * D * D + L * D * D + 2 * L * D * F)
        rest += map * (L * 2 * D * D + 2 * D * D + 2 * D * F) + rep * D * D + D * C
        flop["forward attention"] = 2 * scores * 2
        flop["backward attention"] = 2 * scores * 5
        flop["forward rest"] = 2 * (patch + rest)
        flop["backward rest"] = 2 * (patch + 2 * rest)
        printf "%.0f\n", B * flop[phase] }'
}
flop() { # flop NAME BY-HAND-ARGUMENTS SETTINGS...
    local name=$1 hand=$2 phase want
    shift 2
    "$program" bench phases tiny.yaml --rounds 1 --model model.h=relu "$@" --format csv >"$name.csv" 2>err || fail "$(cat err)"
    for phase in "${phases[@]}"; do
        # shellcheck disable=SC2086
        want="$(by_hand "$phase" $hand) $(by_hand "$phase" $hand)"
        check "$name, $phase: want $want" [ "$(paste -d';' <(column gflop "$name.csv") <(column gflop_counted "$name.csv") |
            awk -F';' -v p="$phase" '$2 == p { printf "%.0f %.0f\n", 1e9 * $3, 1e9 * $6 }')" = "$want" ]
    done
}
flop plain "32 16 16 16 32 4 2 4 0 0 0"
flop gate "32 16 16 16 32 4 2 4 1 0 0" --set model.gate=sigmoid
flop map "32 16 16 16 32 4 2 4 0 1 0" --set model.pool=map --set model.qk_norm=layernorm
flop tok "32 16 19 16 32 9 2 4 0 0 1" --set model.pool=tok --set model.registers=2 --set model.rep_size=true \
    --set model.classes=9 --set model.layer_scale=0.1
flop shape "8 4 4 16 32 4 3 8 0 0 0" --set model.depth=3 --set train.batch=8 --shape model.patch=8

# ---- formats, shapes, quartiles ----
"$program" bench phases tiny.yaml --rounds 3 --shape model.patch=4 --shape "model.patch=8 train.batch=16" >text 2>err || fail "$(cat err)"
check "two shapes" [ "$(grep -cE '^patch [48](, batch 16)?: L (16|4), D 16, depth 2, batch (32|16), (fp32|bf16), ' text)" = 2 ]
check "default models" [ "$(grep -cE '^(softmax|relu|relu, gate silu) +data ' text)" = 6 ]
check "what the gate costs" [ "$(grep -cE '^core-hours of relu, gate silu to relu: [0-9.]+ \([0-9.]+ \.\. [0-9.]+\)$' text)" = 2 ]
expect_out '^\{"bench": "phases", "shape": "tiny.yaml", "model": "relu", "data": "synthetic:n=200,.*"phases": \[\{"phase": "data", "ms": [0-9.]+, .*"ratios": \{"relu": \[1.00000, 1.00000, 1.00000\]\}\}$' \
    "$program" bench phases tiny.yaml --rounds 2 --model model.h=relu --format json
for key in ms core_h; do
    check "quartiles of $key" awk -F, -v key=$key 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == key) k = i; next }
        !($(k + 1) <= $k && $k <= $(k + 2)) { exit 1 }' plain.csv
done
# a recipe without data gets synthetic images of its size
sed '/^data:/,/^  train_ops/d' tiny.yaml >bare.yaml
expect_out '^data: synthetic:n=10000,classes=7,size=16$' "$program" bench phases bare.yaml --rounds 1 --set model.classes=7

# ---- figure ----
mkdir none fake
printf '#!/bin/sh\n[ -f "$2" ] && [ "$LC_ALL" = C.UTF-8 ] && : >"${2%%.gp}.svg" && : >"${2%%.gp}.png"\n' >fake/gnuplot
chmod +x fake/gnuplot
draw=("$program" bench phases tiny.yaml --rounds 2 --shape model.patch=4 --shape model.patch=8 --format csv --out fig)
PATH=$work/fake:$PATH "${draw[@]}" >out 2>err || fail "$(cat err)"
check "the figure is not named: $(cat err)" grep -qx 'figure: fig/phases.png, fig/phases.svg; data: fig/phases.csv' err
check "the table is not what was printed" cmp out fig/phases.csv
check "panels" [ "$(grep -c '^  set title .patch [48]: L = ' fig/phases.gp)" = 2 ]
code=0
PATH=$work/none "${draw[@]}" 2>err >out || code=$?
check "exit $code without gnuplot" [ $code = 69 ]
check "$(cat err)" grep -q '^softless: gnuplot is not installed, so there is no figure; fig/phases.csv has the points' err
check "an old figure is left" [ ! -e fig/phases.svg ]
if command -v gnuplot >/dev/null; then
    "${draw[@]}" -q >out 2>err || fail "$(cat err)"
    check "gnuplot says: $(cat err)" [ "$(wc -l <err)" = 1 ]
    check "no PNG" [ "$(head -c 4 fig/phases.png | tail -c 3)" = PNG ]
    check "no bars in the SVG" grep -q 'backward attention' fig/phases.svg
fi

# ---- bad input: one sentence ----
bad() {
    expect "$@"
    [ "$(wc -l <"$work/err")" = 1 ] || fail "more than one line: $(cat "$work/err")"
}
bad 64 "usage: softless bench" "$program" bench phases
bad 66 "no recipe 'nope'" "$program" bench phases nope
bad 64 "--rounds takes 1" "$program" bench phases tiny.yaml --rounds 0
bad 64 "text, json or csv" "$program" bench phases tiny.yaml --format xml
bad 64 "two models have the name 'relu'" "$program" bench phases tiny.yaml --model model.h=relu --model model.h=relu
bad 64 "a batch belongs to the shape" "$program" bench phases tiny.yaml --model model.h=relu --model "model.h=gelu train.batch=8"
bad 78 "did you mean 'model.gate'" "$program" bench phases tiny.yaml --model "model.h=relu model.gat=silu"
bad 78 "did you mean 'relu" "$program" bench phases tiny.yaml --model model.h=reluu
bad 78 "not divisible by model.patch" "$program" bench phases tiny.yaml --shape model.patch=5
bad 66 "nothere" "$program" bench phases tiny.yaml --set data.train=nothere
bad 78 "model.classes is 3, but .* has 4 classes" "$program" bench phases tiny.yaml --set model.classes=3
bad 73 "tiny.yaml/fig: cannot be written" "$program" bench phases tiny.yaml --out tiny.yaml/fig
finish 77
