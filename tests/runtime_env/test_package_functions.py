"""Packages by the functions that Ray has for them: unpacking, naming, deleting."""

import asyncio
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

import ray
from ray._private.runtime_env import packaging
from ray._private.runtime_env.packaging import (
    create_package,
    delete_package,
    download_and_unpack_package,
    get_local_dir_from_uri,
    get_top_level_dir_from_compressed_package,
    get_uri_for_directory,
    get_uri_for_package,
    is_jar_uri,
    is_whl_uri,
    is_zip_uri,
    package_exists,
    remove_dir_from_filepaths,
    untar_package,
    unzip_package,
    upload_package_if_needed,
    upload_package_to_gcs,
)

ONE_TOP = {"top/a.txt": "a", "top/sub/b.txt": "b"}
NO_TOP = {"a.txt": "a", "sub/b.txt": "b"}


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return str(path)


def tarred(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return str(path)


def tree(directory):
    files = (path for path in Path(directory).rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_text() for path in files}


@pytest.mark.parametrize(("pack", "unpack"), [(zipped, unzip_package), (tarred, untar_package)])
@pytest.mark.parametrize(
    ("files", "remove", "left"),
    [
        (ONE_TOP, True, NO_TOP),
        (ONE_TOP, False, ONE_TOP),
        (NO_TOP, True, NO_TOP),
        ({**ONE_TOP, "__MACOSX/x": "x"}, True, NO_TOP),
        ({"top/top/a.txt": "a"}, True, {"top/a.txt": "a"}),
    ],
)
def test_archives_are_unpacked_with_or_without_their_top(tmp_path, pack, unpack, files, remove, left):
    package, target = pack(tmp_path / "package", files), tmp_path / "target"
    unpack(package, str(target), remove, False)
    assert tree(target) == left and Path(package).exists()
    unpack(package, str(tmp_path / "again"), remove, True)
    assert tree(tmp_path / "again") == left and not Path(package).exists()


def test_the_top_of_an_archive_is_its_only_directory(tmp_path):
    top = get_top_level_dir_from_compressed_package
    assert top(zipped(tmp_path / "1", ONE_TOP)) == top(tarred(tmp_path / "2", ONE_TOP)) == "top"
    assert top(zipped(tmp_path / "3", NO_TOP)) is None
    assert top(zipped(tmp_path / "4", {"alone.txt": ""})) is None


def test_a_directory_is_taken_out_of_its_paths(tmp_path):
    for name in ("inner/a", "inner/inner/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    remove_dir_from_filepaths(str(tmp_path), "inner")
    assert tree(tmp_path) == {"a": "inner/a", "inner/b": "inner/inner/b"}


def test_uris_tell_what_a_package_is(tmp_path):
    assert is_whl_uri("s3://bucket/x.whl") and not is_whl_uri("gcs://x.zip")
    assert is_zip_uri("gcs://x.zip") and is_jar_uri("https://host/x.jar") and not is_jar_uri("gcs://x.zip")
    wheel = tmp_path / "w-1-py3-none-any.whl"
    wheel.write_bytes(b"")
    assert get_uri_for_package(wheel) == f"gcs://{wheel.name}"
    archive = Path(zipped(tmp_path / "a.zip", NO_TOP))
    assert get_uri_for_package(archive).startswith("gcs://_ray_pkg_") and len(get_uri_for_package(archive)) == 59
    assert get_local_dir_from_uri("gcs://_ray_pkg_1.zip", "/base") == Path("/base/_ray_pkg_1")


def test_git_ignore_files_count_when_that_is_wanted(tmp_path):
    (tmp_path / ".gitignore").write_text("*.log")
    before = [get_uri_for_directory(str(tmp_path), include_gitignore=each) for each in (True, False)]
    (tmp_path / "x.log").write_text("x")
    after = [get_uri_for_directory(str(tmp_path), include_gitignore=each) for each in (True, False)]
    assert before[0] == after[0] == before[1] != after[1]
    create_package(str(tmp_path), tmp_path / "p.zip", False, include_parent_dir=True, excludes=["p.zip"])
    assert zipfile.ZipFile(tmp_path / "p.zip").namelist() == [f"{tmp_path.name}/{n}" for n in (".gitignore", "x.log")]


def test_packages_of_other_places_are_not_uploaded():
    with pytest.raises(RuntimeError, match="should not be called with a remote path"):
        upload_package_to_gcs("s3://bucket/a.zip", b"")
    with pytest.raises(NotImplementedError, match="pip"):
        upload_package_to_gcs("pip://abc", b"")
    with pytest.raises(ValueError, match=r"exceeds the maximum size of 512\.00MiB"):
        packaging._store_package_in_gcs("gcs://a.zip", bytearray(packaging.SIZE_LIMIT))


def test_a_directory_goes_to_the_cluster_and_comes_back(cluster, tmp_path, monkeypatch):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.txt").write_text("a")
    uri = get_uri_for_directory(str(tmp_path / "source"), include_gitignore=True)
    arguments = (uri, str(tmp_path), str(tmp_path / "source"), True)
    monkeypatch.setenv("RAY_RUNTIME_ENV_FAIL_UPLOAD_FOR_TESTING", "1")
    with pytest.raises(RuntimeError, match="Simulating failure to upload"):
        upload_package_if_needed(*arguments)
    monkeypatch.delenv("RAY_RUNTIME_ENV_FAIL_UPLOAD_FOR_TESTING")
    assert not package_exists(uri)
    assert upload_package_if_needed(*arguments) and package_exists(uri)
    assert not upload_package_if_needed(*arguments)
    place = asyncio.run(download_and_unpack_package(uri, str(tmp_path / "node")))
    assert tree(place) == {"a.txt": "a"}
    (Path(place) / "a.txt").write_text("spoilt")
    asyncio.run(download_and_unpack_package(uri, str(tmp_path / "node"), overwrite=True))
    assert tree(place) == {"a.txt": "a"}
    assert delete_package(uri, str(tmp_path / "node")) == (True, 1)
    assert delete_package(uri, str(tmp_path / "node")) == (False, 0)
    assert ray.is_initialized()
