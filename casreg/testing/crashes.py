"""Power failures, replayed: what a local backend did to its folder, and all that a crash could have left of it.

A `CrashRecorder` takes the place of the local backend's `FileSystem` and notes each call.  `replay_crashes` then
builds, for every moment of the recording, the folders that a file system may show after a power failure at that
moment, and has each one checked.  The model is the weakest that POSIX allows, weaker than any journal:

- Bytes written to a file are safe once that file was flushed. Until then any part of them may be missing: all,
  the second half, or all but their number (zeros), whatever happened to the names of the file.
- A name (made, linked, renamed, removed) is safe once its folder was flushed. Until then each change of a name
  may be missing alone, in any combination; a rename is two changes, which may come apart.
- What is below a folder whose own name is missing is gone.

Source of the idea: T. S. Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014 (ALICE).
"""

from __future__ import annotations

import os
import random
import shutil
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from casreg.backends.local import FileSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_ROOT: Final = 0
"""The inode of the recorder's base folder, which is there before and after every crash."""


@dataclass(frozen=True, slots=True)
class _Bytes:
    """Bytes appended to a file."""

    inode: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Name:
    """A name in a folder now stands for `inode`, or for nothing."""

    folder: int
    name: str
    inode: int | None


@dataclass(frozen=True, slots=True)
class _Flush:
    """What was written to this file, or what changed in this folder, is safe from here on."""

    inode: int


@dataclass(frozen=True, slots=True)
class _Mark:
    label: str


_Event = _Bytes | _Name | _Flush | _Mark
_Form = Literal["all", "half", "zeros", "none"]
_FORMS_OF_BYTES: Final[tuple[_Form, ...]] = ("none", "half", "zeros")


class CrashRecorder(FileSystem):
    """The system's own calls below `base`, done and noted. Safe in many threads.

    Give it to `LocalBackend(base / "repository", file_system=recorder)`, work with that, and call `mark` whenever
    something was promised: the check is told which marks came before the crash.

    Args:
        base: An empty folder.
    """

    def __init__(self, base: str | os.PathLike[str]) -> None:
        super().__init__()
        self.base = os.path.abspath(base)
        self._lock = threading.RLock()
        self._events: list[_Event] = []
        self._inodes: dict[str, int] = {self.base: _ROOT}
        self._folders: set[int] = {_ROOT}
        self._open: dict[int, int] = {}

    @property
    def events(self) -> tuple[_Event, ...]:
        """Everything so far."""
        with self._lock:
            return tuple(self._events)

    @property
    def folders(self) -> frozenset[int]:
        """The inodes that are folders."""
        with self._lock:
            return frozenset(self._folders)

    def mark(self, label: str) -> None:
        """Note that `label` was promised now."""
        with self._lock:
            self._events.append(_Mark(label))

    def make_folder(self, path: str) -> None:
        """As the system, and noted."""
        with self._lock:
            super().make_folder(path)
            self._folders.add(self._name_new(path))

    def create_file(self, path: str) -> int:
        """As the system, and noted."""
        with self._lock:
            fd = super().create_file(path)
            self._open[fd] = self._name_new(path)
            return fd

    def write(self, fd: int, data: memoryview) -> None:
        """As the system, and noted."""
        with self._lock:
            super().write(fd, data)
            self._events.append(_Bytes(self._open[fd], bytes(data)))

    def sync_file(self, fd: int) -> None:
        """Noted, and not done: no power will fail while this is recorded."""
        with self._lock:
            self._events.append(_Flush(self._open[fd]))

    def sync_folder(self, path: str) -> None:
        """Noted, and not done, if the folder is there."""
        with self._lock:
            self.stat(path)
            if self._relates(path):
                self._events.append(_Flush(self._inodes[os.path.normpath(path)]))

    def link(self, source: str, target: str) -> None:
        """As the system, and noted."""
        with self._lock:
            super().link(source, target)
            self._name(target, self._inodes[source])

    def replace(self, source: str, target: str) -> None:
        """As the system, and noted: one change in each folder."""
        with self._lock:
            super().replace(source, target)
            self._name(target, self._inodes[source])
            self._name(source, None)

    def unlink(self, path: str) -> None:
        """As the system, and noted."""
        with self._lock:
            super().unlink(path)
            self._name(path, None)

    def unlink_idle(self, path: str) -> None:
        """As the system, and noted."""
        with self._lock:
            super().unlink_idle(path)
            self._name(path, None)

    def _relates(self, path: str) -> bool:
        return (os.path.normpath(path) + os.sep).startswith(self.base + os.sep)

    def _name_new(self, path: str) -> int:
        inode = len(self._events) + 1  # any number that is new
        self._name(path, inode)
        return inode

    def _name(self, path: str, inode: int | None) -> None:
        folder, name = os.path.split(path)
        if inode is None:
            del self._inodes[path]
        else:
            self._inodes[path] = inode
        self._events.append(_Name(self._inodes[os.path.normpath(folder)], name, inode))


