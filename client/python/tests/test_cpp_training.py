"""The training of the C++ example, against the same by NumPy in float64."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, ndtr

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "client/testdata/digits"


def value_and_slopes(name, z, beta):
    """Returns f(z), df/dz and df/dbeta by the textbook."""
    if name == "spiky":
        inside = z % 1 <= 0.5
        return np.where(inside, z % 1, 0), inside * 1.0, 0 * z
    if name == "gelu":
        density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return z * ndtr(z), ndtr(z) + z * density, 0 * z
    gate = expit(beta * z)
    slope = gate * (1 - gate)
    return z * gate, gate + beta * z * slope, z * z * slope


def train(name):
    """Returns the loss of each epoch and the test accuracy."""
    records = np.fromfile(DIGITS / "digits.u8", np.uint8).reshape(-1, 65)
    pixels, labels = records[:, 1:] / 16.0, records[:, 0].astype(int)
    weights = np.fromfile(DIGITS / "weights.f32", "<f4").astype(float)
    w1, w2 = weights[:4096].reshape(64, 64), weights[4096:].reshape(64, 10)
    b1, b2, beta = np.zeros(64), np.zeros(10), np.ones(64)
    rate = 0.02 if name == "spiky" else 0.1
    losses = []
    for _ in range(12):
        loss = 0.0
        for start in range(0, 1437, 64):
            batch = slice(start, min(start + 64, 1437))
            x, label = pixels[batch], labels[batch]
            z = x @ w1 + b1
            h, slope, slope_of_beta = value_and_slopes(name, z, beta)
            p = np.exp(h @ w2 + b2)
            p /= p.sum(axis=1, keepdims=True)
            rows = np.arange(len(label))
            loss -= np.log(p[rows, label]).sum()
            p[rows, label] -= 1
            p /= len(label)
            dh = p @ w2.T
            w2, b2 = w2 - rate * h.T @ p, b2 - rate * p.sum(axis=0)
            dz = dh * slope
            w1, b1 = w1 - rate * x.T @ dz, b1 - rate * dz.sum(axis=0)
            beta = beta - rate * (dh * slope_of_beta).sum(axis=0)
        losses.append(loss / 1437)
    h, _, _ = value_and_slopes(name, pixels[1437:] @ w1 + b1, beta)
    guesses = (h @ w2 + b2).argmax(axis=1)
    return losses, (guesses == labels[1437:]).mean()


@pytest.fixture(scope="module")
def printed():
    """What train_digits prints, by activation: losses, and the accuracy."""
    program = Path(os.environ["ACTSERVE_BUILD_DIR"]) / "bin/train_digits"
    if not program.exists():
        pytest.skip(f"no {program}")
    lines = subprocess.run(
        [program, "--server=local"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return {
        name: (
            [float(x.split()[-1]) for x in lines if x.startswith(name + " ")],
            float(
                next(x for x in lines if x.startswith(name + ":")).split()[-1]
            ),
        )
        for name in ("spiky", "gelu", "swish")
    }


# Rounding moves some inputs of spiky across a jump.
@pytest.mark.parametrize(
    ("name", "tolerance"), [("spiky", 2e-3), ("gelu", 2e-6), ("swish", 2e-6)]
)
def test_losses_are_those_of_numpy(printed, name, tolerance):
    want, want_accuracy = train(name)

    losses, accuracy = printed[name]

    assert len(losses) == 12
    np.testing.assert_allclose(losses, want, rtol=0, atol=tolerance)
    assert accuracy == pytest.approx(want_accuracy, abs=0.01)


def test_the_data_are_those_of_scikit_learn(tmp_path):
    pytest.importorskip("sklearn")

    subprocess.run([sys.executable, DIGITS / "make.py", tmp_path], check=True)

    for name in ("digits.u8", "weights.f32"):
        assert (tmp_path / name).read_bytes() == (DIGITS / name).read_bytes()
