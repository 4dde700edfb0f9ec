"""A node whose way to the GCS is closed for longer than the GCS waits: it ends when it learns of that."""

import psutil
from gone import wait_gone
from polling import wait_until
from test_cut_connections import Two

import ray


def test_a_node_that_comes_back_too_late_ends():
    two = Two(gcs_peer_reconnect_grace_s=1.0)
    try:
        raylet = psutil.Process(two.other.raylet.pid)
        all_of_it = [raylet, *raylet.children(recursive=True)]
        two.proxy.refuse()
        wait_until(lambda: not two.is_alive())
        two.proxy.accept()
        assert wait_gone(all_of_it, timeout=10) == []
        [dead] = [node for node in ray.nodes() if not node["Alive"]]
        assert "was not back within 1 s" in dead["DeathReasonMessage"]
    finally:
        two.close()
