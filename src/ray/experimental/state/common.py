"""The name of `ray.util.state.common` in Ray 2.0."""

from ray.util.state.common import *  # noqa: F403
