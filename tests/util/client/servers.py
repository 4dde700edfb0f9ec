"""Ray Client servers as processes of their own."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


class Server:
    """A Ray Client server process."""

    def __init__(self, gcs_address: str, mode: str, log: Path, env: dict[str, str]) -> None:
        self.port = free_port()
        self.address = f"ray://127.0.0.1:{self.port}"
        self.log = log
        command = [sys.executable, "-m", "ray.util.client.server", f"--address={gcs_address}", "--host=127.0.0.1"]
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [*command, f"--port={self.port}", f"--mode={mode}"],
                stdout=file,
                stderr=file,
                env={**os.environ, **env},
            )

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)  # this machine may be busy
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
