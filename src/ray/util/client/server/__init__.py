"""The server of the Ray Client: `python -m ray.util.client.server`. Importing this starts nothing."""
