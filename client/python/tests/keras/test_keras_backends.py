"""The tests of the layer on the backends that Keras does not run on here."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

keras = pytest.importorskip("keras")

BACKENDS = ("tensorflow", "torch", "jax")


@pytest.mark.parametrize("backend", BACKENDS)
def test_on_another_backend(backend):
    if backend == keras.config.backend():
        pytest.skip("test_keras_layer.py runs on it")
    for name in (backend, f"actserve.{backend}"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    file = Path(__file__).with_name("test_keras_layer.py")

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file],
        env=os.environ | {"KERAS_BACKEND": backend},
        cwd=file.parents[2],
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert run.returncode == 0, run.stdout + run.stderr
