"""Who adds names to refs: savers, copiers, who undeletes, who compacts. And who deletes, which adds none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.asking import choose, delete as delete_data, exists, get, get_head, put, say, swap
from protocol.committing import NOW, all_usable, find, land, read_both, upload, usable
from protocol.rules import Rule
from protocol.world import Outcome, Ref, RunId, Version

if TYPE_CHECKING:
    from protocol.asking import Steps
    from protocol.rules import Rules


def save(
    me: str,
    number: int,
    rules: Rules,
    *,
    content: str = "pack",
    remembered: RunId | None = None,
    early: bool = False,
    copies: bool = False,
    replaces: bool = False,
) -> Steps[None]:
    """Save a version that needs one pack.

    Args:
        me: Who.
        number: The ref's.
        rules: That are followed.
        content: What.
        remembered: It remembers `pack.0`, which it saw after it had read the head of this run.
        early: It looks for the pack, or writes it, before it reads the ref.
        copies: It brings data from elsewhere, and never looks for what is there.
        replaces: The version takes the place of all others.
    """
    chosen = None if remembered is None else "pack.0"
    seen, sent, doubts, checked = remembered, 0, 0, False
    if early:
        head = yield from get_head()
        if head is None:
            return
        chosen = yield from find(content, head, rules)
        if chosen is None:
            chosen, sent = yield from upload(me, content, sent, rules)
        seen = head.id if rules.has(Rule.SIGHTING_BEFORE) else NOW
        del head
    while True:
        both = yield from read_both(me, number, rules)
        if both is None:
            return
        held, head = both
        del both
        if chosen is not None and not (checked and not rules.has(Rule.REVALIDATE)):
            fine = yield from usable(chosen, seen, head, rules)
            if fine:
                seen = head.id if seen is None else seen
            else:
                chosen = None
            del fine
        if chosen is None and not copies:
            chosen = yield from find(content, head, rules)
        if chosen is None and copies and not rules.has(Rule.FRESH_NAMES_OF_COPIES):
            chosen, sent = yield from upload("source", content, 0, rules)
        if chosen is None:
            chosen, sent = yield from upload(me, content, sent, rules)
        if not checked or rules.has(Rule.REVALIDATE):
            seen = seen if seen is not None else head.id
        checked = not rules.has(Rule.REVALIDATE)
        base = held or Ref("", None, frozenset())
        mine = Version(me, content, frozenset({chosen}))
        new = base._replace(
            write=f"{me}#{doubts}",
            stamp=head.id,
            live=frozenset({mine}) if replaces else base.live | {mine},
            recent=base.recent | {f"{me}#{doubts}"},
        )
        del base, mine, head
        landed = yield from land(number, held, new, rules)
        del held, new
        if landed is Outcome.OK:
            yield from say("saved", number, f"{me}#{doubts}")
            return
        if not rules.has(Rule.KEEP_UPLOADS) and sent:
            yield from delete_data(chosen)
            return
        if landed is Outcome.LOST or not rules.has(Rule.READ_BACK):
            doubts += 1
        if seen is not None and not rules.has(Rule.SIGHTING_BEFORE):
            seen = None


def copy_twice(me: str, number: int, rules: Rules) -> Steps[None]:
    """Bring a version from elsewhere, and once more."""
    yield from save(f"{me}a", number, rules, copies=True)
    yield from save(f"{me}b", number, rules, copies=True)


def send_again(me: str, rules: Rules) -> Steps[None]:
    """Go on with a save whose `pack.0` got no answer, and end before the commit."""
    if rules.has(Rule.SENT_ONCE):
        yield from upload(me, "pack", 0, rules)
    else:
        yield from put("pack.0")


def delete(me: str, number: int, by: str, rules: Rules, *, keeps: bool = False) -> Steps[None]:
    """Delete a version, if it is there. It adds no name: it reads no head, and keeps the stamp.

    `keeps` leaves a tombstone. Nobody protects it: what it needs may be collected at once.
    """
    del rules
    while True:
        held = yield from get(number)
        if held is None or held.damaged:
            return
        gone = frozenset(one for one in held.live if one.by == by)
        if not gone:
            return
        dead = held.dead | gone if keeps else held.dead
        new = held._replace(write=f"{me} deletes", live=held.live - gone, dead=dead)
        del gone, dead
        outcome = yield from swap(number, held, new)
        del held, new
        if outcome is Outcome.OK:
            return


def undelete(me: str, number: int, by: str, rules: Rules) -> Steps[None]:
    """Bring a deleted version back, if all that it needs may be built on."""
    while True:
        both = yield from read_both(me, number, rules)
        if both is None:
            return
        held, head = both
        del both
        if held is None:
            return
        back = frozenset(one for one in held.dead if one.by == by)
        if not back:
            return
        names = frozenset(name for one in back for name in one.names)
        fine = yield from all_usable(names, head, rules)
        if not fine:
            return
        live, dead = held.live | back, held.dead - back
        new = held._replace(write=f"{me} undeletes", stamp=head.id, live=live, dead=dead)
        del head, back, names, fine, live, dead
        landed = yield from land(number, held, new, rules)
        del held, new
        if landed is Outcome.OK:
            return
        del landed


def compact(me: str, number: int, rules: Rules) -> Steps[None]:
    """Write a pack that a version needs anew, and let the versions need the new one."""
    head = yield from get_head()
    held = yield from get(number)
    packs = () if held is None else tuple(sorted({name for one in held.live for name in one.names}))
    if head is None or not packs:
        return
    old = yield from choose(packs)
    seen = head.id if rules.has(Rule.SIGHTING_BEFORE) else NOW
    sent = 0
    checked = False
    del held, head, packs
    there = yield from exists(old)
    if not there:
        return
    new_name, sent = yield from upload(me, old.partition(".")[0], sent, rules)
    while True:
        both = yield from read_both(me, number, rules)
        if both is None:
            return
        held, head = both
        del both
        if held is None or not any(old in one.names for one in held.live):
            return
        if not (checked and not rules.has(Rule.REVALIDATE)):
            fine = yield from usable(new_name, seen, head, rules)
            if not fine:
                there = yield from exists(old)
                if not there:
                    return
                new_name, sent = yield from upload(me, old.partition(".")[0], sent, rules)
                seen = head.id
            del fine
        checked = not rules.has(Rule.REVALIDATE)
        live = frozenset(
            one._replace(names=(one.names - {old}) | {new_name}) if old in one.names else one
            for one in held.live
        )
        new = held._replace(write=f"{me} swings", stamp=head.id, live=live)
        del live, head
        landed = yield from land(number, held, new, rules)
        del held, new
        if landed is Outcome.OK:
            return
        del landed


def load(number: int, rules: Rules) -> Steps[None]:
    """Load the version that there is, file by file."""
    held = yield from get(number)
    version = min(held.live) if held is not None and held.live else None
    del held
    if version is None:
        return
    handed_out: frozenset[str] = frozenset()
    todo = tuple(sorted(version.names))
    while todo:
        there = yield from exists(todo[0])
        if there:
            handed_out |= {version.content}
            todo = todo[1:]
            continue
        if not rules.has(Rule.READ_AGAIN):
            yield from say("lost", number, todo[0])
            return
        held = yield from get(number)
        again = min(held.live) if held is not None and held.live else None
        del held
        if again is None:
            return
        if again == version:
            yield from say("lost", number, todo[0])
            return
        version = again
        del again
        todo = tuple(sorted(version.names))
        if rules.has(Rule.ONE_CONTENT):
            handed_out = frozenset()
    if len(handed_out) > 1:
        yield from say("mixed", number, " and ".join(sorted(handed_out)))
