"""HTML for notebooks."""

from ray.widgets.render import Template
from ray.widgets.util import make_table_html_repr

__all__ = ["Template", "make_table_html_repr"]
