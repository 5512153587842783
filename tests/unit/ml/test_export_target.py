"""Exports appear whole or not at all, and replace nothing that is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pytest

from tfspark_cnn.errors import SourceError
from tfspark_cnn.ml.export_target import Target


class Objects(pafs.FileSystemHandler):
    """An object store over a folder: it cannot rename, and knows no folders but by what is in them."""

    def __init__(self, root: Path) -> None:
        self.inner = pafs.SubTreeFileSystem(str(root), pafs.LocalFileSystem())
        self.written: list[str] = []

    def get_type_name(self) -> str:
        return "s3"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> Any:
        return self.inner.get_file_info(paths)

    def get_file_info_selector(self, selector: Any) -> Any:
        return self.inner.get_file_info(selector)

    def delete_file(self, path: str) -> None:
        self.inner.delete_file(path)

    def delete_dir(self, path: str) -> None:
        self.inner.delete_dir(path)

    def open_output_stream(self, path: str, metadata: Any) -> pa.NativeFile:
        self.written.append(path)
        self.inner.create_dir(path.rpartition("/")[0], recursive=True)
        return self.inner.open_output_stream(path)

    create_dir = move = copy_file = delete_dir_contents = delete_root_dir_contents = None
    open_append_stream = open_input_file = open_input_stream = None


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A SavedModel, as far as a target is concerned."""
    folder = tmp_path / "made"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


WHOLE = {"1/saved_model.pb": b"graph", "1/variables/variables.index": b"index"}


def test_a_folder_comes_to_its_place_and_nothing_is_left_beside_it(tmp_path: Path, made: Path) -> None:
    for uri in (tmp_path / "a" / "1", f"file://{tmp_path}/b/1", tmp_path / "c" / "1"):
        (tmp_path / "c" / "1").mkdir(parents=True, exist_ok=True)  # an empty one is as good as none
        assert Target(uri, folder=True).put(made) == 10
    for name in "abc":
        assert tree(tmp_path / name) == WHOLE


def test_an_export_is_replaced_where_that_is_asked_for(tmp_path: Path, made: Path) -> None:
    Target(tmp_path / "out" / "1", folder=True).put(made)
    (made / "variables" / "variables.index").write_bytes(b"later")
    with pytest.raises(SourceError, match=r"expected nothing at .*/out/1, received a folder\n.*overwrite"):
        Target(tmp_path / "out" / "1", folder=True)
    Target(tmp_path / "out" / "1", folder=True, overwrite=True).put(made)
    assert tree(tmp_path / "out") == WHOLE | {"1/variables/variables.index": b"later"}

    file = tmp_path / "files" / "net.onnx"
    Target(file, folder=False).put(made / "saved_model.pb")
    with pytest.raises(SourceError, match=r"net\.onnx, received a file\n.*overwrite"):
        Target(file, folder=False)
    Target(file, folder=False, overwrite=True).put(made / "variables" / "variables.index")
    assert tree(tmp_path / "files") == {"net.onnx": b"later"}


def test_what_is_no_export_is_never_replaced(tmp_path: Path, made: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").touch()
    for folder, place in ((True, home), (False, home), (True, home / "thesis.tex")):
        with pytest.raises(SourceError, match=r"expected nothing or a .*\n.*nothing but an export of the same kind"):
            Target(place, folder=folder, overwrite=True)


def test_a_place_that_cannot_be_written_is_told_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=r"could not write .*/file/net\.onnx: .*\n.*this user may write"):
        Target(tmp_path / "file" / "net.onnx", folder=False)
    with pytest.raises(SourceError, match="could not read nix://x/y"):
        Target("nix://x/y", folder=True)


@pytest.mark.parametrize("before", [False, True])
def test_a_copy_that_fails_leaves_what_was_there(tmp_path: Path, made: Path, before: bool) -> None:
    if before:
        Target(tmp_path / "out" / "1", folder=True).put(made)
    target = Target(tmp_path / "out" / "1", folder=True, overwrite=True)
    (made / "variables" / "gone").symlink_to(made / "saved_model.pb")

    def fail(*_: Any) -> None:
        raise OSError("no space left on device")

    target._stream = fail  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="could not write .*no space left"):
        target.put(made)
    assert tree(tmp_path / "out") == (WHOLE if before else {})
    assert len(list((tmp_path / "out").iterdir())) == before, "nothing half is left beside it"


def test_a_rename_that_fails_gives_the_name_back(tmp_path: Path, made: Path) -> None:
    Target(tmp_path / "out" / "1", folder=True).put(made)

    class Failing:
        """The second of two renames is refused."""

        def __init__(self) -> None:
            self.inner, self.type_name, self.moves = pafs.LocalFileSystem(), "hdfs", 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def move(self, source: str, to: str) -> None:
            self.moves += 1
            if self.moves == 2:
                raise OSError("name node is in safe mode")
            self.inner.move(source, to)

    (made / "saved_model.pb").write_bytes(b"other")
    target = Target(f"{tmp_path}/out/1", folder=True, overwrite=True, filesystem=Failing())
    with pytest.raises(SourceError, match="safe mode"):
        target.put(made)
    assert tree(tmp_path / "out") == WHOLE


def test_in_an_object_store_the_file_that_makes_it_a_model_comes_last(tmp_path: Path, made: Path) -> None:
    (made / "zz").write_bytes(b"z")
    store = Objects(tmp_path / "bucket")
    (tmp_path / "bucket").mkdir()
    filesystem = pafs.PyFileSystem(store)
    Target("out/1", folder=True, filesystem=filesystem).put(made)
    assert store.written[-1] == "out/1/saved_model.pb" and set(store.written[1:]) == {
        "out/1/saved_model.pb", "out/1/zz", "out/1/variables/variables.index",
    }  # fmt: skip
    (made / "zz").unlink()
    Target("out/1", folder=True, overwrite=True, filesystem=filesystem).put(made)
    assert tree(tmp_path / "bucket" / "out") == WHOLE, "what the first one had besides is gone"
    Target("out/net.onnx", folder=False, filesystem=filesystem).put(made / "saved_model.pb")
    assert (tmp_path / "bucket" / "out" / "net.onnx").read_bytes() == b"graph"
