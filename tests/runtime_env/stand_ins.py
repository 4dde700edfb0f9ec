"""Stand-ins for tools that a machine may lack: conda, podman, nsys and rocprof-sys-python.

Each reads the command line that the real one would get, refuses what it does not know, and does the real thing as far
as it can: an environment of conda's is a virtual environment with what pip's part of the description asks for, and is
activated by a shell function; a container is a process that has of the host's variables only those it is given; a
profiler writes its report and runs the program.
"""

import stat
import sys
import textwrap
from pathlib import Path

CONDA = """
import json, subprocess, sys
match sys.argv[1:]:
    case ["env", "create", "--file", file, "--prefix", prefix]:
        with open(file) as stream:
            description = json.load(stream)
        print("Solving environment", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
        wanted = [each["pip"] for each in description["dependencies"] if isinstance(each, dict)]
        pip = [sys.executable, "-m", "pip", "--python", f"{prefix}/bin/python", "install"]
        for packages in wanted:
            subprocess.run([*pip, *packages], check=True)
    case other:
        sys.exit(f"conda: {other}?")
"""
CONDA_SHELL = """
conda() {
    [ "$1" = activate ] && . "$2/bin/activate"
}
"""
PODMAN = """
import os, sys
arguments = iter(sys.argv[1:])
assert next(arguments) == "run"
inside = {"container": "podman", "PATH": os.environ["PATH"], "PYTHONPATH": SOURCES}
entrypoint = mounted = None
for argument in arguments:
    name, _, value = argument.partition("=")
    if name in ("--rm", "--cgroup-manager", "--network", "--pid", "--ipc", "--cap-add", "--userns"):
        continue
    if not name.startswith("-"):
        break
    value = value or next(arguments)
    if name == "--env":
        variable, given, text = value.partition("=")
        if given or variable in os.environ:
            inside[variable] = text if given else os.environ[variable]
    elif name == "-v":
        mounted = value
    elif name == "--entrypoint":
        entrypoint = value
    else:
        sys.exit(f"podman: {argument}?")
if argument != "image:1" or entrypoint != "python" or mounted is None:
    sys.exit(f"podman: there is no image {argument}, entrypoint {entrypoint}, volume {mounted}")
os.execve(sys.executable, [sys.executable, *arguments], inside)
"""
NSYS = """
import os, sys
arguments = iter(sys.argv[1:])
assert next(arguments) == "profile"
options = {}
for argument in arguments:
    if not argument.startswith("-"):
        break
    name, has_value, value = argument.partition("=")
    options[name] = value if has_value else next(arguments)
with open(options["-o"].replace("%p", str(os.getpid())) + ".nsys-rep", "w") as report:
    report.write(repr(options))
os.execvp(argument, [argument, *arguments])
"""
ROCPROF = """
import os, sys
options, program = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
os.environ["PROFILED_WITH"] = " ".join(options)
os.execvp(program[0], program)
"""


def install(directory: Path) -> Path:
    """Put them below `directory` as conda lies below its home; returns the directory of the programs."""
    programs = directory / "bin"
    programs.mkdir(parents=True)
    sources = str(Path(sys.modules["ray"].__file__ or "").parents[1])
    for name, code in {"conda": CONDA, "podman": PODMAN, "nsys": NSYS, "rocprof-sys-python": ROCPROF}.items():
        program = programs / name
        program.write_text(f"#!{sys.executable}\nSOURCES = {sources!r}\n{textwrap.dedent(code)}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    shell = directory / "etc/profile.d/conda.sh"
    shell.parent.mkdir(parents=True)
    shell.write_text(CONDA_SHELL)
    return programs
