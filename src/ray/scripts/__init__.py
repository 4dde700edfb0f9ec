"""The `ray` command line. `scripts.py` has the group; each command has a file of its own, loaded when it runs."""
