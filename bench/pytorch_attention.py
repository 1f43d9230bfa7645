#!/usr/bin/env python3
"""Attention by itself: softless (through libsoftless.so), PyTorch's scaled_dot_product_attention and
its eager and compiled relu attention, in turn, on the same data with the same threads.

q, k, v and their gradients are [B, H, L, K], contiguous, which suits PyTorch best; --layout packed
takes them from one [B, L, 3, H, K] as a ViT's projection writes it, and their gradients go back there.
"""
import argparse
import math
import os
import statistics
import tempfile
import time

import numpy

import rounds
from softless_attention import BF16, FLOAT, Attention, Grads, Library, Strides

PASS_FLOP = {"fwd": 4, "fwd+bwd": 14}  # times L^2 K a head
# Root mean square of the difference to the first engine of the same phi, as a share of the values'.
# A score nearer to relu's kink than its rounding e (2^-9 for operands rounded to bf16; about 2^-21 for
# float sums) may fall on either side: that is a share 0.8 e of normal scores, and sqrt(1.6 e) = 6e-2
# (9e-4) of the gradients. Twice that is allowed; a wrong result is off by about 1.
TOLERANCE = {"fp32": 2e-3, "bf16": 0.12}


def shape_of(case):
    packed = case["layout"] == "packed"
    B, H, L, K = (case[x] for x in "BHLK")
    return (B, L, 3, H, K) if packed else (3, B, H, L, K)


def data_of(case):
    """qkv and d_o [B, H, L, K] of a case: float32, or the upper halves of it as int16."""
    rng = numpy.random.default_rng(case["L"])
    arrays = [rng.standard_normal(s, dtype=numpy.float32)
              for s in (shape_of(case), tuple(case[x] for x in "BHLK"))]
    if case["dtype"] == "bf16":
        arrays = [(a.view(numpy.uint32) >> 16).astype(numpy.uint16).view(numpy.int16) for a in arrays]
    return arrays


def floats(array):
    if array.dtype == numpy.float32:
        return array
    return (array.view(numpy.uint16).astype(numpy.uint32) << 16).view(numpy.float32)


def split(case, qkv):
    """q, k, v as [B, H, L, K] views; numpy and torch alike."""
    if case["layout"] == "packed":
        return [qkv[:, :, i].swapaxes(1, 2) for i in range(3)]
    return [qkv[i] for i in range(3)]


def save(case, engine, results):
    """Results as the parent compares them: o, dq, dk, dv [B, H, L, K] in float32."""
    numpy.savez(os.path.join(case["folder"], f"{engine}.npz"), *results)


class Softless:
    """Runs in this process: its threads sleep when they have no work."""

    def __init__(self, library, phi):
        self.name, self.lib, self.phi, self.key = f"softless {phi}", library, phi, None

    def _open(self, case):
        self.qkv, self.d_o = data_of(case)
        self.o, self.d_qkv = numpy.zeros_like(self.d_o), numpy.zeros_like(self.qkv)
        B, H, L, K = (case[x] for x in "BHLK")
        heads = Strides(H * L * K, K, L * K)
        strides = Strides(L * 3 * H * K, 3 * H * K, K) if case["layout"] == "packed" else heads
        q, k, v = (x.ctypes.data for x in split(case, self.qkv))
        dq, dk, dv = (x.ctypes.data for x in split(case, self.d_qkv))
        self.attention = Attention(
            phi=self.lib.phi(self.phi), alpha=1, dtype=BF16 if case["dtype"] == "bf16" else FLOAT,
            B=B, H=H, Lq=L, Lk=L, K=K, q=q, k=k, v=v, q_strides=strides, k_strides=strides,
            v_strides=strides)
        self.grads = Grads(d_o=self.d_o.ctypes.data, o_strides=heads, dq=dq, dk=dk, dv=dv)
        self.o_strides = heads

    def _step(self, case):
        self.lib.forward(self.attention, self.o.ctypes.data, self.o_strides)
        if case["pass"] != "fwd":
            self.lib.backward(self.attention, self.grads)

    def block(self, steps, case):
        if self.key != case["key"]:
            self._open(case)
            self.key = case["key"]
            self._step(case)
            save(case, self.name, [floats(self.o)] + [floats(numpy.ascontiguousarray(x))
                                                      for x in split(case, self.d_qkv)])
        self._step(case)
        times = []
        for _ in range(steps):
            start = time.perf_counter()
            self._step(case)
            times.append(time.perf_counter() - start)
        return {"seconds": statistics.median(times)}

    def close(self):
        pass


