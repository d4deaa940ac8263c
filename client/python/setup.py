"""Generates the stubs of proto/actserve/v1 while the package is built.

They land in src/actserve/v1, which git ignores, so that an editable install
finds them too. Install again after a change of the contract.

A wheel that carries the library of client/c is for one platform; scripts/wheel
makes it. Without the library it is for all.
"""

import importlib.resources
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
PROTO = HERE.parents[1] / "proto"
SOURCE = HERE / "src"
LIBRARY = SOURCE / "actserve" / "libactserve.so.1"


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


class DistributionWithLibrary(Distribution):
    """A distribution that is for one platform if it has the library."""

    def has_ext_modules(self) -> bool:
        """Returns whether it is for one platform."""
        return LIBRARY.exists()


class WheelWithLibrary(bdist_wheel):
    """bdist_wheel for any Python: ctypes loads the library."""

    def get_tag(self) -> tuple[str, str, str]:
        """Returns the tags of Python, its interface and the platform."""
        _, _, platform = super().get_tag()
        return "py3", "none", platform


setup(
    distclass=DistributionWithLibrary,
    cmdclass={
        "bdist_wheel": WheelWithLibrary,
        "build_py": BuildWithStubs,
        "sdist": DistributeWithStubs,
    },
)
