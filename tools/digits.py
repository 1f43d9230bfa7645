#!/usr/bin/env python3
"""scikit-learn's 1,797 handwritten digits, 8 x 8 pixels, as a data set of softless (IDX files).

    apt-get download python3-sklearn && dpkg -x python3-sklearn_*.deb .
    python3 tools/digits.py usr/lib/python3/dist-packages/sklearn/datasets/data/digits.csv.gz digits
    softless data info idx:digits:train

A row of the CSV is 64 grey values from 0 to 16 and the digit. Needs nothing but Python.
"""
import gzip
import pathlib
import struct
import sys

SIDE, LEVELS = 8, 16


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} digits.csv.gz FOLDER")
    source, folder = map(pathlib.Path, sys.argv[1:])
    with gzip.open(source, "rt") as file:
        rows = [[float(x) for x in line.split(",")] for line in file]
    if not rows or any(len(row) != SIDE * SIDE + 1 for row in rows):
        sys.exit(f"{source}: a row is not {SIDE * SIDE + 1} numbers; is this scikit-learn's digits.csv.gz?")
    pixels = bytes(round(255 * x / LEVELS) for row in rows for x in row[:-1])
    labels = bytes(int(row[-1]) for row in rows)
    folder.mkdir(parents=True, exist_ok=True)
    images = struct.pack(">4I", 0x803, len(rows), SIDE, SIDE) + pixels
    (folder / "train-images-idx3-ubyte").write_bytes(images)
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, len(rows)) + labels)
    print(f"{folder}: {len(rows)} images; softless data info idx:{folder}:train")


if __name__ == "__main__":
    main()
