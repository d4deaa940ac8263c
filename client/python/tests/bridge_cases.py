"""Activations that the tests of every bridge use."""

import numpy as np

SPIKY = """
def spiky(x):
    r = x % 1
    return r if r <= 0.5 else 0
"""
SWISH = "def swish(x, beta=1.0): return x / (1 + exp(-beta * x))"
GATED = "def gated(x, gate): return x * sigmoid(gate)"
SOFTMAX = """
def soft(x, temperature=1.0):
    e = exp((x - rowmax(x)) / temperature)
    return e / rowsum(e)
"""
STEP = """
def step(x):
    return 1 if x > 0 else 0

def step_grad(x, dy):
    return dy / (1 + abs(x)) ** 2
"""

# Those of the question, as float32 has them.
QUESTION_X = np.array([0.2, 0.7, 1.2, 1.7], np.float32)
QUESTION_Y = np.array([0.2, 0, 0.20000005, 0], np.float32)
QUESTION_DX = np.array([1, 0, 1, 0], np.float32)


def sigmoid(x):
    """1 / (1 + exp(-x)), in float64."""
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))
