"""What there is to do, for all names: those that have not changed since the last time are not read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CorruptError, NotFound, ObjectNotFoundError, UnsupportedFormatError
from casreg.keys import MARKER, REFS, name_of_ref_key, ref_key
from casreg.names import is_hidden
from casreg.progress import Progress
from casreg.refs.segments import SegmentGone
from casreg.sync.comparing import NOTHING, compare, state_of
from casreg.sync.memory import Memory, Record, is_far
from casreg.sync.report import Unsynced
from casreg.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.progress import ProgressCallback
    from casreg.refs import Held
    from casreg.repository import Repository
    from casreg.sync.comparing import Base, State, Verdict
    from casreg.sync.terms import Terms

_ASKING: Final = 16
"""So many names are looked at at a time, where that is mostly waiting."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a name.

    Attributes:
        name: The name.
        verdict: What there is to do; None if nothing has changed since the last time.
        record: What may be remembered of it now; None if nothing new.
        failed: Why it cannot be compared.
        state: What the source said that was compared.
        held: The target's ref that was compared; None if there was none.
        asked: When the source was asked, by the monotonic clock.
    """

    name: str
    verdict: Verdict | None = None
    record: Record | None = None
    failed: Unsynced | None = None
    state: State = NOTHING
    held: Held | None = None
    asked: float = 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two places, and what is known of them.

    Attributes:
        source: From where.
        target: Where to.
        terms: What may be done.
        memory: What is remembered of them.
    """

    source: Repository
    target: Repository
    terms: Terms
    memory: Memory

    def base(self, name: str) -> Base | None:
        """What the labels of a name were."""
        record = self.memory.records.get(name)
        return record.base if record else None

    def source_state(self, name: str) -> State:
        """What the source says of a name now."""
        return self.source.refs.ask_held(name, _state)

    def look(self, name: str, *, here: bool = True, there: bool = True) -> Look:
        """Compare a name at both places. One read of its ref at each, and of the segments of a long history.

        Args:
            name: The name.
            here: Whether the source may have it; else it is not asked.
            there: Whether the target may.

        Raises:
            CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
            StorageError: A place cannot be read.
        """
        asked = time.monotonic()
        state = self.source_state(name) if here else NOTHING
        if not there:
            return self.compared(name, state, None, asked)
        return self.target.refs.ask_held(name, lambda held: self.compared(name, state, held, asked))

    def look_again(self, look: Look) -> Look:
        """The same, if the source has changed since. One read of its ref."""
        asked = time.monotonic()
        state = self.source_state(look.name)
        if state.token is not None and state.token == look.state.token:
            return look
        try:
            return self.compared(look.name, state, look.held, asked)
        except SegmentGone:  # the target has moved on, too
            return self.look(look.name)

    def compared(self, name: str, state: State, held: Held | None, asked: float) -> Look:
        """What there is to do, from what both say. Reads the target's segments.

        Raises:
            SegmentGone: The target's ref has moved on.
        """
        verdict = compare(name, state, held.history if held else None, self.terms, self.base(name))
        done = not (verdict.has_work or verdict.conflicts)
        tokens = (state.token, held.token if held else None) if done else (None, None)
        record = Record(*tokens, verdict.exact, verdict.base)
        return Look(name, verdict, record, None, state, held, asked)


def _state(held: Held | None) -> State:
    return state_of(held.history, held.token) if held else state_of(None)


def plan(pair: Pair, names: Iterable[str] | None, progress: ProgressCallback | None = None) -> list[Look]:
    """Look at names, by default at all; several at once where the places are far away. Changes nothing.

    Raises:
        ObjectNotFoundError: The source has no such name, or is no registry.
        StorageError: A place cannot be read.
    """
    listed = names is None
    if names is None:
        mine, theirs = _tokens(pair.source), _tokens(pair.target)
        if not mine:
            _check_is_registry(pair.source)
        chosen = sorted({*mine, *theirs} if pair.terms.delete else mine)
    else:
        chosen, mine, theirs = sorted(set(names)), {}, {}
        _check_there(pair.source, chosen)
    most = _ASKING if is_far(pair.source.backend) or is_far(pair.target.backend) else 1

    def look(name: str) -> Look:
        try:
            if listed and _is_unchanged(pair, name, mine.get(name), theirs.get(name)):
                return Look(name)
            pair.memory.check()
            # What is not listed came meanwhile, if at all.
            return pair.look(name, here=not listed or name in mine, there=not listed or name in theirs)
        except (CorruptError, UnsupportedFormatError) as err:
            return Look(name, failed=Unsynced(name, "unreadable", name, str(err)))

    looks = []
    for found in ahead(look, chosen, most):
        looks.append(found)
        if progress:
            progress(Progress("survey", found.name, len(looks), len(chosen), 0, 0))
    return looks


def _tokens(repository: Repository) -> dict[str, str | None]:
    """The names that have a ref, with its state as far as the listing says. One listing."""
    found: dict[str, str | None] = {}
    for info in repository.backend.list(REFS):
        name = name_of_ref_key(info.key)
        if name is not None and not is_hidden(name):
            found[name] = info.token
    return found


def _is_unchanged(pair: Pair, name: str, mine: str | None, theirs: str | None) -> bool:
    """Whether both refs are as they were when nothing was left to do."""
    record = pair.memory.records.get(name)
    if record is None or record.source is None or record.target is None:
        return False
    if (pair.terms.delete or pair.terms.overwrite) and not record.exact:
        return False
    return record.source == _token(pair.source, name, mine) and record.target == _token(
        pair.target, name, theirs
    )


def _token(repository: Repository, name: str, listed: str | None) -> str | None:
    """The state of a ref: as listed, or as read where that costs no request over a network."""
    if listed is not None or is_far(repository.backend):
        return listed
    try:
        return repository.backend.get(ref_key(name)).token
    except NotFound:
        return None


def _check_is_registry(source: Repository) -> None:
    """See that an empty source is one, and not a place that was never written: nothing is like it.

    Raises:
        ObjectNotFoundError: It is none.
    """
    try:
        source.backend.get(MARKER)
    except NotFound as err:
        raise ObjectNotFoundError(
            f"there is no registry at {source.backend.location}, so that there is nothing to sync from; is the place "
            "written as it was when something was saved there?"
        ) from err


def _check_there(source: Repository, names: Iterable[str]) -> None:
    """See that the source knows all names.

    Raises:
        ObjectNotFoundError: It does not know one.
    """
    for name in names:
        try:
            source.backend.get(ref_key(name))
        except NotFound as err:
            raise ObjectNotFoundError(
                f"there is no object {name!r} in {source.backend.location}; `list_objects()` says what there is"
            ) from err
