"""`python -m ray.util.client.server`."""

import sys

from ray.util.client.server.server import main

if __name__ == "__main__":
    sys.exit(main())
