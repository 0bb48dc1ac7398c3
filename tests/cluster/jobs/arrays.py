#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""numpy on arrays of MB megabytes each: sorting, transforms, linear algebra."""

import hashlib
import sys

import numpy as np


def show(name, array):
    """One line that stands for all of ARRAY."""
    print(name, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest())


def main(megabytes):
    """The job."""
    random = np.random.default_rng(7)
    count = megabytes * 131072
    values = random.random(count)
    show("random", values)
    order = np.argsort(values[::4], kind="stable")
    show("argsort", order)
    del order
    values.sort()
    show("sort", values)
    values = values.reshape(-1, 128)
    show("gram", values.T @ values)
    show("columns", np.cumsum(values[:, ::7], axis=1))
    show("fft", np.fft.rfft(values[: count // 1024].ravel()))
    square = random.random((192, 192))
    show("solve", np.linalg.solve(square, np.eye(192)))
    words = np.array([f"{number:x}" for number in random.integers(0, 1 << 40, 20000)])
    show("unique", np.unique(words))


main(int(sys.argv[1]))
