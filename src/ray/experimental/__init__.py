"""Interfaces that may change: `internal_kv`."""
