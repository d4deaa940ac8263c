"""The examples of the documentation run, and say what they say."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

jax = pytest.importorskip("jax")

from actserve.jax import _activation, _apply

CLIENT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("module", [_apply, _activation])
def test_docstrings(module, monkeypatch):
    monkeypatch.setenv("ACTSERVE_ADDRESS", "local")
    found = doctest.testmod(module)

    assert found.attempted > 4
    assert found.failed == 0


def test_the_section_of_the_readme(tmp_path):
    text = (CLIENT / "README.md").read_text()
    section = text.partition("\n## JAX\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    program = tmp_path / "readme.py"  # functions need a source
    program.write_text("\n".join(blocks))

    assert len(blocks) >= 2
    run(program)


def test_digits_train_as_with_jax_itself(tmp_path):
    pytest.importorskip("sklearn")
    picture = tmp_path / "losses.png"

    printed = run(
        CLIENT / "examples/jax_digits.py",
        *("--client", "local", "--epochs", "3", "--plot", str(picture)),
    )

    accuracies = {
        line.split("  ")[0].strip(): float(line.split()[-1])
        for line in printed.splitlines()
        if "accuracy" in line
    }
    assert len(accuracies) == 4
    assert accuracies.pop("spiky") > 0.4
    assert min(accuracies.values()) > 0.8
    assert accuracies["silu"] == accuracies["jax.nn.silu"]
    assert float(printed.partition("differ by")[2].split()[0]) < 1e-4
    if "no matplotlib" not in printed:
        assert picture.read_bytes().startswith(b"\x89PNG")


def run(program, *arguments):
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        env=os.environ | {"PYTHONPATH": str(CLIENT / "src")},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
