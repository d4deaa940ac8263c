"""Generates the stubs of proto/actserve/v1 while the package is built.

They land in src/actserve/v1, which git ignores, so that an editable install
finds them too. Install again after a change of the contract.
"""

import importlib.resources
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
PROTO = HERE.parents[1] / "proto"
SOURCE = HERE / "src"


def generate() -> None:
    """Writes *_pb2.py, *_pb2.pyi and *_pb2_grpc.py beside src/actserve/v1."""
    files = sorted(PROTO.glob("actserve/v1/*.proto"))
    if not files:
        if (SOURCE / "actserve/v1/service_pb2.py").exists():
            return  # An unpacked source distribution: they are in it.
        raise SystemExit(f"no contract in {PROTO}: install from a checkout")

    from grpc_tools import protoc

    well_known = importlib.resources.files("grpc_tools") / "_proto"
    status = protoc.main(
        [
            "protoc",
            f"-I{PROTO}",
            f"-I{well_known}",
            f"--python_out={SOURCE}",
            f"--pyi_out={SOURCE}",
            f"--grpc_python_out={SOURCE}",
            *map(str, files),
        ]
    )
    if status != 0:
        raise SystemExit(f"protoc failed with status {status}")


class BuildWithStubs(build_py):
    """build_py after generate()."""

    def run(self) -> None:
        """Generates, then builds."""
        generate()
        super().run()


class DistributeWithStubs(sdist):
    """Sdist after generate()."""

    def run(self) -> None:
        """Generates, then packs."""
        generate()
        super().run()


setup(cmdclass={"build_py": BuildWithStubs, "sdist": DistributeWithStubs})
