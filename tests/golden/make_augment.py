#!/usr/bin/env python3
"""Makes the golden files of tests/golden/augment/: two small photographs, and the CRC-32 of what
RandAugment's operations and TensorFlow's resizes make of them. Needs NumPy, Pillow, PyTorch, and the photographs china.jpg and
flower.jpg of scikit-learn (sklearn/datasets/images; CC BY 2.0, by danielbuechele and vultilion of
flickr.com). Run: python3 make_augment.py PHOTO_FOLDER [OUTPUT_FOLDER].

  china.png flower.png  the photographs, cropped and reduced
  randaug.txt           lines: photograph, operation, magnitude, none|big_vision, sign, CRC-32 of u8 [h, w, 3]
  resize_tf.txt         lines: photograph, crop y x h w, output h w, filter, CRC-32

Equalize, Invert, Posterize, Solarize and all blends are Pillow's own; the rest is NumPy in float32
in TensorFlow's order of operations, and compared here with Pillow (AutoContrast, geometry) or with
float64 (grey values). The resizes are NumPy in float32 in the order of TensorFlow's kernels
(resize_bilinear_op.cc, resize_area_op.cc), compared here with PyTorch and with exact areas.
"""
import math
import pathlib
import random
import sys
import zlib

import numpy as np
import torch
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


def tf_bilinear(a, oh, ow):
    def axis(n, out):
        at = (np.arange(out, dtype=F) + F(0.5)) * F(F(n) / F(out)) - F(0.5)
        low = np.floor(at)
        return (np.maximum(low, 0).astype(int), np.minimum(np.ceil(at), n - 1).astype(int), at - low)
    y0, y1, fy = axis(a.shape[0], oh)
    x0, x1, fx = axis(a.shape[1], ow)
    b, fx, fy = a.astype(F), fx[None, :, None], fy[:, None, None]
    top = b[y0][:, x0] + (b[y0][:, x1] - b[y0][:, x0]) * fx
    bottom = b[y1][:, x0] + (b[y1][:, x1] - b[y1][:, x0]) * fx
    out = np.clip(top + (bottom - top) * fy, 0, 255).astype(np.uint8)
    planes = torch.tensor(a).permute(2, 0, 1)[None].double()
    other = torch.nn.functional.interpolate(planes, (oh, ow), mode="bilinear", antialias=False)
    assert np.abs(other[0].permute(1, 2, 0).floor().numpy() - out).max() <= 1
    return out


def tf_area(a, oh, ow):
    def axis(n, out):
        scale = F(F(n) / F(out))
        parts = []
        for i in range(out):
            begin, end = F(i) * scale, F(i + 1) * scale
            part = []
            for v in range(math.floor(begin), math.ceil(end)):
                full = F(v + 1) > end
                if F(v) < begin:
                    weight = scale if full else F(v + 1) - begin
                else:
                    weight = end - F(v) if full else F(1)
                part.append((min(v, n - 1), F(weight)))
            parts.append(part)
        return scale, parts
    (sy, rows), (sx, columns) = axis(a.shape[0], oh), axis(a.shape[1], ow)
    b = a.astype(F)
    out = np.empty((oh, ow, 3), np.uint8)
    exact = np.zeros((oh, ow, 3))
    unit = F(1.0 / float(F(sy * sx)))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            total = np.zeros(3, F)
            for y, wy in row:
                part = b[y, column[0][0]] * column[0][1]
                for x, wx in column[1:]:
                    part = part + (b[y, x] * wx)
                total = total + part * wy
            out[i, j] = np.clip(total * unit, 0, 255).astype(np.uint8)
            y = np.clip(np.minimum(np.arange(a.shape[0]) + 1, (i + 1) * a.shape[0] / oh)
                        - np.maximum(np.arange(a.shape[0]), i * a.shape[0] / oh), 0, None)
            x = np.clip(np.minimum(np.arange(a.shape[1]) + 1, (j + 1) * a.shape[1] / ow)
                        - np.maximum(np.arange(a.shape[1]), j * a.shape[1] / ow), 0, None)
            exact[i, j] = np.einsum("y,x,yxc->c", y / y.sum(), x / x.sum(), a.astype(float))
    assert np.abs(out - np.floor(exact + 1e-6)).max() <= 1
    return out


RESIZES = [(40, 61, 32, 32), (40, 61, 20, 13), (17, 23, 32, 32), (31, 29, 7, 11), (5, 3, 16, 16),
           (1, 1, 4, 4), (40, 60, 20, 30), (39, 59, 40, 60), (40, 40, 1, 1), (2, 61, 9, 5)]


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
    lines, resizes = [], []
    place = random.Random(5)
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
        for h, w, oh, ow in RESIZES:
            y, x = place.randint(0, a.shape[0] - h), place.randint(0, a.shape[1] - w)
            for resize in (tf_bilinear, tf_area):
                b = resize(a[y:y + h, x:x + w], oh, ow)
                resizes.append(f"{photo} {y} {x} {h} {w} {oh} {ow} {resize.__name__} "
                               f"{zlib.crc32(np.ascontiguousarray(b)):08x}\n")
    (OUT / "resize_tf.txt").write_text("".join(resizes))
    (OUT / "randaug.txt").write_text("".join(lines))
    print(len(lines), "cases of RandAugment,", len(resizes), "resizes")


main()
