"""What any bytes must do to the frame decoder and to both sides of the handshake; see `atheris_codec`."""

import contextlib

from ray._core.wire import auth, codec


def one_input(data: bytes) -> None:
    """Messages or ProtocolError, no more memory than bytes, and no handshake without the token."""
    decoder = codec.FrameDecoder()
    half = len(data) // 2
    try:
        for piece in (data[:half], data[half:]):
            decoder.feed(piece)
            assert decoder.pending <= len(data)
    except codec.ProtocolError as error:
        assert str(error)
    for is_server in (False, True):
        side = auth.Handshake(b"secret", is_server)
        with contextlib.suppress(auth.AuthenticationFailed):
            side.feed(data)
        assert not side.is_done
