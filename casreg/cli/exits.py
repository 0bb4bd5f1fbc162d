"""Exit codes: what a shell script may tell apart."""

from __future__ import annotations

from typing import Final

from casreg.exceptions import (
    CommitConflictError,
    ConfigError,
    CorruptError,
    DestinationError,
    InvalidArgumentError,
    InvalidMetadataError,
    InvalidNameError,
    InvalidVersionError,
    NotFound,
    ObjectChangedError,
    ObjectNotFoundError,
    ReadOnlyError,
    SourceNotFoundError,
    StoreAmbiguousObjectError,
    StoreKeyFormatError,
    StoreLocationNotFound,
    UnsupportedSourceError,
    VersionConflictError,
    VersionProtectedError,
)

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
MISSING: Final = 3
REFUSED: Final = 4
DAMAGED: Final = 5
INTERRUPTED: Final = 130
CLOSED_PIPE: Final = 141

MEANINGS: Final = {
    DONE: "done",
    FAILED: "an error that is none of those below; of the storage, for example; or you said no",
    USAGE: "what was written cannot be: an option, a name, a version, a setting",
    MISSING: "something that was named is not there: a name, a version, a mount, a file",
    REFUSED: "something is in the way: the version exists with other content, is protected or read-only, the target is "
    "not empty, or others changed it meanwhile",
    DAMAGED: "stored bytes are not what was written, or are lost",
    INTERRUPTED: "interrupted with Ctrl-C; nothing is broken",
    CLOSED_PIPE: "whoever read the output wanted no more of it, as `| head`",
}
"""For people. 130 and 141 are what shells give for SIGINT and SIGPIPE."""

_CODES: Final = (
    (DAMAGED, (CorruptError,)),
    (MISSING, (ObjectNotFoundError, StoreLocationNotFound, SourceNotFoundError, NotFound)),
    (
        REFUSED,
        (
            CommitConflictError,
            DestinationError,
            ObjectChangedError,
            ReadOnlyError,
            VersionConflictError,
            VersionProtectedError,
        ),
    ),
    (
        USAGE,
        (
            ConfigError,
            InvalidArgumentError,
            InvalidMetadataError,
            InvalidNameError,
            InvalidVersionError,
            StoreAmbiguousObjectError,
            StoreKeyFormatError,
            UnsupportedSourceError,
        ),
    ),
)


def exit_code(error: Exception) -> int:
    """The exit code for an error."""
    return next((code for code, kinds in _CODES if isinstance(error, kinds)), FAILED)
