"""Interfaces that may change: `internal_kv`, `tqdm_ray`."""
