#!/usr/bin/env python3
"""Images per second of softless' loader and of PyTorch's DataLoader with torchvision's transforms: the
same JPEG files, the same number of workers, in turn. Both read the files (page cache), decode, make
224 x 224 pixels (bilinear, antialiased) and leave batches of 32 as u8: in training of a random resized
crop, half of them mirrored, in evaluation of the middle of the image made 256 pixels wide or high. PyTorch
twice: by Pillow, as everybody has it, and by torchvision's own decoder and tensors.

    pytorch_loader.py FOLDER --program bench_loader [--rounds 7] [--workers 2] [--out loader.json]

FOLDER holds class folders. bench_loader is built from bench_loader.c (bench/README.md says how), which
also says what its kinds are; "resized" and "eval" are what PyTorch does. A block goes three times over the
files.
"""
import argparse
import os
import re
import subprocess
import sys
import time

import rounds

BATCH, PASSES, SIDE, LARGER = 32, 3, 224, 256


def build(folder, workers, tensors, train):
    import torch
    import torchvision
    from torchvision import io
    from torchvision.transforms import v2

    torch.set_num_threads(1)  # the workers are the threads
    if train:
        ops = [v2.RandomResizedCrop(SIDE, antialias=True), v2.RandomHorizontalFlip()]
    else:
        ops = [v2.Resize(LARGER, antialias=True), v2.CenterCrop(SIDE)]
    if tensors:
        def load(path):
            return io.decode_jpeg(io.read_file(path), mode=io.ImageReadMode.RGB)
    else:
        load = torchvision.datasets.folder.pil_loader
        ops.append(v2.PILToTensor())
    files = torchvision.datasets.ImageFolder(folder, v2.Compose(ops), loader=load)
    many = torch.utils.data.ConcatDataset([files] * PASSES)
    loader = torch.utils.data.DataLoader(many, BATCH, shuffle=True, num_workers=workers,
                                         prefetch_factor=4, persistent_workers=True, drop_last=True)

    def step():
        return sum(len(images) for images, _ in loader)

    info = {"torch": torch.__version__, "torchvision": torchvision.__version__,
            "images": len(many) // BATCH * BATCH}
    return info, step


class Torch:
    """A DataLoader whose workers stay; between its blocks they wait for the next epoch."""

    def __init__(self, name, *args):
        self.name = name
        self.info, self.step = build(*args)
        self.step()  # starts the workers

    def block(self):
        start = time.perf_counter()
        images = self.step()
        return images / (time.perf_counter() - start)


class Softless:
    def __init__(self, program, spec, workers, kind):
        self.name = kind
        self.command = [program, spec, str(workers), "1", kind]
        self.info = {"command": " ".join(["bench_loader"] + self.command[1:])}

    def block(self):
        done = subprocess.run(self.command, check=True, capture_output=True, text=True).stdout
        return float(re.search(r"median ([0-9.]+) img/s", done).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--program", default="build/bench_loader")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out")
    args = parser.parse_args()
    engines = [Softless(args.program, args.folder, args.workers, kind)
               for kind in ("library", "decode", "crop", "inception", "resized", "eval", "area")]
    engines += [Torch(f"torchvision {purpose} ({by})", args.folder, args.workers, by == "tensors",
                      purpose == "train")
                for purpose in ("train", "eval") for by in ("Pillow", "tensors")]
    blocks = []
    for i in range(args.rounds):
        blocks.append({e.name: round(e.block(), 1) for e in engines})
        print(f"round {i + 1}/{args.rounds}:", blocks[-1], flush=True)
    rows = []
    for e in engines:
        speeds = [b[e.name] for b in blocks]
        q1, median, q3 = rounds.spread(speeds)
        row = {"engine": e.name, "img_per_sec": median, "q1": q1, "q3": q3, **e.info}
        purpose = "eval" if re.search("eval|area", e.name) else "train"
        others = ("library", f"torchvision {purpose} (Pillow)", f"torchvision {purpose} (tensors)")
        for other in others:
            row["ratio to " + other] = round(
                rounds.spread([b[e.name] / b[other] for b in blocks])[1], 3)
        rows.append(row)
        print(f"{e.name:<28}{median:>9.1f} ({q1:.1f} - {q3:.1f})"
              + "".join(f"{row['ratio to ' + other]:>8.3f}" for other in others))
    if args.out:
        files = [os.path.join(d, f) for d, _, names in os.walk(args.folder) for f in names]
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            cpu = next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
        rounds.write(args.out, {
            "cpu": cpu, "cores": os.cpu_count(), "workers": args.workers,
            "load_1min": round(os.getloadavg()[0], 2), "date": time.strftime("%Y-%m-%d"),
            "files": len(files), "bytes": sum(os.path.getsize(f) for f in files),
            "rounds": args.rounds, "engines": rows, "blocks": blocks})
    return 0


if __name__ == "__main__":
    sys.exit(main())
