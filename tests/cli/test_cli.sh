#!/usr/bin/env bash
# The program as its users meet it: help, exit codes, messages, formats.
. "$(dirname "$0")/common.sh"
cd "$work"

# ---- help and version ----
expect_out 'train +train a recipe' "$program" --help
expect_out 'kernels: ' "$program" --version
for verb in train eval probe predict explain inspect import export config sweep plot bench data; do
    expect_out 'Examples:' "$program" $verb --help
    expect_out 'Examples:' "$program" help $verb
    "$program" $verb --help | sed -n '/^Options:/,$p' | grep -E '.{101}' && fail "long lines in the help of $verb"
    [ -z "$("$program" $verb --help | grep -oE '^  -[a-z],' | sort | uniq -d)" ] || fail "a letter means two options of $verb"
done

# ---- usage ----
expect 64 "no verb" "$program"
expect 64 "did you mean 'train'" "$program" trian
expect 64 "did you mean '--run-dir'" "$program" train tiny.yaml --run-dri x
expect 64 "needs a value" "$program" train tiny.yaml --set
expect 64 "usage: softless train" "$program" train
expect 64 "whole number" "$program" train tiny.yaml --threads two
expect 64 "text or json" "$program" eval x --format xml
expect 64 "avx2" "$program" train tiny.yaml --isa avx1024
expect 64 "unknown device 'tpu'" "$program" train tiny.yaml --device tpu
expect 64 "SOFTLESS_THREADS is 'two'" env SOFTLESS_THREADS=two "$program" train tiny.yaml
expect 64 "fwd, bwd" "$program" bench attention --pass sideways
expect 64 "attention, train, infer and phases" "$program" bench nothing

expect 64 "a whole number" "$program" eval x --batch -1
expect 64 "1 or more" "$program" predict x y --top 0
expect 64 "--init WEIGHTS" "$program" train tiny.yaml --reset-head
expect 64 "SOFTLESS_THREADS is 'many'" env SOFTLESS_THREADS=many "$program" eval x

# ---- recipes ----
expect_out 'alpha: 0.5  # --set' "$program" config show tiny.yaml --set model.alpha=0.5 --origin
expect_out '^fashion-mnist +softless train fashion-mnist$' bash -c "cd '$root' && '$program' config list"
if [ "$(dirname "$program")/.." -ef "$root" ]; then # a build folder finds the recipes of its sources
    expect_out '^name: "fashion-mnist"$' "$program" config show fashion-mnist
fi
expect 66 "did you mean 'paper/fig2-l49'" bash -c "cd '$root' && '$program' config show paper/fig2-49"
expect_out 'model.h \(softmax\|relu' "$program" config keys
expect 66 "no recipe 'nope'" "$program" config show nope
expect 78 "did you mean 'model.width'" "$program" config show tiny.yaml --set model.widht=3
expect 78 "^softless: tiny.yaml: model.heads is 0" "$program" config show tiny.yaml --set model.heads=0
expect 78 "not divisible by model.patch" "$program" config show tiny.yaml --set model.image_size=18
expect 78 "smaller than a patch" "$program" config show tiny.yaml --set model.patch=32
expect 78 "did you mean 'relu" "$program" config show tiny.yaml --set model.h=reluu
printf 'schema: 1\nmodel:\n  depht: 2\n' >typo.yaml
expect 78 "typo.yaml:3: unknown key 'model.depht', did you mean 'model.depth'" "$program" train typo.yaml
expect_out 'total_steps: 60' "$program" train tiny.yaml --dry-run
expect_out '^# 60 steps over 200 images, [0-9.e-]+ TFLOP, [0-9.]+ MiB' "$program" train tiny.yaml --dry-run
[ ! -e runs ] || fail "--dry-run made a run directory"

