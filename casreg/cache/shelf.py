"""The files of a cache: verified when they are read, written at once or not at all, given up at the first trouble.

    v1/<hh>/<b3>.<part>     32 bytes: BLAKE3 of the file's name and the copy; then the copy
    v1/new/                 files that are being written
    v1/usage, v1/lock       see `casreg.cache.usage`

`<b3>` is the BLAKE3 of the bytes of a whole immutable file of a repository, `<part>` is `whole`, or the number of a
block of it.  The digest in front covers the name too, so that a file with another's name is as good as damaged.
Nothing is flushed to the disk: what a power failure garbles is found out when it is read.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from casreg.cache.usage import Usage, make_root

if TYPE_CHECKING:
    from typing_extensions import Buffer

LAYOUT: Final = "v1"
HEADER: Final = 32

_TOUCH_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 30.0
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

log = logging.getLogger("casreg.cache")


class Shelf:
    """Copies in a folder, by name. Nothing here raises for what the disk does: a copy is there, or it is not.

    For any number of threads and processes, also after a fork: all that is shared is the folder.
    """

    def __init__(self, folder: str, limit: int) -> None:
        """No I/O. `limit` is in bytes."""
        self._root = f"{folder}/{LAYOUT}"
        self.usage = Usage(self._root, limit)
        self._resume = 0.0
        self._warned = False

    def read(self, name: str) -> bytes | None:
        """The copy with this name, verified; None if there is none that is fit for use."""
        path = self._path(name)
        try:
            with open(path, "rb", buffering=0) as file:
                changed = os.fstat(file.fileno()).st_mtime
                held = file.readall()
        except FileNotFoundError:
            return None
        except OSError as err:
            self._note(f"cannot be read: {err}")
            return None
        copy = held[HEADER:]
        if held[:HEADER] != _seal(name, copy):
            log.debug("%s is damaged and dropped", path)
            self.drop(name)
            return None
        if abs(time.time() - changed) > _TOUCH_SECONDS:
            with suppress(OSError):
                os.utime(path)
        return copy

    def write(self, name: str, copy: Buffer) -> None:
        """Keep a copy, if there is room for it and nothing stands in the way."""
        if time.monotonic() < self._resume:
            return
        try:
            if self.usage.admit(HEADER + memoryview(copy).nbytes):
                self._write(name, copy)
        except OSError as err:
            self._note(f"cannot be written: {err}")
            # Whoever loads a thousand blocks need not hear a thousand times that the disk is full.
            self._resume = time.monotonic() + _PAUSE_SECONDS

    def drop(self, name: str) -> None:
        """Remove a copy."""
        with suppress(OSError):
            os.unlink(self._path(name))

    def _write(self, name: str, copy: Buffer) -> None:
        path = self._path(name)
        beside = f"{self._root}/new/{secrets.token_hex(16)}"
        try:
            fd = os.open(beside, _NEW, 0o666)
        except FileNotFoundError:
            make_root(self._root)  # somebody has removed it this moment
            fd = os.open(beside, _NEW, 0o666)
        try:
            with open(fd, "wb", buffering=0) as file:
                for part in (_seal(name, copy), memoryview(copy).cast("B")):
                    written = 0
                    while written < len(part):
                        written += file.write(part[written:])
            self._publish(beside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise

    def _publish(self, beside: str, path: str) -> None:
        try:
            os.replace(beside, path)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(os.path.dirname(path))
            os.replace(beside, path)
        except PermissionError:
            # Windows replaces no file that somebody reads: then the copy is there already.
            if not os.path.isfile(path):
                raise
            os.unlink(beside)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name[:2]}/{name}"

    def _note(self, trouble: str) -> None:
        level = logging.DEBUG if self._warned else logging.WARNING
        self._warned = True
        log.log(level, "the cache %s %s; going on without it", self._root, trouble)


def _seal(name: str, copy: Buffer) -> bytes:
    return blake3(name.encode()).update(copy).digest()
