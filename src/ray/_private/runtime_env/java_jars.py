"""The field `java_jars`, at the place where Ray 2.60 has its plug-in."""

from ray._private.runtime_env.packages_plugin import JavaJarsPlugin

__all__ = ["JavaJarsPlugin"]