# ---- data ----
expect_out '10000' "$program" data info fashion-mnist:test
expect_out '"samples": *64|"count": *64|64' "$program" data info synthetic:n=64,classes=4,size=16 --format json
expect 66 "nothere" "$program" data info nothere
expect 66 "it is a file; a data set is" "$program" data info tiny.yaml
mkdir empty
expect 65 "empty" "$program" data info empty
expect 66 "nothere" "$program" train tiny.yaml --set data.train=nothere
expect 78 "classes" "$program" train tiny.yaml --set model.classes=2

# ---- training, evaluation, prediction ----
expect_out 'val top-1' "$program" train tiny.yaml -q
run=$(ls -d runs/tiny-*)
expect_out 'already done' "$program" train tiny.yaml -q
expect_out '"already_done": true' "$program" train tiny.yaml -q --format json
expect_out 'done at step 60' "$program" train tiny.yaml -q --fresh
[ -d "$run-2" ] || fail "--fresh made no second directory"
expect_out 'images 64, top-1' "$program" eval "$run"
expect_out '"top1_se": [0-9.]+' "$program" eval "$run/model.safetensors" --format json
"$program" eval "$run" --format json >b32
for batch in 1 7 64 1000; do
    "$program" eval "$run" --batch $batch --format json >b$batch
    [ "$(grep -o '"top1": [^,]*, "top1_se": [^,]*, "top5": [^,]*' b$batch)" = \
        "$(grep -o '"top1": [^,]*, "top1_se": [^,]*, "top5": [^,]*' b32)" ] ||
        fail "eval --batch $batch differs: $(cat b$batch)"
done
for hint in LAST best; do # the same as the checkpoint that it names
    same=$("$program" eval "$run/checkpoints/$(tr -d '\n' <"$run/checkpoints/$hint")" | head -n 1)
    expect_out "^${same//+/\\+}$" "$program" eval "$run/checkpoints/$hint"
done
expect 66 "nothing/: there are neither weights nor checkpoints" "$program" eval nothing/checkpoints/best
expect_out '"length": 16' "$program" eval "$run/checkpoints/step-000000060" --format json
expect_out '^  all +[0-9.]+ .*\([-0-9.e]+ \.\. [-0-9.e]+\)$' "$program" eval "$run" --attention-stats
expect_out '"attention": \[\{"block": 0, "head": 0, "zeros": 0\.[0-9]+, "zero_tiles": \{"1x16"' \
    "$program" eval "$run" --attention-stats --format json
expect 66 "no such|No such" "$program" eval gone.safetensors
echo '[[0, 3], [], 2]' >labels.json
expect_out '4 of 9 classes matched' "$program" eval "$run" --classes intersect \
    --data synthetic:n=64,classes=9,size=16
expect_out '"unlabelled": 1, "classes": 4, "matched_classes": 4, "top1": [0-9.]+, .*"loss": null' \
    "$program" eval "$run" --data synthetic:n=3,classes=4,size=16 --labels labels.json \
    --format json
expect 64 "all or intersect" "$program" eval "$run" --classes some
expect 66 "nolabels" "$program" eval "$run" --labels nolabels.json
expect 65 "classes" "$program" eval "$run" --data synthetic:n=64,classes=9,size=16
expect 66 "neither weights nor checkpoints" "$program" eval empty
cp -r "$run" damaged && rm damaged/model.safetensors
for weights in damaged/checkpoints/step-*/weights.safetensors; do
    printf X | dd of="$weights" bs=1 seek=9000 conv=notrunc status=none
done
expect 65 "no checkpoint of 3 verifies.*is damaged" "$program" eval damaged
expect_out 'done at step 60' "$program" train tiny.yaml -q --init "$run" --run-dir again

