"""Figures of Keras for cross-entropy against mixed and smoothed targets, with weights of the rows.

Run: pip install tensorflow-cpu safetensors; python make_soft_targets.py
Writes soft_targets.safetensors beside this script.
"""
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf, keras
from safetensors.numpy import save_file

ROWS, CLASSES = 6, 5
rng = np.random.default_rng(11)
logits = rng.normal(0, 2, (ROWS, CLASSES)).astype("float32")
a, b = rng.integers(0, CLASSES, ROWS), rng.integers(0, CLASSES, ROWS)
share = np.array([0, 0, .3, .7, .5, .05], "float32")        # of the second label
weight = np.array([1, 2, 1, .5, 3, 0], "float32")
y = (1 - share[:, None]) * np.eye(CLASSES)[a] + share[:, None] * np.eye(CLASSES)[b]
out = {"logits": logits, "class": a.astype("float32"), "second": b.astype("float32"), "share": share, "weight": weight}
for name, smoothing in [("plain", 0.0), ("smooth", 0.1)]:
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    z = tf.Variable(logits)
    with tf.GradientTape() as t:
        loss = loss_of(y.astype("float32"), z, sample_weight=weight)
    out[f"{name}.loss"] = np.asarray(loss, "float32").reshape(1)
    out[f"{name}.gradient"] = t.gradient(loss, z).numpy()
save_file(out, os.path.join(os.path.dirname(os.path.abspath(__file__)), "soft_targets.safetensors"))