def build(name, threads, phi, compiled):
    """A PyTorch engine; its step takes the case."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)

    def relu(q, k, v):  # relu(c x) = c relu(x): both factors go into q, none over the L x L scores
        q = q * (q.shape[-1] ** -0.5 / q.shape[-2])
        return torch.relu(q @ k.transpose(-2, -1)) @ v

    attention = F.scaled_dot_product_attention if phi == "softmax" else relu
    at = {"key": None}

    def tensors(case):
        qkv, d_o = (torch.from_numpy(x) for x in data_of(case))
        if case["dtype"] == "bf16":
            qkv, d_o = qkv.view(torch.bfloat16), d_o.view(torch.bfloat16)
        train = case["pass"] != "fwd"
        if case["layout"] == "packed":
            leaves = [qkv.requires_grad_(train)]
        else:
            leaves = [x.requires_grad_(train) for x in qkv.unbind(0)]
        return leaves, d_o

    def results(case, o, grads):
        if case["pass"] == "fwd":
            grads = [torch.zeros_like(x) for x in at["operands"]()]
        elif case["layout"] == "packed":
            grads = split(case, grads[0])
        return [x.detach().float().contiguous().numpy() for x in (o, *grads)]

    def run(case):
        if case["pass"] == "fwd":
            with torch.no_grad():
                return at["attention"](*at["operands"]()), None
        o = at["attention"](*at["operands"]())
        return o, torch.autograd.grad(o, at["leaves"], at["d_o"])

    def step(case=None):
        if case is None:
            return
        if at["key"] != case["key"]:
            torch._dynamo.reset()  # every shape gets kernels of its own
            at["attention"] = torch.compile(attention, dynamic=False) if compiled else attention
            leaves, at["d_o"] = tensors(case)
            at["leaves"] = leaves
            at["operands"] = lambda: leaves if len(leaves) == 3 else split(case, leaves[0])
            save(case, name, results(case, *run(case)))
            run(case)
            at["key"] = case["key"]
        run(case)

    return {"torch": torch.__version__}, step


def compare(case, engines):
    """Raises if an engine's results differ from those of the first engine of its phi."""
    first = {}
    for engine in engines:
        with numpy.load(os.path.join(case["folder"], f"{engine.name}.npz")) as f:
            results = [f[x] for x in f.files]
        for name, x, y in zip(("o", "dq", "dk", "dv"), results,
                              first.setdefault(engine.name.split()[-1], results)):
            off, size = float(numpy.linalg.norm(x - y)), float(numpy.linalg.norm(y))
            if not off <= TOLERANCE[case["dtype"]] * size:
                raise RuntimeError(f"{engine.name} at L = {case['L']}, {case['pass']}: {name} is off by "
                                   f"{off / size:.2g} of its size; nothing was timed")


def spread(values):
    q1, median, q3 = rounds.spread(values)
    return {"median": round(median, 4), "q1": round(q1, 4), "q3": round(q3, 4)}


