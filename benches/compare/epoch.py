# /// script
# requires-python = ">=3.10, <3.14"
# dependencies = ["tensorflow-cpu==2.21.0", "keras==3.15.0", "numpy", "pillow"]
# ///
"""An epoch of real training, decoding and validation included: glowworm beside Keras with image_dataset_from_directory.

    uv run benches/compare/epoch.py GLOWWORM DATA [--image-size 128] [--epochs 3] [--rounds 3]

GLOWWORM is the program, DATA a folder with train/<class>/ and test/<class>/. Every round trains both anew for some epochs,
each in a process of its own, in turn. Printed, as Markdown: the median of the epochs but the first, the whole run from the
start of the process to its end, and the largest memory of the process; the ratios are medians of the rounds' ratios.
"""
import argparse, csv, json, os, pathlib, resource, statistics, subprocess, sys, tempfile, time

from networks import keras_network

parser = argparse.ArgumentParser()
parser.add_argument("glowworm"), parser.add_argument("data"), parser.add_argument("--image-size", type=int, default=128)
parser.add_argument("--epochs", type=int, default=3), parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--keras", action="store_true", help=argparse.SUPPRESS)
args = parser.parse_args()


def keras_run():
    """What Keras's own process does: prints the seconds of every epoch as JSON."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    side = (args.image_size, args.image_size)
    read = lambda part: keras.utils.image_dataset_from_directory(
        f"{args.data}/{part}", label_mode="categorical", image_size=side, batch_size=32, verbose=False)
    train, test = read("train"), read("test")
    model = keras_network(args.image_size, len(train.class_names))
    times = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            times.append(time.perf_counter() - self.start)

    model.fit(train, validation_data=test, epochs=args.epochs, verbose=0, callbacks=[Clock()])
    print(json.dumps(times))


def measured(command):
    """Seconds of the process, its peak memory in MiB, and what it printed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024, printed


def keras_turn():
    whole, memory, printed = measured([sys.executable, *sys.argv, "--keras"])
    return statistics.median(json.loads(printed.splitlines()[-1])[1:]), whole, memory


def glowworm_turn():
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        command = [args.glowworm, "train", "--data", args.data, "--image-size", str(args.image_size), "--epochs"]
        whole, memory, _ = measured([*command, str(args.epochs), "--no-check", "--no-report", "--quiet", "--out", run])
        with open(run / "history.csv") as file:
            seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return statistics.median(seconds[1:]), whole, memory


if args.keras:
    keras_run()
    sys.exit()
rounds = [(glowworm_turn(), keras_turn()) for _ in range(args.rounds)]
print(f"| {args.image_size}×{args.image_size}, {args.epochs} epochs | glowworm | Keras | ratio |")
print("|---|---|---|---|")
for index, what in enumerate(["an epoch, s", "the whole run, s", "peak memory, MiB"]):
    ours, theirs = [[of[index] for of in column] for column in zip(*rounds)]
    ratio = statistics.median(a / b for a, b in zip(ours, theirs))
    print(f"| {what} | {statistics.median(ours):.1f} | {statistics.median(theirs):.1f} | {ratio:.2f} |")
