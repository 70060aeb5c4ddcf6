# /// script
# requires-python = ">=3.10, <3.14"
# dependencies = ["tensorflow-cpu==2.21.0", "keras==3.15.0", "torch==2.10.0", "numpy"]
# ///
"""Training steps and inference batches of the reference network: glowworm beside Keras and PyTorch on the same CPU.

    uv run benches/compare/steps.py GLOWWORM [--image-size 64 256] [--rounds 5] [--peers keras torch]

GLOWWORM is the program. In every round each program has its turn; a figure is the median over the rounds of a program's
own medians, a ratio the median of the rounds' ratios, since machines drift. Random pictures, batch 32, 3 classes, f32;
flips and rotations are part of the step, decoding is not. Prints Markdown.
"""
import argparse, json, os, statistics, subprocess, time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy

parser = argparse.ArgumentParser()
parser.add_argument("glowworm"), parser.add_argument("--image-size", type=int, nargs="+", default=[64, 256])
parser.add_argument("--rounds", type=int, default=5), parser.add_argument("--steps", type=int, default=9)
parser.add_argument("--peers", nargs="*", default=["keras", "torch"])
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
    import torch
    from torch import nn
    from torch.nn import functional

    layers, channels = [], 3
    for filters in (32, 64, 128):
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = filters
    layers += [nn.Dropout(0.4), nn.Flatten(), nn.Linear(128 * (side // 8) ** 2, 256), nn.ReLU(), nn.Dropout(0.2)]
    model = nn.Sequential(*layers, nn.Linear(256, CLASSES)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
    pictures = (torch.rand(BATCH, 3, side, side) * 255).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % CLASSES

    def augmented():
        angle = (torch.rand(BATCH) * 2 - 1) * 0.1 * 2 * numpy.pi
        flip = torch.where(torch.rand(BATCH) < 0.5, -1.0, 1.0)
        zero, sine, cosine = torch.zeros(BATCH), torch.sin(angle), torch.cos(angle)
        turn = torch.stack([torch.stack([cosine * flip, -sine, zero], 1), torch.stack([sine * flip, cosine, zero], 1)], 1)
        grid = functional.affine_grid(turn, list(pictures.shape), align_corners=True)
        return functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=True) / 255

    def train():
        model.train()
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(augmented()), labels).backward()
        optimizer.step()

    def infer():
        model.eval()
        with torch.inference_mode():
            model(pictures / 255)

    return train, infer


def glowworm(side):
    command = [args.glowworm, "bench", "--image-size", str(side), "--repeats", str(args.steps), "--steps-only", "--json"]
    plans = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["plans"]
    seconds = {plan["plan"]: plan["seconds"] for plan in plans}
    return seconds["training step"] * 1e3, seconds["inference"] * 1e3


peers = {"keras": keras_steps, "torch": torch_steps}
print("| | glowworm, ms | " + " | ".join(f"{peer}, ms | ratio" for peer in args.peers) + " |")
print("|---|---|" + "---|---|" * len(args.peers))
for side in args.image_size:
    steps = {peer: peers[peer](side) for peer in args.peers}
    rounds = []
    for _ in range(args.rounds):
        ours = glowworm(side)
        rounds.append((ours, {peer: [milliseconds(step) for step in steps[peer]] for peer in args.peers}))
    for index, what in enumerate(["training step", "inference"]):
        row = [f"{what}, {side}×{side}", f"{statistics.median(ours[index] for ours, _ in rounds):.1f}"]
        for peer in args.peers:
            row.append(f"{statistics.median(theirs[peer][index] for _, theirs in rounds):.1f}")
            row.append(f"{statistics.median(ours[index] / theirs[peer][index] for ours, theirs in rounds):.2f}")
        print("| " + " | ".join(row) + " |", flush=True)
