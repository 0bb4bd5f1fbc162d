"""What this machine remembers of files that it saved, so that those that did not change are not read again.

One file for each saved path and repository, in the cache folder. It may be lost at any time. A file counts as unchanged
if size, mtime, ctime, inode and device are what they were, and none of the times was so recent at the save that a later
write could have left them alone (as in git's racy-git rule, https://git-scm.com/docs/racy-git).

How recent that is: FAT has a resolution of two seconds.  And a page that is mapped (`numpy.memmap`) and was written to
is written to again without a change of the times until the kernel has put it on the disk, which Linux begins after 30
to 35 seconds.  On tmpfs, which has no disk, such writes never change the times: files there are not remembered.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from casreg import memo
from casreg.digest import digest_of
from casreg.ingest.assembly import Remembered
from casreg.ingest.sources import Stat
from casreg.manifests import encode_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casreg.model import Chunk

_RECENT_NS: Final = 45_000_000_000
_MOUNTS: Final = "/proc/self/mountinfo"
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs", "hugetlbfs"})

log = logging.getLogger("casreg.remembered")


def clock() -> int:
    """The time in ns, to be taken before a save begins to read."""
    return time.time_ns()


def place(folder: Path, repository: str, name: str, source: Path) -> Path:
    """Where the memory of one source is, in the cache folder."""
    text = "\0".join((repository, name, os.path.abspath(source)))
    return folder / "files" / digest_of(text.encode("utf-8", "surrogateescape")).hex()


def recall(file: Path) -> dict[str, Remembered]:
    """What is remembered; nothing if there is nothing, or if it is damaged."""
    try:
        # A row for each file, flat: a collector of garbage that has to look at millions of small lists takes longer
        # than everything else.
        return {row[0]: Remembered(Stat(*row[1:6]), bytes.fromhex(row[6])) for row in memo.read(file) or ()}
    except (ValueError, TypeError, IndexError) as err:
        log.debug("%s is not used: %s", file, err)
        return {}


def remember(file: Path, began: int, files: Mapping[str, tuple[Stat, Sequence[Chunk]]]) -> None:
    """Keep the state and chunks of the files that can be told apart from any later state.

    Args:
        file: Where (see `place`).
        began: The time before the save began to read (see `clock`).
        files: By their paths in the version.
    """
    settled = began - _RECENT_NS
    untold = _devices_in_memory()
    rows = [
        (path, *stat, encode_list(chunks).hex())
        for path, (stat, chunks) in files.items()
        if stat.mtime < settled and stat.ctime < settled and stat.device not in untold
    ]
    memo.write(file, rows)  # not where an inode has more than 64 bits (ReFS has such)


def _devices_in_memory(mounts: str = _MOUNTS) -> frozenset[int]:
    """The devices whose files may change without a change of their times (see the module). Empty where unknown."""
    try:
        lines = Path(mounts).read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return frozenset()  # not Linux
    devices: set[int] = set()
    for line in lines:
        mount, _, source = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) > 2 and source.split(" ")[0] in _IN_MEMORY:
            major, _, minor = fields[2].partition(":")
            devices.add(_device(int(major), int(minor)))
    return frozenset(devices)


if sys.platform == "win32":

    def _device(major: int, minor: int) -> int:
        return major << 8 | minor  # never asked: there is no such list

else:
    _device = os.makedev
