#!/usr/bin/env python3
"""Makes the golden files of tests/golden/images/: small JPEG and PNG files with the pixels they must
decode to, and resize results. Needs NumPy and Pillow 12 (Pillow 13 changed the order of the passes
of a resize). Run: python3 make_images.py [OUTPUT_FOLDER]; the output is the same each time.

  list.txt            one line a file: name height width; NAME.rgb holds its pixels, u8 [h, w, 3]
  resize_source.rgb   the source of all resizes, SOURCE x SOURCE
  resize_cases.txt    one line a resize: source rows and columns used, box (y x h w), output h w,
                      filter, CRC-32 of the output; the first FULL outputs are in resize_full.rgb
"""
import pathlib
import random
import struct
import sys
import zlib

import numpy as np
import PIL
from PIL import Image

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "images")
SOURCE, FULL, CASES = 48, 12, 300
rng = np.random.default_rng(20230915)
listed = []


def picture(h, w):
    """Smooth waves, an edge and some noise: what photographs and codecs care about."""
    y, x = np.mgrid[0:h, 0:w].astype(float)
    waves = [np.sin(x / 5 + y / 9), np.cos(x / 7 - y / 4), np.sin((x + y) / 6)]
    a = np.stack([127 + 90 * wave for wave in waves], -1)
    a[y > 0.6 * h + 0.3 * x] = (250, 20, 60)
    return np.clip(a + rng.normal(0, 6, a.shape), 0, 255).round().astype(np.uint8)


def record(name, data, pixels):
    (OUT / name).write_bytes(data)
    (OUT / (name + ".rgb")).write_bytes(np.ascontiguousarray(pixels, np.uint8).tobytes())
    listed.append(f"{name} {pixels.shape[0]} {pixels.shape[1]}")


# ---- JPEG: Pillow encodes, and decodes the expected pixels ----

def jpeg(name, image, edit=lambda b: b, **options):
    path = OUT / name
    image.save(path, "JPEG", **options)
    data = edit(path.read_bytes())
    path.write_bytes(data)
    record(name, data, np.asarray(Image.open(path).convert("RGB")))


def adobe_transform(value):
    def edit(data):
        at = data.index(b"Adobe") + 11
        return data[:at] + bytes([value]) + data[at + 1:]
    return edit


def stray_bytes(data):
    """Bytes between two markers, which every decoder skips with a warning."""
    at = data.index(b"\xff\xdb")
    return data[:at] + b"\x01\x02\x03" + data[at:]


def make_jpegs():
    rgb = Image.fromarray(picture(29, 37))
    grey = rgb.convert("L")
    cmyk = Image.fromarray(np.dstack([picture(29, 37), picture(29, 37)[..., 0]]), "CMYK")
    jpeg("baseline_444.jpg", rgb, quality=90, subsampling=0)
    jpeg("baseline_422.jpg", rgb, quality=90, subsampling=1)
    jpeg("baseline_420.jpg", rgb, quality=75, subsampling=2)
    jpeg("optimized_100.jpg", rgb, quality=100, optimize=True)
    jpeg("low_quality.jpg", rgb, quality=8)
    jpeg("progressive_420.jpg", rgb, quality=80, progressive=True)
    jpeg("progressive_444.jpg", rgb, quality=80, progressive=True, subsampling=0)
    jpeg("progressive_grey.jpg", grey, quality=80, progressive=True)
    jpeg("grey.jpg", grey, quality=85)
    jpeg("stored_rgb.jpg", rgb, quality=90, keep_rgb=True)
    jpeg("restart.jpg", rgb, quality=85, restart_marker_rows=1)
    jpeg("cmyk.jpg", cmyk, quality=90)
    jpeg("ycck.jpg", cmyk, adobe_transform(2), quality=90)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: ignored, as Pillow and TensorFlow do
    jpeg("exif_orientation.jpg", rgb, quality=85, exif=exif)
    jpeg("stray_bytes.jpg", rgb, stray_bytes, quality=85)
    jpeg("after_the_end.jpg", rgb, lambda b: b + b"tail of another program", quality=85)
    jpeg("one_pixel.jpg", rgb.resize((1, 1)), quality=85)
    jpeg("one_row.jpg", rgb.crop((0, 4, 37, 5)), quality=85)


