"""`gc/head`: what the collector is doing, and the lists of names that no writer may build on.

A sealed JSON object (see `casreg.canonical`), moved by compare-and-swap only and never deleted:

    {"bad":null,"format":1,"id":["<32 hex>",7],"kept":[{"id":["<32 hex>",7],"names":"segments/…","write":"<32 hex>"}],
     "names":null,"requires":[],"state":"idle","write":"<32 hex>","sum":"…"}

`id` is that of the current or last run: a nonce drawn by the run's first step, and a number that is one more than
the last run's.  Ids are compared for equality only.  `state` goes idle → condemned → verdict → idle, and each step
is one compare-and-swap.  `names` is the list of what is condemned, then of what the verdict deletes; `null` is the
empty list.  `kept` has the last closed verdicts, oldest first; `write` in them is that of the step that closed
them.  `bad` lists names whose bytes were found damaged.  An absent head is `INITIAL`.  Fields of the object that
this casreg does not know are written back; whoever adds fields inside `kept` adds a word to `requires`.

A list of names is an immutable segment, so its key holds the BLAKE3 of its bytes:

    casreg-segment 1 names <32 hex nonce>
    packs/00/0011223344556677-00…
    …

one key of data a line, in ascending order, none twice, each line ended by a newline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from casreg.canonical import FORMAT, check_format, check_requires, seal, unseal
from casreg.digest import digest_of
from casreg.exceptions import CorruptError, InvalidArgumentError
from casreg.keys import HEAD, is_data_key, parse_data_key, segment_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RunId: TypeAlias = tuple[str, int]
"""The id of a collector's run: nonce of 32 hexadecimal characters, sequence number. In JSON a list of the two."""

State = Literal["idle", "condemned", "verdict"]

KEPT_VERDICTS: Final = 8
"""So many closed verdicts stay in the head, and whatever a writer remembers for longer it has to look up again."""

_STATES: Final[dict[str, State]] = {"idle": "idle", "condemned": "condemned", "verdict": "verdict"}
_ID: Final = re.compile(r"[0-9a-f]{32}")
_NO_ID: Final = "0" * 32
_OWN_FIELDS: Final = frozenset({"format", "requires", "write", "id", "state", "names", "bad", "kept"})
_LIST_HEADER: Final = re.compile(r"casreg-segment ([1-9][0-9]{0,8}) names [0-9a-f]{32}\n")


@dataclass(frozen=True, slots=True)
class Kept:
    """A closed verdict.

    Attributes:
        id: The run's id.
        write: The id of the write that closed it.
        names: The key of the list of what it deleted, None for nothing.
    """

    id: RunId
    write: str
    names: str | None


@dataclass(frozen=True, slots=True)
class Head:
    """The collector's state.

    Attributes:
        id: The id of the current run, or of the last one when idle.
        state: Where the current run is.
        names: The key of the list of condemned names, or of the verdict's; None for none.
        bad: The key of the list of damaged names; None for none.
        kept: The last closed verdicts, oldest first.
        write: The id of the write that made this state.
        requires: Words that a writer must know.
        extra: Fields of later versions of casreg, to be written back as they are.
    """

    id: RunId
    state: State
    names: str | None
    bad: str | None
    kept: tuple[Kept, ...]
    write: str
    requires: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


INITIAL: Final = Head(id=(_NO_ID, 0), state="idle", names=None, bad=None, kept=(), write=_NO_ID)
"""What an absent head means: no run has been."""


def condemn(head: Head, names: str, nonce: str, write: str) -> Head:
    """Begin a run: idle → condemned, under the next number and a new nonce.

    Args:
        head: The state as it was read.
        names: The key of the list of candidates.
        nonce: 128 random bits, 32 hexadecimal characters.
        write: The id of this write, likewise.

    Raises:
        InvalidArgumentError: `head` is not idle, the nonce or write id was used before, or `names` is no segment.
    """
    _check_segment(names)
    return replace(_begin(head, nonce, write), names=names)


def condemn_bad(head: Head, bad: str | None, nonce: str, write: str) -> Head:
    """Begin a run that deletes nothing and replaces the list of damaged names. Arguments and errors as `condemn`."""
    if bad is not None:
        _check_segment(bad)
    return replace(_begin(head, nonce, write), names=None, bad=bad)