@dataclass(frozen=True, slots=True)
class CrashState:
    """What a crash may leave.

    Attributes:
        moment: How many of the recorded events came before the crash.
        lost: What of them is missing, in words.
        marks: The marks that came before the crash.
        files: The paths that are left, relative to the base; None is a folder.
    """

    moment: int
    lost: tuple[str, ...]
    marks: tuple[str, ...]
    files: dict[str, bytes | None] = field(compare=False)

    def build(self, folder: Path) -> None:
        """Make `folder`, with this state in it."""
        folder.mkdir(parents=True)
        for path, data in sorted(self.files.items()):
            if data is None:
                (folder / path).mkdir()
            else:
                (folder / path).write_bytes(data)


class CrashStateError(AssertionError):
    """A crash that breaks the promise. `state` is what it left.

    Attributes:
        state: The crash.
    """

    def __init__(self, message: str, state: CrashState) -> None:
        lost = "".join(f"\n  lost: {what}" for what in state.lost) or "\n  nothing was lost"
        left = "".join(
            f"\n  left: {path} ({'folder' if data is None else f'{len(data)} bytes'})"
            for path, data in sorted(state.files.items())
        )
        super().__init__(
            f"{message}\ncrash after event {state.moment}, marks {list(state.marks)}{lost}{left}"
        )
        self.state = state


def crash_states(
    recorder: CrashRecorder, *, window: int = 24, random_subsets: int = 8, seed: int = 0
) -> Iterator[CrashState]:
    """Every different state that the crashes leave, in the order of their moments.

    At each moment: nothing that was not flushed is lost; all of it; each one of the last `window` changes alone;
    all but that one; and `random_subsets` drawn at random (the same ones for the same seed).
    """
    events, folders = recorder.events, recorder.folders
    seen: set[object] = set()
    draw = random.Random(seed)
    unsafe: list[int] = []  # where the changes are that no flush has made safe
    for moment in range(len(events) + 1):
        if moment:
            event = events[moment - 1]
            if isinstance(event, _Flush):
                unsafe = [index for index in unsafe if not _makes_safe(event, events[index])]
                continue  # a flush takes states away and adds none; they were looked at before it
            if not isinstance(event, _Mark):
                unsafe.append(moment - 1)
        past = events[:moment]
        marks = tuple(event.label for event in past if isinstance(event, _Mark))
        for forms in _choices(past, unsafe, window, random_subsets, draw):
            tree = _tree(past, forms)
            state = (marks, tuple(sorted(tree.items())))
            if state in seen:
                continue
            seen.add(state)
            lost = tuple(
                _describe(past[index], form) for index, form in sorted(forms.items()) if form != "all"
            )
            yield CrashState(moment, lost, marks, _contents(past, tree, folders))


