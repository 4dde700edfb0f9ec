"""The name of `ray.util.state` in Ray 2.0."""
