#!/usr/bin/env bash
# The paper's recipes: all are in order, and two steps of each, at width mu on synthetic images, train.
. "$(dirname "$0")/common.sh"
cd "$root/recipes"
mu=(--set model.width=32 --set model.depth=1 --set model.heads=2 --set model.mlp=128)
few=(--set "data.train=synthetic:n=16,classes=10,size=250,seed=1" --set data.eval= --set data.train_images=0
    --set train.batch=4 --set train.accumulate=2 --set train.total_epochs=0 --set train.total_steps=2
    --set train.warmup_epochs=0 --set train.warmup_steps=1 --set log_every_steps=1 --set data.workers=0 --quiet)

# losses RUN: the losses of metrics.jsonl, one a line
losses() { sed -n 's/.*"train\/loss": \([^,]*\),.*/\1/p' "$1/metrics.jsonl"; }

# two_steps NAME RECIPE SET...: trains, and prints the losses
two_steps() {
    local name=$1 recipe=$2
    shift 2
    "$program" train "$recipe" "$@" --run-dir "$work/$name" >"$work/out" 2>"$work/err" ||
        fail "$recipe $*: $(cat "$work/err")"
    losses "$work/$name"
}

# The head begins with zeros and the first update has factor 0: both losses are the one that
# recipe.md gives for C classes and the head's first bias, to its four decimals.
expect_losses() {
    local want=$1 got
    got=$(printf '%.4f ' $2)
    [ "$got" = "$want $want " ] || fail "losses $got instead of $want twice: $3"
    passed=$((passed + 1))
}

for variant in S/32 S/16 S/8 B/32 B/16 L/16; do
    for h in relu softmax; do
        set=(--set "model.variant=$variant" --set "model.h=$h")
        expect_out "$variant.*$h.*" "$program" config check paper/vit_i21k.yaml paper/vit_i1k.yaml "${set[@]}"
        [ "$(grep -c 'in order' "$work/out")" = 2 ] || fail "not two recipes: $(cat "$work/out")"
        run=${variant/\//-}-$h
        expect_losses 10.9916 "$(two_steps "i21k-$run" paper/vit_i21k.yaml "${set[@]}" "${mu[@]}" "${few[@]}")" "i21k $run"
        expect_losses 7.9073 "$(two_steps "i1k-$run" paper/vit_i1k.yaml "${set[@]}" "${mu[@]}" "${few[@]}")" "i1k $run"
    done
done
expect_losses 6.9078 "$(two_steps s16 paper/s16_i1k.yaml "${mu[@]}" "${few[@]}")" s16_i1k

for patch in 4 2 1; do
    lines=$(two_steps "fm-$patch" paper/fashion-mnist.yaml "${mu[@]}" "${few[@]}" --set "model.patch=$patch" \
        --set "data.train=synthetic:n=16,classes=10,size=28,seed=1" | wc -l)
    [ "$lines" = 2 ] || fail "$lines losses at patch $patch"
    passed=$((passed + 1))
done

# ---- studies: as many runs as their first lines say ----
for study in fig1:30 fig2-l49:192 fig2-l196:36 fig2-l784:16 fig3-l49:108 fig3-l196:20 fig4-l49:108 fig4-l196:20 fig5-l49:33; do
    name=${study%:*} runs=${study#*:}
    expect_out "^$runs runs, " "$program" sweep "paper/$name.yaml" --dir "$work/none" --plan
    grep -qE "(^#| )$runs runs" "paper/$name.yaml" || fail "$name.yaml does not say that it has $runs runs"
done

# ---- config check ----
expect_out '92960 steps.*\(30 passes over 12692121\), 10.47 EFLOP' "$program" config check paper/vit_i21k.yaml
expect_out '^  time +29.08 hours at 1e\+05' "$program" config check paper/vit_i21k.yaml --gflops 100000
expect_out '"parameters": 22199656, "train_images": 1268355, "steps": 92897,.*"hours": null' "$program" config \
    check paper/vit_i1k.yaml --set data.train_images=1268355 --format json
expect_out '^  time ' "$program" config check paper/fashion-mnist.yaml --measure "${mu[@]}" --set model.classes=10 \
    --set data.train_images=60000
expect_out 'mixup: 0.5 ' "$program" config show paper/vit_i1k.yaml --origin
expect_out 'train_ops: \["inception_crop\(224\)", "flip_lr", "randaug\(2, 0\)"\]' "$program" config show paper/vit_i21k.yaml
expect 78 "no place for|not model.variant 'M/16'" "$program" config check paper/vit_i1k.yaml --set model.variant=M/16
expect 78 "data.train_ops: .*did you mean 'flip_lr'" "$program" config check paper/vit_i1k.yaml \
    --set "data.train_ops=[inception_crop(224), flip_rl, augment]"
printf 'schema: 1\n' >"$work/bad.yaml"
expect 78 "bad.yaml|model.width is 0" "$program" config check "$work/bad.yaml" paper/vit_i1k.yaml
grep -q 'in order' "$work/out" || fail "the good recipe after a bad one was not checked"
finish 57
