"""The collector: condemned, fence, verdict, idle. And who marks damaged names, by a run that deletes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.asking import choose, delete, get, get_head, list_refs, plan, swap, swap_head
from protocol.rules import Rule
from protocol.world import NONE, Head, Names, Outcome, Ref

if TYPE_CHECKING:
    from protocol.asking import Steps
    from protocol.rules import Rules


def collect(me: str, rules: Rules, *, runs: int = 1, some: bool = False, keep: int = 1) -> Steps[None]:
    """Collect.

    Args:
        me: Who.
        rules: That are followed.
        runs: So many times.
        some: Any one candidate may be condemned, or all; else all.
        keep: So many closed verdicts stay in the head.
    """
    while runs:
        runs -= 1
        early: tuple[int, ...] | None = None
        head = yield from get_head()
        if head is None:
            return
        if head.state == "idle":
            found = yield from plan()
            if not found:
                continue
            options = (found, *(frozenset({name}) for name in sorted(found) if some and len(found) > 1))
            found = yield from choose(options)
            del options
            if not rules.has(Rule.CONDEMN):
                yield from _delete(found, rules)
                continue
            if not rules.has(Rule.LIST_AFTER_CONDEMNING):
                early = yield from list_refs()
            nonce = f"c{head.id[1] + 1}" if rules.has(Rule.NONCE) else "first"
            new = Head((nonce, head.id[1] + 1), "condemned", found, head.bad, head.kept)
            del found, nonce
            outcome = yield from swap_head(head, new)
            if outcome is not Outcome.OK:
                continue
            head = new
            del new, outcome
        yield from finish(me, head, rules, early=early, keep=keep)


def finish(
    me: str,
    head: Head,
    rules: Rules,
    *,
    early: tuple[int, ...] | None = None,
    spare: bool = False,
    keep: int = 1,
) -> Steps[None]:
    """Take the run that is going on to its end, unless somebody else is quicker. `spare`: the verdict names nothing."""
    if head.state == "condemned":
        left = head.names
        if rules.has(Rule.FENCE):
            fenced = yield from _fence(me, head, rules, early)
            if fenced is None:
                return
            left = fenced if rules.has(Rule.SPARE_MARKED) else left
            del fenced
        new = head._replace(state="verdict", names=NONE if spare else left)
        del left
        judged = yield from _moved(head, new, rules)
        if judged is None:
            return
        head = judged
        del judged, new
    yield from _delete(head.names, rules)
    closed = Head(head.id, "idle", NONE, head.bad, (*head.kept, (head.id, head.names))[-keep:])
    yield from _moved(head, closed, rules)


def _moved(head: Head, new: Head, rules: Rules) -> Steps[Head | None]:
    """The head as it is after the step; None if somebody else has taken it, and there is nothing to take over."""
    while True:
        blind = new.state == "verdict" and not rules.has(Rule.VERDICT_BY_SWAP)
        outcome = yield from swap_head(head, new, blind=blind)
        if outcome is Outcome.OK:
            return new
        now = yield from get_head()
        if now == new:
            return new
        if now == head:
            continue  # the same once more
        if now is not None and now.id == head.id and now.state == new.state == "verdict":
            return now if rules.has(Rule.FIRST_VERDICT) else new
        return None


def _fence(me: str, head: Head, rules: Rules, early: tuple[int, ...] | None) -> Steps[Names | None]:
    """The candidates that no ref reaches; None if something is damaged."""
    marks: Names = NONE
    todo = early
    if todo is None:
        todo = yield from list_refs()
    while todo:
        held = yield from get(todo[0])
        assert held is not None
        if held.damaged and rules.has(Rule.STOP_AT_DAMAGE):
            return None
        seen = () if held.damaged else held.live
        reach = frozenset(name for one in seen for name in one.names) & head.names
        del seen
        if held.damaged or _counts(held, head, rules):
            if held.stamp != head.id or rules.has(Rule.MARK_STAMPED):
                marks |= reach
            todo = todo[1:]
            continue
        who = me if rules.has(Rule.UNIQUE_WRITES) else "a collector"
        new = held._replace(write=f"{who} stamps {head.id}", stamp=head.id)
        outcome = yield from swap(todo[0], held, new)
        if outcome is Outcome.OK:
            marks |= reach
            todo = todo[1:]
        elif not rules.has(Rule.STAMP_BEFORE_MARK):
            # It has noted what it read, and goes on until the stamp is there.
            yield from _stamp_only(me, todo[0], head)
            marks |= reach
            todo = todo[1:]
        del held, reach, new, outcome, who
    return head.names - marks


def _stamp_only(me: str, number: int, head: Head) -> Steps[None]:
    while True:
        held = yield from get(number)
        assert held is not None
        if held.stamp == head.id:
            return
        outcome = yield from swap(number, held, held._replace(write=f"{me} stamps", stamp=head.id))
        if outcome is Outcome.OK:
            return


def _counts(held: Ref, head: Head, rules: Rules) -> bool:
    """Whether the ref needs no stamp of this run any more."""
    if not rules.has(Rule.STAMP) or (not held.live and not rules.has(Rule.STAMP_EMPTY)):
        return True
    if not rules.has(Rule.EQUAL_STAMPS) and held.stamp is not None and held.stamp[1] >= head.id[1]:
        return True
    return held.stamp == head.id


def _delete(names: Names, rules: Rules) -> Steps[None]:
    while names:
        outcome = yield from delete(min(names))
        if outcome is Outcome.OK or not rules.has(Rule.CONFIRMED):
            names -= {min(names)}
        del outcome
