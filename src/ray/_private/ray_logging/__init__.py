"""Loggers of components, under the name that tests import."""

from __future__ import annotations

import logging
import logging.handlers
import os
from typing import TYPE_CHECKING

from ray._private.log_deduplicator import LogDeduplicator
from ray._private.logging_config import LoggingConfig
from ray._private.not_included import absent_names


def setup_logger(logging_level: int | str, logging_format: str) -> None:
    """Have the logger "ray" write to standard error."""
    logger = logging.getLogger("ray")
    level = logging.getLevelName(logging_level.upper()) if isinstance(logging_level, str) else logging_level
    logger.setLevel(level)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(logging_format))
    logger.handlers = [handler]
    logger.propagate = False


def setup_component_logger(
    *,
    logging_level: int | str,
    logging_format: str,
    log_dir: str,
    filename: str | list[str],
    max_bytes: int,
    backup_count: int,
    logger_name: str | None = None,
    propagate: bool = True,
) -> logging.Logger:
    """A logger that writes into rotating files of `log_dir`; to standard error, for an empty `filename`."""
    logger = logging.getLogger(logger_name or __name__)
    level = logging.getLevelName(logging_level.upper()) if isinstance(logging_level, str) else logging_level
    for name in [filename] if isinstance(filename, str) else filename:
        handler: logging.Handler
        if name and log_dir:
            path = os.path.join(log_dir, name)
            handler = logging.handlers.RotatingFileHandler(path, maxBytes=max_bytes, backupCount=backup_count)
        else:
            handler = logging.StreamHandler()
        handler.setLevel(level)
        handler.setFormatter(logging.Formatter(logging_format))
        logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = propagate
    return logger


__all__ = ["LogDeduplicator", "LoggingConfig", "setup_component_logger", "setup_logger"]


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "WorkerStandardStreamDispatcher _canonicalise_log_line configure_log_file get_worker_log_file_name "
        "global_worker_stdstream_dispatcher stderr_deduplicator stdout_deduplicator",
    )
