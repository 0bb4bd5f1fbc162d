"""What this machine notes for itself: files in the cache folder, written as a whole, and lost without harm.

The first line is the BLAKE3 of the rest, which is JSON: what a power failure garbles is as good as nothing.
"""

from __future__ import annotations

import logging
import os
import tempfile
from typing import TYPE_CHECKING, Any

import orjson

from casreg.digest import digest_of

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("casreg.memo")


def read(file: Path) -> Any:
    """What was written there last; None if nothing was, or if it is damaged or cannot be read."""
    try:
        sums, _, body = file.read_bytes().partition(b"\n")
        if sums.decode("ascii", "replace") != digest_of(body).hex():
            raise ValueError("its checksum does not match")
        return orjson.loads(body)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        log.debug("%s is not used: %s", file, err)
        return None


def write(file: Path, value: object) -> None:
    """Write it, all or nothing.

    A full or read-only cache must not make anything else fail, nor a value that JSON cannot hold: then what was there
    stays.
    """
    try:
        body = orjson.dumps(value)
        file.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=file.parent)
        try:
            with os.fdopen(fd, "wb") as out:
                out.write(digest_of(body).hex().encode() + b"\n" + body)
            os.replace(temporary, file)
        except BaseException:
            os.unlink(temporary)
            raise
    except (OSError, TypeError) as err:
        log.debug("%s cannot be written: %s", file, err)
