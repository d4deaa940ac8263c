"""The examples in docstrings, and the program of client/python/examples."""

import doctest
import subprocess
import sys

import pytest
from testbed import ROOT

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("the backend is another one", allow_module_level=True)

import actserve
import actserve.keras
from actserve.keras import _layer


@pytest.mark.parametrize("module", [actserve.keras, _layer], ids=str)
def test_docstrings(module, monkeypatch):
    monkeypatch.setenv("ACTSERVE_ADDRESS", "local")
    found = doctest.testmod(
        module, extraglobs={"keras": keras, "actserve": actserve}
    )
    assert found.attempted > 0
    assert found.failed == 0


def test_digits(tmp_path):
    picture = tmp_path / "losses.png"
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "client/python/examples/keras_digits.py"),
            *("--client", "local", "--epochs", "3", "--plot", str(picture)),
        ],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    accuracies = [float(line.split()[-1]) for line in lines[:4]]
    assert accuracies[0] > 0.3  # spiky learns slowly
    assert min(accuracies[1:]) > 0.8
    assert float(lines[4].split()[-1]) < 1e-3
    assert lines[5].endswith("the same")
    if picture.exists():
        assert picture.read_bytes().startswith(b"\x89PNG")
