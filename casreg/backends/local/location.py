"""Folders as callers name them: paths and `file://` URIs (RFC 8089)."""

from __future__ import annotations

import os
import re
import sys
from typing import Final

from casreg.backends.base import check_open, shown
from casreg.exceptions import InvalidArgumentError

# Two letters at least: `C:\data` is a path.
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_DRIVE: Final = re.compile(r"/[A-Za-z]:")


def root_of(uri: str | os.PathLike[str]) -> str:
    """The absolute path that `uri` names: a path, with a leading `~` expanded, or a `file://` URI.

    Looks at the working directory and the home folder, never at the disk.

    Raises:
        InvalidArgumentError: It is empty, of another scheme, of another host, or not a path here.
    """
    text = os.fsdecode(uri)
    scheme = _SCHEME.match(text)
    if scheme:
        check_open(text)
        if scheme[1].lower() != "file":
            raise InvalidArgumentError(f"{shown(text)!r} is not a folder: give a path or a file:// URI")
        text = _path_of(text)
    if not text or "\0" in text:
        raise InvalidArgumentError(f"{text!r} is not the path of a folder")
    expanded = os.path.expanduser(text) if text.startswith("~") else text
    if expanded.startswith("~"):
        raise InvalidArgumentError(f"there is no home folder for {text!r}: write the path in full")
    return os.path.abspath(expanded)


def uri_of(root: str) -> str:
    """The `file://` URI of an absolute path."""
    from urllib.parse import quote  # noqa: PLC0415 - only messages and caches of presence ask for it

    path = root.replace("\\", "/") if sys.platform == "win32" else root
    return f"file://{'' if path.startswith('/') else '/'}{quote(os.fsencode(path))}"


def _path_of(uri: str) -> str:
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - as above

    parts = urlsplit(uri)
    path = unquote(parts.path, errors="surrogateescape")
    if parts.query or parts.fragment:
        raise InvalidArgumentError(f"{shown(uri)!r} has a '?' or a '#': write them as %3F and %23")
    here = parts.netloc in {"", "localhost"}
    if sys.platform == "win32":
        if _DRIVE.match(path):
            return path[1:]
        return path if here else f"//{parts.netloc}{path}"
    else:  # noqa: RET505 - for the type checker, which knows platforms by their branches
        if not here:
            raise InvalidArgumentError(
                f"{uri!r} names a folder on {parts.netloc!r}, which is not this machine. "
                f"A folder here has three slashes: file:///{parts.netloc}{parts.path}"
            )
        return path
