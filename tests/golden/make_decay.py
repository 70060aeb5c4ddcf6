"""Figures of Keras for decoupled weight decay, and of TensorFlow for the moving average of the weights.

Run: pip install tensorflow-cpu safetensors; python make_decay.py
Reads network.safetensors (inputs, labels and initial weights), writes decay.safetensors beside this script.
"""
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf, keras
from keras import layers
from safetensors.numpy import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
given = load_file(os.path.join(HERE, "network.safetensors"))
x, y = given["input.images"], given["input.labels"]
ls = [keras.Input((16, 16, 3)), layers.Rescaling(1 / 255)]
for i, f in enumerate((8, 16, 16), 1):
    ls += [layers.Conv2D(f, 3, padding="same", activation="relu", name=f"conv{i}"), layers.MaxPooling2D()]
ls += [layers.Flatten(), layers.Dense(32, activation="relu", name="dense1"),
       layers.Dense(3, activation="softmax", name="dense2")]
model = keras.Sequential(ls)
named = {v.path.split("/", 1)[-1].replace("/", "."): v for v in model.trainable_variables}
cce = keras.losses.CategoricalCrossentropy()
out = {}
for name, optimizer in {
    "adamw": keras.optimizers.AdamW(0.001, weight_decay=1.0, epsilon=1e-8),
    "sgd_momentum": keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=1.0),
}.items():
    for k, v in named.items():
        v.assign(given[f"weights.{k}"])
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(model.trainable_variables)
    updates = tf.Variable(0)
    averages = tf.train.ExponentialMovingAverage(0.3, num_updates=updates)
    values = [v.value for v in named.values()]
    averages.apply(values)                     # begins with the initial weights
    for step in range(5):
        with tf.GradientTape() as t:
            loss = cce(y, model(x, training=True))
        optimizer.apply(t.gradient(loss, values), model.trainable_variables)
        updates.assign(step)
        averages.apply(values)
    for k, v in named.items():
        out[f"{name}.after5.{k}"] = v.numpy().copy()
        if name == "adamw":
            out[f"{name}.average5.{k}"] = averages.average(v.value).numpy().copy()
save_file(out, os.path.join(HERE, "decay.safetensors"))
