"""From what a caller names, a path or a URI, to the backend that holds it: one line a scheme."""

from __future__ import annotations

import os
import re
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from casreg.backends.base import check_open, shown
from casreg.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from casreg.backends.base import Backend

# Loaded when asked for: nobody pays for the libraries of a storage that is not used.
_SCHEMES: Final = {
    "file": ("casreg.backends.local", "LocalBackend"),
    "gs": ("casreg.backends.gcs", "GCSBackend"),
    "memory": ("casreg.backends.memory", "MemoryBackend"),
    "s3": ("casreg.backends.s3", "S3Backend"),
}
_BUNDLE: Final = ".casreg"
_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)


def open_backend(place: str | os.PathLike[str] | Backend) -> Backend:
    """The backend for a path, a URI (`file://`, `memory://name`) or a backend, which stays what it is. No I/O.

    A path that ends in `.casreg` is that of a bundle, one file that can be read only; any other is that of a folder.

    Raises:
        InvalidArgumentError: A URI of a scheme that casreg does not know, an empty path, or no backend.
    """
    if not isinstance(place, str | os.PathLike):
        missing = [
            method for method in ("get", "create", "swap", "list", "delete") if not hasattr(place, method)
        ]
        if missing:
            raise InvalidArgumentError(
                f"a value of type {type(place).__name__} is no backend (it has no {', '.join(missing)}); give a path, a URI or a backend"
            )
        return place
    if not os.fspath(place):
        raise InvalidArgumentError("the path of a registry is empty; name a folder, or None for the default")
    uri = _URI.match(place) if isinstance(place, str) else None
    if uri:
        check_open(uri[0])
    scheme = uri[1].lower() if uri else "file"
    if scheme not in _SCHEMES:
        known = ", ".join(f"{known}://" for known in sorted(_SCHEMES))
        raise InvalidArgumentError(
            f"no storage is known for {shown(str(place))!r}: give a path, or a URI that begins with {known}"
        )
    if scheme == "file" and os.fsdecode(place).lower().endswith(_BUNDLE):
        path = import_module("casreg.backends.local.location").root_of(place)
        return cast("Backend", import_module("casreg.backends.archive").ArchiveBackend(path))
    module, name = _SCHEMES[scheme]
    backend = getattr(import_module(module), name)
    # A name in memory is what stands after the slashes; `memory://` alone is a place of its own.
    argument = (uri[2] or None) if uri and scheme == "memory" else place
    return cast("Backend", backend(argument))