def verdict(head: Head, names: str | None, write: str) -> Head:
    """Say what is deleted: condemned → verdict.

    Args:
        head: The state as it was read.
        names: The key of the list of what the fence did not mark, a part of what was condemned; None if empty.
        write: The id of this write.

    Raises:
        InvalidArgumentError: `head` is not condemned, nothing was condemned but `names` is given, or as `condemn`.
    """
    _check_step(head, "condemned", "verdict", write)
    if names is not None:
        _check_segment(names)
        if head.names is None:
            raise InvalidArgumentError(
                f"run {head.id[1]} condemned nothing, so its verdict cannot delete {names}"
            )
    return replace(head, state="verdict", names=names, write=write)


def close(head: Head, write: str) -> Head:
    """End a run whose names are all confirmed deleted: verdict → idle; the verdict joins `kept`.

    Raises:
        InvalidArgumentError: `head` has no verdict, or as `condemn`.
    """
    _check_step(head, "verdict", "idle", write)
    kept = (*head.kept, Kept(head.id, write, head.names))[-KEPT_VERDICTS:]
    return replace(head, state="idle", names=None, kept=kept, write=write)


def known_ids(head: Head) -> frozenset[RunId]:
    """The ids under which a remembered name still counts as seen, unless a list of `bad_keys` has it."""
    return frozenset((head.id, *(kept.id for kept in head.kept)))


def bad_keys(head: Head) -> frozenset[str]:
    """The keys of all lists of names that no writer may build on: condemned, verdict, kept, damaged."""
    lists = (head.names, head.bad, *(kept.names for kept in head.kept))
    return frozenset(key for key in lists if key is not None)


def dump_head(head: Head) -> bytes:
    """The bytes to store, ending in a newline."""
    return seal(
        {
            **head.extra,
            "format": FORMAT,
            "requires": list(head.requires),
            "write": head.write,
            "id": list(head.id),
            "state": head.state,
            "names": head.names,
            "bad": head.bad,
            "kept": [{"id": list(kept.id), "write": kept.write, "names": kept.names} for kept in head.kept],
        },
        HEAD,
    )


def parse_head(data: bytes, what: str = HEAD) -> Head:
    """The state in `data`.

    Args:
        data: All bytes of the file.
        what: The name of the file for messages, best with its location.

    Raises:
        CorruptError: The checksum does not match, or a field is missing or is not what it must be.
        UnsupportedFormatError: The format's number, or a word in `requires`, is of a later casreg.
    """
    body = unseal(data, what)
    check_format(body, what)
    requires = check_requires(body, what)
    try:
        head = Head(
            id=_read_run(body.get("id")),
            state=_read_state(body.get("state")),
            names=_read_list(body.get("names")),
            bad=_read_list(body.get("bad")),
            kept=_read_kept(body.get("kept")),
            write=_read_id(body.get("write")),
            requires=requires,
            extra={key: value for key, value in body.items() if key not in _OWN_FIELDS},
        )
        _check_sense(head)
    except ValueError as err:
        raise CorruptError(
            f"{what} is damaged: {err}. Restore it from another copy of the repository"
        ) from err
    return head


def encode_names(keys: Iterable[str], nonce: str) -> tuple[str, bytes]:
    """The key and the bytes of the list of these keys of data, in any order, some perhaps twice.

    Args:
        keys: Keys of packs, manifests and segments.
        nonce: 128 random bits, 32 hexadecimal characters, so that no two lists have one key.

    Raises:
        InvalidArgumentError: One is not the key of data: a list may never name anything else, for what a verdict
            names is deleted. Or `nonce` is not one.
    """
    _check_id(nonce, "nonce")
    ordered = sorted(set(keys))
    stranger = next((key for key in ordered if not is_data_key(key)), None)
    if stranger is not None:
        raise InvalidArgumentError(
            f"{stranger!r} is not the key of a pack, manifest or segment: it cannot be listed"
        )
    data = "".join((f"casreg-segment 1 names {nonce}\n", *(f"{key}\n" for key in ordered))).encode()
    return segment_key(digest_of(data)), data


