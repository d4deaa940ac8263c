"""Checks the bill of materials of an image by what the image itself says.

usage: check_bill.py cpu|cuda FOLDER

FOLDER has the bill, packages (dpkg's, "name version" a line) and version (what
actserved --version prints).
"""

from __future__ import annotations

import json
import pathlib
import re
import sys


def main() -> int:
    """Returns 1 if something is missing from the bill."""
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    components = json.loads((folder / "bill").read_text())["components"]
    found = {(each["name"], each["version"]) for each in components}
    wanted = {
        tuple(line.split())
        for line in (folder / "packages").read_text().splitlines()
    }
    names = {name for name, _ in wanted}
    missing = [f"{name} {version}" for name, version in wanted - found]
    missing += {"libgrpc++1.51", "libssl3"} - names
    # What is linked, or not of Debian, is in no list of the image's.
    version = (folder / "version").read_text()
    llvm = re.findall(r"LLVM: ([\d.]+)", version)[0]
    if not any(n.startswith("llvm-") and llvm in v for n, v in found):
        missing.append(f"LLVM {llvm}")
    if target == "cuda" and "nvidia-cuda-nvrtc" not in dict(found):
        missing.append("NVRTC")
    if missing:
        print(f"actserve:{target}: not in the bill: {sorted(missing)}")
        return 1
    print(f"actserve:{target}: a bill of {len(components)} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
