#!/usr/bin/env python3
"""Makes the golden files of tests/golden/augment/: two small photographs, and the CRC-32 of what
RandAugment's operations make of them. Needs NumPy, Pillow, and the photographs china.jpg and
flower.jpg of scikit-learn (sklearn/datasets/images; CC BY 2.0, by danielbuechele and vultilion of
flickr.com). Run: python3 make_augment.py PHOTO_FOLDER [OUTPUT_FOLDER].

  china.png flower.png  the photographs, cropped and reduced
  randaug.txt           lines: photograph, operation, magnitude, none|big_vision, sign, CRC-32 of u8 [h, w, 3]

Equalize, Invert, Posterize, Solarize and all blends are Pillow's own; the rest is NumPy in float32
in TensorFlow's order of operations, and compared here with Pillow (AutoContrast, geometry) or with
float64 (grey values).
"""
import math
import pathlib
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps

PHOTOS = pathlib.Path(sys.argv[1])
OUT = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent / "augment")
F = np.float32
FILL = 128
MAGNITUDES = [0, 3, 7, 10, 15, 20, 30]


def grey(a):
    """TensorFlow's rgb_to_grayscale on uint8."""
    unit = a.astype(F) * (F(1) / F(255))
    g = F(0.2989) * unit[..., 0] + F(0.587) * unit[..., 1] + F(0.114) * unit[..., 2]
    out = (g * F(255.5)).astype(np.uint8)
    exact = (a.astype(float) / 255 @ [0.2989, 0.587, 0.114]) * 255.5
    assert np.abs(out - np.floor(exact)).max() <= 1
    return out


def blend(degenerate, a, t):
    return np.asarray(Image.blend(Image.fromarray(degenerate), Image.fromarray(a), t))


def autocontrast(a, x, compat):
    out = np.empty_like(a)
    for c in range(3):
        v = a[..., c]
        lo, hi = v.min(), v.max()
        scale = F(255) / F(int(hi) - int(lo))
        y = v.astype(F) * scale + -F(lo) * scale
        out[..., c] = np.clip(y, 0, 255).astype(np.uint8)
    pillow = np.asarray(ImageOps.autocontrast(Image.fromarray(a))).astype(int)
    assert np.abs(pillow - out).max() <= 1
    return out


def posterize(a, x, compat):
    if x < 1:  # Pillow would return black; TensorFlow's shift stops at 7
        return a & 128
    return np.asarray(ImageOps.posterize(Image.fromarray(a), min(int(x), 8)))


def solarize(a, x, compat):
    return np.asarray(ImageOps.solarize(Image.fromarray(a), int(x)))


def contrast(a, x, compat):
    h, w, _ = a.shape
    mean = min(h * w / 256, 255) if compat else grey(a).astype(float).mean()
    return blend(np.full_like(a, int(mean)), a, x)


def color(a, x, compat):
    return blend(np.repeat(grey(a)[..., None], 3, 2), a, x)


def sharpness(a, x, compat):
    smooth = a.copy()
    wide = a.astype(int)
    h, w, _ = a.shape
    total = sum(wide[dy:h - 2 + dy, dx:w - 2 + dx] for dy in range(3) for dx in range(3))
    smooth[1:-1, 1:-1] = (total + 4 * wide[1:-1, 1:-1]) // 13
    return blend(smooth, a, x)


def warp(a, m):
    h, w, _ = a.shape
    y, x = np.mgrid[0:h, 0:w].astype(F)
    m = [F(v) for v in m]
    sx = m[0] * x + m[1] * y + m[2]
    sy = m[3] * x + m[4] * y + m[5]
    away = lambda v: np.trunc(v.astype(float) + np.copysign(0.5, v)).astype(int)
    ix, iy = away(sx), away(sy)
    inside = (ix >= 0) & (ix < w) & (iy >= 0) & (iy < h)
    out = np.full_like(a, FILL)
    out[inside] = a[iy[inside], ix[inside]]
    # Pillow's coordinates are those of pixel centres, + 1/2 in and out; it rounds ties elsewhere, and
    # its steps in fixed point with 16 bits are off by less than 64 / 2^16 at the end of a row.
    data = [float(v) for v in m]
    data[2] += 0.5 - 0.5 * data[0] - 0.5 * data[1]
    data[5] += 0.5 - 0.5 * data[3] - 0.5 * data[4]
    pillow = np.asarray(Image.fromarray(a).transform(
        (w, h), Image.Transform.AFFINE, data, Image.Resampling.NEAREST, fillcolor=(FILL,) * 3))
    tie = np.minimum(abs(sx % 1 - 0.5), abs(sy % 1 - 0.5)) < 2e-3
    assert (pillow == out).all(-1)[~tie].all() and tie.mean() < 0.25
    return out


