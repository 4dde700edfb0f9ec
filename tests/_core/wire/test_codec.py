"""Frames survive any cutting of the stream; bad bytes give ProtocolError and nothing else."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.common.messages import Chunk, KvPut, PushTask, RequestLease, SchedulingClass
from ray._core.common.resources import to_fixed
from ray._core.wire import codec

MESSAGES = st.one_of(
    st.builds(KvPut, namespace=st.text(), key=st.binary(), value=st.binary(), rid=st.integers(0, 2**31)),
    st.builds(PushTask, task_id=st.binary(min_size=24, max_size=24), template_id=st.integers(0, 99), args=st.binary()),
    st.builds(Chunk, start=st.integers(0, 2**40), rid=st.integers(0, 9)),
)


@given(st.lists(st.tuples(MESSAGES, st.binary(max_size=300))), st.integers(1, 97))
def test_any_cutting_of_the_stream_gives_the_messages_back(sent, step):
    stream = b"".join(codec.encode_with_payload(message, len(payload)) + payload for message, payload in sent)
    decoder, received = codec.FrameDecoder(), []
    for start in range(0, len(stream), step):
        received += decoder.feed(stream[start : start + step])
    assert received == sent
    assert decoder.pending == 0


@given(st.binary(min_size=1, max_size=200))
def test_bytes_that_are_no_message_raise_protocol_error_or_wait_for_more(data):
    frame = len(data).to_bytes(4, "little") + b"\0\0\0\0" + data
    with contextlib.suppress(codec.ProtocolError):
        codec.FrameDecoder().feed(frame)


def test_a_frame_beyond_the_limit_is_refused_before_it_is_buffered():
    with pytest.raises(codec.ProtocolError, match="another protocol"):
        codec.FrameDecoder(max_header=10).feed((11).to_bytes(4, "little") + bytes(4))


@pytest.mark.parametrize("units", [-1, 1 << 61, -(2**63), 2**64 - 1])
def test_an_amount_that_is_below_zero_or_too_much_is_refused(units):
    """What is negative fits everywhere and leaves a node with more than 64 bits hold: it could tell nobody any more."""
    request = RequestLease(scheduling=SchedulingClass({"CPU": units}))
    with pytest.raises(codec.ProtocolError, match="Expected `int`"):
        codec.FrameDecoder().feed(codec.encode(request))


def test_what_a_user_asks_for_beyond_that_is_told_to_him():
    with pytest.raises(ValueError, match="'memory' is too much: at most"):
        to_fixed({"memory": 1e15})
