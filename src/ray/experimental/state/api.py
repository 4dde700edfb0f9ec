"""The name of `ray.util.state.api` in Ray 2.0."""

from ray.util.state.api import *  # noqa: F403
