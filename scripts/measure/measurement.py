"""Shared by the scripts that measure: build, run, and write to docs/."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARIES = ROOT / "build" / "release" / "bin"


def options(usage: str) -> list[str]:
    """Returns the measuring program's options; --help prints `usage`."""
    if sys.argv[1:2] in (["-h"], ["--help"]):
        print(usage)
        sys.exit()
    return sys.argv[1:]


def use_environment() -> None:
    """Goes on in the Python of scripts/setup, which has NumPy and gRPC."""
    environment = ROOT / "scripts" / "environment"
    venv = output(
        "bash", "-c", 'source "$0" && echo "$ACTSERVE_VENV"', environment
    )
    if not os.path.samefile(sys.prefix, venv):
        python = f"{venv}/bin/python"
        os.execv(python, [python, *sys.argv])


def command() -> str:
    """Returns the command that repeats the measurement, in Markdown."""
    name = pathlib.Path(sys.argv[0]).name
    return "`" + " ".join([f"scripts/measure/{name}", *sys.argv[1:]]) + "`"


def output(*arguments: str | pathlib.Path) -> str:
    """Runs a program and returns what it prints, without the last newline."""
    return subprocess.run(
        arguments, check=True, text=True, stdout=subprocess.PIPE
    ).stdout.rstrip("\n")


def build(*programs: str) -> None:
    """Builds programs."""
    subprocess.run(
        [ROOT / "scripts" / "build", "release", *programs], check=True
    )


def run(program: str, options: list[str], also: tuple[str, ...] = ()) -> str:
    """Builds a program and the ones it starts; returns what it prints."""
    build(program, *also)
    return output(BINARIES / program, *options)


def machine() -> str:
    """Returns the date, the machine and the commit of a measurement."""
    return output(ROOT / "scripts" / "describe_machine")


def put_section(title: str, text: str, file: str = "benchmarks.md") -> None:
    """Replaces a section of a page of docs/."""
    subprocess.run(
        [
            ROOT / "scripts" / "put_section",
            ROOT / "docs" / file,
            title,
        ],
        input=text + "\n",
        text=True,
        check=True,
    )
