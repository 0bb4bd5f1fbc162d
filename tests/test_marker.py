from __future__ import annotations

from typing import Any

import pytest

from casreg.canonical import seal
from casreg.exceptions import CorruptError, UnsupportedFormatError
from casreg.marker import Marker, Probe, dump_marker, new_marker, parse_marker

ID = "0123456789abcdef0123456789abcdef"
BODY: dict[str, Any] = {
    "format": 1,
    "id": ID,
    "requires": [],
    "probe": {"place": "s3://host/bucket/prefix", "result": "ok"},
}


def test_the_bytes_of_a_marker_are_frozen() -> None:
    """This is what stands in repositories."""
    assert dump_marker(Marker(ID, Probe("file:///data", "ok"))) == (
        b'{"format":1,"id":"0123456789abcdef0123456789abcdef","probe":{"place":"file:///data","result":"ok"},'
        b'"requires":[],"sum":"8225ddb769d35cf70ccb6309cc145a226d31c856ca551d008d6ebcac8f18d5a5"}\n'
    )


def test_a_marker_comes_back() -> None:
    """With a probe and without."""
    for marker in (
        Marker(ID, Probe("file:///data", "ok")),
        Marker(ID),
        new_marker(Probe("memory://x", "ok")),
    ):
        assert parse_marker(dump_marker(marker)) == marker


def test_two_repositories_have_two_ids() -> None:
    """The id is random."""
    assert new_marker().id != new_marker().id
    assert parse_marker(dump_marker(new_marker())).probe is None


def test_a_probe_counts_only_for_its_place_and_if_it_went_well() -> None:
    """A bucket copied elsewhere has to be probed again."""
    marker = Marker(ID, Probe("s3://host/bucket/prefix", "ok"))
    assert marker.is_probed("s3://host/bucket/prefix")
    assert not marker.is_probed("s3://host/bucket/other")
    assert not Marker(ID).is_probed("s3://host/bucket/prefix")
    assert not Marker(ID, Probe("s3://host/bucket/prefix", "bad")).is_probed("s3://host/bucket/prefix")


def test_fields_of_a_later_casreg_survive_a_rewrite() -> None:
    """What this version does not know is written back as it was."""
    marker = parse_marker(seal({**BODY, "colour": {"a": [1]}}))
    assert marker.extra == {"colour": {"a": [1]}}
    assert parse_marker(dump_marker(marker)) == marker


def test_an_unknown_requirement_is_named() -> None:
    """A client that does not know it does not write here."""
    with pytest.raises(UnsupportedFormatError, match=r"casreg\.json at here requires 'encryption'.*upgrade"):
        parse_marker(seal({**BODY, "requires": ["encryption"]}), "casreg.json at here")


def test_a_later_format_is_named() -> None:
    """Not taken for damage."""
    with pytest.raises(UnsupportedFormatError, match="format 2"):
        parse_marker(seal({**BODY, "format": 2}))


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": ID.upper()},
        {"id": ID + "0"},
        {"id": 7},
        {"probe": []},
        {"probe": "ok"},
        {"probe": {}},
        {"probe": {"place": "x"}},
        {"probe": {"place": 1, "result": "ok"}},
        {"requires": None},
        {"format": "1"},
    ],
)
def test_a_wrong_field_is_damage(change: dict[str, Any]) -> None:
    """Each field is checked, although the checksum is right."""
    with pytest.raises(CorruptError, match=r"casreg\.json"):
        parse_marker(seal({**BODY, **change}))


@pytest.mark.parametrize("field", sorted(set(BODY) - {"probe"}))
def test_a_missing_field_is_damage(field: str) -> None:
    """Nothing is filled in; a missing probe alone means never probed."""
    with pytest.raises(CorruptError, match=r"casreg\.json"):
        parse_marker(seal({key: value for key, value in BODY.items() if key != field}))


def test_a_flipped_byte_is_damage() -> None:
    """Anywhere in the file."""
    stored = dump_marker(Marker(ID))
    for at in range(len(stored)):
        with pytest.raises(CorruptError, match=r"casreg\.json"):
            parse_marker(stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :])
