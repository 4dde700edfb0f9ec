"""Workers import what the randomized tests run by name, so they need this directory on their path."""

import os
from pathlib import Path

HERE = str(Path(__file__).parent)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH", "")]))