# ---- PNG: our own encoder, because Pillow writes only some of the formats ----

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
         (1, 0, 2, 1))


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(
        ">I", zlib.crc32(kind + data))


def pack_row(samples, depth):
    """samples [w, channels] -> bytes."""
    if depth == 16:
        return samples.astype(">u2").tobytes()
    if depth == 8:
        return samples.astype(np.uint8).tobytes()
    bits = (samples.reshape(-1, 1) >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(-1).astype(np.uint8)).tobytes()


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def filter_row(kind, row, above, step):
    out = bytearray([kind])
    for i, value in enumerate(row):
        a = row[i - step] if i >= step else 0
        b = above[i]
        c = above[i - step] if i >= step else 0
        guess = (0, a, b, (a + b) // 2, paeth(a, b, c))[kind]
        out.append((value - guess) & 255)
    return bytes(out)


def scan(samples, depth):
    """Filtered rows of one pass; the five filters take turns."""
    if samples.shape[0] == 0 or samples.shape[1] == 0:
        return b""
    step = max(1, samples.shape[2] * depth // 8)
    above = bytes(len(pack_row(samples[0], depth)))
    out = b""
    for y in range(samples.shape[0]):
        row = pack_row(samples[y], depth)
        out += filter_row(y % 5, row, above, step)
        above = row
    return out


def png(samples, kind, depth, interlaced=False, before=b"", after=b"", split=0):
    """samples: integers [h, w, channels]. before, after: chunks around the image data. split: bytes
    of the first IDAT chunk."""
    h, w = samples.shape[:2]
    if interlaced:
        raw = b"".join(scan(samples[y::dy, x::dx], depth) for y, x, dy, dx in ADAM7)
    else:
        raw = scan(samples, depth)
    data = zlib.compress(raw, 9)
    parts = [data[:split], data[split:]] if split else [data]
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
        ">IIBBBBB", w, h, depth, kind, 0, 0, int(interlaced))) + before + b"".join(
            chunk(b"IDAT", part) for part in parts) + after + chunk(b"IEND"))


def to_8(samples, depth):
    """round(v 255 / (2^depth - 1)), exact: no value lies half-way."""
    top = 2**depth - 1
    return (samples.astype(np.int64) * 510 + top) // (2 * top)


def expected_pixels(samples, kind, depth, palette):
    if kind == PALETTE:
        return palette[samples[..., 0]]
    values = to_8(samples, depth)
    return values[..., :3] if kind in (RGB, RGBA) else np.repeat(values[..., :1], 3, -1)


def record_png(name, samples, kind, depth, palette=None, interlaced=False, before=b"", after=b"",
               split=0):
    plte = chunk(b"PLTE", palette.astype(np.uint8).tobytes()) if palette is not None else b""
    data = png(samples, kind, depth, interlaced, plte + before, after, split)
    pixels = expected_pixels(samples, kind, depth, palette)
    record(name, data, pixels)
    if depth < 16:  # Pillow cuts 16 bits instead of rounding
        seen = np.asarray(Image.open(OUT / name).convert("RGBA"))[..., :3]
        assert (seen == pixels).all(), name


def frame_control(sequence, samples):
    h, w = samples.shape[:2]
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", sequence, w, h, 0, 0, 1, 10, 0, 0))