def replay_crashes(
    recorder: CrashRecorder,
    into: Path,
    check: Callable[[Path, tuple[str, ...]], None],
    *,
    window: int = 24,
    random_subsets: int = 8,
    seed: int = 0,
) -> int:
    """Build every crash state in a folder below `into`, and `check(folder, marks)` it.

    `folder` takes the place of the recorder's base; `check` may write in it, and raises if a promise is broken.

    Returns:
        How many states were checked.

    Raises:
        CrashStateError: `check` raised; says what the crash lost and left.
    """
    number = 0
    states = crash_states(recorder, window=window, random_subsets=random_subsets, seed=seed)
    for number, state in enumerate(states, start=1):
        folder = into / f"crash-{number}"
        state.build(folder)
        try:
            check(folder, state.marks)
        except Exception as err:
            raise CrashStateError(f"the check failed: {err}", state) from err
        shutil.rmtree(folder)
    return number


def _makes_safe(flush: _Flush, change: _Event) -> bool:
    if isinstance(change, _Bytes):
        return change.inode == flush.inode
    return isinstance(change, _Name) and change.folder == flush.inode


def _choices(
    past: tuple[_Event, ...], unsafe: list[int], window: int, random_subsets: int, draw: random.Random
) -> Iterator[dict[int, _Form]]:
    """What may be left of each unsafe change."""
    yield dict.fromkeys(unsafe, "all")
    yield dict.fromkeys(unsafe, "none")
    for index in unsafe[-window:]:
        for form in _losses(past[index]):
            yield {**dict.fromkeys(unsafe, "all"), index: form}
        yield {**dict.fromkeys(unsafe, "none"), index: "all"}
    for _ in range(random_subsets if len(unsafe) > 1 else 0):
        yield {index: draw.choice(("all", *_losses(past[index]))) for index in unsafe}


def _losses(event: _Event) -> tuple[_Form, ...]:
    return _FORMS_OF_BYTES if isinstance(event, _Bytes) and event.data else ("none",)


_Content = tuple[int, tuple[tuple[int, str], ...]]


def _tree(past: tuple[_Event, ...], forms: dict[int, _Form]) -> dict[str, _Content]:
    """Every path that is left, with its inode and which pieces of its bytes are left: cheap to compare."""
    names: dict[int, dict[str, int]] = {}
    pieces: dict[int, list[tuple[int, str]]] = {}
    for index, event in enumerate(past):
        form = forms.get(index, "all")
        if isinstance(event, _Bytes):
            pieces.setdefault(event.inode, []).append((index, form))
        elif isinstance(event, _Name) and form == "all":
            entries = names.setdefault(event.folder, {})
            entries.pop(event.name, None)
            if event.inode is not None:
                entries[event.name] = event.inode
    tree: dict[str, _Content] = {}

    def walk(folder: int, above: str) -> None:
        for name, inode in names.get(folder, {}).items():
            tree[above + name] = (inode, tuple(pieces.get(inode, ())))
            walk(inode, f"{above}{name}/")

    walk(_ROOT, "")
    return tree


def _contents(
    past: tuple[_Event, ...], tree: dict[str, _Content], folders: frozenset[int]
) -> dict[str, bytes | None]:
    return {
        path: None if inode in folders else _bytes_of(past, pieces) for path, (inode, pieces) in tree.items()
    }


def _bytes_of(past: tuple[_Event, ...], pieces: tuple[tuple[int, str], ...]) -> bytes:
    """What the file holds: a piece that is missing in the middle reads as zeros, at the end the file is shorter."""
    content = b""
    hole = 0
    for index, form in pieces:
        event = past[index]
        assert isinstance(event, _Bytes)
        size = len(event.data)
        left = {"all": event.data, "half": event.data[: size // 2], "zeros": bytes(size), "none": b""}[form]
        if left:
            content += bytes(hole) + left
            hole = 0
        hole += size - len(left)
    return content


def _describe(event: _Event, form: str) -> str:
    if isinstance(event, _Bytes):
        how = {"none": "all", "half": "the second half", "zeros": "all but the number"}[form]
        return f"{how} of {len(event.data)} bytes of file {event.inode}"
    assert isinstance(event, _Name)
    what = "removed" if event.inode is None else f"set to {event.inode}"
    return f"that the name {event.name!r} in folder {event.folder} was {what}"
