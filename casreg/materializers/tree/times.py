"""Dates and times, with their zones."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from casreg.exceptions import MaterializationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder


def encode_datetime(encoder: Encoder, value: Any) -> JSON:
    """Wall time in ISO 8601, zone, and fold."""
    return {
        "$datetime": [
            value.replace(tzinfo=None, fold=0).isoformat(),
            encode_zone(encoder, value.tzinfo),
            value.fold,
        ]
    }


def decode_datetime(decoder: Decoder, node: JSON) -> datetime:
    """What `encode_datetime` tags."""
    text, zone, fold = decoder.items(node, 3)
    try:
        wall = datetime.fromisoformat(decoder.text(text))
    except ValueError:
        decoder.fail("a time in ISO 8601", text)
    return wall.replace(tzinfo=decode_zone(decoder, zone), fold=_fold(decoder, fold))


def encode_time(encoder: Encoder, value: Any) -> JSON:
    """Wall time in ISO 8601, zone, and fold."""
    return {
        "$time": [
            value.replace(tzinfo=None, fold=0).isoformat(),
            encode_zone(encoder, value.tzinfo),
            value.fold,
        ]
    }


def decode_time(decoder: Decoder, node: JSON) -> time:
    """What `encode_time` tags."""
    text, zone, fold = decoder.items(node, 3)
    try:
        wall = time.fromisoformat(decoder.text(text))
    except ValueError:
        decoder.fail("a time in ISO 8601", text)
    return wall.replace(tzinfo=decode_zone(decoder, zone), fold=_fold(decoder, fold))


def decode_date(decoder: Decoder, node: JSON) -> date:
    """A date from ISO 8601."""
    try:
        return date.fromisoformat(decoder.text(node))
    except ValueError:
        decoder.fail("a date in ISO 8601", node)


def encode_timedelta(_: Encoder, value: Any) -> JSON:
    """Days, seconds, microseconds, as Python normalises them."""
    return {"$timedelta": [value.days, value.seconds, value.microseconds]}


def decode_timedelta(decoder: Decoder, node: JSON) -> timedelta:
    """What `encode_timedelta` tags."""
    days, seconds, micros = decoder.items(node, 3)
    if type(days) is not int or type(seconds) is not int or type(micros) is not int:
        decoder.fail("days, seconds and microseconds", node)
    try:
        return timedelta(days, seconds, micros)
    except OverflowError:
        decoder.fail("a duration within Python's bounds", node)


def _fold(decoder: Decoder, node: JSON) -> int:
    if type(node) is not int or node not in (0, 1):
        decoder.fail("fold 0 or 1", node)
    return node


def encode_zone(encoder: Encoder, zone: tzinfo | None) -> JSON:  # noqa: RET503 - refuse() raises
    """A zone by its offset or its name; None for none.

    Raises:
        NoMaterializerError: It is of a class whose zones have no name from which they come back.
    """
    if zone is None:
        return None
    if zone is UTC:
        return "UTC"
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        # A name of its own is given only by the second form of the constructor.
        name = None if zone == timezone(offset) and str(zone) == str(timezone(offset)) else str(zone)
        return {"offset": [offset.days, offset.seconds, offset.microseconds], "name": name}
    if type(zone) is ZoneInfo and zone.key:
        return {"zone": zone.key}
    encoder.refuse(
        f"the time zone {zone!r} would not come back; use `datetime.timezone` or `zoneinfo.ZoneInfo(key)`"
    )


def decode_zone(decoder: Decoder, node: JSON) -> tzinfo | None:
    """What `encode_zone` gives.

    Raises:
        MaterializationError: It never gives that, or the zone is not known on this machine.
    """
    if node is None:
        return None
    if node == "UTC":
        return UTC
    if type(node) is dict and set(node) == {"zone"}:
        key = decoder.text(node["zone"])
        try:
            return ZoneInfo(key)
        except (ValueError, OSError, KeyError) as err:  # ZoneInfoNotFoundError is a KeyError
            raise MaterializationError(f"the time zone {key!r} is not known here; install `tzdata`") from err
    if type(node) is not dict or set(node) != {"offset", "name"}:
        decoder.fail("a time zone", node)
    offset, name = decode_timedelta(decoder, node["offset"]), node["name"]
    try:
        return timezone(offset) if name is None else timezone(offset, decoder.text(name))
    except ValueError:
        decoder.fail("an offset below 24 hours", node)


ENCODERS: Final[dict[type, Callable[[Encoder, Any], JSON]]] = {
    datetime: encode_datetime,
    time: encode_time,
    date: lambda _, value: {"$date": value.isoformat()},
    timedelta: encode_timedelta,
    timezone: lambda encoder, value: {"$zone": encode_zone(encoder, value)},
    ZoneInfo: lambda encoder, value: {"$zone": encode_zone(encoder, value)},
}

DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {
    "$datetime": decode_datetime,
    "$time": decode_time,
    "$date": decode_date,
    "$timedelta": decode_timedelta,
    "$zone": decode_zone,
}