def make_pngs():
    channels = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
    names = {GREY: "grey", RGB: "rgb", PALETTE: "palette", GREY_ALPHA: "grey_alpha", RGBA: "rgba"}
    depths = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16),
              RGBA: (8, 16)}

    def samples(h, w, kind, depth):
        return rng.integers(0, 2**depth, (h, w, channels[kind]))

    def palette_of(kind, depth):
        return rng.integers(0, 256, (2**depth, 3)) if kind == PALETTE else None

    for kind in channels:
        for depth in depths[kind]:
            for interlaced in (False, True):
                name = f"{names[kind]}_{depth}{'_interlaced' if interlaced else ''}.png"
                record_png(name, samples(11, 13, kind, depth), kind, depth,
                           palette_of(kind, depth), interlaced)
    gamma = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"tEXt", b"Title\0golden")
    record_png("gamma_text.png", samples(7, 5, RGB, 8), RGB, 8, before=gamma, split=9,
               after=chunk(b"tEXt", b"Comment\0after the image"))
    first, second = samples(7, 5, RGB, 8), samples(7, 5, RGB, 8)
    record_png("animation.png", first, RGB, 8,
               before=chunk(b"acTL", struct.pack(">II", 2, 0)) + frame_control(0, first),
               after=frame_control(1, second) + chunk(
                   b"fdAT", struct.pack(">I", 2) + zlib.compress(scan(second, 8))))
    record_png("grey_transparent.png", samples(7, 5, GREY, 8), GREY, 8,
               before=chunk(b"tRNS", b"\0\x10"))
    record_png("palette_transparent.png", samples(7, 5, PALETTE, 4), PALETTE, 4,
               palette_of(PALETTE, 4), before=chunk(b"tRNS", bytes(range(16))))
    record_png("rgb_with_palette.png", samples(7, 5, RGB, 8), RGB, 8, palette_of(PALETTE, 4))
    short = rng.integers(0, 256, (3, 3))
    record_png("palette_of_three.png", samples(7, 5, PALETTE, 2) % 3, PALETTE, 2, short)
    for interlaced in (False, True):
        suffix = "_interlaced" if interlaced else ""
        record_png(f"one_pixel{suffix}.png", samples(1, 1, RGB, 8), RGB, 8, interlaced=interlaced)
        record_png(f"three_by_two{suffix}.png", samples(3, 2, GREY, 1), GREY, 1,
                   interlaced=interlaced)


# ---- resize ----

def resize_source():
    """A picture, and a quarter of pure black and white, where bicubic leaves 0..255."""
    a = picture(SOURCE, SOURCE)
    half = SOURCE // 2
    a[:half, :half] = rng.integers(0, 2, (half, half, 3)) * 255
    return a


def random_case(dice):
    h, w = dice.randint(1, SOURCE), dice.randint(1, SOURCE)
    y, x, bh, bw = 0.0, 0.0, float(h), float(w)
    if dice.random() < 0.6:
        y, x = dice.uniform(0, 0.7 * h), dice.uniform(0, 0.7 * w)
        bh, bw = dice.uniform(0.1, 1) * (h - y), dice.uniform(0.1, 1) * (w - x)
    out_h, out_w = dice.randint(1, 60), dice.randint(1, 60)
    if dice.random() < 0.15:
        out_h = h
    if dice.random() < 0.15:
        out_w = w
    return h, w, y, x, bh, bw, out_h, out_w


def make_resizes():
    a = resize_source()
    (OUT / "resize_source.rgb").write_bytes(a.tobytes())
    dice = random.Random(7)
    fixed = [(48, 48, 0.0, 0.0, 48.0, 48.0, 17, 23), (48, 48, 0.0, 0.0, 48.0, 48.0, 57, 31),
             (48, 48, 3.25, 7.5, 20.5, 33.0, 15, 15), (48, 47, 0.0, 0.0, 48.0, 47.0, 48, 20),
             (47, 48, 0.0, 0.0, 47.0, 48.0, 21, 48), (48, 48, 10.0, 0.0, 1.5, 0.75, 9, 9)]
    lines, full = [], b""
    filters = ((Image.Resampling.BILINEAR, "bilinear"), (Image.Resampling.BICUBIC, "bicubic"))
    for i in range(CASES):
        case = fixed[i // 2] if i < FULL else random_case(dice)
        h, w, y, x, bh, bw, out_h, out_w = case
        method, name = filters[i % 2]
        out = Image.fromarray(a[:h, :w]).resize((out_w, out_h), method, (x, y, x + bw, y + bh))
        data = np.asarray(out).tobytes()
        full += data if i < FULL else b""
        lines.append(f"{h} {w} {y!r} {x!r} {bh!r} {bw!r} {out_h} {out_w} {name} "
                     f"{zlib.crc32(data)}\n")
    (OUT / "resize_full.rgb").write_bytes(full)
    (OUT / "resize_cases.txt").write_text("".join(lines))


assert PIL.__version__.startswith("12."), "Pillow 12 is needed: " + PIL.__version__
OUT.mkdir(parents=True, exist_ok=True)
make_jpegs()
make_pngs()
make_resizes()
(OUT / "list.txt").write_text("\n".join(listed) + "\n")
