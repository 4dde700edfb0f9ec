"""What the engine cannot do yet is refused here, by name: an option that is taken and ignored would be a lie.

Whoever builds one of these takes it out.
"""

from __future__ import annotations


def refuse(what: str | None) -> None:
    """Raises NotImplementedError, unless `what` is None."""
    if what is not None:
        raise NotImplementedError(f"Not available yet in this version of pure-ray: {what}.")
