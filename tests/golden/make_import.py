#!/usr/bin/env python3
"""Weight files of other projects for tests/golden/test_import.c, with the logits of their own models.

    python tests/golden/make_import.py        (needs torch, timm, torchvision, numpy, safetensors)

timm's and torchvision's models have random weights in every tensor (heads, biases, norms too) and
are run in double by their own code, timm's also at another resolution through its own resampling of
positions. big_vision's code needs JAX: its files are written here from the layouts that recipe.md
lists, from the timm-named weights of one small model ("reference.safetensors"), which every layout
must give back bit for bit.
"""
import pathlib

import numpy as np
import timm
import torch
import torchvision
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parent / "import"
OUT.mkdir(exist_ok=True)
torch.manual_seed(0)
rng = np.random.default_rng(0)
IMAGENET = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]
HALF = [[0.5] * 3, [0.5] * 3]
golden = {}


def randomise(model):
    for p in model.parameters():
        p.data = torch.randn(p.shape) * (0.4 if p.dim() > 1 else 0.2)
    for n, p in model.named_parameters():
        if "norm" in n or "ln" in n:
            p.data += n.endswith("weight")
    return model.eval()


def logits(model, name, height, width, normalise):
    images = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    mean, std = (torch.tensor(x, dtype=torch.float64).view(1, 3, 1, 1) for x in normalise)
    x = (torch.tensor(images).permute(0, 3, 1, 2).double() / 255 - mean) / std
    golden[name + ".images"] = images
    with torch.no_grad():
        golden[name + ".logits"] = model.double()(x).float().numpy()


def save(model, name):
    save_file({k: v.float().contiguous().numpy() for k, v in model.state_dict().items()},
              OUT / name)


def make_timm():
    args = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=7)
    model = randomise(timm.models.VisionTransformer(**args))
    save(model, "timm.safetensors")
    logits(model, "timm", 32, 32, HALF)
    larger = timm.models.VisionTransformer(**{**args, "img_size": (48, 40)})
    state = model.state_dict()
    state["pos_embed"] = timm.layers.resample_abs_pos_embed(
        state["pos_embed"].float(), (6, 5), num_prefix_tokens=1, interpolation="bicubic",
        antialias=True)
    larger.load_state_dict(state)
    logits(larger.eval(), "timm_larger", 48, 40, HALF)
    other = randomise(timm.models.VisionTransformer(
        **{**args, "img_size": 24}, class_token=False, global_pool="map",
        init_values=0.1, qk_norm=True, no_embed_class=True))
    save(other, "timm_map.safetensors")
    logits(other, "timm_map", 24, 24, IMAGENET)
    registers = randomise(timm.models.VisionTransformer(**{**args, "img_size": 24}, reg_tokens=3))
    save(registers, "timm_registers.safetensors")
    logits(registers, "timm_registers", 24, 24, HALF)
    return args, model


def make_torchvision():
    model = randomise(torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=48,
        num_classes=5))
    save(model, "torchvision.safetensors")
    logits(model, "torchvision", 32, 32, IMAGENET)
    return model


# ---- big_vision ----
D, H, F, P, N, C, DEPTH = 16, 2, 24, 4, 9, 5, 2


