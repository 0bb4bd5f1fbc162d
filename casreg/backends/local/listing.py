"""Keys in the order of their bytes, from folders that have an order of their own.

All keys below a folder `a` begin with `a/`, so a folder is sorted among its siblings as `a/` and not as `a`:
`a-b` comes before `a/c`, and `a0` after it, because `-` < `/` < `0`.
"""

from __future__ import annotations

from bisect import bisect_right
from stat import S_ISREG
from typing import TYPE_CHECKING

from casreg.backends.base import ObjectInfo
from casreg.backends.key_rules import LOCAL_FOLDERS, LONGEST, is_key, is_segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from casreg.backends.local.filesystem import FileSystem


def walk(
    files: FileSystem, root: str, prefix: str, after: str, names_in: Callable[[str], Sequence[str]]
) -> Iterator[ObjectInfo]:
    """All keys below `root` that begin with `prefix` and sort after `after`, ascending, one by one.

    A folder is read when it is reached, sizes and times only of what is given out. What vanishes meanwhile is
    left out; so are links, and everything that is not a key.

    Args:
        files: The system calls.
        root: The repository's folder.
        prefix: What keys begin with.
        after: What they come after.
        names_in: Gives the names in a folder ("" or with a final "/"), in no order; those of folders end with "/".

    Raises:
        OSError: The system refuses to read a folder that is there.
    """
    above, slash, begin = prefix.rpartition("/")
    if slash and not is_key(above):
        return  # no key begins like this; and a prefix such as "../" leads nowhere
    yield from _below(files, root, above + slash, begin, after, names_in)


def _below(
    files: FileSystem,
    root: str,
    folder: str,
    begin: str,
    after: str,
    names_in: Callable[[str], Sequence[str]],
) -> Iterator[ObjectInfo]:
    """The keys below `folder` ("" or with a final "/") whose rest begins with `begin` (which has no "/")."""
    try:
        names = sorted(name for name in names_in(folder) if name.startswith(begin))
    except (FileNotFoundError, NotADirectoryError):
        return
    for index in range(_first(names, folder, after), len(names)):
        name = names[index]
        is_folder = name.endswith("/")
        key = folder + name
        if not is_segment(name[:-1] if is_folder else name) or len(key) > LONGEST:
            continue
        if is_folder:
            if folder or name[:-1] not in LOCAL_FOLDERS:
                yield from _below(files, root, key, "", after, names_in)
            continue
        try:
            status = files.stat(f"{root}/{key}")
        except FileNotFoundError:
            continue
        if S_ISREG(status.st_mode):
            yield ObjectInfo(key, status.st_size, None, status.st_mtime)


def _first(names: Sequence[str], folder: str, after: str) -> int:
    """Where to begin: the first of the sorted `names` in `folder` that is, or holds, a key after `after`."""
    if not after.startswith(folder):
        return 0 if folder > after else len(names)
    rest = after[len(folder) :]
    index = bisect_right(names, rest)
    # The folder that `after` lies in sorts before it, and may still hold keys that come after. Nothing sorts
    # between the two, since no name goes on after a "/".
    in_folder = index > 0 and names[index - 1].endswith("/") and rest.startswith(names[index - 1])
    return index - 1 if in_folder else index
