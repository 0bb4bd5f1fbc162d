"""What follows the versions of a name: labels, and the deletion of what the source has not.

Labels are merged anew inside their commit, and what is deleted is looked for at the source once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casreg.repository.committing import now
from casreg.sync.comparing import compare, state_of
from casreg.versions import parse_version

if TYPE_CHECKING:
    from casreg.refs import Attempt, Begun, Held, History, Removal
    from casreg.sync.comparing import State
    from casreg.sync.labels import Label
    from casreg.sync.planning import Pair


def label(pair: Pair, name: str, state: State, begun: Begun | None) -> tuple[Held, list[str]]:
    """Let the labels follow, as they are at the target at this moment. Returns its ref, and which changed.

    Raises:
        CorruptError, UnsupportedFormatError: The target's ref is damaged, or needs a newer casreg.
        CommitConflictError, CommitUnknownError: Others kept winning; an answer was lost.
        StorageError: The target refused or failed.
    """
    changed: list[str] = []

    def change(attempt: Attempt) -> History | None:
        changed.clear()
        history = labelled(pair, state, attempt.history, changed)
        return history if changed else None

    # Tags are names that a ref reaches. What they mean lives in this very ref, so that there is nothing to prove.
    held = pair.target.refs.commit(name, change, begun=begun).held
    return held, changed


def labelled(pair: Pair, state: State, history: History, changed: list[str]) -> History:
    """The history of the target with the labels as the source has them. Puts into `changed` which."""
    name = history.name
    verdict = compare(name, state, history, pair.terms, pair.base(name))
    for one in (*verdict.labels.sets, *verdict.labels.removes):
        after = _with_label(history, state, one, gone=one in verdict.labels.removes)
        if after is not None:
            history = after
            changed.append(one.about(name))
    return history


def _with_label(history: History, state: State, label: Label, *, gone: bool) -> History | None:
    """The history with one label as the source has it; None if its version is not there."""
    if label.kind == "tag" and gone:
        return history.without_tag(label.key)
    version = state.tags[label.key] if label.kind == "tag" else parse_version(label.version)
    there, mine = history.entry(version), state.live.get(version)
    if there is None or mine is None or there.content != mine.content:
        return None  # it could not be copied
    if label.kind == "tag":
        return history.with_tag(label.key, version)
    if label.kind == "protection":
        return history.with_protection(version, protected=not gone)
    notes = {key: value for key, value in there.notes.items() if key != label.key}
    if not gone:
        notes[label.key] = mine.notes[label.key]
    return history.with_notes(version, notes)


def delete(pair: Pair, name: str) -> tuple[Held, list[str]]:
    """Delete what does not live at the source at this moment, and is not protected. Returns the target's ref, and what.

    Raises:
        CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
        CommitConflictError, CommitUnknownError: Others kept winning; an answer was lost.
        StorageError: One of the two refused or failed.
    """
    deleted: list[str] = []

    def change(removal: Removal) -> History | None:
        # Asked again: what was saved and synced by others since it was planned is not to be deleted.
        live = pair.source.refs.ask(name, state_of).live
        history, when = removal.history, now()
        deleted.clear()
        for version, entry in removal.history.live():
            if version not in live and not entry.protected:
                history = history.without_version(version, when)
                deleted.append(f"{name}@{version}")
        return history if deleted else None

    held = pair.target.refs.remove(name, change).held
    return held, deleted
