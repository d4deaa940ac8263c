"""Writes digits.u8 and weights.f32, which README.md here describes.

usage: make.py [FOLDER]
"""

import math
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

HIDDEN = 64


def digits() -> bytes:
    """Returns 1,797 records of a label and 64 pixels, in a fixed order."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    records = np.column_stack([data.target, data.data])[order]
    return records.astype(np.uint8).tobytes()


def weights() -> bytes:
    """Returns the initial weights of both layers."""
    generator = np.random.default_rng(1)
    scale = math.sqrt(2 / 64)
    hidden = generator.normal(size=(64, HIDDEN)) * (scale / 10)
    output = generator.normal(size=(HIDDEN, 10)) * scale
    return hidden.astype("<f4").tobytes() + output.astype("<f4").tobytes()


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    (folder / "digits.u8").write_bytes(digits())
    (folder / "weights.f32").write_bytes(weights())
