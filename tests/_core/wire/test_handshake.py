"""The handshake over any cutting of the stream; strangers are turned away by their first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.wire import auth


def shake(client, server, step):
    """Carry bytes between both ends, `step` at a time, until nobody has any more; what came behind, by end."""
    ways = [[client.opening, server, b""], [server.opening, client, b""]]
    while any(way[0] for way in ways):
        for number, way in enumerate(ways):
            piece, way[0] = way[0][:step], way[0][step:]
            if piece:
                answer, rest = way[1].feed(piece) if not way[1].is_done else (b"", piece)
                way[2] += rest
                ways[1 - number][0] += answer
                if way[1] is client and answer:
                    ways[0][0] += b"first frame"  # sent at once: it may come in one piece with the proof
    return ways[0][2], ways[1][2]


@given(st.integers(1, 120), st.binary(max_size=40))
def test_it_succeeds_however_the_stream_is_cut_and_keeps_what_comes_behind(step, token):
    client, server = auth.Handshake(token, is_server=False), auth.Handshake(token, is_server=True)
    assert shake(client, server, step) == (b"first frame", b"")
    assert client.is_done
    assert server.is_done


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_it_fails_on_both_sides_when_tokens_differ(ours, theirs):
    if ours == theirs:
        return
    client, server = auth.Handshake(ours, is_server=False), auth.Handshake(theirs, is_server=True)
    challenge, _ = server.feed(client.opening)
    with pytest.raises(auth.AuthenticationFailed):
        client.feed(challenge)
    with pytest.raises(auth.AuthenticationFailed, match="token is not this cluster's"):
        server.feed(bytes(auth.PROOF_SIZE))
    assert not client.is_done
    assert not server.is_done


@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_bytes_of_a_stranger_never_pass(data, is_server):
    side = auth.Handshake(b"secret", is_server)
    try:
        _, rest = side.feed(data)
    except auth.AuthenticationFailed:
        pass
    else:  # the beginning of our magic word, or all of it with any nonce: still nothing is proved
        assert auth.MAGIC.startswith(data[: len(auth.MAGIC)])
        assert rest == b""
    assert not side.is_done


def test_a_proof_cannot_be_replayed():
    """Nonces of the server differ from one connection to the next."""
    client, server = auth.Handshake(b"secret", is_server=False), auth.Handshake(b"secret", is_server=True)
    challenge, _ = server.feed(client.opening)
    proof, _ = client.feed(challenge)
    another = auth.Handshake(b"secret", is_server=True)
    another.feed(client.opening)
    with pytest.raises(auth.AuthenticationFailed):
        another.feed(proof)


def test_a_challenge_reflected_to_the_server_proves_nothing():
    server = auth.Handshake(b"secret", is_server=True)
    nonce = bytes(auth.NONCE_SIZE)
    challenge, _ = server.feed(auth.MAGIC + nonce)
    with pytest.raises(auth.AuthenticationFailed):
        server.feed(challenge[-auth.PROOF_SIZE :])


def test_a_peer_that_speaks_tls_is_told_by_its_first_byte():
    with pytest.raises(auth.AuthenticationFailed, match="RAY_USE_TLS"):
        auth.Handshake(b"secret", is_server=True).feed(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
