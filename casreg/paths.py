"""Which paths a version may hold, so that no stored path can ever leave the folder it is extracted to.

Relative, parts joined by `/`, UTF-8; no empty part, `.`, `..`, NUL, backslash, colon-drive or device name of Windows.
Nothing is normalised (Unicode forms stay as they are): two paths that a file system would fold into one are found
when they are extracted there.
"""

from __future__ import annotations

import re
from typing import Final

MAX_PATH_BYTES: Final = 4096
MAX_PART_BYTES: Final = 255

_DEVICES: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE
)


def check_path(path: str) -> str:
    """Return `path` if a version may hold it.

    Raises:
        ValueError: It may not. The message says why, and begins with the path.
    """
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
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "is absolute; paths in a version are relative"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return f"holds the part {part!r}; paths in a version are plain and relative"
        if len(part.encode("utf-8")) > MAX_PART_BYTES:
            return f"holds a part longer than {MAX_PART_BYTES} bytes"
        if _DEVICES.fullmatch(part):
            return f"holds {part!r}, the name of a device on Windows; rename it"
    return None
