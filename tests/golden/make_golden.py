#!/usr/bin/env python3
"""Golden files for tests/golden/test_golden.c, made with PyTorch in double precision.

    python tests/golden/make_golden.py        (needs torch, numpy, safetensors)

Written from MODEL.md, sharing no code with src/. For every case: one batch, the logits, the loss,
every parameter gradient, and the losses of ten updates with big_vision's Adam chain (clip, Adam,
times lr, plus wd times weight, times schedule). Weights are random in every tensor (heads, biases,
scales, LayerScale too), so that no term can be dropped unseen. Where phi has a kink, a batch is
drawn again until no score lies near it. The same pass in float32 is run for comparison and its
distance from the double one is printed: it is what the test's bounds can be held against.

A bfloat16 net stores activations, their gradients and packed weights rounded to 8 bits. What that
does to logits and gradients is measured here, on the double model: wherever the net stores bfloat16
(class Store), values are multiplied by 1 + 2^-8 r, r uniform in [-1, 1], forward and backward, in
NOISY_RUNS runs; the root mean square distances of logits, gradients and losses from their exact
values are kept ("bf16", "bf16_losses"), and the test allows a multiple of them.

Writes data/weights_<width>.safetensors, data/<case>.safetensors and cases.inc (the C side of CASES).
"""
import math
import pathlib
import textwrap

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
B, CLASSES, STEPS, NOISY_RUNS = 3, 5, 10, 16
LR, WD, B1, B2, ADAM_EPS = 2e-3, 0.05, 0.9, 0.999, 1e-8

DEFAULTS = dict(width=16, depth=2, heads=2, mlp=24, patch=4, image_height=8, image_width=12,
                phi="relu", alpha=1.0, length="actual", train_length=0.0, bias=0.0,
                bias_neg_log_length=False, qk_norm="none", gate="none", posemb="learn", pool="gap",
                registers=0, rep_size=False, layer_scale=0.0, gelu="tanh", norm_eps=1e-6,
                loss="sigmoid_xent", smoothing=0.0, mix=1.0)
ALL = dict(phi="gelu", qk_norm="layernorm-bias", gate="silu", rep_size=True, layer_scale=0.5,
           posemb="sincos2d", loss="softmax_xent", smoothing=0.1, mix=0.75)
CASES = {
    "softmax": dict(phi="softmax"),
    "relu": dict(),
    "relu2": dict(phi="relu2"),
    "gelu": dict(phi="gelu"),
    "softplus": dict(phi="softplus"),
    "identity": dict(phi="identity"),
    "relu6": dict(phi="relu6"),
    "sigmoid": dict(phi="sigmoid"),
    "relu_alpha0": dict(alpha=0.0),
    "gelu_alpha1p5": dict(phi="gelu", alpha=1.5),
    "relu2_alpha0p5": dict(phi="relu2", alpha=0.5),
    "sigmoid_neg_log": dict(phi="sigmoid", alpha=0.0, bias_neg_log_length=True),
    "softplus_bias": dict(phi="softplus", bias=0.3, alpha=1.0),
    "relu_bias": dict(bias=-0.25),
    "length_train": dict(phi="sigmoid", length="train", train_length=20.0,
                         bias_neg_log_length=True, bias=0.5, pool="tok"),
    "softmax_qk_layernorm": dict(phi="softmax", qk_norm="layernorm"),
    "relu_qk_layernorm": dict(qk_norm="layernorm"),
    "relu_qk_layernorm_bias": dict(qk_norm="layernorm-bias"),
    "relu_qk_rms": dict(qk_norm="rms"),
    "gate_linear": dict(gate="linear"),
    "gate_sigmoid": dict(gate="sigmoid", phi="softmax"),
    "gate_silu": dict(gate="silu"),
    "pool_tok_rep": dict(pool="tok", rep_size=True, phi="softmax"),
    "pool_map_softmax": dict(pool="map", phi="softmax"),
    "pool_map_relu": dict(pool="map", registers=2, rep_size=True),
    "registers_gap": dict(registers=3),
    "softmax_loss": dict(loss="softmax_xent", smoothing=0.1, mix=0.625),
    "sincos2d": dict(posemb="sincos2d"),
    "layer_scale": dict(layer_scale=0.5),
    "norm_eps": dict(phi="gelu", qk_norm="layernorm", norm_eps=0.125),
    "gelu_erf": dict(gelu="erf", phi="softmax"),
    "all_tok": dict(ALL, pool="tok", registers=2, width=20, heads=2, mlp=28),
    "all_map": dict(ALL, pool="map", registers=1, phi="softplus", qk_norm="rms", gate="linear",
                    width=20, heads=2, mlp=28),
}


