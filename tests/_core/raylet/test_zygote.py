"""A system without room for one more process: the zygote says so and goes on."""

import socket
import subprocess
import sys

from ray._core.common.messages import Failed, Fork
from ray._core.wire import codec

SERVE = """
import os, socket, sys
from ray._core.raylet import zygote

def no_fork():
    raise BlockingIOError(11, "Resource temporarily unavailable")

os.fork = no_fork
zygote.serve(socket.socket(fileno=int(sys.argv[1])), lambda request: False, None)
"""


def test_a_fork_that_the_system_refuses_is_answered():
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(30)
        command = [sys.executable, "-c", SERVE, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        decoder, replies = codec.FrameDecoder(), []
        for rid in (1, 2):  # the second shows that it serves on
            request = Fork(b"w", b"", {}, "", [], "", "")
            request.rid = rid
            ours.sendall(codec.encode(request))
            while len(replies) < rid:
                data = ours.recv(4096)
                assert data, "the zygote has ended"
                replies += [message for message, _ in decoder.feed(data)]
    assert process.wait(30) == 0
    assert [(type(reply), reply.rid) for reply in replies] == [(Failed, 1), (Failed, 2)]
