"""Frames of every message class, damaged and cut anywhere: messages or ProtocolError, and no more memory than bytes."""

from pathlib import Path

from codec_target import one_input
from fuzzing import Source
from hypothesis import given
from hypothesis import strategies as st

from ray._core.common import messages as m
from ray._core.wire import codec


@given(st.integers(0, 2**32), st.integers(1, 400))
def test_a_damaged_stream_gives_messages_or_an_error(seed, step):
    source = Source(seed)
    stream = b"".join(source.damaged(source.frame()) for _ in range(3))
    decoder = codec.FrameDecoder()
    try:
        for start in range(0, len(stream), step):
            for message, payload in decoder.feed(stream[start : start + step]):
                assert type(message) in m.ALL
                assert len(payload) <= len(stream)
            assert decoder.pending <= len(stream)
    except codec.ProtocolError as error:
        assert str(error)


@given(st.integers(0, 2**32))
def test_every_message_survives_the_wire(seed):
    source = Source(seed, beyond=0)
    for cls in source.random.sample(m.ALL, 10):
        try:
            frame = codec.encode(message := source.struct(cls))
        except OverflowError:  # an integer that msgpack has no room for
            continue
        ((received, _),) = codec.FrameDecoder().feed(frame)
        assert repr(received) == repr(message)  # of NaN, too


def test_the_corpus_of_the_fuzzer_is_borne():
    inputs = list((Path(__file__).parent / "corpus").iterdir())
    assert len(inputs) > 20
    for each in inputs:
        one_input(each.read_bytes())