def shapes(c):
    """timm name -> shape of every tensor of a model with these options."""
    D, M, P, K = c["width"], c["mlp"], c["patch"], c["width"] // c["heads"]
    N = c["image_height"] // P * (c["image_width"] // P)
    s = {"patch_embed.proj.weight": (D, 3, P, P), "patch_embed.proj.bias": (D,)}
    if c["pool"] == "tok":
        s["cls_token"] = (1, 1, D)
    if c["registers"]:
        s["reg_token"] = (1, c["registers"], D)
    if c["posemb"] == "learn":
        s["pos_embed"] = (1, N, D)

    def linear(name, out, inner):
        s[name + ".weight"] = (out, inner)
        s[name + ".bias"] = (out,)

    def norm(name, width, bias=True):
        s[name + ".weight"] = (width,)
        if bias:
            s[name + ".bias"] = (width,)

    for i in range(c["depth"]):
        b = f"blocks.{i}."
        norm(b + "norm1", D)
        linear(b + "attn.qkv", 3 * D, D)
        if c["qk_norm"] != "none":
            for n in ("q_norm", "k_norm"):
                norm(b + "attn." + n, K, c["qk_norm"] == "layernorm-bias")
        if c["gate"] != "none":
            linear(b + "attn.gate", D, D)
        linear(b + "attn.proj", D, D)
        norm(b + "norm2", D)
        linear(b + "mlp.fc1", M, D)
        linear(b + "mlp.fc2", D, M)
        if c["layer_scale"]:
            s[b + "ls1.gamma"] = s[b + "ls2.gamma"] = (D,)
    norm("norm", D)
    if c["pool"] == "map":
        s["attn_pool.latent"] = (1, 1, D)
        linear("attn_pool.q", D, D)
        linear("attn_pool.kv", 2 * D, D)
        linear("attn_pool.proj", D, D)
        norm("attn_pool.norm", D)
        linear("attn_pool.mlp.fc1", M, D)
        linear("attn_pool.mlp.fc2", D, M)
    if c["rep_size"]:
        linear("pre_logits.fc", D, D)
    linear("head", CLASSES, D)
    return s


def draw(name, shape, rng):
    """A random tensor; query and key kernels are large, so that scores reach beyond relu6's 6."""
    x = rng.standard_normal(shape)
    if name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
        x = 1 + 0.2 * x
    elif name.endswith("gamma"):
        x = 0.5 + 0.2 * x
    elif name.endswith("bias"):
        x = 0.1 * x
    elif name.endswith(("token", "pos_embed", "latent")):
        x = 0.5 * x
    elif name.endswith("qkv.weight"):
        x = 2.0 * x / math.sqrt(shape[1])
    else:
        x = x / math.sqrt(np.prod(shape[1:]))
    return x.astype(np.float32)


class Store(torch.autograd.Function):
    """A value kept in bfloat16 on the way forward, and its gradient on the way back."""
    noise = 0.0

    @staticmethod
    def perturb(x):
        return x * (1 + Store.noise * (2 * torch.rand_like(x) - 1))

    @staticmethod
    def forward(ctx, x, forward, backward):
        ctx.backward_too = backward
        return Store.perturb(x) if forward else x.clone()

    @staticmethod
    def backward(ctx, g):
        return Store.perturb(g) if ctx.backward_too else g.clone(), None, None


def stored(x):
    return Store.apply(x, True, True) if Store.noise else x


def packed(w):
    """A weight packed for products; its gradient is a float sum."""
    return Store.apply(w, True, False) if Store.noise else w


def branch(x):
    """A branch's output: added to the float stream, but its gradient is stored."""
    return Store.apply(x, False, True) if Store.noise else x


