"""Engines measured in turn (ABCABC...) on one machine, and the report of a run.

An engine has a name and block(steps), which returns the seconds of every timed step or, for softless,
the median of its block. A PyTorch, ONNX Runtime or OpenVINO engine lives in a process of its own that
is stopped (SIGSTOP) while it is not its turn, so that no idle thread pool spins beside another engine.
"""
import datetime
import json
import multiprocessing
import os
import platform
import signal
import statistics
import subprocess
import time

LOADED = 0.10  # a round whose FMA peak is this much below the best peak is marked as disturbed


def _serve(pipe, build, args):
    try:
        info, step = build(*args)
        for _ in range(3):  # allocator, thread pool, anything compiled at the second call
            step()
    except Exception as error:  # the parent decides whether it can go on without this engine
        pipe.send(error if isinstance(error, ImportError) else RuntimeError(repr(error)))
        return
    pipe.send(info)
    while True:
        steps, *args = pipe.recv()
        step(*args)  # caches and the thread pool, cold after the other engines
        times = []
        for _ in range(steps):
            start = time.perf_counter()
            step(*args)
            times.append(time.perf_counter() - start)
        pipe.send(times)


class Worker:
    """A process that builds an engine by build(*args) -> (info, step) and times its steps on demand."""

    def __init__(self, name, build, *args):
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, build, args), daemon=True)
        self.process.start()
        other.close()
        self.info = self.pipe.recv()
        if isinstance(self.info, Exception):
            raise self.info
        os.kill(self.process.pid, signal.SIGSTOP)

    def block(self, steps, *args):
        os.kill(self.process.pid, signal.SIGCONT)
        self.pipe.send((steps, *args))
        times = self.pipe.recv()
        os.kill(self.process.pid, signal.SIGSTOP)
        return {"seconds": statistics.median(times)}

    def close(self):
        self.process.kill()
        self.process.join()


class Program:
    """softless bench train|infer, a new process for each block; it brings the FMA peak of its block."""

    name = "softless"

    def __init__(self, command):
        self.command = command
        self.info = {"command": " ".join(command)}

    def block(self, steps):
        done = subprocess.run(self.command + ["--format", "json", "--steps", str(steps)],
                              check=True, capture_output=True, text=True)
        result = json.loads(done.stdout)
        return {
            "seconds": 1e-3 * result["ms"],
            "peak_gflops": result["peak_gflops"],
            "gflop_per_image": result["gflops"] / result["img_per_sec"],
        }

    def close(self):
        pass


def _value(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text  # a bare word


def recipe(program, name, overrides):
    """The resolved recipe as `softless config show` prints it, as {section: {key: value}}."""
    command = [program, "config", "show", name]
    for item in overrides:
        command += ["--set", item]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    sections, section = {}, {}
    for line in shown.splitlines():
        key, _, value = line.strip().partition(":")
        if not line.startswith(" ") and not value.strip():
            section = sections.setdefault(key, {})
        elif line.startswith(" "):
            section[key] = _value(value.strip())
    return sections


def run(engines, rounds, steps, batch):
    """Blocks in turn; returns one {engine: block} per round."""
    done = []
    for i in range(rounds):
        done.append({engine.name: engine.block(steps) for engine in engines})
        speeds = ", ".join(f"{n} {batch / b['seconds']:.1f}" for n, b in done[-1].items())
        print(f"round {i + 1}/{rounds}: {speeds} img/s", flush=True)
    return done


def spread(values):
    if len(values) == 1:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def summary(done, batch):
    """Per engine: median and quartiles of img/s over rounds, ratio to the best other engine (paired by
    round), percentage of the round's FMA peak."""
    speed = {n: [batch / r[n]["seconds"] for r in done] for n in done[0]}
    others = [n for n in speed if n != Program.name]
    best = max(others, key=lambda n: statistics.median(speed[n]))
    flop = done[0][Program.name]["gflop_per_image"]
    peaks = [r[Program.name]["peak_gflops"] for r in done]
    rows = []
    for name, values in speed.items():
        q1, median, q3 = spread(values)
        rows.append({
            "engine": name, "img_per_sec": round(median, 3), "q1": round(q1, 3), "q3": round(q3, 3),
            "ratio_to_best_other": round(
                statistics.median(a / b for a, b in zip(values, speed[best])), 4),
            "peak_percent": round(
                statistics.median(100 * flop * v / p for v, p in zip(values, peaks)), 2),
        })
    return best, rows


def table(title, best, rows):
    print(f"\n{title}; ratio to {best}")
    print(f"{'engine':<16}{'img/s':>10}{'q1':>10}{'q3':>10}{'ratio':>8}{'% peak':>8}")
    for r in rows:
        print(f"{r['engine']:<16}{r['img_per_sec']:>10.2f}{r['q1']:>10.2f}{r['q3']:>10.2f}"
              f"{r['ratio_to_best_other']:>8.3f}{r['peak_percent']:>8.1f}")


def undisturbed(done):
    """The rounds in which the machine was as fast as in the best round, by the measured peak."""
    best = max(r[Program.name]["peak_gflops"] for r in done)
    return [r for r in done if r[Program.name]["peak_gflops"] >= (1 - LOADED) * best]


def report(title, engines, done, batch):
    """Prints the table, twice where rounds are marked; returns what goes into the JSON object."""
    best, rows = summary(done, batch)
    table(f"{title}, {len(done)} rounds", best, rows)
    quiet = undisturbed(done)
    if os.getloadavg()[0] > 1.25 * len(os.sched_getaffinity(0)):
        print("\nwarning: other programs are running; thread pools that spin lose far more by that than "
              "the peak shows, so these ratios mean nothing")
    result = {"batch": batch, "rounds": len(done), "best_other": best, "disturbed": len(done) - len(quiet),
              "engines": [{**row, **e.info} for row, e in zip(rows, engines)],
              "blocks": done}
    if len(quiet) < len(done):
        best, rows = summary(quiet, batch)
        table(f"{title}, without {len(done) - len(quiet)} disturbed rounds", best, rows)
        result["undisturbed"] = {"best_other": best, "engines": rows}
    return result


def machine(program, threads):
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    return {
        "cpu": names[0] if names else platform.machine(), "cores": os.cpu_count(), "threads": threads,
        "load_1min": round(os.getloadavg()[0], 2), "date": datetime.date.today().isoformat(),
        "python": platform.python_version(), "softless": version.splitlines(),
    }


def limit_threads(threads):
    """For the workers started afterwards; before they import torch."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no compile pool beside the measurement


def write(path, result):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
