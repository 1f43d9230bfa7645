#!/usr/bin/env python3
"""Inference of a softmax ViT (fp32): softless, ONNX Runtime, OpenVINO where installed, PyTorch, in turn.

PyTorch's model is exported to ONNX, a file per batch size; every engine that reads the file must give
PyTorch's logits to TOLERANCE before anything is timed. softless runs the same shape with weights of its
own: the speed does not depend on them, and its results are checked against PyTorch by tests/golden.
"""
import argparse
import os
import tempfile

import rounds

TOLERANCE = 1e-3


def build_torch(model_config, batch, threads, compiled, folder):
    """Writes the model and its logits into `folder` for the other engines, unless it is None."""
    import numpy
    import torch

    import pytorch_vit

    pytorch_vit.start(threads)
    model = pytorch_vit.ViT(model_config).eval()
    images = pytorch_vit.images(batch, model_config["image_size"])
    if folder:
        with torch.inference_mode():
            logits = model(images)
        numpy.savez(os.path.join(folder, "reference.npz"), images=images.numpy(), logits=logits.numpy())
        torch.onnx.export(model, (images,), os.path.join(folder, "vit.onnx"), dynamo=True,
                          opset_version=20, input_names=["images"], output_names=["logits"], verbose=False)
    forward = torch.compile(model) if compiled else model

    def step():
        with torch.inference_mode():
            return forward(images)

    return {"torch": torch.__version__}, step


def checked(info, step, expected):
    import numpy

    difference = float(numpy.abs(step() - expected).max())
    if not difference <= TOLERANCE:
        raise ValueError(f"logits differ from PyTorch's by {difference}")
    return {**info, "max_difference": difference}, step


def build_onnxruntime(folder, threads):
    import numpy
    import onnxruntime

    reference = numpy.load(os.path.join(folder, "reference.npz"))
    feed = {"images": reference["images"]}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(os.path.join(folder, "vit.onnx"), options,
                                           providers=["CPUExecutionProvider"])
    return checked({"onnxruntime": onnxruntime.__version__}, lambda: session.run(None, feed)[0],
                   reference["logits"])


def build_openvino(folder, threads):
    import numpy
    import openvino

    reference = numpy.load(os.path.join(folder, "reference.npz"))
    images = reference["images"]
    core = openvino.Core()
    # fp32 must be said: on CPUs with bf16 OpenVINO would choose that.
    request = core.compile_model(
        core.read_model(os.path.join(folder, "vit.onnx")), "CPU",
        {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32",
         "PERFORMANCE_HINT": "LATENCY"}).create_infer_request()
    return checked({"openvino": openvino.__version__}, lambda: request.infer([images])[0],
                   reference["logits"])


def measure(a, overrides, model_config, batch):
    command = [a.program, "bench", "infer", a.recipe, "-q", "-j", str(a.threads), "--batch", str(batch)]
    for item in overrides + ["precision=fp32"]:
        command += ["--set", item]
    engines = [rounds.Program(command)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            engines.append(rounds.Worker("torch eager", build_torch, model_config, batch, a.threads,
                                         False, folder))
            engines.append(rounds.Worker("onnxruntime", build_onnxruntime, folder, a.threads))
            try:
                engines.append(rounds.Worker("openvino", build_openvino, folder, a.threads))
            except ImportError:
                print("openvino is not installed: left out")
        engines.append(rounds.Worker("torch compile", build_torch, model_config, batch, a.threads, True,
                                     None))
        done = rounds.run(engines, a.rounds, a.steps, batch)
        return rounds.report(f"{a.recipe}, inference, batch {batch}", engines, done, batch)
    finally:
        for engine in engines:
            engine.close()


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--program", default="build/softless")
    p.add_argument("--recipe", default="vit-s16-bench")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in softless")
    p.add_argument("--batch", type=int, action="append", help="may be repeated (default 1 and 16)")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--steps", type=int, default=10, help="timed passes a block")
    p.add_argument("--out", metavar="FILE.json")
    a = p.parse_args()

    overrides = a.set + ["model.h=softmax", "model.qk_norm=none"]
    model_config = rounds.recipe(a.program, a.recipe, overrides)["model"]
    rounds.limit_threads(a.threads)
    result = rounds.machine(a.program, a.threads)
    result.update(bench="infer", recipe=a.recipe, set=overrides, precision="fp32", steps=a.steps)
    result["runs"] = [measure(a, overrides, model_config, batch) for batch in a.batch or [1, 16]]
    if a.out:
        rounds.write(a.out, result)


if __name__ == "__main__":
    main()
