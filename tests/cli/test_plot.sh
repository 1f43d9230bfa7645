#!/usr/bin/env bash
# Figures of studies: points against means computed here from the table, a report in one file, diverged runs, several
# panels, no gnuplot, bad input.
. "$(dirname "$0")/common.sh"
cd "$work"

study() { # study NAME SWEEP-LINES
    { tiny_recipe; echo "sweep:"; cat; } >"$1.yaml"
}
sweep() { "$program" sweep "$1.yaml" --dir "$1" -q "${@:2}" >/dev/null || fail "sweep $*"; }
check() { # check WHAT COMMAND...
    "${@:2}" || fail "$1"
    passed=$((passed + 1))
}

# A directory of programs without gnuplot, and one whose gnuplot draws nothing but notes its script.
mkdir none fake
printf '#!/bin/sh\n[ -f "$2" ] && [ "$LC_ALL" = C.UTF-8 ] && : >"${2%%.gp}.svg" && : >"${2%%.gp}.png"\n' >fake/gnuplot
chmod +x fake/gnuplot
export PATH_WITH=$PATH
export PATH=$work/fake:$PATH

study alpha <<'Y'
  seed: [0, 1]
  model.h: [relu, softmax]
  model.alpha: [0, 0.5, 1]
  exclude: ["model.h=softmax model.alpha!=1", "seed=1 model.alpha=0.5"]
Y
expect 66 "no run of alpha.yaml has ended" "$program" plot alpha.yaml --dir alpha
sweep alpha
expect_out 'figure: alpha/figure.png, alpha/figure.svg' "$program" plot alpha.yaml --dir alpha --report
check "columns" grep -qx 'panel,series,alpha,runs,diverged,top1,top1_se,core_hours,core_hours_se' alpha/figure.csv
check "points" [ "$(wc -l <alpha/figure.csv)" = 5 ]
# mean and standard error of relu at alpha 1, by hand: (a + b) / 2 and |a - b| / 2
want=$(awk -F, '$5 == "relu" && $6 == 1 { n++; v[n] = $7 } END { d = v[1] - v[2]
    printf "%.6f %.6f", (v[1] + v[2]) / 2, (d < 0 ? -d : d) / 2 }' <(awk -F, -v OFS=, '{ print $1, $2, $3, $4, $5, $6, $7 }' alpha/sweep.csv))
got=$(awk -F, '$2 == "relu" && $3 == 1 { printf "%.6f %.6f", $6, $7 }' alpha/figure.csv)
check "relu at 1: $got instead of $want" [ "$got" = "$want" ]
check "one seed has no standard error" grep -qE '^alpha,relu,0.5,1,0,[0-9.]+,,' alpha/figure.csv
check "softmax is a level" grep -qE '^alpha,softmax,any,2,0,' alpha/figure.csv
check "table of the report" grep -qE '^\| relu \| [0-9.]+ ± [0-9.]+ \| [0-9.]+ \| [0-9.]+ ± [0-9.]+ \|  \|$' alpha/report.md
check "noise of the report" grep -qE 'between seeds: standard deviation [0-9.]+ points \(pooled, 3 degrees' alpha/report.md
check "machine of the report" grep -qE '^- threads: [0-9]+ \(7 runs\)' alpha/report.md

# No gnuplot: the points, the script, one sentence; and no figure of an earlier time.
code=0
PATH=$work/none "$program" plot alpha.yaml --dir alpha 2>err >out || code=$?
check "exit $code without gnuplot" [ $code = 69 ]
check "$(cat err)" grep -qx 'softless: gnuplot is not installed, so there is no figure; alpha/figure.csv has the points; install gnuplot-nox and give the same command' err
check "an old figure is left" [ ! -e alpha/figure.svg ]

# Diverged runs are points; sizes against cost; a panel for each study.
study sizes <<<$'  model.width: [16, 32]\n  train.lr: [0.003, 1e6]'
sweep sizes --set train.clip=0
expect_out figure "$program" plot sizes.yaml --dir sizes --set train.clip=0 --report
check "diverged points" [ "$(grep -cE '^sizes,relu,"?width [0-9]+, lr 1000000"?,1,1,,,' sizes/figure.csv)" = 2 ]
check "diverged in the report" grep -q '1 of 1 diverged' sizes/report.md
check "diverged in the figure" grep -q "title 'diverged'" sizes/figure.gp
study more <<<$'  model.alpha: [0, 1]\n  model.patch: [4, 8]'
sweep more
expect_out 'figure: both/figure.png' "$program" plot alpha.yaml more.yaml --dir alpha --dir more --out both --report
check "three panels" [ "$(cut -d, -f1 both/figure.csv | tail -n +2 | sort -u | wc -l)" = 3 ]

