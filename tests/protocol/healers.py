"""Who mends: marks damaged names and writes them anew, puts a damaged ref back, begins a new head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.asking import get, get_head, list_data, list_refs, say, swap_head
from protocol.collector import finish
from protocol.committing import land, read_both, upload, usable
from protocol.rules import Rule
from protocol.world import NONE, Head, Names, Outcome, Ref, RunId, Version

if TYPE_CHECKING:
    from protocol.asking import Steps
    from protocol.rules import Rules


def heal(me: str, damaged: Names, rules: Rules) -> Steps[None]:
    """See that no version needs these names, which were read twice with wrong bytes, and never will."""
    if not rules.has(Rule.LOOK_AFTER_MARK):
        yield from _swing_all(me, damaged, rules)
    yield from _mark(me, damaged, rules)
    if rules.has(Rule.LOOK_AFTER_MARK):
        yield from _swing_all(me, damaged, rules)
    yield from say("healed")


def _mark(me: str, damaged: Names, rules: Rules) -> Steps[None]:
    while True:
        head = yield from get_head()
        assert head is not None
        if head.state != "idle" and rules.has(Rule.BAD_BY_RUN):
            yield from finish(me, head, rules, spare=True)
            continue
        if damaged <= head.bad:
            return
        if rules.has(Rule.BAD_BY_RUN):
            new = Head((f"{me}{head.id[1] + 1}", head.id[1] + 1), "condemned", NONE, damaged, head.kept)
        else:
            new = head._replace(bad=damaged)
        yield from swap_head(head, new)
        del head, new


def _swing_all(me: str, damaged: Names, rules: Rules) -> Steps[None]:
    todo = yield from list_refs()
    while todo:
        clean = yield from _swing(f"{me}{todo[0]}", todo[0], damaged, rules)
        if clean:
            todo = todo[1:]
        del clean


def _swing(me: str, number: int, damaged: Names, rules: Rules) -> Steps[bool]:
    """Whether the versions of a ref need none of the names: they get a new one otherwise."""
    held = yield from get(number)
    assert held is not None
    if not any(one.names & damaged for one in held.live):
        return True
    del held
    sent = 0
    fresh = None
    seen = None
    while True:
        both = yield from read_both(me, number, rules)
        assert both is not None
        held, head = both
        del both
        assert held is not None
        if fresh is not None:
            fine = yield from usable(fresh, seen, head, rules)
            fresh = fresh if fine else None
            del fine
        if fresh is None:
            fresh, sent = yield from upload(me, "pack", sent, rules)
            seen = head.id
        live = frozenset(
            one._replace(names=(one.names - damaged) | {fresh}) if one.names & damaged else one
            for one in held.live
        )
        new = held._replace(write=f"{me} heals {sent}", stamp=head.id, live=live)
        del head, live
        landed = yield from land(number, held, new, rules)
        del held, new
        if landed is Outcome.OK:
            return False
        del landed


def restore(me: str, number: int, copy: Version, rules: Rules) -> Steps[None]:
    """Put what another copy says in the place of a damaged ref. What can be read stays."""
    held = yield from get(number)
    if held is None or not held.damaged:
        return
    head = yield from get_head()
    if head is None:
        return
    needed = copy.names
    fine = True
    if rules.has(Rule.VALIDATE_RESTORED):
        fine = yield from usable(min(needed), None, head, rules)
    if not fine:
        fresh, _ = yield from upload(me, copy.content, 0, rules)
        needed = frozenset({fresh})
    new = Ref(f"{me} restores", head.id, frozenset({copy._replace(names=needed)}))
    del head, needed, fine
    yield from land(number, held, new, rules)


def renew(me: str, lists: Names, before: RunId, rules: Rules) -> Steps[None]:
    """Begin a new head in the place of a lost one. `lists`: what all lists of the place name; `before`: the last id."""
    head = yield from get_head()
    if head is not None:
        return
    run: RunId = (me, before[1] + 1) if rules.has(Rule.NEW_HEAD_ID) else before
    bad = lists if rules.has(Rule.NEW_HEAD_HEEDS_LISTS) else NONE
    yield from swap_head(None, Head(run, "idle", NONE, bad))


def adopt(me: str, rules: Rules) -> Steps[None]:
    """Make a copy a repository of its own; by mistake, for others are at work: a new head, and every ref under a new id."""
    while True:
        head = yield from get_head()
        if head is None:
            return
        threatened = NONE
        if rules.has(Rule.NEW_HEAD_HEEDS_LISTS):
            judged = head.names if head.state == "verdict" else NONE
            threatened = judged.union(*(names for _, names in head.kept))
            there = yield from list_data()
            threatened &= there
            del there, judged
        run = (f"{me}{head.id[1] + 1}", head.id[1] + 1)
        new = Head(run, "condemned", NONE, head.bad | threatened)
        del threatened, run
        outcome = yield from swap_head(head, new)
        if outcome is Outcome.OK:
            break
        del head, new
    del head
    yield from finish(me, new, rules)
