#!/usr/bin/env bash
# softless data: info, index and pack on folders and tar shards; training on shards, killed and resumed.
. "$(dirname "$0")/common.sh"
cd "$work"

expect_out 'Examples:' "$program" data --help
expect 64 "there are: info, index, pack" "$program" data frobnicate x
expect 64 "pack SPEC FOLDER" "$program" data pack x
expect 64 "pack SPEC FOLDER" "$program" data info x y
expect 64 "keep, stop or skip" "$program" data pack x y --on-bad nonsense
expect 64 "at least 1" "$program" data pack x y --shard-images 0
expect 66 "gone" "$program" data pack gone y
expect 78 "not files" "$program" data pack synthetic:n=4,classes=2,size=8 y
expect 78 "index files" "$program" data index synthetic:n=4,classes=2,size=8
expect 66 "s-0.tar" "$program" data info 's-{0..3}.tar'
printf 'no tar' >s-0.tar
expect 65 "truncated tar" "$program" data info s-0.tar

# a folder from golden images: two classes
mkdir -p in/a in/b
for i in 1 2 3 4 5; do
    cp "$root/tests/golden/augment/china.png" in/a/$i.png
    cp "$root/tests/golden/augment/flower.png" in/b/$i.png
done
expect_out '3 shards, 10 images' "$program" data pack in shards --shard-images 4 -q
expect 73 "exists" "$program" data pack in shards
[ "$(ls shards | wc -l)" = 7 ] && [ ! -e shards.partial ] || fail "shards holds $(ls shards)"
expect_out 'shards +3' "$program" data info 'shards/shard-{000000..000002}.tar'
expect_out 'bad +0' "$program" data info wds:shards
"$program" data pack in twice --shard-images 4 -q >/dev/null 2>log.txt
diff -r shards twice || fail "packing twice gave other bytes"

# compressed shards: listed and packed from front to back, refused where any order is needed
mkdir gz
for tar in shards/*.tar; do gzip -c "$tar" >"gz/$(basename "$tar").gz"; done
expect_out '^samples +10$' "$program" data info 'wds:gz'
expect 78 "data pack --in-order" "$program" data pack wds:gz plain
expect 78 "data pack --in-order" "$program" data index wds:gz
expect_out '3 shards, 10 images' "$program" data pack wds:gz plain --in-order --shard-images 4 -q
expect_out '^bad +0$' "$program" data info wds:plain
head -c 200M /dev/zero | gzip >bomb.tar.gz
expect 65 "no shard of images" "$program" data info bomb.tar.gz
rm shards/*.idx
"$program" data index wds:shards
diff -r shards twice || fail "the index of a scanned tar is another"

printf 'damaged' >in/a/6.png
expect 65 "6.png" "$program" data pack in bad --on-bad stop
[ ! -e bad ] || fail "bad/ appeared although packing stopped"
"$program" data pack in bad --on-bad skip >said.txt 2>log.txt
grep -q '1 bad images left out' said.txt && grep -q 'left out.*6.png' log.txt || fail "skip: $(cat said.txt log.txt)"

# training and evaluation read shards as they read folders
"$program" train tiny.yaml -q --run-dir run --set data.train=wds:shards --set data.eval=wds:twice \
    --set 'data.train_ops=["random_resized_crop(16)"]' --set 'data.eval_ops=["resize(16)"]' \
    --set data.shuffle_buffer=5 --set data.workers=2 >said.txt
expect_out 'top-1' "$program" eval run --data wds:shards
expect 78 "needs a data set of tar shards" "$program" train tiny.yaml -q --run-dir no --set data.shuffle_buffer=5

"$program" data pack in kept -q >said.txt
"$program" data info wds:kept >said.txt
grep -qE '^bad +1$' said.txt && grep -qE '^  shard-000000.tar: [0-9]+_a_6.jpg: neither' said.txt || fail "info: $(cat said.txt)"
"$program" train tiny.yaml --run-dir skip --set data.train=wds:kept --set data.eval=wds:twice \
    --set 'data.train_ops=["random_resized_crop(16)"]' --set 'data.eval_ops=["resize(16)"]' \
    --set data.on_bad_sample=skip --set data.max_bad_fraction=0.2 >said.txt 2>log.txt
[ "$(grep -c 'bad sample skipped: shard-000000.tar: .*_a_6' log.txt)" = 1 ] || fail "named once: $(cat log.txt)"
grep -q 'skipped in training: 1 of 11;' log.txt || fail "counted: $(cat log.txt)"

finish 18
