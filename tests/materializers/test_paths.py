"""Files and folders by their `Path`."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from casreg.exceptions import (
    MaterializationError,
    MaterializerError,
    SourceNotFoundError,
    UnsupportedSourceError,
)
from casreg.materializers import (
    BUILTIN,
    ClassTable,
    DiskFile,
    EmptyFolder,
    MaterializerTable,
    MemoryFile,
    Outgoing,
    load_object,
    materialize,
)
from casreg.materializers.path_file import PathFile
from casreg.materializers.path_folder import PathFolder
from casreg.testing.materializer_folders import MemoryInFolder, stored


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with everything that a version of a folder holds."""
    top = tmp_path / "dataset"
    (top / "a/b").mkdir(parents=True)
    (top / "empty/deeper").mkdir(parents=True)
    (top / "a/b/x.bin").write_bytes(b"\0\1")
    (top / "a/ü ✓.txt").write_text("text")
    (top / "metadata.json").write_text("{}")
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    return top


def listing(folder: Path) -> dict[str, bytes | None]:
    """Every path below the folder, with its bytes (None for a folder)."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def save(path: Path) -> tuple[str, MemoryInFolder]:
    """The id of the materializer, and the stored files."""
    with materialize(path, MaterializerTable(BUILTIN), ClassTable()) as done:
        return done.materializer.id, stored(done.folder)


def test_a_folder_comes_back(tree: Path, tmp_path: Path) -> None:
    """Names, bytes, empty folders and executable bits; not the name of the folder itself."""
    chosen, folder = save(tree)
    assert chosen == "path.folder/1"
    folder.into = tmp_path / "out"
    loaded = load_object(PathFolder(), folder)
    assert loaded == tmp_path / "out"
    assert listing(tmp_path / "out") == listing(tree)
    if os.name != "nt":
        assert os.access(tmp_path / "out/run.sh", os.X_OK)
        assert not os.access(tmp_path / "out/metadata.json", os.X_OK)


def test_a_file_comes_back_under_its_name(tree: Path, tmp_path: Path) -> None:
    """`load` gives the path of the file in the folder that the caller wanted."""
    chosen, folder = save(tree / "run.sh")
    assert chosen == "path.file/1"
    folder.into = tmp_path / "out"
    loaded = load_object(PathFile(), folder)
    assert loaded == tmp_path / "out/run.sh"
    assert isinstance(loaded, Path)
    assert loaded.read_text() == "#!/bin/sh\n"


def test_nothing_is_read_by_the_materializer(tree: Path) -> None:
    """Files are handed to the engine by their places: it streams them."""
    with materialize(tree, MaterializerTable(BUILTIN), ClassTable()) as done:
        kinds = {entry.path: type(entry) for entry in done.folder.entries()}
    assert kinds == {
        "a/b/x.bin": DiskFile,
        "a/ü ✓.txt": DiskFile,
        "empty/deeper": EmptyFolder,
        "metadata.json": DiskFile,
        "run.sh": DiskFile,
    }


def test_an_empty_folder_comes_back(tmp_path: Path) -> None:
    """A folder with nothing in it is a version with no files."""
    (tmp_path / "nothing").mkdir()
    chosen, folder = save(tmp_path / "nothing")
    assert (chosen, folder.paths, folder.empty_folders) == ("path.folder/1", [], ())


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    """It names the path, and is a FileNotFoundError."""
    with pytest.raises(SourceNotFoundError, match="gone") as caught:
        save(tmp_path / "gone")
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.skipif(os.name == "nt", reason="POSIX kinds of files")
@pytest.mark.parametrize("kind", ["socket", "pipe", "device"])
def test_what_is_no_file_is_refused(kind: str, tree: Path, tmp_path: Path) -> None:
    """Sockets, pipes and devices, alone or in a folder."""
    odd = tree / "odd"
    if kind == "socket":
        here = Path.cwd()
        os.chdir(tree)  # the path of a socket is short
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind("odd")
        finally:
            os.chdir(here)
    elif kind == "pipe":
        os.mkfifo(odd)
    else:
        odd = Path("/dev/null")
    with pytest.raises(UnsupportedSourceError, match=kind):
        save(odd)
    if kind != "device":
        with pytest.raises(UnsupportedSourceError, match=kind):
            save(tree)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_inside_are_refused_and_the_named_one_is_followed(tree: Path, tmp_path: Path) -> None:
    """A link that the caller names is followed; one inside a folder could point anywhere."""
    (tmp_path / "link").symlink_to(tree)
    assert save(tmp_path / "link")[1].files == save(tree)[1].files
    (tree / "a/link").symlink_to("b/x.bin")
    with pytest.raises(UnsupportedSourceError, match=r"a/link.*copytree"):
        save(tree)


@pytest.mark.skipif(os.name == "nt", reason="names that Windows cannot have")
@pytest.mark.parametrize("name", [b"back\\slash", b"con", b"NUL.txt", b"latin-\xe9"])
def test_names_that_cannot_be_stored_are_refused(name: bytes, tmp_path: Path) -> None:
    """A name that some system could not have again, in a folder or alone."""
    folder = tmp_path / "f"
    folder.mkdir()
    path = Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))
    path.write_bytes(b"x")
    for source in (folder, path):
        with pytest.raises(UnsupportedSourceError):
            save(source)


@pytest.mark.parametrize("files", [{}, {"a": b"", "b": b""}, {"a/b": b""}])
def test_a_stored_file_is_one_file(files: dict[str, bytes], tmp_path: Path) -> None:
    """A version that says it is a file, and holds something else, is refused before it is extracted."""
    with pytest.raises(MaterializationError):
        PathFile().load(MemoryInFolder(files, into=tmp_path / "out"), None)
    assert not (tmp_path / "out").exists()


def test_a_path_needs_a_place() -> None:
    """Without `into` there is nowhere to extract to."""
    with pytest.raises(MaterializationError, match="into="):
        PathFolder().load(MemoryInFolder({"a": b""}), None)


def test_the_folder_of_a_save_takes_buffers_files_and_real_paths(tree: Path) -> None:
    """All three ways of adding end up in one list, sorted; the temporary folder is gone at the end."""
    with Outgoing() as out:
        out.add("z", b"12", memoryview(b"34"))
        out.add_file("k/run", tree / "run.sh")
        place = out / "m/n.bin"
        place.write_bytes(b"real")
        entries = out.entries()
        assert [entry.path for entry in entries] == ["k/run", "m/n.bin", "z"]
        last = entries[-1]
        assert isinstance(last, MemoryFile)
        assert last.size == 4
    assert not place.exists()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "../a",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a\\b",
        "a\0",
        "C:/a",
        "aux",
        "x/lpt1.txt",
        "\ud800",
        "x" * 5000,
    ],
)
def test_a_materializer_cannot_choose_an_unsafe_path(path: str, tree: Path) -> None:
    """No stored path leaves its folder."""
    out = Outgoing()
    for add in (lambda: out.add(path, b""), lambda: out.add_file(path, tree / "run.sh"), lambda: out / path):
        with pytest.raises(MaterializationError):
            add()


def test_two_files_of_one_path_are_an_error(tree: Path) -> None:
    """Also a file where another one needs a folder, and a real path beside a buffer."""
    with Outgoing() as out:
        out.add("a", b"")
        with pytest.raises(MaterializationError, match="two files"):
            out.add("a", b"")
        (out / "a").write_text("x")
        with pytest.raises(MaterializationError, match="two files"):
            out.entries()
    with Outgoing() as out:
        out.add("a", b"")
        out.add("a/b", b"")
        with pytest.raises(MaterializerError, match="is in it"):
            out.entries()


def test_a_buffer_must_be_one_run_of_bytes() -> None:
    """What could only be copied is refused: the caller should know."""
    with pytest.raises(MaterializationError, match="contiguous"):
        Outgoing().add("a", memoryview(b"abcdef")[::2])
