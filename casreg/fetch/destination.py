"""Where a path is loaded: a folder that has all of it at the end, or is as it was."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from casreg.exceptions import CasregError, DestinationError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def replaced(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The absolute path of `folder`, and a new folder beside it, which takes its place if the block ends well.

    Raises:
        DestinationError: `folder` is neither empty nor missing, or somebody puts something there meanwhile; or the system
            refuses, also within the block.
    """
    target = _vacant(folder)
    beside = target.parent / f".casreg-{secrets.token_hex(8)}"
    try:
        _make_beside(beside, target)
        yield target, beside
        _put(beside, target)
    except OSError as err:
        if isinstance(err, CasregError):
            raise
        raise DestinationError(f"{target} cannot be loaded into: {err.strerror or err}") from err
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _vacant(folder: Path) -> Path:
    """The absolute path of a folder that is empty, or not there; its parent is made if need be.

    Raises:
        DestinationError: It is something else, or the parent cannot be made.
    """
    try:
        # An empty folder may be reached through a link, which a rename would not follow.
        folder = folder.resolve()
        folder.parent.mkdir(parents=True, exist_ok=True)
        occupied = next(iter(folder.iterdir()), None)
        fixed = folder == Path.cwd() or os.path.ismount(folder)
    except FileNotFoundError:
        return folder
    except NotADirectoryError as err:
        raise DestinationError(f"{folder} is not a folder; name an empty or a new one") from err
    except (OSError, RuntimeError, ValueError) as err:  # a circle of links; a NUL in the path
        raise DestinationError(f"{folder} cannot be loaded into: {err}") from err
    if occupied is not None:
        raise DestinationError(
            f"{folder} is not empty (it holds {occupied.name!r}); name an empty or a new folder"
        )
    if fixed:  # another folder takes its place: whoever stands in it would stand in nothing
        raise DestinationError(
            f"{folder} is the working directory or a mount and cannot be replaced; name a new folder in it"
        )
    return folder


def _make_beside(folder: Path, target: Path) -> None:
    """Make the folder that shall take the place of `target`, with the permissions of that one if it is there."""
    folder.mkdir()
    with suppress(FileNotFoundError):
        shutil.copymode(target, folder)


def _put(folder: Path, target: Path) -> None:
    if os.name == "nt":
        with suppress(FileNotFoundError):
            target.rmdir()  # Windows renames onto nothing only
    folder.rename(target)  # fails if somebody has put something there meanwhile