def decode_names(data: bytes, key: str) -> tuple[str, ...]:
    """The keys that the list at `key` names, in ascending order, after all of it was verified.

    Raises:
        CorruptError: The bytes do not have the digest in `key`, or are not such a list.
        UnsupportedFormatError: They are one of another format.
    """
    parsed = parse_data_key(key)
    if parsed is None or parsed.kind != "segment":
        raise CorruptError(f"{key} is not the key of a segment, so no list of names can be there")
    if digest_of(data) != parsed.digest:
        raise CorruptError(
            f"{key} is damaged: its bytes do not have the digest in its name. Restore it from a copy"
        )
    text = data.decode("ascii", "replace")
    header = _LIST_HEADER.match(text)
    if header:
        check_format({"format": int(header[1])}, key)
    lines = text[header.end() :].split("\n") if header else []
    names = tuple(lines[:-1])
    in_order = all(a < b for a, b in pairwise(names))
    if not lines or lines[-1] or not in_order or not all(map(is_data_key, names)):
        raise CorruptError(f"{key} is not a list of names as casreg writes them, though its digest is right")
    return names


def _begin(head: Head, nonce: str, write: str) -> Head:
    _check_step(head, "idle", "condemned", write)
    _check_id(nonce, "nonce")
    if nonce in {head.id[0], *(kept.id[0] for kept in head.kept)}:
        raise InvalidArgumentError(f"the nonce {nonce} was used by an earlier run: each run draws a new one")
    return replace(head, id=(nonce, head.id[1] + 1), state="condemned", write=write)


def _check_step(head: Head, needed: State, target: State, write: str) -> None:
    if head.state != needed:
        raise InvalidArgumentError(
            f"gc/head is {head.state} in run {head.id[1]}; only from {needed} can it become {target}: read it again"
        )
    _check_id(write, "write id")
    if write == head.write:
        raise InvalidArgumentError(
            f"the write id {write} is that of the present state: each write draws a new one"
        )


def _check_id(text: str, what: str) -> None:
    if not _ID.fullmatch(text):
        raise InvalidArgumentError(f"a {what} is 32 lower-case hexadecimal characters, not {text!r}")


def _check_segment(key: str) -> None:
    parsed = parse_data_key(key)
    if parsed is None or parsed.kind != "segment":
        raise InvalidArgumentError(f"{key!r} is not the key of a segment, so it can hold no list of names")


def _check_sense(head: Head) -> None:
    """What no run of transitions from INITIAL, or from a head after an adoption, can break.

    Raises:
        ValueError: It is broken.
    """
    if head.state == "idle" and head.names is not None:
        raise ValueError("it is idle and yet has names")
    numbers = [kept.id[1] for kept in head.kept]
    if numbers != sorted(set(numbers)):
        raise ValueError("its kept verdicts are out of order")
    if numbers and (numbers[-1] > head.id[1] or (numbers[-1] == head.id[1] and head.state != "idle")):
        raise ValueError("it has kept the verdict of a run that is not over")


def _read_id(value: object) -> str:
    if type(value) is not str or not _ID.fullmatch(value):
        raise ValueError(f"an id is not 32 hexadecimal characters: {value!r:.80}")
    return value


def _read_run(value: object) -> RunId:
    if not isinstance(value, list) or len(value) != 2 or type(value[1]) is not int or value[1] < 0:
        raise ValueError(f"the id of a run is not a nonce and a number: {value!r:.80}")
    return _read_id(value[0]), value[1]


def _read_state(value: object) -> State:
    if not isinstance(value, str) or value not in _STATES:
        raise ValueError(f"its state is none that format 1 has: {value!r:.80}")
    return _STATES[value]


def _read_list(value: object) -> str | None:
    if value is None:
        return None
    parsed = parse_data_key(value) if isinstance(value, str) else None
    if parsed is None or parsed.kind != "segment":
        raise ValueError(f"a list of names is not at the key of a segment: {value!r:.80}")
    return str(value)


def _read_kept(value: object) -> tuple[Kept, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ValueError("its kept verdicts are not a list of objects")
    return tuple(
        Kept(_read_run(entry.get("id")), _read_id(entry.get("write")), _read_list(entry.get("names")))
        for entry in value
    )
