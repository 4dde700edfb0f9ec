"""Packages of directories: which files, which name, which limit."""

import io
import itertools
import os
import subprocess
import sys
import textwrap
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray._core.common.errors import RuntimeEnvSetupError
from ray._private.runtime_env import packaging, uris


def names(directory, excludes=(), **options):
    return [file.name for file in packaging.collect(directory, excludes, **options)]


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    for name in ("a.py", "b.log", "sub/c.py", "sub/b.log", "sub/deep/d.txt", "__pycache__/x.pyc", ".git/HEAD"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_all_files_but_the_usual_rubbish(tree, monkeypatch):
    assert names(tree) == ["a.py", "b.log", "sub/b.log", "sub/c.py", "sub/deep/d.txt"]
    assert names(tree, keep_name=True)[0] == "tree/a.py"
    monkeypatch.setenv("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", "sub, .git")
    assert names(tree) == ["__pycache__/x.pyc", "a.py", "b.log"]


def test_excludes_and_ignore_files(tree, monkeypatch):
    assert names(tree, ["*.log", "/sub/deep"]) == ["a.py", "sub/c.py"]
    (tree / ".gitignore").write_text("*.log\n")
    (tree / "sub/.gitignore").write_text("/deep\n")
    (tree / ".rayignore").write_text("a.py\n")
    assert names(tree) == [".gitignore", ".rayignore", "sub/.gitignore", "sub/c.py"]
    monkeypatch.setenv("RAY_RUNTIME_ENV_IGNORE_GITIGNORE", "1")
    assert "b.log" in names(tree) and "a.py" not in names(tree)


def test_a_link_back_up_ends_the_walk(tree):
    (tree / "sub/up").symlink_to(tree)
    assert names(tree)[-1] == "sub/deep/d.txt"


def test_equal_content_equal_uri_whatever_the_time(tree, tmp_path):
    before = packaging.content_hash(packaging.collect(tree))
    os.utime(tree / "a.py", (1, 1))
    assert packaging.content_hash(packaging.collect(tree)) == before
    (tree / "a.py").write_text("other")
    assert packaging.content_hash(packaging.collect(tree)) != before


def test_a_directory_is_uploaded_once(tree):
    kept = {}
    store = packaging.Store(kept.__contains__, lambda uri, package: kept.update({uri: package.read()}))
    uri = packaging.upload_directory(store, tree)
    assert uri.startswith("gcs://_ray_pkg_") and uri.endswith(".zip")
    assert zipfile.ZipFile(io.BytesIO(kept[uri])).read("sub/c.py") == b"sub/c.py"
    kept[uri] = b"not touched again"
    assert packaging.upload_directory(store, tree) == uri
    assert kept == {uri: b"not touched again"}


def test_what_is_too_large_is_refused_with_the_largest_files(tree):
    (tree / "large.bin").write_bytes(os.urandom(1 << 20))
    with pytest.raises(
        RuntimeEnvSetupError, match=r"exceeds the maximum size of 0\.50MiB.*excludes.*large\.bin \(1\.0"
    ):
        packaging.pack(packaging.collect(tree), io.BytesIO(), 1 << 19)


def test_packages_are_made_and_sent_in_bounded_memory(tmp_path):
    """128 MiB in a directory, and in an archive, by an interpreter that may have 64 MiB more than it starts with."""
    (tmp_path / "tree").mkdir()
    for name in ("tree/zeros", "large.zip"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(128 << 20)
    program = """
        import resource, sys
        from pathlib import Path
        from ray._core.common.packages import PART_SIZE, in_parts
        from ray._private.runtime_env import packaging

        def put(uri, package):
            sizes.append([len(part) for _, part in in_parts(uri, package)])

        sizes, store = [], packaging.Store(lambda uri: False, put)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
        packaging.upload_directory(store, Path(sys.argv[1], "tree"))
        packaging.upload_file(store, Path(sys.argv[1], "large.zip"))
        print(len(sizes[0]) == 1, max(sizes[1]) == PART_SIZE, sum(sizes[1]) > 128 << 20)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["True"] * 3, done.stderr


def test_a_store_that_fails_is_a_setup_error(tree):
    def put(uri, data):
        raise OSError("disk full")

    with pytest.raises(RuntimeEnvSetupError, match=r"Failed to upload .*tree to the Ray cluster: disk full"):
        packaging.upload_directory(packaging.Store(lambda uri: False, put), tree)


def test_wheels_keep_their_name_and_modules_of_one_file_are_zipped(tmp_path):
    kept = {}
    store = packaging.Store(kept.__contains__, lambda uri, package: kept.update({uri: package.read()}))
    (tmp_path / "x-1-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "one.py").write_text("pass")
    wheel = packaging.upload_file(store, tmp_path / "x-1-py3-none-any.whl")
    assert uris.package_name(wheel) == "x-1-py3-none-any.whl" and kept[wheel] == b"wheel"
    module = packaging.upload_file(store, tmp_path / "one.py", as_module=True)
    assert zipfile.ZipFile(io.BytesIO(kept[module])).namelist() == ["one.py"]


def test_two_hosts_packages_of_one_name_do_not_meet():
    one, other = "https://a.org/x/pkg.zip", "https://b.org/x/pkg.zip"
    assert uris.directory_name(one) != uris.directory_name(other)
    assert uris.package_name(one).endswith(".zip")
    assert uris.directory_name("gcs://_ray_pkg_ab.tar.gz") == "_ray_pkg_ab"


# ------------------------------------------------------------------ gitignore rules, judged by git

PIECES = st.sampled_from(["a", "b", "ab", "*", "**", "?", "a*", "[ab]", "[!a]", "*.c", "\\*", "a.c"])
LINES = st.builds(
    lambda negated, anchored, pieces, only_dir: "!" * negated + "/" * anchored + "/".join(pieces) + "/" * only_dir,
    st.booleans(),
    st.booleans(),
    st.lists(PIECES, min_size=1, max_size=3),
    st.booleans(),
)
NAMES = ("a", "b", "ab", "a.c", "*", "c")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    for first, second, third in itertools.product(("a", "b"), ("a", "ab"), NAMES):
        directory = root / f"d{first}" / second
        directory.mkdir(parents=True, exist_ok=True)
        (directory / third).touch()
    for first, second in itertools.product(("a", "ab"), NAMES):
        (root / first).mkdir(exist_ok=True)
        (root / first / second).touch()
    for name in ("b", "a.c", "*", "c"):
        (root / name).touch()
    return root


@settings(max_examples=80, deadline=None)
@given(lines=st.lists(LINES, min_size=1, max_size=4))
def test_rules_mean_what_git_means(repository, lines):
    (repository / ".gitignore").write_text("\n".join(lines) + "\n")
    command = ["git", "-C", str(repository), "ls-files", "--others", "--exclude-standard", "-z"]
    theirs = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    assert names(repository) == sorted(filter(None, theirs))
