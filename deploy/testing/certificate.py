"""A certificate for localhost that signs itself."""

from __future__ import annotations

import pathlib
import subprocess


def make_certificate(folder: pathlib.Path) -> None:
    """Writes tls.crt and tls.key."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", folder / "tls.key", "-out", folder / "tls.crt"),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