def reference():
    r = lambda *shape: rng.standard_normal(shape, dtype=np.float32)
    w = {"patch_embed.proj.weight": r(D, 3, P, P), "patch_embed.proj.bias": r(D),
         "cls_token": r(1, 1, D), "pos_embed": r(1, N, D), "norm.weight": r(D), "norm.bias": r(D),
         "pre_logits.fc.weight": r(D, D), "pre_logits.fc.bias": r(D),
         "head.weight": r(C, D), "head.bias": r(C)}
    for i in range(DEPTH):
        b = f"blocks.{i}."
        w |= {b + "norm1.weight": r(D), b + "norm1.bias": r(D),
              b + "attn.qkv.weight": r(3 * D, D), b + "attn.qkv.bias": r(3 * D),
              b + "attn.q_norm.weight": r(D // H), b + "attn.k_norm.weight": r(D // H),
              b + "attn.proj.weight": r(D, D), b + "attn.proj.bias": r(D),
              b + "norm2.weight": r(D), b + "norm2.bias": r(D),
              b + "mlp.fc1.weight": r(F, D), b + "mlp.fc1.bias": r(F),
              b + "mlp.fc2.weight": r(D, F), b + "mlp.fc2.bias": r(D)}
    return w


def pooling_head():
    r = lambda *shape: rng.standard_normal(shape, dtype=np.float32)
    p = "attn_pool."
    return {p + "latent": r(1, 1, D), p + "q.weight": r(D, D), p + "q.bias": r(D),
            p + "kv.weight": r(2 * D, D), p + "kv.bias": r(2 * D),
            p + "proj.weight": r(D, D), p + "proj.bias": r(D),
            p + "norm.weight": r(D), p + "norm.bias": r(D),
            p + "mlp.fc1.weight": r(F, D), p + "mlp.fc1.bias": r(F),
            p + "mlp.fc2.weight": r(D, F), p + "mlp.fc2.bias": r(D)}


def dense(out, name, w, ours):
    out[name + "/kernel"], out[name + "/bias"] = w[ours + ".weight"].T, w[ours + ".bias"]


def norm(out, name, w, ours):
    out[name + "/scale"], out[name + "/bias"] = w[ours + ".weight"], w[ours + ".bias"]


def attention(out, name, q, k, v, proj):
    for part, (weight, bias) in dict(query=q, key=k, value=v).items():
        out[f"{name}/{part}/kernel"] = weight.T.reshape(D, H, D // H)
        out[f"{name}/{part}/bias"] = bias.reshape(H, D // H)
    out[f"{name}/out/kernel"] = proj[0].T.reshape(H, D // H, D)
    out[f"{name}/out/bias"] = proj[1]


def thirds(w, ours, parts):
    return zip(np.split(w[ours + ".weight"], parts), np.split(w[ours + ".bias"], parts))


def big_vision(w):
    out = {"embedding/kernel": w["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
           "embedding/bias": w["patch_embed.proj.bias"]}
    if "cls_token" in w:
        out["cls"] = w["cls_token"]
    if "pos_embed" in w:
        out["pos_embedding"] = w["pos_embed"]
    for i in range(DEPTH):
        b, to = f"blocks.{i}.", f"Transformer/encoderblock_{i}/"
        att = to + "MultiHeadDotProductAttention_0"
        norm(out, to + "LayerNorm_0", w, b + "norm1")
        norm(out, to + "LayerNorm_1", w, b + "norm2")
        attention(out, att, *thirds(w, b + "attn.qkv", 3),
                  (w[b + "attn.proj.weight"], w[b + "attn.proj.bias"]))
        out[att + "/query_ln/scale"] = w[b + "attn.q_norm.weight"]
        out[att + "/key_ln/scale"] = w[b + "attn.k_norm.weight"]
        dense(out, to + "MlpBlock_0/Dense_0", w, b + "mlp.fc1")
        dense(out, to + "MlpBlock_0/Dense_1", w, b + "mlp.fc2")
    norm(out, "Transformer/encoder_norm", w, "norm")
    dense(out, "pre_logits", w, "pre_logits.fc")
    dense(out, "head", w, "head")
    if "attn_pool.latent" in w:
        p, to = "attn_pool.", "MAPHead_0/"
        out[to + "probe"] = w[p + "latent"]
        (k, v) = thirds(w, p + "kv", 2)
        attention(out, to + "MultiHeadDotProductAttention_0", (w[p + "q.weight"], w[p + "q.bias"]),
                  k, v, (w[p + "proj.weight"], w[p + "proj.bias"]))
        norm(out, to + "LayerNorm_0", w, p + "norm")
        dense(out, to + "MlpBlock_0/Dense_0", w, p + "mlp.fc1")
        dense(out, to + "MlpBlock_0/Dense_1", w, p + "mlp.fc2")
    return out


def renamed(arrays, *pairs):
    out = {}
    for k, v in arrays.items():
        for old, new in pairs:
            k = k.replace(old, new)
        out[k] = v
    return out


def aligned(pos, old, new):
    """Linear along each axis with corners on corners, as scipy.ndimage.zoom(order=1) does."""
    grid = pos.reshape(old, old, D).astype(np.float64)
    at = np.arange(new) * (old - 1) / (new - 1)
    low = np.minimum(at.astype(int), old - 2)
    t = (at - low)[:, None, None]
    grid = grid[low] * (1 - t) + grid[low + 1] * t
    grid = grid.transpose(1, 0, 2)
    grid = grid[low] * (1 - t) + grid[low + 1] * t
    return grid.transpose(1, 0, 2).reshape(1, new * new, D).astype(np.float32)


def make_big_vision():
    w = reference()
    save_file(w, OUT / "reference.safetensors")
    plain = big_vision(w)
    np.savez(OUT / "plain.npz", **plain)
    np.savez_compressed(OUT / "params.npz", **{"params/" + k: v for k, v in plain.items()},
                        **{"opt/0/mu": np.zeros(3, np.float32)})
    np.savez_compressed(OUT / "target.npz", **{"opt/target/img/" + k: v for k, v in plain.items()},
                        **{"opt/target/txt/t": np.zeros(3, np.float32)})
    # class row inside the positions; 0.25 moves between the two exactly
    old = renamed(plain, ("pos_embedding", "Transformer/posembed_input/pos_embedding"),
                  ("MultiHeadDotProductAttention_0", "MultiHeadDotProductAttention_1"),
                  ("MlpBlock_0", "MlpBlock_3"), ("LayerNorm_1", "LayerNorm_2"))
    row = np.full((1, 1, D), 0.25, np.float32)
    split = (w["cls_token"] - row).astype(np.float32)
    w_old = {**w, "cls_token": split + row}
    save_file(w_old, OUT / "reference_class_row.safetensors")
    old["cls"] = split
    old["Transformer/posembed_input/pos_embedding"] = np.concatenate([row, w["pos_embed"]], 1)
    np.savez_compressed(OUT / "old.npz", **old)
    stacked = {k: v for k, v in plain.items() if "encoderblock" not in k}
    for k in plain:
        if "encoderblock_0/" in k:
            stacked[k.replace("encoderblock_0", "encoderblock")] = np.stack(
                [plain[k.replace("encoderblock_0", f"encoderblock_{i}")] for i in range(DEPTH)])
    stacked = renamed(stacked, ("pos_embedding", "Transformer/pos_embedding"))
    np.savez_compressed(OUT / "stacked.npz", **stacked)
    mapped = {k: v for k, v in w.items() if k != "cls_token"} | pooling_head()
    save_file(mapped, OUT / "reference_map.safetensors")
    np.savez_compressed(OUT / "map_inlined.npz",
                        **renamed(big_vision(mapped), ("MAPHead_0/", "")))
    narrow = {k: (np.ascontiguousarray(v).view(np.uint32) >> 16).astype(np.uint16)
              for k, v in plain.items()}
    np.savez_compressed(OUT / "bf16.npz", **{k: v.view("V2") for k, v in narrow.items()})
    save_file({k: (v.view(np.uint32) & 0xFFFF0000).view(np.float32) for k, v in w.items()},
              OUT / "reference_bf16.safetensors")
    golden["big_vision_5x5.pos_embed"] = aligned(w["pos_embed"], 3, 5)


def make_cubic(args, model):
    """To 5 x 3 patches of 4 x 4 as PyTorch resizes without antialias, which DINOv2 was made with."""
    other = timm.models.VisionTransformer(**{**args, "img_size": (40, 24)})
    state = model.state_dict()
    state["pos_embed"] = timm.layers.resample_abs_pos_embed(
        state["pos_embed"].float(), (5, 3), num_prefix_tokens=1, interpolation="bicubic",
        antialias=False)
    other.load_state_dict(state)
    logits(other.eval(), "timm_cubic", 40, 24, HALF)


def make_torchvision_larger(model):
    """48 pixels: torchvision's own model, with positions resampled as the import does by default."""
    larger = torchvision.models.VisionTransformer(
        image_size=48, patch_size=8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=48,
        num_classes=5)
    state = model.state_dict()
    state["encoder.pos_embedding"] = timm.layers.resample_abs_pos_embed(
        state["encoder.pos_embedding"].float(), (6, 6), num_prefix_tokens=1,
        interpolation="bicubic", antialias=True)
    larger.load_state_dict(state)
    logits(larger.eval(), "torchvision_larger", 48, 48, IMAGENET)


timm_model = make_timm()
torchvision_model = make_torchvision()
make_big_vision()
make_cubic(*timm_model)
make_torchvision_larger(torchvision_model)
save_file(golden, OUT / "golden.safetensors")
