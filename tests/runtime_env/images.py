"""An image for podman, made on the spot and of next to nothing: the machine's own Python and libraries are mounted into
each container, and this package at a place where the machine does not have it."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import ray

IMAGE = "localhost/ray-test:1"
INSIDE = "/opt/image/site"
"""Where the image has the package."""


def configure(directory: Path, runtime: str) -> dict[str, str]:
    """Variables that let podman keep all it makes in `directory`, and run containers by `runtime`."""
    python = {sys.prefix, sys.base_prefix}
    volumes = [f"{path}:{path}:ro" for path in sorted({"/usr", *(p for p in python if not p.startswith("/usr"))})]
    volumes.append(f"{Path(ray.__file__).parents[1]}:{INSIDE}:ro")
    limits = ["nofile=1024:1024", "nproc=4096:4096"]  # podman's own are above what a machine may allow
    (directory / "containers.conf").write_text(
        f'[containers]\ndefault_ulimits = {limits}\nvolumes = {volumes}\n[engine]\nruntime = "{runtime}"\n'
    )
    (directory / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{directory}/graph"\nrunroot = "{directory}/run"\n'
    )
    return {
        "CONTAINERS_CONF": str(directory / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
    }


def make(directory: Path, environ: dict[str, str]) -> None:
    """The image. Raises CalledProcessError."""
    archive = directory / "image.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("usr", "etc", "tmp", "proc", "sys", "dev", "run", "var", INSIDE.strip("/")):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name in ("bin", "lib", "lib64", "sbin"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(entry)
    changes = [f"--change=ENV PATH={sys.prefix}/bin:/usr/bin:/bin", f"--change=ENV PYTHONPATH={INSIDE}"]
    run(["podman", "import", *changes, str(archive), IMAGE], environ)


def run(command: list[str], environ: dict[str, str]) -> str:
    """What it prints. Raises CalledProcessError."""
    env = {**os.environ, **environ}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=60).stdout


def prepare(directory: Path) -> tuple[dict[str, str], str]:
    """Podman's variables with which containers run on this machine; or why they do not."""
    if shutil.which("podman") is None:
        return {}, "this machine has no podman"
    problem = "this machine has neither crun nor runc for podman"
    for runtime in filter(shutil.which, ("crun", "runc")):
        environ = configure(directory, runtime)
        options = ["--rm", "--cgroup-manager=cgroupfs", "--network=host", "--pid=host", "--ipc=host"]
        try:
            make(directory, environ)
            run(["podman", "run", *options, IMAGE, "python", "-c", "import ray"], environ)
        except subprocess.CalledProcessError as error:
            problem = f"podman runs no containers on this machine: {error.stderr.strip()}"
        else:
            return environ, ""
    return {}, problem
