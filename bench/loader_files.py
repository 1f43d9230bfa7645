#!/usr/bin/env python3
"""JPEG files for pytorch_loader.py: 300 pictures of about 500 x 375 pixels, the size of ImageNet's, cut out
of two photographs that scikit-learn carries, at random places; quality 95, 4:2:0. The same files every time.

    pip download --no-deps scikit-learn && unzip scikit_learn-*.whl 'sklearn/datasets/images/*'
    loader_files.py sklearn/datasets/images/china.jpg sklearn/datasets/images/flower.jpg FOLDER
"""
import pathlib
import random
import sys

from PIL import Image

FILES, WIDTH, HEIGHT, SPREAD = 300, 500, 375, 40


def main():
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} PHOTO PHOTO FOLDER")
    photos = [Image.open(path).convert("RGB") for path in sys.argv[1:3]]
    draw = random.Random(0)
    total = 0
    for i in range(FILES):
        photo, folder = photos[i % 2], pathlib.Path(sys.argv[3]) / "ab"[i % 2]
        w, h = (side + draw.randint(-SPREAD, SPREAD) for side in (WIDTH, HEIGHT))
        x, y = draw.randint(0, photo.width - w), draw.randint(0, photo.height - h)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{i:03}.jpg"
        photo.crop((x, y, x + w, y + h)).save(path, quality=95, subsampling="4:2:0")
        total += path.stat().st_size
    print(f"{FILES} files, {total / FILES / 1000:.1f} kB each")


if __name__ == "__main__":
    main()
