"""The name of `ray.util.state.exception` in Ray 2.0."""

from ray.util.state.exception import *  # noqa: F403
