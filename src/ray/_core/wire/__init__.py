"""Frames, the handshake, and connections. `aio` serves asyncio processes, `reactor` the core worker."""
