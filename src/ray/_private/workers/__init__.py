"""The worker's entry points under the names at which Ray 2.60 has them; they live in `ray.workers`."""
