# /// script
# requires-python = ">=3.10, <3.14"
# dependencies = ["tensorflow-cpu==2.21.0", "keras==3.15.0", "numpy"]
# ///
"""Training steps and inference batches of the reference network: glowworm beside Keras on the same CPU.

    uv run benches/compare/steps.py GLOWWORM [--image-size 64 256] [--rounds 5]

GLOWWORM is the program. In every round each has its turn; a figure is the median over the rounds of each one's
own medians, a ratio the median of the rounds' ratios, since machines drift. Random pictures, batch 32, 3 classes, f32;
flips and rotations are part of the step, decoding is not. Prints Markdown.
"""
import argparse, json, os, statistics, subprocess, time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy

parser = argparse.ArgumentParser()
parser.add_argument("glowworm"), parser.add_argument("--image-size", type=int, nargs="+", default=[64, 256])
parser.add_argument("--rounds", type=int, default=5), parser.add_argument("--steps", type=int, default=9)
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


def glowworm(side):
    command = [args.glowworm, "bench", "--image-size", str(side), "--repeats", str(args.steps), "--steps-only", "--json"]
    plans = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["plans"]
    seconds = {plan["plan"]: plan["seconds"] for plan in plans}
    return seconds["training step"] * 1e3, seconds["inference"] * 1e3


print("| | glowworm, ms | Keras, ms | ratio |")
print("|---|---|---|---|")
for side in args.image_size:
    steps = keras_steps(side)
    rounds = [(glowworm(side), [milliseconds(step) for step in steps]) for _ in range(args.rounds)]
    for index, what in enumerate(["training step", "inference"]):
        ours, theirs = [[of[index] for of in column] for column in zip(*rounds)]
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        print(f"| {what}, {side}×{side} | {statistics.median(ours):.1f} | {statistics.median(theirs):.1f} | {ratio:.2f} |", flush=True)
