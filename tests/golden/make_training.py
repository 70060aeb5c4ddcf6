"""Losses of twenty training steps from Keras: the network of the mission at a small size, and bugnet with batch normalisation.

Run: pip install tensorflow-cpu safetensors; python make_training.py
Writes training.safetensors beside this script; README.md says what each tensor is.
"""
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf, keras
from keras import layers
from safetensors.numpy import save_file

SIDE, CLASSES, BATCH, BATCHES, STEPS = 20, 3, 6, 4, 20
keras.utils.set_random_seed(11)
rng = np.random.default_rng(11)

def smooth_images(n):
    """Random images with structure at several scales, 0..255, as whole numbers."""
    out = np.zeros((n, SIDE, SIDE, 3))
    for k in (2, 5, 10, 20):
        out += tf.image.resize(rng.random((n, k, k, 3)), (SIDE, SIDE), method="bicubic").numpy() * (10 / k) ** 0.5
    out -= out.min(axis=(1, 2, 3), keepdims=True)
    return (255 * out / out.max(axis=(1, 2, 3), keepdims=True)).round().astype("uint8")

def norm(i):
    # The running statistics take no part in training.
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=f"norm{i}")

def dense(i, units, **options):
    return layers.Dense(units, name=f"dense{i}", **options)

NETWORKS = {
    "reference": [l for i, filters in enumerate((8, 12, 16), 1) for l in
                  (layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{i}"), layers.MaxPooling2D())]
                 + [layers.Flatten(), dense(1, 24, activation="relu"), dense(2, CLASSES, activation="softmax")],
    "bugnet": [layers.Conv2D(8, 5, name="conv1"), layers.MaxPooling2D(), norm(1), layers.ReLU(),
               layers.Conv2D(16, 3, name="conv2"), layers.MaxPooling2D(), norm(2), layers.ReLU(),
               layers.Flatten(), dense(1, 120, activation="relu"), dense(2, 84, activation="relu"),
               dense(3, CLASSES, activation="softmax")],
}
NAMES = {"gamma": "scale", "beta": "offset", "moving_mean": "mean", "moving_variance": "variance"}

def named(model):
    parts = [(v, v.path.split("/")[-2:]) for v in model.weights if "rescaling" not in v.path and "seed" not in v.path]
    return {f"{layer}.{NAMES.get(part, part)}": v for v, (layer, part) in parts}

images = smooth_images(BATCH * BATCHES)
labels = rng.integers(0, CLASSES, BATCH * BATCHES)
for c in range(CLASSES):                                  # something to learn
    images[labels == c, 5 * c:5 * c + 7, 6:14, c] = 230
out = {"images": images.astype("float32"), "labels": labels.astype("float32")}
for name, list_of_layers in NETWORKS.items():
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Rescaling(1 / 255)] + list_of_layers)
    for key, v in named(model).items():
        out[f"{name}.weights.{key}"] = np.ascontiguousarray(v.numpy())
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    losses = []
    for step in range(STEPS):
        batch = slice(step % BATCHES * BATCH, step % BATCHES * BATCH + BATCH)
        with tf.GradientTape() as tape:
            answer = model(images[batch].astype("float32"), training=True)
            loss = keras.losses.SparseCategoricalCrossentropy()(labels[batch], answer)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        losses.append(float(loss))
    print(name, [round(v, 4) for v in losses])
    out[f"{name}.losses"] = np.array(losses, "float32")
save_file(out, os.path.join(os.path.dirname(os.path.abspath(__file__)), "training.safetensors"))
