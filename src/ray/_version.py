"""The level of Ray's API that is implemented here. The distribution, pure-ray, has a version of its own."""

VERSION = "2.60.0"
COMMIT = "pure-ray"
"""Stands where Ray has the commit it was built from."""
