#!/usr/bin/env bash
# Every use of threads once, for a program built with ThreadSanitizer, which ends with 66 at a race:
# training with loader workers, a stop by a signal, resume, evaluation, scanning and skipping of image
# files, attention. Usage: races.sh PROGRAM
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$work"

if ! "$program" --version >out 2>&1 && grep -q 'unexpected memory mapping' out; then
    echo "skipped: this kernel lays out memory as ThreadSanitizer cannot bear it"
    exit 0
fi
expect_out 'done at step 60' "$program" train tiny.yaml -q --threads 3 --set data.workers=3 --run-dir run
expect_out 'images 64, top-1' "$program" eval run --threads 3

"$program" train tiny.yaml -q --threads 3 --set data.workers=3 --set train.total_steps=100000 \
    --run-dir long >/dev/null 2>err &
pid=$! code=0
for ((k = 0; k < 200; k++)); do
    [ -s long/metrics.jsonl ] && break
    sleep 0.05
done
kill -TERM $pid
wait $pid || code=$?
[ "$code" = 75 ] || fail "TERM gives exit $code: $(cat err)"
passed=$((passed + 1))

mkdir -p photos/a photos/b
cp "$root"/tests/golden/images/*.jpg photos/a
cp "$root"/tests/golden/images/*.png photos/b
head -c 200 photos/a/grey.jpg >photos/a/torn.jpg
expect_out '^bad +1$' "$program" data info photos
expect_out 'done at step 6' "$program" train tiny.yaml -q --threads 2 --run-dir folder \
    --set data.workers=3 --set data.train=photos --set data.eval= --set model.classes=4 \
    --set 'data.train_ops=["random_resized_crop(16)"]' --set data.on_bad_sample=skip \
    --set data.max_bad_fraction=0.5 --set train.total_steps=6
expect_out '"impl"' "$program" bench attention --len 33 --head-dim 8 --heads 3 --batch 3 --repeats 1 \
    --threads 3 --format json

finish 6
