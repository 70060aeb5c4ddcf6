"""The reference network in Keras and in PyTorch, as the scripts beside this one run it."""

CLASSES, FILTERS = 3, (32, 64, 128)


def keras_network(side, classes=CLASSES, training=True):
    """Pictures [batch, side, side, 3] from 0 to 255 to probabilities; with what takes part in training only, or without."""
    import keras

    layers = [keras.Input((side, side, 3))]
    if training:
        layers += [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]
    layers += [keras.layers.Rescaling(1 / 255)]
    for filters in FILTERS:
        layers += [keras.layers.Conv2D(filters, 3, padding="same", activation="relu"), keras.layers.MaxPooling2D()]
    drop = lambda rate: [keras.layers.Dropout(rate)] if training else []
    layers += [*drop(0.4), keras.layers.Flatten(), keras.layers.Dense(256, activation="relu"), *drop(0.2)]
    model = keras.Sequential([*layers, keras.layers.Dense(classes, activation="softmax")])
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def torch_network(side, classes=CLASSES):
    """Pictures [batch, 3, side, side] from 0 to 1 to logits."""
    from torch import nn

    layers, inputs = [], 3
    for filters in FILTERS:
        layers += [nn.Conv2d(inputs, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        inputs = filters
    layers += [nn.Dropout(0.4), nn.Flatten(), nn.Linear((side // 8) ** 2 * inputs, 256), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*layers, nn.Linear(256, classes))
