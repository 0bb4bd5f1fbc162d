from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from casreg.canonical import load, seal
from casreg.digest import Digest, digest_of
from casreg.exceptions import CorruptError, InvalidArgumentError, UnsupportedFormatError
from casreg.head import (
    INITIAL,
    KEPT_VERDICTS,
    Head,
    Kept,
    bad_keys,
    close,
    condemn,
    condemn_bad,
    decode_names,
    dump_head,
    encode_names,
    known_ids,
    parse_head,
    verdict,
)
from casreg.keys import hook_of, manifest_key, pack_key, segment_key

digests = st.binary(min_size=32, max_size=32).map(Digest)
data_keys = (
    digests.map(manifest_key) | digests.map(segment_key) | digests.map(lambda d: pack_key(hook_of(d), d))
)


def _hex(number: int) -> str:
    return f"{number:032x}"


def _segment(number: int) -> str:
    return segment_key(digest_of(number.to_bytes(8, "big")))


def _run(head: Head, number: int) -> Head:
    """One whole run, whose ids and lists come from `number`."""
    base = number * 10
    head = condemn(head, _segment(base), _hex(base + 1), _hex(base + 2))
    head = verdict(head, _segment(base + 1), _hex(base + 3))
    return close(head, _hex(base + 4))


CONDEMNED = condemn(INITIAL, _segment(1), _hex(1), _hex(2))
VERDICT = verdict(CONDEMNED, _segment(2), _hex(3))
IDLE = close(VERDICT, _hex(4))
BAD = condemn_bad(IDLE, _segment(3), _hex(5), _hex(6))


def test_a_run_goes_from_idle_to_condemned_to_verdict_to_idle() -> None:
    """Each step changes what it must and nothing else."""
    assert Head((_hex(1), 1), "condemned", _segment(1), None, (), _hex(2)) == CONDEMNED
    assert Head((_hex(1), 1), "verdict", _segment(2), None, (), _hex(3)) == VERDICT
    assert (
        Head((_hex(1), 1), "idle", None, None, (Kept((_hex(1), 1), _hex(4), _segment(2)),), _hex(4)) == IDLE
    )


def test_a_run_for_damaged_names_condemns_nothing_and_keeps_their_list() -> None:
    """The list of damaged names counts from the first step on and outlives the run, and the next runs."""
    assert (BAD.state, BAD.names, BAD.bad, BAD.id[1]) == ("condemned", None, _segment(3), 2)
    head = close(verdict(BAD, None, _hex(7)), _hex(8))
    assert (head.bad, head.kept[-1].names) == (_segment(3), None)
    assert _run(head, 9).bad == _segment(3)
    assert condemn_bad(head, None, _hex(9), _hex(10)).bad is None


@pytest.mark.parametrize("head", [CONDEMNED, VERDICT, BAD])
def test_a_run_begins_only_when_no_run_is_under_way(head: Head) -> None:
    """The error says in which state the head is."""
    for begin in (condemn, condemn_bad):
        with pytest.raises(InvalidArgumentError, match=f"gc/head is {head.state}"):
            begin(head, _segment(7), _hex(70), _hex(71))


@pytest.mark.parametrize("head", [INITIAL, IDLE, VERDICT])
def test_a_verdict_comes_only_after_a_condemnation(head: Head) -> None:
    """Once a run: a second verdict would list other names."""
    with pytest.raises(InvalidArgumentError, match=f"gc/head is {head.state}"):
        verdict(head, _segment(7), _hex(70))


@pytest.mark.parametrize("head", [INITIAL, IDLE, CONDEMNED, BAD])
def test_only_a_verdict_is_closed(head: Head) -> None:
    """A condemnation cannot be dropped without its verdict."""
    with pytest.raises(InvalidArgumentError, match=f"gc/head is {head.state}"):
        close(head, _hex(70))


def test_a_run_that_condemned_nothing_deletes_nothing() -> None:
    """No name can be in a verdict that was not condemned before."""
    with pytest.raises(InvalidArgumentError, match="condemned nothing"):
        verdict(BAD, _segment(7), _hex(70))


def test_every_write_has_an_id_of_its_own() -> None:
    """Otherwise a lost answer could be taken for another write's."""
    with pytest.raises(InvalidArgumentError, match="write id"):
        condemn(IDLE, _segment(7), _hex(70), IDLE.write)
    with pytest.raises(InvalidArgumentError, match="write id"):
        verdict(CONDEMNED, None, CONDEMNED.write)
    with pytest.raises(InvalidArgumentError, match="write id"):
        close(VERDICT, VERDICT.write)


def test_every_run_has_a_nonce_of_its_own() -> None:
    """A stamp of an older run must never equal that of a new one."""
    for used in (IDLE.id[0], "0" * 32):
        head = IDLE if used == IDLE.id[0] else INITIAL
        with pytest.raises(InvalidArgumentError, match="nonce"):
            condemn(head, _segment(7), used, _hex(71))


