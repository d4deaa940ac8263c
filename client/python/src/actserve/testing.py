"""A server process for tests and demonstrations."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

_START_SECONDS = 30.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.005


class ServerProcess:
    """An `actserved` on a free loopback port and on a unix socket.

    Usable as context manager; stops the server at the end.

    Attributes:
      address: "127.0.0.1:PORT"; stays the same over restarts.
      unix_address: "unix:PATH".
    """

    def __init__(self, binary: str | os.PathLike[str], *flags: str):
        """Starts `binary` and waits until it listens.

        Args:
          binary: Path of `actserved`.
          *flags: More flags for it.

        Raises:
          FileNotFoundError: There is no `binary`.
          RuntimeError: It ended, or did not listen within 30 s; with its log.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="actserve-")
        folder = Path(self._folder.name)
        self._port_file = folder / "addresses"
        self._log = folder / "log"
        self._command = [
            os.fspath(binary),
            f"--unix_socket={folder / 'server.sock'}",
            f"--port_file={self._port_file}",
            f"--cache_directory={folder / 'cache'}",
            *flags,
        ]
        self.address = "127.0.0.1:0"
        self.unix_address = f"unix:{folder / 'server.sock'}"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self._folder.cleanup()
            raise

    def start(self) -> None:
        """Starts the server, again at the same addresses, after a stop."""
        self._port_file.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [*self._command, f"--listen={self.address}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._process = process
        deadline = time.monotonic() + _START_SECONDS
        while not self._read_address():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(
                    f"{self._command[0]} does not listen "
                    f"(status {process.wait()}): {self.log()}"
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> int:
        """Lets the server finish its calls. Returns its exit status."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._process = None
        return status

    def kill(self) -> None:
        """Ends the server at once, whatever it was doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        """Returns what the server has written so far."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()

    def _read_address(self) -> bool:
        """Takes the TCP address from the port file; False if not there yet."""
        try:
            lines = self._port_file.read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return False
        for line in lines:
            if line.endswith("\n") and not line.startswith("unix:"):
                self.address = line.strip()
                return True
        return False
