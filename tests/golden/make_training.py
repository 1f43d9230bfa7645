#!/usr/bin/env python3
"""Golden files for tests/golden/test_training.c: twenty updates of big_vision's chain from its first
step, in double precision.

    python tests/golden/make_training.py        (needs torch, numpy, safetensors)

The model is make_golden.py's; the rest is written from the formulas: mixup's weight from
Philox-4x32-10 and Marsaglia and Tsang's gamma, rolled inside each micro-batch; the plain mean over
micro-batches; clip to norm 1; Adam whose first moment is kept in bfloat16 between updates (the
update uses it before rounding); times lr; plus wd times weight for kernels; times the cosine with
warm-up from 0. The head starts at zero and `head_bias`, as in training.

A float32 pass leaves errors in the gradients, which Adam turns into errors of the weights that no
short formula bounds: where a gradient is small its sign decides. So their effect is measured: in
NOISY_RUNS runs every gradient gets normal noise of norm NOISE * (its norm + a twentieth of the whole
gradient's), the estimate of test_golden.c, and the root mean square distances of losses, gradient
norms and final weights are kept; the test allows five times these. What common mistakes in the chain
would change is printed in units of that bound.

Writes data/training_<case>.safetensors.
"""
import math

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

import make_golden as model

STEPS, WARMUP, BATCHES, NOISY_RUNS, NOISE = 20, 5, 4, 16, 2e-6
LR, WD, B1, B2, EPS = 1e-3, 1e-4, 0.9, 0.999, 1e-8
STREAM_MIXUP = 4  # base/rng.h

CASES = {
    "relu": (dict(qk_norm="layernorm"), dict(seed=7, mixup=0.5, micro=1, head_bias=-3.0)),
    "softmax": (dict(phi="softmax", pool="tok", rep_size=True, loss="softmax_xent"),
                dict(seed=8, mixup=0.2, micro=2, head_bias=0.0)),
}


def philox(counter, key):
    c, k, word = list(counter), list(key), 0xFFFFFFFF
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & word, a >> 32 ^ c[3] ^ k[1], a & word]
        k = [(k[0] + 0x9E3779B9) & word, (k[1] + 0xBB67AE85) & word]
    return c


def uniforms(seed, stream, a):
    """Doubles in [0, 1) at one address: 53 high bits of two words, the first one higher."""
    for draw in range(1 << 32):
        w = philox((draw, stream << 24, a & 0xFFFFFFFF, a >> 32), (seed & 0xFFFFFFFF, seed >> 32))
        for high, low in ((w[0], w[1]), (w[2], w[3])):
            yield ((high << 32 | low) >> 11) * 2.0 ** -53

