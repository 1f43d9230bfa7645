#!/usr/bin/env python3
"""Training steps of softless and of the same model in PyTorch, eager and compiled, in turn: in fp32, or
in bf16, which is autocast in PyTorch (weights, sums and updates float on both sides).

A step is forward, loss, backward, clipping and the optimizer's update, from u8 images in memory.
"""
import argparse

import rounds


def build(config, threads, compiled, bf16):
    import torch
    from torch.nn import functional as F

    import pytorch_vit

    pytorch_vit.start(threads)
    model_config, train = config["model"], config["train"]
    batch, classes = train["batch"], model_config["classes"]
    model = pytorch_vit.ViT(model_config)
    torch.nn.init.zeros_(model.head.weight)
    images = pytorch_vit.images(batch, model_config["image_size"])
    labels = torch.arange(batch) % classes

    # big_vision's adam adds wd w after the learning rate: AdamW's decay is lr wd w.
    decay = train["wd"] / (train["lr"] if train["optimizer"] == "adam" else 1)
    weights = [p for n, p in model.named_parameters() if p.dim() > 1 and n != "position"]
    others = [p for n, p in model.named_parameters() if p.dim() == 1 or n == "position"]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0}],
        lr=train["lr"], betas=(train["beta1"], train["beta2"]), eps=train["eps"], fused=True)

    def loss_of(images, labels):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(images).float()
        if train["loss"] == "softmax_xent":
            return F.cross_entropy(logits, labels)
        target = F.one_hot(labels, classes).to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits, target, reduction="sum") / batch

    forward = torch.compile(loss_of) if compiled else loss_of

    def step():
        loss = forward(images, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), train["clip"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    parameters = sum(p.numel() for p in model.parameters())
    return {"torch": torch.__version__, "parameters": parameters, "first_loss": round(step(), 4)}, step


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--program", default="build/softless")
    p.add_argument("--recipe", default="vit-s16-bench", help="vit-s16-bench, fashion-mnist or a file")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in softless")
    p.add_argument("--classes", type=int, default=10, help="where the recipe leaves them open")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--steps", type=int, default=5, help="timed steps a block")
    p.add_argument("--out", metavar="FILE.json")
    a = p.parse_args()

    overrides = list(a.set)
    config = rounds.recipe(a.program, a.recipe, overrides)
    if config["model"]["classes"] == 0:
        overrides.append(f"model.classes={a.classes}")
        config = rounds.recipe(a.program, a.recipe, overrides)
    command = [a.program, "bench", "train", a.recipe, "-q", "-j", str(a.threads)]
    for item in overrides + [f"precision={a.precision}"]:
        command += ["--set", item]

    rounds.limit_threads(a.threads)
    engines = [rounds.Program(command)]
    try:
        engines.append(rounds.Worker("torch eager", build, config, a.threads, False,
                                     a.precision == "bf16"))
        engines.append(rounds.Worker("torch compile", build, config, a.threads, True,
                                     a.precision == "bf16"))
        batch = config["train"]["batch"]
        result = rounds.machine(a.program, a.threads)
        result.update(bench="train", recipe=a.recipe, set=a.set, precision=a.precision, steps=a.steps)
        done = rounds.run(engines, a.rounds, a.steps, batch)
        result.update(rounds.report(f"{a.recipe}, training, {a.precision}, batch {batch}", engines, done, batch))
    finally:
        for engine in engines:
            engine.close()
    if a.out:
        rounds.write(a.out, result)


if __name__ == "__main__":
    main()
