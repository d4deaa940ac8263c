"""What the documents show works."""

import doctest
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from torch_cases import torch

import actserve
import actserve.torch
from actserve.torch import _function, _layer

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("module", [actserve.torch, _function, _layer])
def test_examples_of_docstrings(module, monkeypatch):
    monkeypatch.setenv("ACTSERVE_ADDRESS", "local")
    found = doctest.testmod(
        module, extraglobs={"torch": torch, "actserve": actserve}
    )
    assert found.attempted
    assert not found.failed


def test_examples_of_the_readme(monkeypatch):
    monkeypatch.setenv("ACTSERVE_ADDRESS", "local")
    text = (ROOT / "README.md").read_text()
    section = text.split("## PyTorch\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```", section, re.M | re.S)
    assert blocks
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    wanted = np.array([0.25, 0, 0.25], np.float32)
    np.testing.assert_array_equal(names["y"].detach().numpy(), wanted)


def test_the_tutorial_agrees_with_pytorch(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    picture = tmp_path / "losses.png"
    monkeypatch.setattr(
        sys,
        "argv",
        ["", "--client=local", "--epochs=2", f"--picture={picture}"],
    )
    tutorial = runpy.run_path(str(ROOT / "examples" / "torch_digits.py"))

    assert tutorial["main"]() == 0

    said = capsys.readouterr().out
    assert "| learned swish | 0." in said
    if "no picture" not in said:
        assert picture.read_bytes().startswith(b"\x89PNG")
