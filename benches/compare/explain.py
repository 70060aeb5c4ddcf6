# /// script
# requires-python = ">=3.10, <3.14"
# dependencies = ["tensorflow-cpu==2.21.0", "keras==3.15.0", "shap==0.51.0", "safetensors", "pillow", "numpy"]
# ///
"""glowworm's explanations beside those of shap's GradientExplainer, on the same weights, pictures and background.

    uv run benches/compare/explain.py GLOWWORM RUN PICTURE... [--samples 200 800] [--reference 4000] [--repeats 3]

GLOWWORM is the program, RUN a folder that `glowworm train` left, PICTURE files of the network's own size. Both explain them
with each number of points, in turn, `--repeats` times; errors are held against glowworm's values at `--reference` points,
and as shap's fall with the square root of its points towards the same values, both estimate the same. Prints Markdown.
"""
import argparse, math, os, statistics, subprocess, tempfile, time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras, numpy, shap
from PIL import Image
from safetensors.numpy import load_file

from networks import keras_network

parser = argparse.ArgumentParser()
parser.add_argument("glowworm"), parser.add_argument("run"), parser.add_argument("pictures", nargs="+")
parser.add_argument("--samples", type=int, nargs="+", default=[200, 800])
parser.add_argument("--reference", type=int, default=4000), parser.add_argument("--repeats", type=int, default=3)
args = parser.parse_args()


def network(weights):
    """The reference network with the run's weights: both keep Keras's layouts."""
    side = math.isqrt(weights["dense1.kernel"].shape[0] // weights["conv3.kernel"].shape[3]) * 8
    model = keras_network(side, weights["dense2.bias"].shape[0], training=False)
    names = ["conv1", "conv2", "conv3", "dense1", "dense2"]
    model.set_weights([weights[f"{name}.{part}"] for name in names for part in ("kernel", "bias")])
    return model, side


def glowworm(samples):
    """Seconds of the whole program, and its values [N,H,W,3,class]."""
    with tempfile.TemporaryDirectory() as folder:
        command = [args.glowworm, "explain", args.run, *args.pictures, "--samples", str(samples), "--json"]
        command += ["--save-values", f"{folder}/values.safetensors", "--grid", f"{folder}/grid.png"]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        return seconds, load_file(f"{folder}/values.safetensors")["values"].astype(float)


def difference(a, b):
    return float(numpy.linalg.norm(a - b) / numpy.linalg.norm(b))


model, side = network(load_file(f"{args.run}/model.safetensors"))
background = load_file(f"{args.run}/background.safetensors")["background"][..., :3].astype("float32")
pictures = numpy.stack([numpy.asarray(Image.open(p).convert("RGB"), "float32") for p in args.pictures])
assert pictures.shape[1:3] == (side, side), f"pictures must be {side}x{side}, or two ways of resizing would be compared"
explainer = shap.GradientExplainer(model, background)


def peer(samples, seed):
    start = time.perf_counter()
    values = explainer.shap_values(pictures, nsamples=samples, rseed=seed)
    return time.perf_counter() - start, numpy.asarray(values, float)


_, exact = glowworm(args.reference)
print(f"{len(pictures)} pictures of {side}x{side}, background {len(background)}, shap {shap.__version__} on Keras {keras.__version__}; "
      f"medians of {args.repeats}, in turn. The error is the relative L2 distance from glowworm's values at {args.reference} points; "
      "glowworm's seconds are those of the whole program. To glowworm's error shap needs the square of the errors' ratio more.\n")
print("| points | glowworm, s | shap, s | ratio | glowworm's error | shap's error | shap to glowworm's error, s | ratio |")
print("|---|---|---|---|---|---|---|---|")
for samples in args.samples:
    ours, theirs = [], []
    for repeat in range(args.repeats):
        ours.append(glowworm(samples)), theirs.append(peer(samples, repeat))
    (t, e), (shap_t, shap_e) = [
        (statistics.median(t for t, _ in runs), statistics.median(difference(v, exact) for _, v in runs))
        for runs in (ours, theirs)
    ]
    same = shap_t * (shap_e / e) ** 2
    print(f"| {samples} | {t:.1f} | {shap_t:.1f} | {t / shap_t:.2f} | {e:.3f} | {shap_e:.3f} | {same:.0f} | {t / same:.2f} |", flush=True)
