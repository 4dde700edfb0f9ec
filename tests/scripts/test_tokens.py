"""The cluster's token on the command line and at `ray.init`. Source: client_and_runtime_env.md, 8."""

import pytest

CONNECT = "import ray; ray.init({address!r}); print('in')"


@pytest.fixture
def bare(shell, tmp_path):
    """A shell of a user who has no token."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        shell.environ.pop(name, None)
    shell.environ["HOME"] = str(tmp_path)
    return shell


def test_the_token_is_printed_and_nothing_else(bare, tmp_path):
    said, complained = bare.ray("get-auth-token", status=1)
    assert said == "" and "No authentication token found" in complained
    said, complained = bare.ray("get-auth-token", "--generate")
    file = tmp_path / ".ray" / "auth_token"
    assert len(said) == 64 and int(said, 16) and said == file.read_text()
    assert "enerat" in complained
    assert file.stat().st_mode & 0o777 == 0o600
    assert bare.ray("get-auth-token")[0] == said
    assert bare.ray("get-auth-token", RAY_AUTH_TOKEN=" abc\n")[0] == "abc"
    named = tmp_path / "named"
    named.write_text("from-file\n")
    assert bare.ray("get-auth-token", RAY_AUTH_TOKEN_PATH=str(named))[0] == "from-file"


@pytest.mark.parametrize("content", [None, "  \n"])
def test_a_named_token_file_must_hold_a_token(bare, tmp_path, content):
    named = tmp_path / "named"
    if content is not None:
        named.write_text(content)
    for command in (("get-auth-token",), ("start", "--head", "--port=0")):
        _, complained = bare.ray(*command, status=1, RAY_AUTH_TOKEN_PATH=str(named))
        assert "RAY_AUTH_TOKEN_PATH is set" in complained and str(named) in complained


def test_a_mode_of_token_wants_a_token_that_is_there(bare, tmp_path):
    _, complained = bare.ray("start", "--head", "--port=0", status=1, RAY_AUTH_MODE="token")
    assert "Token authentication is enabled but no authentication token was found" in complained
    assert not (tmp_path / ".ray" / "auth_token").exists()
    assert bare.processes() == []
    _, complained = bare.ray("start", "--head", "--port=0", status=1, RAY_AUTH_MODE="maybe")
    assert "RAY_AUTH_MODE" in complained


def test_without_the_clusters_token_nobody_gets_in(bare):
    address = bare.start_head(RAY_AUTH_TOKEN="right")
    assert bare.python(CONNECT.format(address=address), RAY_AUTH_TOKEN="right") == "in\n"
    for token in ({}, {"RAY_AUTH_TOKEN": "wrong"}):
        code = f"""
import ray
try:
    ray.init({address!r})
except ray.exceptions.AuthenticationError as error:
    print(error)
"""
        said = bare.python(code, **token)
        assert ("incorrect" if token else "missing") in said
        assert "RAY_AUTH_TOKEN" in said and "ray get-auth-token" in said
        _, complained = bare.ray("start", "--address", address, status=1, **token)
        assert ("incorrect" if token else "missing") in complained
        _, complained = bare.ray("status", "--address", address, status=1, **token)
        assert ("incorrect" if token else "missing") in complained
        bare.ray("health-check", "--address", address, status=1, **token)
    assert len([p for p in bare.processes() if p.name == "ray._core.raylet.main"]) == 1


def test_a_head_makes_a_token_unless_authentication_is_off(bare, tmp_path):
    address = bare.start_head(RAY_AUTH_MODE="disabled")
    assert not (tmp_path / ".ray").exists()
    assert bare.python(CONNECT.format(address=address), RAY_AUTH_MODE="disabled") == "in\n"
    assert bare.python(CONNECT.format(address=address)) == "in\n"
    bare.ray("status", "--address", address)
    code = f"import ray\ntry: ray.init({address!r})\nexcept ray.exceptions.AuthenticationError as error: print(error)"
    assert "RAY_AUTH_MODE=disabled" in bare.python(code, RAY_AUTH_TOKEN="mine")
    other = bare.start_head()
    assert (tmp_path / ".ray" / "auth_token").exists()
    assert bare.python(CONNECT.format(address=other)) == "in\n"


def test_a_local_cluster_makes_its_token_in_any_mode(bare, tmp_path):
    bare.python("import ray; ray.init('local', num_cpus=1)", RAY_AUTH_MODE="token")
    assert (tmp_path / ".ray" / "auth_token").exists()
