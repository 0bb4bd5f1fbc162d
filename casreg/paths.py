"""Which paths a version may hold, so that no stored path can ever leave the folder it is extracted to.

Relative, parts joined by `/`, UTF-8; no empty part, `.`, `..`, NUL, backslash, and no part that is, on Windows, a
device or begins with a drive (`a/C:b` is joined to `C:b` there, which is outside of the folder).
Nothing is normalised (Unicode forms stay as they are): two paths that a file system would fold into one are found
when they are extracted there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PATH_BYTES: Final = 1024
"""The longest path that macOS takes; relative ones of that length exist nowhere by intention."""

MAX_PART_BYTES: Final = 255

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_DEVICES: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\..*)?",
    re.IGNORECASE | re.DOTALL | re.ASCII,  # ASCII: or a dotless i would count as an i
)
# What nearly all paths look like, and may: looked at as a whole, since a tree has many. Anything else is looked at part
# by part. No part begins as a device does.
_PLAIN: Final = re.compile(
    r"(?!(?i:con|prn|aux|nul|com|lpt))[\w+=@-][\w.+=@-]{0,199}"
    r"(?:/(?!(?i:con|prn|aux|nul|com|lpt))[\w+=@-][\w.+=@-]{0,199})*",
    re.ASCII,
)


def check_path(path: object) -> str:
    """Return `path` if a version may hold it.

    Raises:
        ValueError: It may not. The message says why, and begins with the path.
    """
    if not isinstance(path, str):
        raise ValueError(f"{path!r:.80} is not a path")  # noqa: TRY004 - stored data, not a mistake of the caller
    if _PLAIN.fullmatch(path) and len(path) <= MAX_PATH_BYTES:
        return path
    problem = _problem(path)
    if problem:
        raise ValueError(f"{path!r} {problem}")
    return path


def _problem(path: str) -> str | None:
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid UTF-8; rename it"
    if not path:
        return "is empty"
    if len(encoded) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    if "\0" in path or "\\" in path:
        return "holds a NUL or a backslash; rename it"
    if path.startswith("/"):
        return "is absolute; paths in a version are relative"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return f"holds the part {part!r}; paths in a version are plain and relative"
        if len(part.encode("utf-8")) > MAX_PART_BYTES:
            return f"holds a part longer than {MAX_PART_BYTES} bytes"
        if _DRIVE.match(part):
            return f"holds {part!r}, which begins with a drive on Windows; rename it"
        if _DEVICES.fullmatch(part):
            return f"holds {part!r}, the name of a device on Windows; rename it"
    return None


def check_tree(paths: Iterable[str]) -> None:
    """See that these paths, each fine by itself, can stand side by side: none of them is a folder of another.

    Raises:
        ValueError: One is. The message begins with the path.
    """
    folders: set[str] = set()
    held = set(paths)
    for path in held:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    clash = min(held & folders, default=None)
    if clash is not None:
        raise ValueError(f"{clash!r} is a file or an empty folder, and yet another path is in it")
