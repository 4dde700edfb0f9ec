"""Small helpers that libraries and tests for Ray import."""

import logging

import pytest

from ray._common.deprecation import Deprecated, deprecation_warning
from ray._core.common.errors import AuthenticationError
from ray._private.authentication.authentication_token_generator import generate_new_authentication_token
from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
from ray._private.collections_utils import split
from ray._private.path_utils import is_path
from ray._private.runtime_env.plugin_schema_manager import RuntimeEnvPluginSchemaManager
from ray.util.state.common import (
    Humanify,
    NodeState,
    StateResource,
    dict_to_state,
    filter_fields,
    remove_ansi_escape_codes,
    resource_to_schema,
)
from ray.util.state.exception import RayStateApiException
from ray.util.state.state_cli import AvailableFormat, _parse_filter, format_get_api_output, format_list_api_output

NODE = {
    "node_id": "ab",
    "node_ip": "1.2.3.4",
    "is_head_node": True,
    "state": "ALIVE",
    "state_message": None,
    "node_name": "n",
    "resources_total": {"CPU": 1.0, "memory": 1 << 30},
    "labels": {},
}


def test_what_is_deprecated_warns_or_is_refused(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("ray"), "propagate", True)  # a session of before may have changed it
    deprecation_warning("old", "new", error=False)
    assert "`old` has been deprecated. Use `new` instead. This will raise an error in the future!" in caplog.text
    with pytest.raises(ValueError, match=r"`old` has been deprecated\. Do without\."):
        deprecation_warning("old", help="Do without.", error=True)
    with pytest.raises(KeyError):
        deprecation_warning("old", error=KeyError)

    @Deprecated(new="other", error=False)
    class Old:
        def __init__(self, value):
            self.value = value

    @Deprecated(old="f()", error=True)
    def f():
        raise AssertionError("it is not called")

    assert Old(3).value == 3 and "`Old` has been deprecated. Use `other`" in caplog.text
    with pytest.raises(ValueError, match=r"`f\(\)` has been deprecated"):
        f()


def test_tokens_are_made_when_they_are_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(AuthenticationError, match="no authentication token was found"):
        ensure_token_if_auth_enabled(create_token_if_missing=False)
    with pytest.raises(RuntimeError, match="RAY_AUTH_MODE"):
        ensure_token_if_auth_enabled({"AUTH_MODE": "token"})
    ensure_token_if_auth_enabled()
    token = (tmp_path / ".ray/auth_token").read_text()
    assert len(token.strip()) == 64 == len(generate_new_authentication_token())
    ensure_token_if_auth_enabled()
    assert (tmp_path / ".ray/auth_token").read_text() == token


def test_lists_in_pieces_and_paths():
    assert list(split([1, 2, 3], 2)) == [[1, 2], [3]] and list(split([], 2)) == []
    with pytest.raises(AssertionError, match="greater than 0"):
        list(split([1], 0))
    assert is_path("/a/b") and is_path("a") and not is_path("s3://b/a") and not is_path("file:///a")
    with pytest.raises(TypeError):
        is_path(1)


def test_schemas_are_read_again_after_clear(tmp_path, monkeypatch):
    jsonschema = pytest.importorskip("jsonschema")
    file = tmp_path / "field.json"
    file.write_text('{"title": "field", "type": "integer"}')
    monkeypatch.setenv("RAY_RUNTIME_ENV_PLUGIN_SCHEMAS", str(file))
    with pytest.raises(jsonschema.ValidationError):
        RuntimeEnvPluginSchemaManager.validate("field", "text")
    file.write_text('{"title": "field", "type": "string"}')
    RuntimeEnvPluginSchemaManager.clear()
    RuntimeEnvPluginSchemaManager.validate("field", "text")
    RuntimeEnvPluginSchemaManager.clear()


def test_rows_of_the_state_api_become_objects_and_text():
    assert resource_to_schema(StateResource.NODES) is NodeState
    node = dict_to_state(NODE, StateResource.NODES)
    assert node.node_ip == "1.2.3.4" and node.start_time_ms is None
    with pytest.raises(RayStateApiException, match="Failed to convert"):
        dict_to_state({"x": 1}, StateResource.NODES)
    assert filter_fields({**NODE, "more": 1}, NodeState, detail=False) == NODE
    shown = format_list_api_output([node], schema=NodeState)
    assert "Total: 1" in shown and "memory: 1.000 GiB" in shown
    assert format_list_api_output([], schema=NodeState) == "No resource in the cluster"
    assert '"node_id": "ab"' in format_list_api_output([node], schema=NodeState, format=AvailableFormat.JSON)
    assert "node_id: ab" in format_get_api_output(node, "ab", schema=NodeState)
    assert format_get_api_output(None, "ab", schema=NodeState) == "Resource with id=ab not found in the cluster."
    assert _parse_filter("a=b") == ("a", "=", "b") and _parse_filter("a!=b") == ("a", "!=", "b")
    with pytest.raises(ValueError, match="invalid"):
        _parse_filter("a")


def test_values_as_people_read_them():
    assert Humanify.memory(5 << 30) == "5.000 GiB" and Humanify.duration(123456) == "0:02:03.456000"
    assert Humanify.timestamp(1600000000123)[:4] == "2020"
    assert Humanify.events([{"state": "RUNNING", "created_ms": 1.0}])[0]["created_ms"].startswith("19")
    assert Humanify.node_resources({"memory": 1 << 30, "CPU": 2.0}) == {"memory": "1.000 GiB", "CPU": 2.0}
    assert remove_ansi_escape_codes("\x1b[31mred\x1b[0m") == "red"
