# /// script
# requires-python = ">=3.10, <3.14"
# dependencies = ["tensorflow-cpu==2.21.0", "keras==3.15.0", "torch==2.15.0", "numpy"]
# ///
"""From the start of a process to the end of its first training step: glowworm beside PyTorch and Keras on one machine.

    uv run benches/compare/startup.py GLOWWORM [--image-size 64] [--rounds 5]

GLOWWORM is the program. Each prints a line after its first step of the reference network (random pictures, batch 32,
Adam), and its time ends with that line: opening the device, or the imports, is part of it, and so is compiling.
glowworm takes two turns a round: with a cache of compiled shaders that the driver has filled before, as on every start but
the first, and with an empty one (Mesa's and NVIDIA's are known here). Its self-test of the adapter is part of both. Python's
files are warm. Which peer is not installed is left out; `--python-keras` and `--python-torch` name other interpreters
for them. Prints Markdown: medians of the rounds, and medians of the rounds' ratios.
"""
import argparse, os, statistics, subprocess, sys, tempfile, time

from networks import CLASSES, keras_network, torch_network

parser = argparse.ArgumentParser()
parser.add_argument("glowworm"), parser.add_argument("--image-size", type=int, default=64)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--python-keras", default=sys.executable), parser.add_argument("--python-torch", default=sys.executable)
parser.add_argument("--peer", choices=["keras", "torch"], help=argparse.SUPPRESS)
args = parser.parse_args()
BATCH, SIDE = 32, args.image_size


def keras_step():
    import numpy

    labels = numpy.eye(CLASSES, dtype="float32")[numpy.arange(BATCH) % CLASSES]
    keras_network(SIDE).train_on_batch((numpy.random.rand(BATCH, SIDE, SIDE, 3) * 255).astype("float32"), labels)


def torch_step():
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = torch_network(SIDE).to(device, memory_format=torch.channels_last)
    pictures = torch.rand(BATCH, 3, SIDE, SIDE, device=device).contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    loss = torch.nn.CrossEntropyLoss()(net(pictures), torch.arange(BATCH, device=device) % CLASSES)
    loss.backward()
    optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(command, environment):
    """Until the process prints its first line; None if it ends without one."""
    start = time.perf_counter()
    environment = {**os.environ, **environment}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    line = process.stdout.readline()
    elapsed = time.perf_counter() - start
    process.stdout.read(), process.wait()
    return elapsed if line and process.returncode == 0 else None


def glowworm(cache):
    options = ["--task", "training", "--image-size", str(SIDE), "--warmup", "0", "--repeats", "1", "--steps-only"]
    caches = {"MESA_SHADER_CACHE_DIR": cache, "__GL_SHADER_DISK_CACHE_PATH": cache}
    return seconds([args.glowworm, "bench", *options], caches) or sys.exit(f"{args.glowworm} bench failed")


def cold():
    with tempfile.TemporaryDirectory() as cache:
        return glowworm(cache)


def peer(name, python):
    command = [python, __file__, args.glowworm, "--image-size", str(SIDE), "--peer", name]
    return seconds(command, {"TF_CPP_MIN_LOG_LEVEL": "3"})


if args.peer:
    (keras_step if args.peer == "keras" else torch_step)()
    print("a step is done")
    sys.exit()
with tempfile.TemporaryDirectory() as warm_cache:
    turns = {"Keras": lambda: peer("keras", args.python_keras), "PyTorch": lambda: peer("torch", args.python_torch)}
    # The first turn fills the caches, and shows who is there.
    glowworm(warm_cache)
    missing = [name for name, turn in turns.items() if turn() is None]
    for name in missing:
        del turns[name]
        print(f"{name} is left out: it failed", file=sys.stderr)
    rounds = [(glowworm(warm_cache), cold(), {name: turn() for name, turn in turns.items()}) for _ in range(args.rounds)]
print(f"| first step, {SIDE}×{SIDE} | seconds | glowworm, warm: ratio | glowworm, cold: ratio |")
print("|---|---|---|---|")
warm, empty = [of[0] for of in rounds], [of[1] for of in rounds]
print(f"| glowworm, warm | {statistics.median(warm):.2f} | | |")
print(f"| glowworm, cold | {statistics.median(empty):.2f} | | |")
for name in turns:
    theirs = [of[2][name] for of in rounds]
    ratios = [f"{statistics.median(a / b for a, b in zip(ours, theirs)):.2f}" for ours in (warm, empty)]
    print(f"| {name} | {statistics.median(theirs):.2f} | {ratios[0]} | {ratios[1]} |")
