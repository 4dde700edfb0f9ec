"""The per-node agent: one process beside the raylet which hosts the log monitor.

Floor: agent (beside gcs, raylet and worker; talks to them by messages only).
"""