# What attention does stands in every row: weights of softmax add up to 1 and none is 0.
figures() { awk -F, -v h="$1" -v want="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == want) k = i }
    $5 == h { print $k }' alpha/sweep.csv; }
check "mass of softmax" [ "$(figures softmax row_mass | awk '($1 - 1) ^ 2 < 1e-10' | wc -l)" = 2 ]
check "zeros of softmax" [ "$(figures softmax zeros | sort -u)" = 0 ]
check "zeros of relu" [ "$(figures relu zeros | awk '$1 > 0 && $1 < 1' | wc -l)" = 5 ]
check "entropy, distance" [ "$(figures relu distance | awk '$1 > 0 && $1 < 16' | wc -l)" = 5 ]

# Transfer has a panel of its own, beside that of the test accuracy.
study sets <<<$'  seed: [0, 1]\n  model.width: [16, 32]\n  model.h: [relu, softmax]'
sweep sets --set 'eval.transfer=synthetic:n=120,classes=3,size=16,seed=5'
expect_out figure "$program" plot sets.yaml --dir sets --report
check "points of transfer" [ "$(grep -c '^sets: transfer,' sets/figure.csv)" = 4 ]
want=$(awk -F, '$6 == "relu" && $5 == 32 { n++; sum += $9 } END { printf "%.6f", sum / n }' sets/sweep.csv)
got=$(awk -F, '$1 == "sets: transfer" && $2 == "relu" && $3 == "width 32" { printf "%.6f", $6 }' sets/figure.csv)
check "transfer of width 32: $got instead of $want" [ "$got" = "$want" ]
check "numbers on the axis of core-hours" [ "$(grep -cE '^  set xtics \([0-9.e-]+(, [0-9.e-]+)+\)$' sets/figure.gp)" = 2 ]
check "labels of transfer" grep -q "set ylabel 'mean 10-shot accuracy'" sets/figure.gp
check "table of transfer" grep -q '^| 10-shot transfer, % ' sets/report.md

# Other resolutions: sides along x, a panel for each L of the factor, softmax in all of them.
study sides <<'Y'
  seed: [0, 1]
  model.h: [relu, softmax]
  model.alpha: [0, 1]
  exclude: ["model.h=softmax model.alpha!=1"]
Y
sides='eval.sizes=8 16 32'
sweep sides --set "$sides"
expect_out 'figure: sides/sizes.png' "$program" plot sides.yaml --dir sides --set "$sides" --sizes
check "points of sides" [ "$(wc -l <sides/sizes.csv)" = 19 ]
field() { awk -F, -v row="$1" -v want="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == want) k = i }
    $1 == row { print $k }' sides/sweep.csv; }
# at the side of training both are the accuracy of training; alpha 0 has no factor
for run in $(tail -n +2 sides/sweep.csv | cut -d, -f1); do
    check "$run at its own side" [ "$(field $run top1) $(field $run top1)" = \
        "$(field $run top1_16_actual) $(field $run top1_16_train)" ]
done
check "alpha 0" [ "$(field seed-0_h-relu_alpha-0 top1_32_actual)" = "$(field seed-0_h-relu_alpha-0 top1_32_train)" ]
want=$("$program" eval sides/runs/seed-1_h-relu_alpha-1 --set model.image_size=8 --set model.length=train --format json |
    grep -oE '"top1": [0-9.]+' | cut -d ' ' -f 2)
check "eval --set says $want" [ "$(field seed-1_h-relu_alpha-1 top1_8_train)" = "$want" ]
expect_out 'L = 16;' "$program" eval sides/runs/seed-1_h-relu_alpha-1 --set model.image_size=8 --set model.length=train
expect_out 'L = 4;' "$program" eval sides/runs/seed-1_h-relu_alpha-1 --set model.image_size=8
expect 78 "leave model.image_size" "$program" eval sides/runs/seed-1_h-relu_alpha-1 --set model.width=8
expect 78 "not divisible" "$program" eval sides/runs/seed-1_h-relu_alpha-1 --set model.image_size=9
expect 78 "eval.sizes: .*not divisible" "$program" train tiny.yaml --set 'eval.sizes=16 9'
expect 64 "names no eval.sizes" "$program" plot alpha.yaml --dir alpha --sizes
expect 64 "leave --sizes out" "$program" plot sides.yaml --dir sides --set "$sides" --sizes --report

study plain <<<'  model.width: [16]'
expect 64 "make two figures" "$program" plot alpha.yaml plain.yaml --dir alpha --dir plain
expect 78 "made by another recipe" "$program" plot alpha.yaml --dir alpha --set train.lr=0.01
expect 66 "no recipe" "$program" plot none.yaml
expect 64 "" "$program" plot
printf '#!/bin/sh\nexit 3\n' >fake/gnuplot
expect 69 "gnuplot failed on alpha/figure.gp" "$program" plot alpha.yaml --dir alpha

# With gnuplot: both forms, no warning, and a report that needs no other file.
export PATH=$PATH_WITH
if command -v gnuplot >/dev/null; then
    for what in "alpha.yaml --dir alpha --out alpha" "alpha.yaml more.yaml --dir alpha --dir more --out both" \
        "sizes.yaml --dir sizes --set train.clip=0 --out sizes"; do
        # shellcheck disable=SC2086
        expect_out 'figure: ' "$program" plot $what --report
        check "gnuplot says: $(cat err)" [ ! -s "$work/err" ]
        out=${what##* }
        check "$out: no PNG" [ "$(head -c 4 "$out/figure.png" | tail -c 3)" = PNG ]
        check "$out: no SVG in the report" grep -q '<svg' "$out/report.html"
        check "$out: the report is not whole" [ "$(grep -cE 'src=|href="?http|</html>' "$out/report.html")" = 1 ]
    done
    check "diverged marks are not drawn" grep -q diverged sizes/figure.svg
fi
finish 56