def dense(w, name, x):
    return x @ packed(w[name + ".weight"]).T + w[name + ".bias"]


def h_of(phi, s):
    return {
        "relu": lambda: torch.clamp(s, min=0),
        "relu2": lambda: torch.clamp(s, min=0) ** 2,
        "gelu": lambda: F.gelu(s, approximate="tanh"),
        "softplus": lambda: torch.clamp(s, min=0) + torch.log1p(torch.exp(-s.abs())),
        "identity": lambda: s,
        "relu6": lambda: torch.clamp(s, min=0, max=6),
        "sigmoid": lambda: torch.sigmoid(s),
    }[phi]()


def attend(c, q, k, v, scores):
    """[b, heads, tokens, K] each; scores collects what h sees."""
    s = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if c["phi"] == "softmax":
        return torch.softmax(s, -1) @ v
    n = c["train_length"] if c["length"] == "train" else k.shape[-2]
    s = s + c["bias"] - (math.log(n) if c["bias_neg_log_length"] else 0.0)
    scores.append(s.detach())
    return (h_of(c["phi"], s) * n ** -c["alpha"]) @ v


def split(x, heads):
    return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def merge(x):
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)


def mlp(c, w, name, x):
    y = stored(dense(w, name + "fc1", stored(x)))
    y = stored(F.gelu(y, approximate="tanh" if c["gelu"] == "tanh" else "none"))
    return dense(w, name + "fc2", y)


def scaled(c, w, name, x):
    return stored(x) * w[name] if c["layer_scale"] else branch(x)


def layernorm(c, w, name, x):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w.get(name + ".bias"),
                        c["norm_eps"])


def qk_norm(c, w, name, x):
    if c["qk_norm"] == "none":
        return x
    if c["qk_norm"] == "rms":
        x = x / torch.sqrt((x * x).mean(-1, keepdim=True) + c["norm_eps"])
        x = x * w[name + ".weight"]
        return stored(x)
    return stored(layernorm(c, w, name, x))


def sincos2d(c, dtype):
    quarter = c["width"] // 4
    rows, columns = c["image_height"] // c["patch"], c["image_width"] // c["patch"]
    omega = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / (quarter - 1))
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    x, y = x.reshape(-1, 1) * omega, y.reshape(-1, 1) * omega
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], 1).to(dtype)


def forward(c, w, images, scores):
    dtype = w["head.weight"].dtype
    x = torch.from_numpy(images).to(dtype) / 255 * 2 - 1
    x = c["mix"] * x + (1 - c["mix"]) * torch.roll(x, 1, 0)
    x = F.conv2d(stored(x).permute(0, 3, 1, 2), packed(w["patch_embed.proj.weight"]),
                 w["patch_embed.proj.bias"], stride=c["patch"])
    x = branch(x.flatten(2).transpose(1, 2))
    x = x + (w["pos_embed"] if c["posemb"] == "learn" else sincos2d(c, dtype))
    prefix = [w[n].expand(B, -1, -1) for n in ("cls_token", "reg_token") if n in w]
    x = torch.cat(prefix + [x], 1)
    for i in range(c["depth"]):
        b = f"blocks.{i}."
        y = stored(layernorm(c, w, b + "norm1", x))
        q, k, v = stored(dense(w, b + "attn.qkv", y)).chunk(3, -1)
        q, k, v = (split(t, c["heads"]) for t in (q, k, v))
        q, k = qk_norm(c, w, b + "attn.q_norm", q), qk_norm(c, w, b + "attn.k_norm", k)
        o = stored(merge(attend(c, q, k, v, scores)))
        if c["gate"] != "none":
            g = stored(dense(w, b + "attn.gate", y))
            g = {"linear": lambda t: t, "sigmoid": torch.sigmoid, "silu": F.silu}[c["gate"]](g)
            o = stored(o * g)
        x = x + scaled(c, w, b + "ls1.gamma", dense(w, b + "attn.proj", o))
        y = mlp(c, w, b + "mlp.", layernorm(c, w, b + "norm2", x))
        x = x + scaled(c, w, b + "ls2.gamma", y)
    x = stored(layernorm(c, w, "norm", x))
    if c["pool"] == "gap":
        x = x[:, c["registers"]:].mean(1)
    elif c["pool"] == "tok":
        x = x[:, 0]
    else:
        a = "attn_pool."
        q = stored(dense(w, a + "q", stored(w[a + "latent"].expand(B, -1, -1))))
        k, v = stored(dense(w, a + "kv", x)).chunk(2, -1)
        x = stored(merge(attend(c, *(split(t, c["heads"]) for t in (q, k, v)), scores)))
        x = branch(dense(w, a + "proj", x))
        x = (x + branch(mlp(c, w, a + "mlp.", layernorm(c, w, a + "norm", x))))[:, 0]
    x = stored(x)
    if c["rep_size"]:
        x = stored(torch.tanh(dense(w, "pre_logits.fc", x)))
    return branch(dense(w, "head", x))


