# /// script
# requires-python = ">=3.10, <3.14"
# dependencies = ["tensorflow-cpu==2.21.0", "keras==3.15.0", "torch==2.9.1", "numpy"]
# ///
"""Training steps and inference batches of the reference network: glowworm beside Keras, PyTorch and burn on one machine.

    uv run benches/compare/steps.py GLOWWORM [--image-size 64 256] [--rounds 5] [--burn PROGRAM]

GLOWWORM is the program. In every round each has its turn; a figure is the median over the rounds of each one's
own medians, a ratio the median of the rounds' ratios, since machines drift. Random pictures, batch 32, 3 classes, f32;
flips and rotations are part of the step (not of PyTorch's and burn's), decoding is not. PyTorch takes its turn where it
is installed, on the GPU if it finds one: then with TF32 off and on, and with CUDA graphs. burn has no Python; its turn is
a PROGRAM that is given the image size and prints a JSON line of {"training step": ms, "inference": ms}. Prints Markdown.
"""
import argparse, json, os, statistics, subprocess, time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy

parser = argparse.ArgumentParser()
parser.add_argument("glowworm"), parser.add_argument("--image-size", type=int, nargs="+", default=[64, 256])
parser.add_argument("--burn"), parser.add_argument("--rounds", type=int, default=5), parser.add_argument("--steps", type=int, default=9)
args = parser.parse_args()
BATCH, CLASSES = 32, 3


def milliseconds(step):
    """The median of some steps, after one that warms up."""
    step()
    times = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def keras_steps(side):
    import keras, tensorflow

    layers = [keras.Input((side, side, 3)), keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]
    layers += [keras.layers.Rescaling(1 / 255)]
    for filters in (32, 64, 128):
        layers += [keras.layers.Conv2D(filters, 3, padding="same", activation="relu"), keras.layers.MaxPooling2D()]
    layers += [keras.layers.Dropout(0.4), keras.layers.Flatten(), keras.layers.Dense(256, activation="relu")]
    model = keras.Sequential(layers + [keras.layers.Dropout(0.2), keras.layers.Dense(CLASSES, activation="softmax")])
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    pictures = (numpy.random.rand(BATCH, side, side, 3) * 255).astype("float32")
    labels = numpy.eye(CLASSES, dtype="float32")[numpy.arange(BATCH) % CLASSES]
    x, y = tensorflow.constant(pictures), tensorflow.constant(labels)
    predict = tensorflow.function(lambda batch: model(batch, training=False))
    return lambda: model.train_on_batch(x, y), lambda: predict(x).numpy()


def torch_steps(side):
    """By name: a training step and an inference batch in channels_last."""
    try:
        import torch
    except ImportError:
        return {}
    from torch import nn

    device = "cuda" if torch.cuda.is_available() else "cpu"
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)

    def steps(tf32, graphs):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        layers, inputs = [], 3
        for filters in (32, 64, 128):
            layers += [nn.Conv2d(inputs, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            inputs = filters
        layers += [nn.Dropout(0.4), nn.Flatten(), nn.Linear((side // 8) ** 2 * 128, 256), nn.ReLU(), nn.Dropout(0.2)]
        net = nn.Sequential(*layers, nn.Linear(256, CLASSES)).to(device, memory_format=torch.channels_last)
        x = torch.rand(BATCH, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
        y = torch.arange(BATCH, device=device) % CLASSES
        optimizer = torch.optim.Adam(net.parameters(), 1e-3, capturable=graphs)
        loss = nn.CrossEntropyLoss()

        def step():
            optimizer.zero_grad(set_to_none=False)
            loss(net(x), y).backward()
            optimizer.step()

        run = step
        if graphs:
            stream = torch.cuda.Stream()
            with torch.cuda.stream(stream):
                for _ in range(3):
                    step()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            run = graph.replay

        def infer():
            net.eval()
            with torch.inference_mode():
                torch.softmax(net(x), 1).cpu()
            net.train()

        return lambda: (run(), wait()), lambda: (infer(), wait())

    if device == "cpu":
        return {"PyTorch": steps(False, False)}
    return {
        "PyTorch, fp32": steps(False, False),
        "PyTorch, TF32": steps(True, False),
        "PyTorch, fp32, CUDA graph": steps(False, True),
        "PyTorch, TF32, CUDA graph": steps(True, True),
    }


def burn(side):
    figures = json.loads(subprocess.run([args.burn, str(side)], check=True, capture_output=True).stdout)
    return figures["training step"], figures["inference"]


def glowworm(side):
    command = [args.glowworm, "bench", "--image-size", str(side), "--repeats", str(args.steps), "--steps-only", "--json"]
    plans = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["plans"]
    seconds = {plan["plan"]: plan["seconds"] for plan in plans}
    return seconds["training step"] * 1e3, seconds["inference"] * 1e3


print("| | beside | glowworm, ms | its, ms | ratio |")
print("|---|---|---|---|---|")
for side in args.image_size:
    peers = {"Keras": keras_steps(side), **torch_steps(side)}
    turns = {name: (lambda steps=steps: [milliseconds(step) for step in steps]) for name, steps in peers.items()}
    if args.burn:
        turns["burn"] = lambda: burn(side)
    rounds = [(glowworm(side), {name: turn() for name, turn in turns.items()}) for _ in range(args.rounds)]
    for index, what in enumerate(["training step", "inference"]):
        ours = [of[index] for of, _ in rounds]
        for name in turns:
            theirs = [of[name][index] for _, of in rounds]
            ratio = statistics.median(a / b for a, b in zip(ours, theirs))
            figures = f"{statistics.median(ours):.1f} | {statistics.median(theirs):.1f} | {ratio:.2f}"
            print(f"| {what}, {side}×{side} | {name} | {figures} |", flush=True)
