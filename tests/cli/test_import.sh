#!/usr/bin/env bash
# Weights of another project: import, inspect, fine-tune with ReLU attention at another resolution.
. "$(dirname "$0")/common.sh"
cd "$work"
foreign=$root/tests/golden/import

expect_out 'b.safetensors: width 16, depth 2, heads 2, mlp 24, patch 4, 12x12 pixels, 10 tokens, 5 classes' \
    "$program" import "$foreign/plain.npz" --out b.safetensors
expect_out 'softmax' "$program" inspect b.safetensors
expect_out 'tokens, 7 classes' "$program" import "$foreign/timm.safetensors" --heads 2 --out t.safetensors
expect_out '24x32 pixels' \
    "$program" import "$foreign/timm.safetensors" --heads 2 --image-size 24x32 --out t.safetensors

# the same weights go on with another phi, grid and head, in one command
cat >tune.yaml <<'YAML'
schema: 1
name: tune
model: {width: 16, depth: 2, heads: 2, mlp: 24, patch: 4, image_size: 20, h: relu, qk_norm: layernorm,
  pool: tok, rep_size: true}
data:
  train: "synthetic:n=64,classes=3,size=20,seed=1"
  eval: "synthetic:n=64,classes=3,size=20,seed=2"
train: {batch: 16, total_steps: 4, loss: softmax_xent, optimizer: adamw, lr: 0.001}
YAML
"$program" train tune.yaml --init b.safetensors --reset-head --run-dir tuned >out 2>err || fail "$(cat err)"
grep -q 'positions of 3 x 3 patches resampled to 5 x 5' err || fail "no word on positions: $(cat err)"
expect_out 'relu' "$program" inspect tuned
expect 65 'head.weight is \[5, 16\]' "$program" train tune.yaml --init b.safetensors --run-dir other

# and leave again: the ONNX file has all weights, the safetensors file is the same model
"$program" export tuned --out tuned.onnx || fail "export"
[ "$(stat -c %s tuned.onnx)" -gt "$((4 * $("$program" inspect tuned | sed -n 's/^parameters: //p')))" ] ||
    fail "tuned.onnx has $(stat -c %s tuned.onnx) bytes"
"$program" export b.safetensors --out copy.safetensors || fail "export"
cmp b.safetensors copy.safetensors || fail "an exported model differs from its file"
expect 64 'onnx or .safetensors' "$program" export tuned --out tuned.pb
expect 64 'give --out' "$program" export tuned
expect 66 'gone' "$program" export gone.safetensors --out x.onnx
expect 73 'no/such' "$program" export tuned --out no/such/x.onnx

expect 65 'b.safetensors: a weights file of softless' "$program" import b.safetensors --out x
expect 64 'give --out' "$program" import "$foreign/plain.npz"
expect 64 'linear, antialiased or bicubic' "$program" import "$foreign/plain.npz" --out x --positions cubic
expect 64 'half' "$program" import "$foreign/plain.npz" --out x --pixels zero
expect 64 'HEIGHTxWIDTH' "$program" import "$foreign/plain.npz" --out x --image-size 12y
expect 64 'HEIGHTxWIDTH' "$program" import "$foreign/plain.npz" --out x --image-size -12
expect 64 '--heads' "$program" import "$foreign/timm.safetensors" --out x
expect 65 'part img' "$program" import "$foreign/target.npz" --out x
expect 66 'none.npz' "$program" import none.npz --out x
expect 73 'no/such' "$program" import "$foreign/plain.npz" --out no/such/x.safetensors
printf 'PK' >cut.npz
expect 65 'not an npz file' "$program" import cut.npz --out x
[ ! -e x ] || fail "a refused import left a file"
finish 20
