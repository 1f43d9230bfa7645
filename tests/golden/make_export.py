#!/usr/bin/env python3
"""Checks exported ONNX files and writes export.txt, their sizes and CRC-32, for tests/golden/test_export.c.

    mkdir onnx && SOFTLESS_EXPORT_DIR=$PWD/onnx BUILD/test_export
    python tests/golden/make_export.py onnx        (needs onnx, onnxruntime, timm, torch)

Every golden case's file must pass onnx's checker and give in ONNX Runtime the golden logits, which
PyTorch computed in double: within 1e-5 of their norm, as test_golden.c demands of our own pass and
for its reasons, alone and in a batch of another size. Then that timm itself loads our safetensors
files, strictly, and computes the golden logits: the softmax cases that its VisionTransformer can express.
"""
import pathlib
import sys
import zlib

import numpy as np
import onnx
import onnxruntime
import timm.models.vision_transformer as vit
import torch
from safetensors.numpy import load_file

import make_golden as model

BOUND = 1e-5
TIMM = {
    "softmax": dict(class_token=False, global_pool="avg", fc_norm=False, act_layer="gelu_tanh"),
    "gelu_erf": dict(class_token=False, global_pool="avg", fc_norm=False, act_layer="gelu"),
    "pool_map_softmax": dict(class_token=False, global_pool="map", act_layer="gelu_tanh"),
    "pool_tok_rep": dict(class_token=True, global_pool="token", no_embed_class=True,
                         act_layer="gelu_tanh"),
}


def inputs(golden, mix):
    x = golden["images"].astype(np.float64) / 255 * 2 - 1
    x = mix * x + (1 - mix) * np.roll(x, 1, 0)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32)


def distance(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def main(folder):
    lines, worst = [], 0.0
    for name, options in model.CASES.items():
        c = {**model.DEFAULTS, **options}
        path = folder / f"{name}.onnx"
        golden = load_file(model.HERE / f"data/{name}.safetensors")
        onnx.checker.check_model(onnx.load(path), full_check=True)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        x = inputs(golden, c["mix"])
        logits, = session.run(None, {"images": x})
        alone = np.concatenate([session.run(None, {"images": x[i:i + 1]})[0] for i in range(len(x))])
        error = max(distance(logits, golden["logits"]), distance(alone, golden["logits"]))
        assert error <= BOUND, (name, error)
        worst = max(worst, error)
        lines.append(f"{name} {path.stat().st_size} {zlib.crc32(path.read_bytes()):08x}\n")
    print(f"{len(lines)} files in ONNX Runtime {onnxruntime.__version__}: largest error {worst:.1e}")
    for name, options in TIMM.items():
        c = {**model.DEFAULTS, **model.CASES[name]}
        net = vit.VisionTransformer(img_size=(8, 12), patch_size=4, embed_dim=16, depth=2,
                                    num_heads=2, mlp_ratio=1.5, num_classes=5, **options)
        if c["rep_size"]:  # timm dropped this layer in 0.8; here it is given back by hand
            net.pre_logits = torch.nn.Sequential()
            net.pre_logits.add_module("fc", torch.nn.Linear(16, 16))
            net.head_drop = torch.nn.Sequential(net.pre_logits, torch.nn.Tanh())
        ours = load_file(folder / f"{name}.safetensors")
        if c["rep_size"]:
            ours.update({n.replace("pre_logits.", "head_drop.0."): x for n, x in ours.items()
                         if n.startswith("pre_logits.")})
        net.load_state_dict({n: torch.from_numpy(x) for n, x in ours.items()}, strict=True)
        golden = load_file(model.HERE / f"data/{name}.safetensors")
        with torch.no_grad():
            logits = net.eval()(torch.from_numpy(inputs(golden, c["mix"]))).numpy()
        error = distance(logits, golden["logits"])
        assert error <= BOUND, (name, error)
        print(f"timm {name}: error {error:.1e}")
    (model.HERE / "export.txt").write_text("".join(lines))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
