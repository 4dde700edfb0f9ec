"""Coverage-guided fuzzing of the frame decoder and the handshake: `make fuzz-codec SECONDS=3600`.

Not a test module: atheris instruments the process. It begins from `corpus`, which reaches what hours have found, and
from frames of every message class; what is new goes into the first directory that is given. What fails belongs into
`corpus`, whose files `test_damaged_frames` feeds to the same target.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ray._core.wire"]):
    from codec_target import one_input

from fuzzing import Source


def main() -> None:
    found = Path(sys.argv[1])
    found.mkdir(parents=True, exist_ok=True)
    source = Source(1)
    for number in range(200):
        (found / f"frame-{number}").write_bytes(source.frame())
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