def loss_of(c, logits, labels):
    t = F.one_hot(torch.from_numpy(labels).long(), CLASSES).to(logits.dtype)
    t = (1 - c["smoothing"]) * t + c["smoothing"] / CLASSES
    t = c["mix"] * t + (1 - c["mix"]) * torch.roll(t, 1, 0)
    if c["loss"] == "softmax_xent":
        return -(t * F.log_softmax(logits, -1)).sum(-1).mean()
    return -(t * F.logsigmoid(logits) + (1 - t) * F.logsigmoid(-logits)).sum(-1).mean()


def kink_distance(c, scores):
    kinks = {"relu": [0], "relu6": [0, 6]}.get(c["phi"], [])
    return min([float((s - k).abs().min()) for s in scores for k in kinks], default=math.inf)


def is_kernel(name):
    return name.endswith(".weight") and "norm" not in name


def run(c, weights, images, labels, dtype):
    """First logits and gradients, the losses of all steps, nearest kinks, gradient norms."""
    w = {n: torch.tensor(x, dtype=dtype, requires_grad=True) for n, x in weights.items()}
    m = {n: torch.zeros_like(x) for n, x in w.items()}
    v = {n: torch.zeros_like(x) for n, x in w.items()}
    out = dict(losses=[], norms=[], kink=math.inf)
    for t in range(STEPS):
        scores = []
        logits = forward(c, w, images, scores)
        loss = loss_of(c, logits, labels)
        grads = dict(zip(w, torch.autograd.grad(loss, list(w.values()))))
        if t == 0:
            out.update(logits=logits.detach(), grads=grads, scores=scores)
        out["kink"] = min(out["kink"], kink_distance(c, scores))
        out["losses"].append(loss.item())
        norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in grads.values()))
        out["norms"].append(norm)
        schedule = 0.5 * (1 + math.cos(math.pi * t / STEPS))
        with torch.no_grad():
            for n, x in w.items():
                g = grads[n] / norm if norm >= 1 else grads[n]
                m[n] = B1 * m[n] + (1 - B1) * g
                v[n] = B2 * v[n] + (1 - B2) * g * g
                u = (m[n] / (1 - B1 ** (t + 1))) / ((v[n] / (1 - B2 ** (t + 1))).sqrt() + ADAM_EPS)
                u = LR * u + (WD * x if is_kernel(n) else 0)
                x -= schedule * u
    return out


def distances(c, weights, images, labels, exact):
    """Root mean square over noisy runs of the distance from `exact`: of the logits and then of the
    gradients in the order of their names; and of every loss."""
    names = sorted(exact["grads"])
    squares, losses = np.zeros(1 + len(names)), np.zeros(STEPS)
    for number in range(NOISY_RUNS):
        torch.manual_seed(number)
        Store.noise = 2.0 ** -8
        r = run(c, weights, images, labels, torch.float64)
        Store.noise = 0.0
        pairs = [(r["logits"], exact["logits"])]
        pairs += [(r["grads"][n], exact["grads"][n]) for n in names]
        squares += np.array([float(((x - y) ** 2).sum()) for x, y in pairs])
        losses += (np.array(r["losses"]) - np.array(exact["losses"])) ** 2
    return np.sqrt(squares / NOISY_RUNS), np.sqrt(losses / NOISY_RUNS)


def c_literal(x):
    if isinstance(x, bool):
        return "true" if x else "false"
    return repr(x)


