"""Tesseract (tesseract-core): JSON over HTTP, arrays as base64."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from peers.waiting import until_it_works


def serve(port: int) -> None:
    """Serves clients until it is killed."""
    folder = Path(sys.executable).parent
    os.environ |= {
        "TESSERACT_API_PATH": str(Path(__file__).with_name("tesseract_api.py")),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    command = [folder / "tesseract-runtime", "serve", "--port", str(port)]
    os.execv(command[0], [str(part) for part in command])


def client(port: int, with_gradient: bool) -> Any:
    """Applies it, and asks for the product with its Jacobian."""
    from tesseract_core import Tesseract

    server = Tesseract.from_url(f"http://127.0.0.1:{port}")
    until_it_works(server.health)

    def call_of(x: Any, dy: Any) -> Any:
        def call() -> Any:
            results = [server.apply({"x": x})["y"]]
            if with_gradient:
                product = server.vector_jacobian_product(
                    {"x": x}, ["x"], ["y"], {"y": dy}
                )
                results.append(product["x"])
            return results

        return call

    return call_of
