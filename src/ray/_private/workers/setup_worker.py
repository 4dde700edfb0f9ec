"""See `ray.workers.setup_worker`; run by its path, as that is."""

from __future__ import annotations

import os
import sys

if sys.path and os.path.abspath(sys.path[0]) == os.path.dirname(os.path.abspath(__file__)):
    del sys.path[0]

from ray.workers.setup_worker import main

if __name__ == "__main__":
    main()
