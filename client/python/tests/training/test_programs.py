"""The programs that compare trainings run, and find no difference."""

import subprocess
import sys
from pathlib import Path

from testbed import server_binary

CLIENT = Path(__file__).resolve().parents[2]


def run(*command):
    """Returns what a program prints."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
    ).stdout


def test_the_network_of_images_trains_the_same_everywhere():
    printed = run(
        CLIENT / "examples/torch_images.py", "--steps", 5, server_binary()
    )

    assert "losses are equal bit for bit" in printed
    assert printed.count("| TCP |") == 1


def test_trainings_are_compared(tmp_path):
    picture = tmp_path / "losses.png"

    printed = run(
        CLIENT / "benchmark/training",
        "--steps",
        3,
        "--frameworks",
        "torch",
        "--picture",
        picture,
        server_binary(),
    )

    assert printed.count("equal bits") == 3
    assert picture.stat().st_size > 10_000
