"""The schemas of plug-ins' fields, under the name that tests import."""

from typing import Any

from ray._private.runtime_env import schemas


class RuntimeEnvPluginSchemaManager:
    """See `schemas`."""

    @classmethod
    def validate(cls, name: str, instance: Any) -> None:
        """Raises jsonschema.ValidationError when there is a schema for the field and the value breaks it."""
        schemas.validate(name, instance)

    @classmethod
    def clear(cls) -> None:
        """Read the schemas again."""
        schemas._schemas.cache_clear()
