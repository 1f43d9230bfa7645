#!/usr/bin/env bash
# softless probe: the table, JSON and CSV, lists of chosen images, kept features, bad input.
. "$(dirname "$0")/common.sh"
cd "$work"

expect_out 'Examples:' "$program" probe --help
"$program" train tiny.yaml -q --run-dir run >out
a="synthetic:n=200,classes=4,size=16,seed=1::synthetic:n=64,classes=4,size=16,seed=2"
b="synthetic:n=120,classes=3,size=16,seed=5"

# ---- usage ----
expect 64 "--data is missing" "$program" probe run
expect 64 "usage: softless probe" "$program" probe --data "$a"
expect 64 "whole numbers" "$program" probe run --data "$a" --shots 1,x
expect 64 "whole numbers" "$program" probe run --data "$a" --seeds -1
expect 64 "0 shots" "$program" probe run --data "$a" --shots 0
expect 64 "l2 is -1" "$program" probe run --data "$a" --l2 -1
expect 64 "training share" "$program" probe run --data "$a" --train-share 1
expect 64 "given twice" "$program" probe run --data "$a" --data "$a"
expect 64 "json or csv" "$program" probe run --data "$a" --format xml
expect 66 "gone" "$program" probe gone.safetensors --data "$a"
expect 66 "nothere" "$program" probe run --data fashion-mnist,nothere
expect 65 "test images against training images.* 4 classes" "$program" probe run \
    --data "$b::synthetic:n=60,classes=4,size=16"
expect 73 "nodir/t.csv" "$program" probe run --data "$b" --csv nodir/t.csv

# ---- a trained model's features know the classes; 0.25 is chance ----
expect_out 'average +10 .*[5-9][0-9]\.[0-9]{2}%$' "$program" probe run --data "$a" --shots 5,10
expect_out 'knn .*[5-9][0-9]\.[0-9]{2}%$' "$program" probe run --data "$a" --shots 5 --knn 5
expect_out '200 training and 64 test images' "$program" probe run --data "$a"

# ---- the transfer of a recipe: the same numbers, after training or when a finished run is called again ----
c="synthetic:n=90,classes=3,size=16,seed=6"
want=$("$program" probe run --data "$a" --data "$c" --shots 10 --format json -q |
    grep -oE '"average": .*' | grep -oE '"mean": [0-9.]{8}' | cut -d ' ' -f 2)
"$program" train tiny.yaml -q --run-dir run --set "eval.transfer=$a  $c" >out
grep -q '^transfer ' out || fail "no transfer: $(cat out)"
grep -qE "\"transfer\": $want" run/summary.json || fail "transfer is not $want: $(cat run/summary.json)"
"$program" train tiny.yaml -q --run-dir transferred --set "eval.transfer=$a $c" --format json >out
grep -qE "\"transfer\": $want" out || fail "transfer behind training is not $want: $(cat out)"
expect 66 "eval.transfer: .*nothere" "$program" train tiny.yaml --run-dir third --set "eval.transfer=$a nothere"
[ ! -e third ] || fail "a run was begun in spite of a missing set"

# ---- several sets and their average; a set without a split; one table, one CSV ----
"$program" probe run --data "$a" --data "$b" --csv t.csv --format json >all.json 2>err
[ "$(wc -l <t.csv)" = 25 ] || fail "2 sets x 4 shots x 3 seeds and a header: $(cat t.csv)"
grep -q '"classes": 4, .*"train": 200' all.json && grep -q '"classes": 3, .*"train": 60' all.json ||
    fail "sizes of the sets: $(cat all.json)"
for shots in 1 5 10 25; do # the average of the JSON is that of the CSV's six rows, to its 6 digits
    grep '"average"' all.json | grep -oE "\"shots\": $shots, \"mean\": [0-9.]+" | cut -d ' ' -f 4 |
        cat - t.csv | awk -F, -v shots=$shots 'NR == 1 { mean = $1; next }
            $(NF - 2) == shots { n++; sum += $NF }
            END { d = sum / n - mean; exit !(n == 6 && d < 1e-6 && d > -1e-6) }' ||
        fail "the average of $shots shots is not that of the CSV"
done
passed=$((passed + 6))

# ---- lists of chosen images are written, then obeyed; features are kept ----
probe=("$program" probe run --data "$a" --data "$b" --shots 1,4 --format csv)
"${probe[@]}" >plain.csv 2>err
"${probe[@]}" --indices i.json --features f.safetensors >first.csv 2>err
[ "$(grep -c '^features of' err)" = 3 ] || fail "three sets of features: $(cat err)"
"${probe[@]}" --indices i.json --features f.safetensors --threads 1 >second.csv 2>err
grep -q '^features of' err && fail "kept features were computed again: $(cat err)"
cmp plain.csv first.csv && cmp first.csv second.csv || fail "the same lists give other figures"
sed 's/"0": /"7": /' i.json >j.json # seed 0's choice under another name
"${probe[@]}" --indices j.json --seeds 7,1,2 | sed 's/,7,/,0,/' >third.csv 2>err
cmp first.csv third.csv || fail "the lists of the file are not what is used"
expect 65 "no shots for set" "${probe[@]}" --indices i.json --seeds 3
expect 65 "ask for fewer" "$program" probe run --data "$a" --data "$b" --shots 5 --indices i.json
printf '{' >bad.json
expect 65 "bad.json" "${probe[@]}" --indices bad.json
# Other weights: nothing kept fits, nothing is taken.
"$program" train tiny.yaml -q --run-dir other --set seed=1 >out
"$program" probe other --data "$b" --features f.safetensors >out 2>err
grep -q '^features of' err || fail "features of other weights were taken"
passed=$((passed + 5))

# ---- folders: train/ and test/ by name, a bad image passed over and counted ----
png=$root/tests/golden/images
mkdir -p set/train/{x,y} set/test/{x,y}
for i in 1 2 3; do
    cp "$png/rgb_8.png" set/train/x/$i.png && cp "$png/grey_8.png" set/train/y/$i.png
    cp "$png/rgb_8.png" set/test/x/$i.png && cp "$png/grey_8.png" set/test/y/$i.png
done
expect_out '^average +2 .* 100.00%' "$program" probe run --data set --shots 2
printf 'no image' >set/train/x/4.png
expect 65 "bad samples" "$program" probe run --data set --shots 2
expect_out '6 training and 6 test images, 1 not decodable' "$program" probe run --data set --shots 2 \
    --max-bad 0.2

finish 34