def rotate(a, x, compat):
    h, w, _ = a.shape
    s, c = F(math.sin(math.radians(x))), F(math.cos(math.radians(x)))
    W, H = F(w - 1), F(h - 1)
    return warp(a, [c, -s, (W - (c * W - s * H)) / F(2), s, c, (H - (s * W + c * H)) / F(2)])


# name: argument of f = M / 10 and compat, function, signed
OPS = {
    "AutoContrast": (lambda f, b: 0, autocontrast, False),
    "Equalize": (lambda f, b: 0,
                 lambda a, x, b: np.asarray(ImageOps.equalize(Image.fromarray(a))), False),
    "Invert": (lambda f, b: 0, lambda a, x, b: np.asarray(ImageOps.invert(Image.fromarray(a))),
               False),
    "Rotate": (lambda f, b: 30 * f, rotate, True),
    "Posterize": (lambda f, b: int(4 * f), posterize, False),
    "Solarize": (lambda f, b: int(256 * f) % 256 if b else 256 - min(256, int(256 * f)), solarize,
                 False),
    "SolarizeAdd": (lambda f, b: int(110 * f),
                    lambda a, x, b: np.where(a < 128, np.minimum(a.astype(int) + x, 255), a)
                    .astype(np.uint8), False),
    "Color": (lambda f, b: 1.8 * f + 0.1, color, False),
    "Contrast": (lambda f, b: 1.8 * f + 0.1, contrast, False),
    "Brightness": (lambda f, b: 1.8 * f + 0.1,
                   lambda a, x, b: blend(np.zeros_like(a), a, x), False),
    "Sharpness": (lambda f, b: 1.8 * f + 0.1, sharpness, False),
    "ShearX": (lambda f, b: 0.3 * f, lambda a, x, b: warp(a, [1, x, 0, 0, 1, 0]), True),
    "ShearY": (lambda f, b: 0.3 * f, lambda a, x, b: warp(a, [1, 0, 0, x, 1, 0]), True),
    "TranslateX": (lambda f, b: 100 * f, lambda a, x, b: warp(a, [1, 0, x, 0, 1, 0]), True),
    "TranslateY": (lambda f, b: 100 * f, lambda a, x, b: warp(a, [1, 0, 0, 0, 1, x]), True),
}


def photographs():
    """An even and an odd size, so that the centre lies between pixels and on one."""
    for name, box, size in (("china", (0, 27, 640, 427), (64, 40)),
                            ("flower", (60, 30, 610, 420), (61, 43))):
        img = Image.open(PHOTOS / f"{name}.jpg").convert("RGB").crop(box)
        img = img.resize(size, Image.Resampling.BICUBIC)
        img.save(OUT / f"{name}.png", optimize=True)
        yield name, np.asarray(img)


def main():
    OUT.mkdir(exist_ok=True)
    lines = []
    for photo, a in photographs():
        for op, (argument, function, signed) in OPS.items():
            for magnitude in MAGNITUDES:
                for compat in (False, True):
                    for sign in (1, -1) if signed else (1,):
                        x = sign * argument(magnitude / 10, compat)
                        b = function(a, x, compat)
                        assert b.shape == a.shape and b.dtype == np.uint8
                        mode = "big_vision" if compat else "none"
                        lines.append(f"{photo} {op} {magnitude} {mode} {sign} "
                                     f"{zlib.crc32(np.ascontiguousarray(b)):08x}\n")
    (OUT / "randaug.txt").write_text("".join(lines))
    print(len(lines), "cases of RandAugment")


main()