# ---- the progress line of a terminal is never wider than that ----
if command -v script >/dev/null; then
    script -qc "stty cols 50; '$program' train tiny.yaml --run-dir narrow" /dev/null </dev/null >screen
    tr '\r' '\n' <screen | sed 's/^\x1b\[K//' | grep '^step' >lines
    grep -q '^step 60/60  ETA 0:00  loss [0-9.]*' lines || fail "progress on a terminal: $(cat screen)"
    grep -E '^.{50}' lines && fail "progress is wider than the terminal"
    passed=$((passed + 1))
else
    echo "skipped: script is not installed"
fi

# ---- length: train keeps the L of the first training, also when a stopped run goes on without it ----
larger=(--set model.image_size=32 --set "data.train_ops=[resize(32)]" --set "data.eval_ops=[resize(32)]")
for length in actual train; do
    "$program" train tiny.yaml -q --init "$run" "${larger[@]}" --set model.length=$length --run-dir larger-$length >out
done
expect_out 'L = 64;' "$program" eval larger-actual
expect_out 'L = 16;' "$program" eval larger-train
rm larger-train/DONE larger-train/model.safetensors
expect_out 'done at step 60' "$program" train tiny.yaml -q "${larger[@]}" --set model.length=train --run-dir larger-train
expect_out 'L = 16;' "$program" eval larger-train
expect_out 'parameters: 5620' "$program" inspect "$run"
expect_out '"memory_train"' "$program" inspect "$run" --format json
head -c 5000 "$run/model.safetensors" >short.safetensors
expect 65 "short.safetensors" "$program" inspect short.safetensors
expect 65 "short.safetensors" "$program" predict short.safetensors x.png
code=0
"$program" train tiny.yaml -q --require-top1 100.1 >out 2>err || code=$?
[ "$code" = 1 ] || fail "--require-top1 gives exit $code"

images=$root/tests/golden/images
png=$(find "$images" -name '*.png' | sed -n 1p)
jpeg=$(find "$images" -name '*.jpg' -o -name '*.jpeg' | sed -n 1p)
"$program" train tiny.yaml -q --set 'data.eval_ops=[resize(16)]' --run-dir images >out
expect_out ' : 0\.[0-9]{4}' "$program" predict images "$png" "$jpeg" --top 2
expect_out '"logits": \[-?[0-9]' "$program" predict images "$png" --format json --logits
expect_out '^file,rank,class,probability,logit' "$program" predict images "$png" --format csv
expect 65 "bad.png" "$program" predict images tiny.yaml "$png" bad.png || true
printf 'no image' >bad.png
expect 65 "bad.png" "$program" predict images bad.png "$png"
[ "$(grep -c 'bad.png' err)" = 1 ] || fail "one bad image is reported more than once: $(cat err)"
grep -q ' : 0' out || fail "the good image beside a bad one was not predicted"
expect 65 "$png: the input pipeline leaves .* the model takes 16 x 16" "$program" predict "$run" "$png"

# ---- explain ----
cp "$png" a.png && cp "$jpeg" b.jpg
expect_out '^b.jpg: [0-9]' "$program" explain images a.png b.jpg --out maps --weights
for file in a.attention.png b.attention.png a.attention.npy; do
    [ -s "maps/$file" ] || fail "explain did not write $file"
done
expect_out ' : 0\.' "$program" predict images maps/a.attention.png # it is an image
"$program" explain images a.png --out maps --format csv -q >heads.csv
[ "$(grep -c '^"a.png",[0-9]*,[0-9]*,' heads.csv)" = "$(grep -c . <(tail -n +2 heads.csv))" ] || fail "heads.csv: $(cat heads.csv)"
expect_out '"dead_rows": [0-9]' "$program" explain images a.png --out maps --format json -q
expect 64 "both be drawn to a.attention.png" "$program" explain images a.png maps/../a.png
expect 65 "bad.png" "$program" explain images bad.png a.png --out maps
expect 66 "missing.png" "$program" explain images missing.png --out maps
expect 73 "a.png" "$program" explain images b.jpg --out a.png