@pytest.mark.parametrize("wrong", ["", "x" * 32, "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n"])
def test_ids_are_32_lower_case_hexadecimal_characters(wrong: str) -> None:
    """Nonces and write ids, in every step."""
    with pytest.raises(InvalidArgumentError):
        condemn(IDLE, _segment(7), wrong, _hex(71))
    with pytest.raises(InvalidArgumentError):
        condemn(IDLE, _segment(7), _hex(70), wrong)
    with pytest.raises(InvalidArgumentError):
        encode_names([], wrong)


@pytest.mark.parametrize("wrong", ["", "gc/head", manifest_key(digest_of(b"")), _segment(1) + "x"])
def test_lists_of_names_are_segments(wrong: str) -> None:
    """Nothing else can be read as a list."""
    for begin in (condemn, condemn_bad):
        with pytest.raises(InvalidArgumentError, match="segment"):
            begin(IDLE, wrong, _hex(70), _hex(71))
    with pytest.raises(InvalidArgumentError, match="segment"):
        verdict(CONDEMNED, wrong, _hex(71))


def test_the_last_verdicts_are_kept_and_older_ones_dropped() -> None:
    """The newest last; numbers rise by one each run."""
    head = INITIAL
    for number in range(1, KEPT_VERDICTS + 4):
        head = _run(head, number)
        assert head.id[1] == number
    assert [kept.id[1] for kept in head.kept] == list(range(4, KEPT_VERDICTS + 4))
    assert head.kept[-1].id == head.id


def test_known_ids_are_the_heads_own_and_the_kept() -> None:
    """Under any other id, what is remembered has to be looked up again."""
    assert known_ids(INITIAL) == {INITIAL.id}
    assert known_ids(VERDICT) == {VERDICT.id}
    assert known_ids(BAD) == {BAD.id, IDLE.id}
    assert INITIAL.id not in known_ids(IDLE)


def test_no_list_of_names_is_left_out() -> None:
    """Condemned, verdict, kept and damaged names: all that a writer may not build on."""
    assert bad_keys(INITIAL) == frozenset()
    assert bad_keys(CONDEMNED) == {_segment(1)}
    assert bad_keys(VERDICT) == {_segment(2)}
    assert bad_keys(IDLE) == {_segment(2)}
    assert bad_keys(BAD) == {_segment(2), _segment(3)}
    assert bad_keys(condemn(close(verdict(BAD, None, _hex(7)), _hex(8)), _segment(4), _hex(9), _hex(10))) == {
        _segment(2),
        _segment(3),
        _segment(4),
    }


@pytest.mark.parametrize("head", [INITIAL, CONDEMNED, VERDICT, IDLE, BAD])
def test_every_state_comes_back_from_its_bytes(head: Head) -> None:
    """parse(dump(head)) == head."""
    assert parse_head(dump_head(head)) == head


def test_the_bytes_of_a_head_are_frozen() -> None:
    """This is what stands in repositories (but for the checksum, which `test_canonical` pins)."""
    body = load(dump_head(BAD))
    del body["sum"]
    assert body == {
        "format": 1,
        "requires": [],
        "write": _hex(6),
        "id": [_hex(5), 2],
        "state": "condemned",
        "names": None,
        "bad": _segment(3),
        "kept": [{"id": [_hex(1), 1], "write": _hex(4), "names": _segment(2)}],
    }


def test_fields_of_a_later_casreg_survive_every_step() -> None:
    """What this version does not know is written back as it was."""
    head = parse_head(seal({**_body(IDLE), "colour": {"a": [1]}}))
    assert _run(head, 5).extra == {"colour": {"a": [1]}}
    assert parse_head(dump_head(_run(head, 5))) == _run(head, 5)


def test_an_unknown_requirement_or_format_is_named() -> None:
    """A client that does not know it neither writes nor collects."""
    with pytest.raises(UnsupportedFormatError, match="'leases'"):
        parse_head(seal({**_body(IDLE), "requires": ["leases"]}))
    with pytest.raises(UnsupportedFormatError, match="format 2"):
        parse_head(seal({**_body(IDLE), "format": 2}))


def _body(head: Head) -> dict[str, Any]:
    body = load(dump_head(head))
    del body["sum"]
    assert isinstance(body, dict)
    return body


