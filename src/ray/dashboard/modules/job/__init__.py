"""Jobs: submitted over HTTP, run by a supervisor actor, described in the cluster's key-value table."""
