#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""train.py: TensorFlow trains a ResNet of CIFAR-10's size on generated images.

    train.py [--steps N] [--batch B] [--images I]

A ResNet-8 (He et al.'s layout for CIFAR with n = 1): 32x32x3 images, 10 classes.
Images are noise around a pattern of their class, fixed seed; one thread and
deterministic kernels, so that the weights at the end are the same bits in every
run. Prints one JSON line; "seconds" is the training, without the import.
"""

import argparse
import hashlib
import json
import os
import time

os.environ.update(TF_CPP_MIN_LOG_LEVEL="2", TF_ENABLE_ONEDNN_OPTS="0",
                  CUDA_VISIBLE_DEVICES="")

import numpy  # noqa: E402
import tensorflow  # noqa: E402

CLASSES = 10
SHAPE = (32, 32, 3)


def images(count):
    """(images, labels)."""
    random = numpy.random.default_rng(20181008)
    patterns = random.random((CLASSES, *SHAPE), dtype=numpy.float32)
    labels = random.integers(0, CLASSES, count)
    noise = random.random((count, *SHAPE), dtype=numpy.float32)
    return patterns[labels] * 0.5 + noise * 0.5, labels


def block(tensor, filters, stride):
    """One residual block of two 3x3 convolutions."""
    layers = tensorflow.keras.layers
    inner = layers.Conv2D(filters, 3, stride, "same", use_bias=False)(tensor)
    inner = layers.ReLU()(layers.BatchNormalization()(inner))
    inner = layers.Conv2D(filters, 3, 1, "same", use_bias=False)(inner)
    inner = layers.BatchNormalization()(inner)
    if stride != 1:
        tensor = layers.Conv2D(filters, 1, stride, "same", use_bias=False)(tensor)
    return layers.ReLU()(layers.Add()([tensor, inner]))


def resnet():
    """The model."""
    layers = tensorflow.keras.layers
    entry = layers.Input(SHAPE)
    tensor = layers.Conv2D(16, 3, 1, "same", use_bias=False)(entry)
    tensor = layers.ReLU()(layers.BatchNormalization()(tensor))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        tensor = block(tensor, filters, stride)
    tensor = layers.GlobalAveragePooling2D()(tensor)
    return tensorflow.keras.Model(entry, layers.Dense(CLASSES)(tensor))


def train(model, data, steps, batch):
    """The losses of all steps."""
    optimizer = tensorflow.keras.optimizers.SGD(0.1, 0.9)
    loss_of = tensorflow.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    pictures, labels = data
    losses = []
    for step in range(steps):
        chosen = numpy.arange(step * batch, (step + 1) * batch) % len(labels)
        with tensorflow.GradientTape() as tape:
            loss = loss_of(labels[chosen], model(pictures[chosen], training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        losses.append(float(loss))
    return losses


def main():
    """Arguments, output."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--images", type=int, default=256)
    args = parser.parse_args()
    tensorflow.keras.utils.set_random_seed(4711)
    tensorflow.config.experimental.enable_op_determinism()
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    model, data = resnet(), images(args.images)
    start = time.monotonic()
    losses = train(model, data, args.steps, args.batch)
    seconds = time.monotonic() - start
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(weight.tobytes())
    print(json.dumps({"phase": "tensorflow", "seconds": round(seconds, 6),
                      "checksum": digest.hexdigest()[:16],
                      "note": f"{args.steps} steps, loss {losses[0]:.3f} to {losses[-1]:.3f}"}),
          flush=True)
    # Else the collector goes through all objects several times before the interpreter
    # ends: minutes, of which nothing is reported.
    os._exit(0)     # pylint: disable=protected-access


if __name__ == "__main__":
    main()
