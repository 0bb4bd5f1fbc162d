"""What all who add a name to a ref do alike: reading in the right order, checking names, one swap brought to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.asking import choose, create, exists, get, get_head, list_data, put, swap
from protocol.rules import Rule
from protocol.world import NONE, Head, Name, Names, Outcome, Ref, RunId

if TYPE_CHECKING:
    from protocol.asking import Steps
    from protocol.rules import Rules

NOW: RunId = ("now", 0)
"""A mutant's sighting: whatever head is read at the commit, it counts from that."""


def bad_of(head: Head, rules: Rules) -> Names:
    """What nobody may build on."""
    if not rules.has(Rule.HEED_HEAD):
        return head.bad
    kept = NONE.union(*(names for _, names in head.kept)) if rules.has(Rule.HEED_KEPT) else NONE
    return head.names | kept | (head.bad if rules.has(Rule.HEED_BAD) else NONE)


def usable(name: Name, seen: RunId | None, head: Head, rules: Rules) -> Steps[bool]:
    """Whether a name may be put into a ref (step 3)."""
    if name in bad_of(head, rules):
        return False
    if seen is not None and not rules.has(Rule.HORIZON):
        return True
    if seen in (head.id, NOW, *(run for run, _ in head.kept)):
        return True
    there = yield from exists(name)
    return there


def all_usable(names: Names, head: Head, rules: Rules) -> Steps[bool]:
    """Whether all of these may, none of which was seen yet. A mutant looks at the manifest only."""
    todo = tuple(sorted(names if rules.has(Rule.WHOLE_CLOSURE) else names & {"manifest.0"}))
    while todo:
        fine = yield from usable(todo[0], None, head, rules)
        if not fine:
            return False
        todo = todo[1:]
    return True


def upload(me: str, content: str, sent: int, rules: Rules) -> Steps[tuple[Name, int]]:
    """Write the content, under another name as often as an answer is lost. Returns the name, and how many were used."""
    while True:
        name = f"{content}.{me}{sent}" if rules.has(Rule.FRESH_NAMES) else f"{content}.0"
        outcome = yield from put(name)
        if outcome is Outcome.OK:
            return name, sent + 1
        if rules.has(Rule.SENT_ONCE):
            sent += 1


def find(content: str, head: Head, rules: Rules) -> Steps[Name | None]:
    """A name of the content that exists and may be built on: any of them. The head was read before."""
    data = yield from list_data()
    found = tuple(sorted(n for n in data - bad_of(head, rules) if n.partition(".")[0] == content))
    if not found:
        return None
    del data
    chosen = yield from choose(found)
    return chosen


def read_both(me: str, number: int, rules: Rules) -> Steps[tuple[Ref | None, Head] | None]:
    """Steps 1 and 2: the ref, made if there is none, and then the head. None if one of them is damaged.

    The ref is None only for a mutant that creates it later.
    """
    early = None
    if not rules.has(Rule.REF_BEFORE_HEAD):
        early = yield from get_head()
    held = yield from get(number)
    while held is None and rules.has(Rule.CREATE_FIRST):
        new = Ref(f"{me} creates", None, frozenset())
        outcome = yield from create(number, new)
        if outcome is Outcome.OK:
            held = new
        else:
            held = yield from get(number)
    if held is not None and held.damaged:
        return None
    if early is None:
        early = yield from get_head()
    return None if early is None else (held, early)


def land(number: int, held: Ref | None, new: Ref, rules: Rules) -> Steps[Outcome]:
    """The commit: it landed, or never will. LOST only for a mutant that does not stay with what it sent."""
    doubt = False
    while True:
        if held is None:
            outcome = yield from create(number, new)
        else:
            outcome = yield from swap(number, held, new)
        if outcome is Outcome.OK:
            return outcome
        if outcome is Outcome.CONFLICT and not (doubt and rules.has(Rule.READ_BACK)):
            return outcome
        doubt = True
        if not rules.has(Rule.READ_BACK):
            continue
        now = yield from get(number)
        if now is not None and new.write in (now.write, *now.recent):
            return Outcome.OK
        if now != held:
            return Outcome.CONFLICT
        del now
        if not rules.has(Rule.SAME_BYTES):
            return Outcome.LOST
