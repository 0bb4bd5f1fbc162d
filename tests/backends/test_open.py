"""From a path or a URI to a backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.backends.open import open_backend
from casreg.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from pathlib import Path


def test_paths_and_file_uris_are_folders(tmp_path: Path) -> None:
    """A path object, a string, a URI."""
    for place in (tmp_path, str(tmp_path), tmp_path.as_uri()):
        backend = open_backend(place)
        assert isinstance(backend, LocalBackend)
        assert backend.root == str(tmp_path)


def test_memory_uris_are_places_in_memory() -> None:
    """With a name, the same one each time; without, a new one."""
    open_backend("memory://from-a-uri").create("a", b"hello")
    assert MemoryBackend("from-a-uri").get("a").data == b"hello"
    assert open_backend("memory://").location != open_backend("memory://").location


def test_a_backend_stays_what_it_is() -> None:
    """The same object."""
    backend = MemoryBackend()
    assert open_backend(backend) is backend


@pytest.mark.parametrize("place", ["ftp://host/x", "http://host/x", ""])
def test_an_unknown_scheme_is_refused(place: str) -> None:
    """With those that are known."""
    with pytest.raises(InvalidArgumentError):
        open_backend(place)
    with pytest.raises(InvalidArgumentError, match=r"file://, .*memory://"):
        open_backend("ftp://host/x")


def test_opening_loads_only_what_it_needs(fresh_python: object) -> None:
    """A folder does not cost the modules of memory, nor a lock library before the first write."""
    code = (
        "import sys; from casreg.backends.open import open_backend; open_backend('/nowhere');"
        "print(sorted({'portalocker', 'casreg.backends.memory', 'urllib.request', 'ctypes'} & set(sys.modules)))"
    )
    assert fresh_python(code).strip() == "[]"  # type: ignore[operator]
