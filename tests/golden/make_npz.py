#!/usr/bin/env python3
"""Small npz files for tests/unit/test_npz.c, written by NumPy itself.

    python tests/golden/make_npz.py        (needs numpy)
"""
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).parent / "npz"
OUT.mkdir(exist_ok=True)

numbers = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8 - 1
arrays = {
    "f4": numbers,
    "a/f2": numbers.astype(np.float16),
    "a/f8": numbers.astype(np.float64),
    "fortran": np.asfortranarray(numbers),
    "bf16": (numbers.view(np.uint32) >> 16).astype(np.uint16).view("V2"),
    "scalar": np.float32(-2.5),
    "empty": np.zeros((3, 0), np.float32),
    "i8": np.arange(3),
    "u1": np.arange(3, dtype=np.uint8),
}
np.savez(OUT / "stored.npz", **arrays)
np.savez_compressed(OUT / "deflated.npz", **arrays)
