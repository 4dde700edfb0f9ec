"""HTML for notebooks."""

import logging

import pytest

from ray import widgets
from ray.widgets import util


class Settings:
    def __init__(self):
        self.count, self.text = 1, "<b>"


class Shown:
    @util.repr_with_fallback(["pytest", "1.0"])
    def _repr_mimebundle_(self, **kwargs):
        return {"text/html": "<b>rich</b>"}

    def __repr__(self):
        return "plain"


def test_an_objects_attributes_become_a_table():
    table = widgets.make_table_html_repr(Settings(), "My <title>", "100px")
    assert "<td>count</td><td>1</td>" in table and "<td>&lt;b&gt;</td>" in table
    assert "max-height: 100px" in table and "My &lt;title&gt;" in table
    assert "title" not in widgets.make_table_html_repr(Settings())


def test_templates_are_filled(tmp_path):
    names = [path.name for path in widgets.Template.list_templates()]
    assert "scrollableTable.html.j2" in names
    filled = widgets.Template("title_data.html.j2").render(title="T", data=["one", "two"])
    assert "<h3>T</h3>\none\ntwo\n" in filled and "{{" not in filled
    with pytest.raises(FileNotFoundError):
        widgets.Template("nothing.html.j2")


@pytest.mark.parametrize(
    ("shell", "shown"),
    [
        ("", {"text/plain": "plain"}),
        ("TerminalInteractiveShell", {"text/plain": "plain"}),
        ("ZMQInteractiveShell", {"text/html": "<b>rich</b>"}),
    ],
)
def test_rich_output_is_for_notebooks(shell, shown, monkeypatch):
    monkeypatch.setattr(util, "_get_ipython_shell_name", lambda: shell)
    assert Shown()._repr_mimebundle_(include=None) == shown


def test_packages_that_are_missing_or_old_are_named(monkeypatch, caplog):
    assert util._has_missing(["no-such-package", "1"], ["pytest", None]) == ["no-such-package"]
    assert util._has_outdated(["pytest", "1.0"], ["hypothesis", "9999"], ["no-such-package", "1"]) == ["hypothesis"]
    monkeypatch.setattr(util, "_get_ipython_shell_name", lambda: "ZMQInteractiveShell")
    with caplog.at_level(logging.INFO, "ray.widgets.util"):
        assert not util._can_display_ipywidgets(["no-such-package", "1"], message="Get it.")
        assert util._can_display_ipywidgets(["pytest", "1.0"])
    assert "no-such-package" in caplog.text and "Get it." in caplog.text
