"""From what a caller names as a place, a path, a URI or a backend, to the backend."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from casreg import settings
from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from casreg.backends.base import Backend

Place: TypeAlias = "str | os.PathLike[str] | Backend | None"
"""None (the default folder), a path, a URI (`file://`, `memory://`), or a backend."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def open_backend(place: Place) -> Backend:
    """The backend for a place. Does no I/O.

    Raises:
        InvalidArgumentError: The place cannot be understood. Says what can.
    """
    if place is None:
        return LocalBackend(settings.registry_dir())
    if isinstance(place, str) and _SCHEME.match(place):
        return _open_uri(place)
    if isinstance(place, str | os.PathLike):
        if not os.fspath(place):
            raise InvalidArgumentError(
                "the path of a registry is empty; name a folder, or None for the default"
            )
        return LocalBackend(Path(place))
    missing = [method for method in ("get", "create", "swap", "list", "delete") if not hasattr(place, method)]
    if missing:
        raise InvalidArgumentError(
            f"{place!r} is no backend (it has no {', '.join(missing)}); pass a path, a URI or a backend object"
        )
    return place


def _open_uri(uri: str) -> Backend:
    scheme = urlsplit(uri).scheme.lower()
    if scheme == "file":
        return LocalBackend(uri)
    if scheme == "memory":
        return MemoryBackend(uri.split("://", 1)[1])
    raise InvalidArgumentError(
        f"{scheme}:// is not a place that this casreg knows; it knows file://, memory:// and paths of folders"
    )