_KEPT = {"id": [_hex(1), 1], "write": _hex(4), "names": None}


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": []},
        {"id": [_hex(1)]},
        {"id": [_hex(1), 1, 1]},
        {"id": [_hex(1), -1]},
        {"id": [_hex(1), True]},
        {"id": [_hex(1), 1.0]},
        {"id": ["x", 1]},
        {"id": [1, _hex(1)]},
        {"state": "busy"},
        {"state": None},
        {"state": ["idle"]},
        {"write": "x"},
        {"write": None},
        {"names": _segment(1)},
        {"names": ""},
        {"bad": "refs/a"},
        {"bad": manifest_key(digest_of(b""))},
        {"bad": 7},
        {"kept": None},
        {"kept": {}},
        {"kept": [1]},
        {"kept": [{}]},
        {"kept": [{**_KEPT, "write": None}]},
        {"kept": [{**_KEPT, "names": "gc/head"}]},
        {"kept": [_KEPT, _KEPT]},
        {"kept": [{**_KEPT, "id": [_hex(1), 2]}]},
        {"state": "condemned"},
        {"state": "verdict"},
    ],
)
def test_a_wrong_field_is_damage(change: dict[str, Any]) -> None:
    """Each field is checked, and that together they make sense, although the checksum is right."""
    with pytest.raises(CorruptError, match="gc/head at here"):
        parse_head(seal({**_body(IDLE), **change}), "gc/head at here")


@pytest.mark.parametrize("field", ["format", "requires", "write", "id", "state", "kept"])
def test_a_missing_field_is_damage(field: str) -> None:
    """Nothing is filled in."""
    with pytest.raises(CorruptError, match="gc/head"):
        parse_head(seal({key: value for key, value in _body(IDLE).items() if key != field}))


def test_a_flipped_byte_is_damage() -> None:
    """Anywhere in the file."""
    stored = dump_head(BAD)
    for at in range(len(stored)):
        with pytest.raises(CorruptError, match="gc/head"):
            parse_head(stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :])


@given(st.lists(data_keys, max_size=8))
def test_a_list_of_names_comes_back_sorted_and_without_doubles(keys: list[str]) -> None:
    """In whatever order and however often they were given."""
    key, data = encode_names([*keys, *keys[:2]], _hex(1))
    assert decode_names(data, key) == tuple(sorted(set(keys)))


def test_the_bytes_of_a_list_of_names_are_frozen() -> None:
    """A header line with the nonce, one key a line, at the key that its digest gives."""
    one, other = manifest_key(digest_of(b"1")), manifest_key(digest_of(b"2"))
    key, data = encode_names([one, other], _hex(7))
    low, high = sorted((one, other))
    assert data == f"casreg-segment 1 names {_hex(7)}\n{low}\n{high}\n".encode()
    assert key == segment_key(digest_of(data))


def test_two_lists_of_the_same_names_have_two_keys() -> None:
    """The nonce makes every physical name new, also of an empty list."""
    assert encode_names([], _hex(1))[0] != encode_names([], _hex(2))[0]


@pytest.mark.parametrize(
    "wrong", ["gc/head", "casreg.json", "refs/a", "", "x\n", f"{_segment(1)}\n{_segment(2)}"]
)
def test_only_data_can_be_listed(wrong: str) -> None:
    """What a verdict lists is deleted: a ref or the head can never be in one."""
    with pytest.raises(InvalidArgumentError):
        encode_names([_segment(1), wrong], _hex(1))


def test_a_damaged_list_is_detected() -> None:
    """The digest in the key is compared, byte for byte."""
    key, data = encode_names([_segment(1), _segment(2)], _hex(1))
    for at in range(len(data)):
        with pytest.raises(CorruptError, match=key):
            decode_names(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], key)
    with pytest.raises(CorruptError, match=key):
        decode_names(data[:-1], key)


_LINE = f"{_segment(1)}\n"
_HEADER = f"casreg-segment 1 names {_hex(1)}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        _LINE,
        _HEADER[:-1],
        _HEADER + _LINE[:-1],
        _HEADER + _LINE + _LINE,
        _HEADER + "".join(sorted((_LINE, f"{_segment(2)}\n"), reverse=True)),
        _HEADER + "refs/a\n",
        _HEADER + "gc/head\n",
        _HEADER + "\n",
        _HEADER + _LINE + "\n",
        _HEADER + _LINE.replace("\n", "\r\n"),
        _HEADER + _LINE[:-1] + "é\n",
        _HEADER.replace("names", "names "),
        " " + _HEADER + _LINE,
    ],
)
def test_a_list_that_no_casreg_wrote_is_refused_though_its_digest_is_right(text: str) -> None:
    """Nothing in it is believed: it could name what must not be deleted."""
    data = text.encode()
    with pytest.raises(CorruptError, match="not a list of names"):
        decode_names(data, segment_key(digest_of(data)))


@pytest.mark.parametrize("key", ["gc/head", manifest_key(digest_of(b"")), ""])
def test_a_list_is_only_read_from_a_segment(key: str) -> None:
    """The key must be able to hold the digest."""
    with pytest.raises(CorruptError, match="not the key of a segment"):
        decode_names(b"", key)


def test_an_empty_list_is_a_list() -> None:
    """Only its header."""
    key, data = encode_names([], _hex(1))
    assert decode_names(data, key) == ()
    assert data == _HEADER.encode()


def test_a_head_is_a_value() -> None:
    """It can be compared and hashed, and never changes in place."""
    assert hash(IDLE) == hash(replace(IDLE))
    with pytest.raises(AttributeError):
        IDLE.state = "verdict"  # type: ignore[misc]
