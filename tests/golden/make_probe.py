#!/usr/bin/env python3
"""Golden file of tests/golden/test_probe.c: few-shot probes in NumPy, double precision, by the
eigen-decomposition that big_vision's evaluator uses (ours solves by Cholesky).

    python3 tests/golden/make_probe.py        (needs numpy, safetensors)

Written from the description of the evaluator, sharing no code with src/. Features are random with a
mean per class, unequal scales, one that never changes and one that is a multiple of another.
Writes data/probe.safetensors: <case>.features f32 [n, D], .labels i32, .train i64 (the chosen
images, by class), .test i64, .weights f64 [D + 1, C], .meta f64 [l2, top-1].
"""
import pathlib

import numpy as np
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
CASES = {  # images, features, classes, shots, l2
    "more_images": (90, 16, 4, 10, 1024.0),
    "more_features": (60, 40, 5, 3, 1024.0),
    "square": (70, 11, 4, 3, 1024.0),       # 12 images, 12 features with the constant
    "small_l2": (90, 16, 4, 10, 0.25),
    "one_shot": (40, 12, 6, 1, 1024.0),
}


def probe(train, labels, test, classes, l2):
    mean, std = train.mean(0), train.std(0) + 1e-5
    x, xt = (np.pad((a - mean) / std, ((0, 0), (0, 1)), constant_values=100.0)
             for a in (train, test))
    y = 2.0 * np.eye(classes)[labels] - 1.0
    if x.shape[0] >= x.shape[1]:
        e, q = np.linalg.eigh(x.T @ x)
        w = q @ np.diag(1.0 / (e + l2)) @ q.T @ (x.T @ y)
    else:
        e, q = np.linalg.eigh(x @ x.T)
        w = x.T @ (q @ np.diag(1.0 / (e + l2)) @ q.T @ y)
    return w, xt @ w


def main():
    rng, out = np.random.default_rng(20230915), {}
    for name, (n, width, classes, shots, l2) in CASES.items():
        labels = rng.permutation(np.arange(n) % classes).astype(np.int32)
        centres = rng.normal(size=(classes, width))
        features = centres[labels] + 1.5 * rng.normal(size=(n, width))
        features *= 10.0 ** rng.uniform(-2, 2, width)
        features[:, 2] = 0.75
        features[:, 5] = 3 * features[:, 1]
        features = features.astype(np.float32)
        train = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:shots]
                                for c in range(classes)])
        test = np.setdiff1d(np.arange(n), train)
        exact = features.astype(np.float64)
        w, scores = probe(exact[train], labels[train], exact[test], classes, l2)
        top1 = (scores.argmax(1) == labels[test]).mean()
        top = np.sort(scores, 1)
        print(f"{name}: top-1 {top1:.3f}, nearest two scores {np.min(top[:, -1] - top[:, -2]):.2e}")
        out |= {f"{name}.features": features, f"{name}.labels": labels,
                f"{name}.train": train.astype(np.int64), f"{name}.test": test.astype(np.int64),
                f"{name}.weights": w, f"{name}.meta": np.array([l2, top1])}
    save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, HERE / "data/probe.safetensors")


if __name__ == "__main__":
    main()
