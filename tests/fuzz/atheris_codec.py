"""Coverage-guided fuzzing of the frame decoder and the handshake: `make fuzz-codec SECONDS=3600`.

Not a test module: atheris instruments the process. It begins from frames of every message class; what it finds goes
into the directory that is given, and belongs into a test.
"""

import contextlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ray._core.wire"]):
    from ray._core.wire import auth, codec

from fuzzing import Source


def one_input(data: bytes) -> None:
    decoder = codec.FrameDecoder()
    half = len(data) // 2
    try:
        for piece in (data[:half], data[half:]):
            decoder.feed(piece)
            assert decoder.pending <= len(data)
    except codec.ProtocolError:
        pass
    for is_server in (False, True):
        side = auth.Handshake(b"secret", is_server)
        with contextlib.suppress(auth.AuthenticationFailed):
            side.feed(data)
        assert not side.is_done


def main() -> None:
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    source = Source(1)
    for number in range(200):
        (corpus / f"frame-{number}").write_bytes(source.frame())
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
