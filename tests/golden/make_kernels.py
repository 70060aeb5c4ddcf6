"""Reference figures from Keras for single layers: activations, batch normalisation, pooling.

Run: pip install keras tensorflow-cpu safetensors; python make_kernels.py
Writes kernels.safetensors beside this script; README.md says what each tensor is. Layouts are Keras's own, [N,H,W,C].
"""
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf, keras
from keras import layers
from safetensors.numpy import save_file

rng = np.random.default_rng(7)
normal = lambda *shape, scale=1.0: rng.normal(0, scale, shape).astype("float32")
out = {}

def record(name, layer, x, variables=(), **arguments):
    """x, y, a cotangent, and the gradients of sum(y * cotangent) to x and to the variables."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, **arguments)
        d_y = tf.constant(normal(*y.shape))
        total = tf.reduce_sum(y * d_y)
    gradients = tape.gradient(total, [x, *[v.value for v in variables]])
    for key, value in zip(["x", "y", "d_y", "d_x", "d_scale", "d_offset"], [x, y, d_y, *gradients]):
        out[f"{name}.{key}"] = np.asarray(value)

z = np.concatenate([np.linspace(-6, 6, 97), [-40, -12, 12, 40]]).astype("float32")
record("gelu", lambda x: keras.activations.gelu(x, approximate=False), z)
record("silu", keras.activations.silu, z)

x = normal(5, 6, 7, 6, scale=2.0) + np.array([0, 3, -10, 100, 0.5, -0.5], "float32")
norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
norm.build(x.shape)
parameters = [1 + normal(6, scale=0.3), normal(6), normal(6), 1 + normal(6, scale=0.2) ** 2]
for variable, value, key in zip([norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance], parameters,
                                ["scale", "offset", "mean", "variance"]):
    variable.assign(value)
    out[f"batch_norm.{key}"] = value
record("batch_norm.infer", norm, x, [norm.gamma, norm.beta], training=False)
record("batch_norm.train", norm, x, [norm.gamma, norm.beta], training=True)
out["batch_norm.mean.after"] = norm.moving_mean.numpy()
out["batch_norm.variance.after"] = norm.moving_variance.numpy()

for size, stride in [(2, 2), (3, 2), (3, 1), (2, 3), (5, 3)]:
    for padding in ["same", "valid"]:
        for name, layer in [("max", layers.MaxPooling2D), ("average", layers.AveragePooling2D)]:
            record(f"{name}.{size}.{stride}.{padding}", layer(size, stride, padding), normal(1, 7, 10, 5))
record("global_average", layers.GlobalAveragePooling2D(), normal(2, 5, 3, 6))
save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, "kernels.safetensors")
