"""The examples in docstrings, and the programs of client/python/examples."""

import doctest
import subprocess
import sys

import pytest
from tensorflow_cases import tf
from testbed import ROOT

import actserve
import actserve.tensorflow
from actserve.tensorflow import _function, _module

EXAMPLES = ROOT / "client/python/examples"


@pytest.mark.parametrize(
    "module", [actserve.tensorflow, _function, _module], ids=str
)
def test_docstrings(module, monkeypatch):
    monkeypatch.setenv("ACTSERVE_ADDRESS", "local")
    found = doctest.testmod(module, extraglobs={"tf": tf, "actserve": actserve})
    assert found.attempted > 0
    assert found.failed == 0


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_of_the_question():
    first, second = run("tensorflow_question.py", "local").splitlines()
    assert first == (
        "[0.2 0.7 1.2 1.7] [0.2        0.         0.20000005 0.        ] "
        "[1. 0. 1. 0.]"
    )
    assert first.endswith(second)


def test_digits(tmp_path):
    picture = tmp_path / "losses.png"
    lines = run(
        "tensorflow_digits.py",
        *("--client", "local", "--epochs", "3", "--plot", str(picture)),
    ).splitlines()
    assert len(lines) >= 5
    accuracies = [float(line.split()[-1]) for line in lines[:4]]
    assert accuracies[0] > 0.3  # spiky learns slowly
    assert min(accuracies[1:]) > 0.8
    assert float(lines[4].split()[-1]) < 1e-4
    if picture.exists():
        assert picture.read_bytes().startswith(b"\x89PNG")
