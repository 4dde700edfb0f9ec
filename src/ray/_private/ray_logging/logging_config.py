"""`LoggingConfig`, under the name that tests import."""

from ray._private.logging_config import LoggingConfig

__all__ = ["LoggingConfig"]