def gamma(shape, u):
    if shape < 1:
        g = gamma(shape + 1, u)
        return g * (1 - next(u)) ** (1 / shape)
    d = shape - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        r, angle = 1 - next(u), next(u)
        x = math.sqrt(-2 * math.log(r)) * math.cos(2 * math.pi * angle)
        v = (1 + c * x) ** 3
        if v > 0 and math.log(1 - next(u)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v


def mixing_weight(seed, p, t):
    u = uniforms(seed, STREAM_MIXUP, t)
    a, b = gamma(p, u), gamma(p, u)
    return float(np.float32(max(a, b) / (a + b)))


def schedule(t):
    p = min(max((t - WARMUP) / (STEPS - WARMUP), 0), 1)
    return 0.5 * (1 + math.cos(math.pi * p)) * min(1, t / WARMUP)


def bfloat16(x):
    return x.float().bfloat16().double()


def run(c, o, weights, images, labels, noise=0.0, mistake=""):
    w = {n: torch.tensor(x, dtype=torch.float64, requires_grad=True) for n, x in weights.items()}
    m = {n: torch.zeros_like(x) for n, x in w.items()}
    v = {n: torch.zeros_like(x) for n, x in w.items()}
    losses, norms, kink = [], [], math.inf
    for t in range(STEPS):
        mix = 1.0 if mistake == "no mixup" else mixing_weight(o["seed"], o["mixup"], t)
        grads, loss = {n: 0 for n in w}, 0.0
        for part in range(o["micro"]):
            scores = []
            rows = slice(part * model.B, (part + 1) * model.B)
            at = dict(c, mix=mix)
            some = model.loss_of(at, model.forward(at, w, images[t % BATCHES][rows], scores),
                                 labels[t % BATCHES][rows]) / o["micro"]
            for n, g in zip(w, torch.autograd.grad(some, list(w.values()))):
                grads[n] = grads[n] + g
            loss += some.item()
            kink = min(kink, model.kink_distance(c, scores))
        norm = math.sqrt(sum(float((g ** 2).sum()) for g in grads.values()))
        losses.append(loss)
        for n, g in grads.items():
            if noise and float(g.abs().max()) > 0:
                size = noise * (float(g.norm()) + norm / 20) / math.sqrt(g.numel())
                grads[n] = g + size * torch.randn_like(g)
        norm = math.sqrt(sum(float((g ** 2).sum()) for g in grads.values()))
        norms.append(norm)
        k = t + (2 if mistake == "bias correction one late" else 1)
        rate = schedule(t + (mistake == "schedule one early"))
        with torch.no_grad():
            for n, x in w.items():
                g = grads[n] / norm if norm >= 1 and mistake != "no clip" else grads[n]
                m[n] = B1 * m[n] + (1 - B1) * g
                v[n] = B2 * v[n] + (1 - B2) * g * g
                kept = bfloat16(m[n])
                if mistake == "update from the rounded moment":
                    m[n] = kept
                u = LR * (m[n] / (1 - B1 ** k)) / ((v[n] / (1 - B2 ** k)).sqrt() + EPS)
                decayed = model.is_kernel(n) or mistake == "decay everywhere"
                u = u + (WD * (LR if mistake == "decay times lr" else 1) * x if decayed else 0)
                x -= rate * u
                if noise:
                    x *= 1 + 2.0 ** -24 * (2 * torch.rand_like(x) - 1)
                if mistake != "float32 moment":
                    m[n] = kept
    return losses, norms, {n: x.detach() for n, x in w.items()}, kink


MISTAKES = ["no mixup", "bias correction one late", "schedule one early", "no clip",
            "update from the rounded moment", "decay everywhere", "decay times lr", "float32 moment"]


def distances(r, exact):
    names = sorted(exact[2])
    return (np.abs(np.array(r[0]) - exact[0]), np.abs(np.array(r[1]) - exact[1]),
            np.array([float((r[2][n] - exact[2][n]).norm()) for n in names]))


def make(name, options, o):
    c = {**model.DEFAULTS, **options}
    every = load_file(model.HERE / "data/weights_16.safetensors")
    weights = {n: every[n] for n in model.shapes(c)}
    weights["head.weight"] = np.zeros_like(weights["head.weight"])
    weights["head.bias"] = np.full_like(weights["head.bias"], o["head_bias"])
    size = o["micro"] * model.B
    for attempt in range(1000):
        rng = np.random.default_rng([ord(name[0]), attempt])
        images = rng.integers(0, 256, (BATCHES, size, c["image_height"], c["image_width"], 3),
                              np.uint8)
        labels = rng.integers(0, model.CLASSES, (BATCHES, size), np.int32)
        exact = run(c, o, weights, images, labels)
        if exact[3] > 1e-4:
            break
    else:
        raise SystemExit(f"{name}: every choice of batches has a score near a kink")
    torch.manual_seed(1)
    noisy = [distances(run(c, o, weights, images, labels, NOISE), exact) for _ in range(NOISY_RUNS)]
    spread = [np.sqrt(np.mean([np.square(d[i]) for d in noisy], 0)) for i in range(3)]
    save_file({"images": images, "labels": labels, "losses": np.array(exact[0]),
               "norms": np.array(exact[1]), "noise.losses": spread[0], "noise.norms": spread[1],
               "noise.weights": spread[2],
               **{n: x.numpy().astype(np.float32) for n, x in exact[2].items()}},
              model.HERE / f"data/training_{name}.safetensors")
    print(f"{name}: attempt {attempt}, kink {exact[3]:.1e}, losses", *(f"{x:.4f}" for x in exact[0]))
    print("  norms", *(f"{x:.3f}" for x in exact[1]))
    print("  noise of losses", f"{spread[0].max():.1e}", "of norms", f"{spread[1].max():.1e}")
    for mistake in MISTAKES:
        d = distances(run(c, o, weights, images, labels, 0.0, mistake), exact)
        over = np.nanmax(np.where(spread[2] > 0, d[2] / (5 * spread[2]), 0))
        print(f"  {mistake}: weights {over:.1f} times their bound")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case, (options, training) in CASES.items():
        make(case, options, training)