# ---- class folders: names decide, damaged images ----
for class in c1 c0; do
    mkdir -p "photos/$class" && cp "$png" "photos/$class/a.png" && cp "$jpeg" "photos/$class/b.jpg"
done
folders='--set data.train=photos --set data.eval_ops=[resize(16)] --set data.train_ops=[resize(16)]'
folders="$folders --set train.mixup=0 --set train.total_steps=9 -q"
# shellcheck disable=SC2086
"$program" train tiny.yaml $folders --set data.eval=photos --run-dir two >out
mkdir part && cp -r photos/c1 part # c1 is number 1, also where there is no c0
"$program" eval two --data photos --format json >whole.json
"$program" eval two --data part --format json >part.json
"$program" predict two "$png" "$jpeg" --top 1 --format csv >top.csv
right=$(grep -c ',"c1",' top.csv || true)
grep -q "\"top1\": $(awk "BEGIN {print $right / 2}")[,.]" part.json || fail "c1 alone: $(cat part.json top.csv)"
cp -r part other && mv other/c1 other/c9
expect 65 "the class 'c9' is none of the 2 classes of the model \(c0, c1\)" "$program" eval two --data other
mkdir -p splits && cp -r photos splits/train
expect 65 "name one of them, as in splits/train" "$program" data info splits
cp bad.png part/c1/c.png
expect 65 "part/c1/c.png" "$program" eval two --data part
expect 65 "bad samples: 1 of 3" "$program" eval two --data part --max-bad 0.3
expect_out 'left out: 1' "$program" eval two --data part --max-bad 0.5
expect_out '"skipped": 1' "$program" eval two --data part --max-bad 0.5 --format json
[ "$("$program" predict two "$png" --format csv --logits --top 1 | wc -l)" = 3 ] || fail "csv with all logits"

# ---- benches ----
expect_out '"phi": "relu", "impl": "[a-z0-9]+", "dtype": "fp32", "pass": "fwd", "len": 17, "head_dim": 8' \
    "$program" bench attention --len 17 --head-dim 8 --heads 2 --batch 2 --repeats 3 --format json
expect_out '"ratios": .*"relu/c": 1.0000, "gelu/c": [0-9.]+' "$program" bench attention --phi relu,gelu --impl c --len 9 \
    --head-dim 8 --heads 2 --batch 1 --repeats 3 --pass fwd --format json
expect_out '^phi,impl,.*,bytes,ratio_relu_c,ratio_gelu_c$' "$program" bench attention --phi relu,gelu --impl c --len 9 \
    --head-dim 8 --heads 2 --batch 1 --repeats 3 --pass bwd --format csv
expect_out '"img_per_sec"' "$program" bench train tiny.yaml --classes 4 --steps 2 --format json
expect_out '"peak_percent"' "$program" bench infer tiny.yaml --classes 4 --steps 2 --format json

# ---- places that cannot be written ----
expect 74 "standard output" bash -c "'$program' config keys >/dev/full"
expect 73 "cannot create the folder: (Not a directory|File exists)" "$program" train tiny.yaml -q --run-dir tiny.yaml
if unshare -m true 2>/dev/null; then
    mkdir readonly
    # shellcheck disable=SC2016
    expect 73 "readonly/run: cannot create the folder: Read-only" unshare -m sh -c \
        'mount -t tmpfs -o ro none readonly && exec "$0" train tiny.yaml -q --run-dir readonly/run' "$program"
fi
mkdir home && touch home/notes.txt
expect 73 "holds 'notes.txt' but no config.yaml" "$program" train tiny.yaml -q --run-dir home
[ "$(ls home)" = notes.txt ] || fail "a folder that is no run directory was written to"
touch file
expect 73 "file" "$program" train tiny.yaml -q --run-dir file/run
if [ "$(id -u)" != 0 ]; then
    mkdir locked && chmod 555 locked
    expect 73 "locked" "$program" train tiny.yaml -q --run-dir locked/run
fi

finish 95
