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
    venv = folder("ACTSERVE_VENV")
    if not os.path.samefile(sys.prefix, venv):
        python = f"{venv}/bin/python"
        os.execv(python, [python, *sys.argv])


def in_frameworks(program: pathlib.Path, *arguments: str | pathlib.Path) -> str:
    """Returns what a program of Python prints beside the frameworks.

    It finds the client of this checkout, and the library of its build.
    """
    client = ROOT / "client" / "python" / "src"
    environment = {
        "ACTSERVE_LIBRARY": str(BINARIES.parent / "lib" / "libactserve.so.1"),
        "PYTHONPATH": str(client),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    # Of the shells of some machines; they slow NumPy and PyTorch down.
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    run = subprocess.run(
        [f"{folder('ACTSERVE_FRAMEWORKS')}/bin/python", program, *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return run.stdout.rstrip("\n")


def folder(variable: str) -> str:
    """Returns what scripts/environment sets."""
    text = 'source "$0" && echo "${!1}"'
    return output(
        "bash", "-c", text, ROOT / "scripts" / "environment", variable
    )


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
            ROOT / "scripts" / "measure" / "put_section",
            ROOT / "docs" / file,
            title,
        ],
        input=text + "\n",
        text=True,
        check=True,
    )
