"""What must hold in every state, and of every step. The numbers are those of docs/concurrency.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.world import NONE, Delete, Put, Say, SwapHead, live_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.world import Head, Request, World


def promises(world: World) -> Iterator[str]:
    """What users are promised of every state: this is what a mutant must be seen to break."""
    for number, ref in enumerate(world.refs):
        for version in () if ref is None else sorted(ref.live):
            for name in sorted(version.names - world.data):
                yield f"I1: version {version.by} in ref {number} needs {name}, which is deleted"
            if "healed" in world.said and version.names & world.damaged:
                yield f"version {version.by} in ref {number} needs what is damaged, and the healing is over"
        saves = [] if ref is None else [write.partition("#")[0] for write in ref.recent]
        if len(set(saves)) < len(saves):
            yield f"one save made two versions of ref {number}"


def broken_by(world: World, said: Say) -> Iterator[str]:
    """What an actor was told, or tells, that is not so."""
    if said.what == "saved":
        ref = world.refs[said.ref]
        if ref is None or said.about not in ref.recent:
            yield f"{said.about} was told that it has saved, and ref {said.ref} says nothing of it"
    elif said.what in ("lost", "mixed"):
        yield f"a reader of ref {said.ref} says {said.what}: {said.about}"


def inner(world: World) -> Iterator[str]:
    """What the proof of the promises rests on, of states."""
    head = world.head
    if head is not None and head.state == "verdict":
        for name in sorted(head.names & live_names(world)):
            yield f"I4: {name} is in the verdict, and a version needs it"


def of_steps(before: World, request: Request, after: World) -> Iterator[str]:
    """The same, of steps that were done."""
    match request:
        case Put(name) if name in before.data | before.gone:
            yield f"I7: {name} was there before"
        case Delete(name) if name in before.data and before.head is not None:
            judged = before.head.names if before.head.state == "verdict" else NONE
            if name not in judged | before.head.bad:  # who adopts makes what a verdict named bad
                yield f"I6: {name} is deleted, and no verdict names it"
        case SwapHead(expected, new) if expected is not None and not follows(expected, new):
            yield f"I3: the head goes from {expected.state} {expected.id} to {new.state} {new.id}"
        case SwapHead(_, new) if new.state == "verdict":
            for number, ref in enumerate(before.refs):
                if ref is not None and (ref.live or ref.dead) and number not in before.fenced:
                    yield f"I5: there is a verdict, and ref {number} never had the stamp of {new.id[0]}"
    added = live_names(after) - live_names(before)
    if not added <= after.data:
        yield f"I2: {min(added - after.data)} was not acknowledged before the commit"
    if any(old is not None and new is None for old, new in zip(before.refs, after.refs, strict=True)):
        yield "I7: a ref is gone"


def follows(head: Head, new: Head) -> bool:
    """Whether the step is one that the head may take."""
    if new.state == "condemned" and not new.kept:  # an adoption
        return new.id[1] > head.id[1] and new.id[0] != head.id[0] and not new.names and head.bad <= new.bad
    match head.state, new.state:
        case "idle", "condemned":
            is_new = new.id[1] == head.id[1] + 1 and new.id[0] != head.id[0]
            return is_new and new.kept == head.kept and head.bad <= new.bad
        case "condemned", "verdict":
            return new._replace(state="condemned", names=head.names) == head and new.names <= head.names
        case "verdict", "idle":
            return new.id == head.id and new.names == NONE and new.kept[-1:] == ((head.id, head.names),)
    return False