ENUMS = dict(phi="SL_PHI_", length="SL_LENGTH_", qk_norm="SL_QK_NORM_", gate="SL_GATE_",
             posemb="SL_POSEMB_", pool="SL_POOL_", gelu="SL_GELU_", loss="SL_LOSS_")


def c_case(name, c):
    def field(k):
        value = ENUMS[k] + c[k].upper().replace("-", "_") if k in ENUMS else c_literal(c[k])
        return f".{k} = {value}"

    outside = ("loss", "smoothing", "mix")
    vit = [k for k in c if k not in outside and (k in list(DEFAULTS)[:7] or k == "norm_eps" or
                                               c[k] != DEFAULTS[k])]
    vit = ", ".join([field(k) for k in vit] + [f".classes = {CLASSES}"])
    # The zero of each enum is its default but for phi, so that is always written.
    phi = "" if ".phi" in vit else ", " + field("phi")
    alpha = "" if ".alpha" in vit else ", " + field("alpha")
    rest = ", ".join(f".{k} = {c_literal(c[k])}f" if k != "loss" else field(k) for k in outside)
    text = f'{{.name = "{name}", .vit = {{{vit}{phi}{alpha}}}, {rest}}},'
    return textwrap.fill(text, 100, subsequent_indent=" ", break_on_hyphens=False) + "\n"


def main():
    cases = {n: {**DEFAULTS, **o} for n, o in CASES.items()}
    weights = {}
    for width in sorted({c["width"] for c in cases.values()}):
        every = {}
        for c in cases.values():
            if c["width"] == width:
                for n, s in shapes(c).items():
                    every.setdefault((n, s), None)
        rng = np.random.default_rng(width)
        # Register tokens differ in number: each number is its own tensor, "reg_token.<R>".
        weights[width] = {n if n != "reg_token" else f"reg_token.{s[1]}": draw(n, s, rng)
                          for n, s in sorted(every)}
        save_file(weights[width], HERE / f"data/weights_{width}.safetensors")
    worst = 0.0
    for number, (name, c) in enumerate(cases.items()):
        w = {n: weights[c["width"]][n if n != "reg_token" else f"reg_token.{s[1]}"]
             for n, s in shapes(c).items()}
        for attempt in range(1000):
            rng = np.random.default_rng([number, attempt])
            images = rng.integers(0, 256, (B, c["image_height"], c["image_width"], 3), np.uint8)
            labels = rng.integers(0, CLASSES, B, np.int32)
            r = run(c, w, images, labels, torch.float64)
            if r["kink"] > 2e-5:
                break
        else:
            raise SystemExit(f"{name}: every batch has a score near a kink")
        if name == "relu6":
            assert any(bool((s > 6).any()) for s in r["scores"]), "relu6 never reaches 6"
        r32 = run(c, w, images, labels, torch.float32)
        error = max(float((r32["grads"][n].double() - g).norm() / (g.norm() + 1e-300))
                    for n, g in r["grads"].items() if float(g.norm()) > 1e-6 * r["norms"][0])
        drift = max(abs(a - b) for a, b in zip(r["losses"], r32["losses"]))
        worst = max(worst, error)
        bf16, bf16_losses = distances(c, w, images, labels, r)
        save_file({"images": images, "labels": labels,
                   "logits": r["logits"].numpy().astype(np.float32),
                   "losses": np.array(r["losses"]),
                   "bf16": bf16.astype(np.float32), "bf16_losses": bf16_losses,
                   **{"grad." + n: np.ascontiguousarray(g.numpy(), np.float32)
                      for n, g in r["grads"].items()}},
                  HERE / f"data/{name}.safetensors")
        print(f"{name:24s} attempt {attempt} kink {r['kink']:.1e} norm {r['norms'][0]:.2f} .. "
              f"{r['norms'][-1]:.2f} loss {r['losses'][0]:.4f} .. {r['losses'][-1]:.4f} "
              f"float32: gradient {error:.1e}, losses {drift:.1e}")
    print(f"largest float32 gradient error of a tensor, relative in norm: {worst:.1e}")
    head = "/* Made by make_golden.py: the cases and their options. */\n"
    (HERE / "cases.inc").write_text(head + "".join(c_case(n, c) for n, c in cases.items()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
