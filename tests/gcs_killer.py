"""A thread that kills the GCS with SIGKILL again and again, and starts it where it was."""

import random
import threading

PERIOD_S = 2.0
KEEPING = {"gcs_storage": "sqlite"}
"""The head's `_system_config` with which a GCS that is started again knows what the one before knew."""


class Killer(threading.Thread):
    """Kills the GCS of `head`, and starts it again, at random moments around every `period_s`.

    Used as a context manager, it ends with the block, and raises what has gone wrong with the killing.
    """

    def __init__(self, head, seed, period_s=PERIOD_S):
        super().__init__(name="killer")
        self._head, self._random, self._over = head, random.Random(seed), threading.Event()
        self._period_s = period_s
        self.kills, self.problem = 0, None

    def run(self):
        try:
            while not self._over.wait(self._random.uniform(0.5, 1.5) * self._period_s):
                self._head.kill_gcs_server()
                self._over.wait(self._random.choice((0.0, 0.1, 0.5)) * self._period_s / PERIOD_S)
                self._head.start_gcs_server()
                self.kills += 1
        except Exception as error:
            self.problem = error
            self._over.set()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, traceback):
        self.stop()
        if error is None and self.problem is not None:
            raise self.problem

    def stop(self):
        """Returns when a GCS serves, and is not killed any more."""
        self._over.set()
        self.join()