def measure(case, engines, library, a):
    """Rounds of blocks in turn. The first block of each engine prepares and is not timed."""
    flop = PASS_FLOP[case["pass"]] * case["B"] * case["H"] * case["L"] ** 2 * case["K"]
    steps = {e.name: max(1, min(50, int(a.seconds / e.block(1, case)["seconds"]))) for e in engines}
    compare(case, engines)
    dtype = BF16 if case["dtype"] == "bf16" else FLOAT
    done, peaks = [], []
    for _ in range(a.rounds):
        peaks.append(library.peak(dtype, 0.05))
        done.append({e.name: e.block(steps[e.name], case)["seconds"] for e in engines})
    rows = []
    for e in engines:
        seconds = [r[e.name] for r in done]
        rows.append({
            "engine": e.name, "ms": spread([1e3 * s for s in seconds]),
            "gflops": round(1e-9 * flop / statistics.median(seconds), 2),
            "peak_percent": round(statistics.median(
                100 * flop / s / p for s, p in zip(seconds, peaks)), 2),
            "ratios": {o.name: spread([r[o.name] / r[e.name] for r in done]) for o in engines}})
    return rows, peaks


def table(case, engines, rows):
    print(f"\n{case['pass']} {case['dtype']} L {case['L']} K {case['K']} (B {case['B']}, H {case['H']})"
          f"; times as fast as:")
    print(f"{'':<22}{'ms':>10}{'GFLOP/s':>9}{'% peak':>8}  " + "".join(f"{e.name:>20}" for e in engines))
    for r in rows:
        print(f"{r['engine']:<22}{r['ms']['median']:>10.3f}{r['gflops']:>9.1f}{r['peak_percent']:>8.1f}  "
              + "".join(f"{r['ratios'][e.name]['median']:>20.2f}" for e in engines), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default="build/softless")
    p.add_argument("--library", dest="shared", help="libsoftless.so (default: beside the program)")
    p.add_argument("--len", default="49,196,784,1024,4096")
    p.add_argument("--head-dim", type=int, default=64)
    p.add_argument("--heads", type=int, default=6)
    p.add_argument("--batch", type=int, default=0, help="images (default: about 2e8 FLOP a forward pass)")
    p.add_argument("--dtype", default="fp32", choices=sorted(TOLERANCE))
    p.add_argument("--pass", dest="passes", default="fwd,fwd+bwd")
    p.add_argument("--layout", default="heads", choices=["heads", "packed"])
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=11)
    p.add_argument("--seconds", type=float, default=0.1, help="of a block, at most 50 steps")
    p.add_argument("--out", metavar="FILE.json")
    a = p.parse_args()

    rounds.limit_threads(a.threads)
    path = a.shared or os.path.join(os.path.dirname(os.path.abspath(a.program)), "libsoftless.so")
    library = Library(path, a.threads)
    result = rounds.machine(a.program, a.threads)
    result.update(bench="attention", layout=a.layout, isa=library.isa, results=[])
    engines = [Softless(library, "relu"), Softless(library, "softmax")]
    try:
        for name, phi, compiled in (("torch SDPA softmax", "softmax", False),
                                    ("torch eager relu", "relu", False),
                                    ("torch compile relu", "relu", True)):
            engines.append(rounds.Worker(name, build, name, a.threads, phi, compiled))
        result["torch"] = engines[-1].info["torch"]
        for length in (int(x) for x in a.len.split(",")):
            for which in a.passes.split(","):
                flop = 4 * a.heads * length ** 2 * a.head_dim
                case = {"key": f"{which} {length}", "pass": which, "L": length, "K": a.head_dim,
                        "H": a.heads, "B": a.batch or min(256, math.ceil(2e8 / flop)),
                        "dtype": a.dtype, "layout": a.layout}
                with tempfile.TemporaryDirectory() as folder:
                    rows, peaks = measure({**case, "folder": folder}, engines, library, a)
                table(case, engines, rows)
                result["results"].append({**case, "peak_gflops": [round(1e-9 * x, 1) for x in peaks],
                                          "engines": rows})
    finally:
        for engine in engines:
            engine.close()
        library.close()
    if a.out:
        rounds.write(a.out, result)


if __name__ == "__main__":
    main()
