"""Token authentication, under the names that tests import; `ray._core.wire.auth` does the work."""
