"""What the system says, in casreg's words: each error names the path and the way out."""

from __future__ import annotations

import errno
import os
from typing import Final

from casreg.exceptions import StorageError, StorageFullError, StoragePermissionError, StorageUnavailableError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_ALLOWED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def storage_error(err: OSError, doing: str, path: str) -> StorageError:
    """The error to raise `from err`, for something that failed at `path` while `doing` it."""
    reason = os.strerror(err.errno) if err.errno else str(err)
    said = f"cannot {doing} {path!r}: {reason}"
    if err.errno in _FULL:
        return StorageFullError(f"{said}. Free some space there, or ask for a higher quota, and try again")
    if err.errno == errno.EROFS:
        return StoragePermissionError(f"{said}. Mount it writable, or choose another folder for the registry")
    if err.errno in _NOT_ALLOWED:
        return StoragePermissionError(
            f"{said}. Give this user the right to read and write there, or choose another folder for the registry"
        )
    if err.errno == errno.ENOTDIR or isinstance(err, FileExistsError):
        return StorageUnavailableError(
            f"{said}. A file stands where a folder has to be: move it away, or choose another folder"
        )
    if err.errno == errno.EISDIR:
        return StorageUnavailableError(f"{said}. A folder stands where a file has to be: move it away")
    if err.errno == errno.EXDEV:
        return StorageUnavailableError(
            f"{said}. All of a repository has to be on one file system: move it there as a whole"
        )
    return StorageUnavailableError(f"{said}. See whether the disk is mounted and healthy, and try again")
