"""pandas inside containers: its times, durations, periods, intervals and missing values, one by one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from casreg.exceptions import CasregError, MaterializationError
from casreg.materializers.pandas_columns import pytz_zone
from casreg.materializers.tree.scalars import encode_int
from casreg.materializers.tree.times import decode_zone, encode_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder

_INSTANT: Final = re.compile(r"-?[0-9]{4,12}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3,9})?")
"""What numpy writes; it reads other texts too, "now" among them."""
_UNITS: Final = ("s", "ms", "us", "ns")
_SIDES: Final = ("left", "right", "both", "neither")
# `OutOfBoundsDatetime` is a ValueError, and pandas has not implemented zones beyond the year 9999.
_ERRORS: Final = (ValueError, TypeError, OverflowError, KeyError, AttributeError, NotImplementedError)


def encode_timestamp(encoder: Encoder, value: Any) -> JSON:
    """The instant in ISO 8601 (in UTC, if there is a zone), unit, zone, and fold."""
    _refuse_attributes(encoder, value)
    zone, text = value.tzinfo, str(value.asm8)
    try:
        same = _same(_timestamp(text, value.unit, zone, value.fold), value)
    except _ERRORS:
        same = False
    if not same:
        encoder.refuse(
            f"the pandas.Timestamp {text} in the zone {zone} would not come back; save `it.tz_convert('UTC')`"
        )
    return {"$pandas": ["Timestamp", text, value.unit, _encode_zone(encoder, zone), value.fold]}


def _decode_timestamp(decoder: Decoder, parts: list[JSON]) -> object:
    text, unit, zone, fold = decoder.items(cast("JSON", parts), 4)
    if unit not in _UNITS or type(fold) is not int or fold not in (0, 1):
        decoder.fail("an instant, its unit, zone and fold", parts)
    if not _INSTANT.fullmatch(decoder.text(text)):
        decoder.fail("an instant in ISO 8601", text)
    made = _timestamp(str(text), unit, _decode_zone(decoder, zone), fold)
    if str(made.asm8) != text:
        decoder.fail(f"an instant in ISO 8601, to the {unit}", parts)
    return cast("object", made)


def _timestamp(text: str, unit: Any, zone: object, fold: int) -> Any:
    import numpy as np  # heavy
    import pandas as pd

    made = pd.Timestamp(np.datetime64(text, unit))
    if zone is not None:
        made = made.tz_localize("UTC").tz_convert(zone)
    # Where an hour comes twice the instant says which; elsewhere a fold has no meaning, but may be there.
    return made if made.fold == fold else made.replace(fold=fold)


def _same(one: Any, other: Any) -> bool:
    states = [(made.asm8, made.unit, str(made.tzinfo), made.fold) for made in (one, other)]
    return type(one) is type(other) and states[0] == states[1]


def _encode_zone(encoder: Encoder, zone: Any) -> JSON:
    if type(zone).__module__.partition(".")[0] == "pytz" and isinstance(zone.zone, str):
        return {"pytz": zone.zone}  # what pandas 2 makes of the name of a zone
    return encode_zone(encoder, zone)


def _decode_zone(decoder: Decoder, node: JSON) -> object:
    if type(node) is dict and set(node) == {"pytz"}:
        return pytz_zone(decoder.text(node["pytz"]))
    return decode_zone(decoder, node)


def encode_timedelta(encoder: Encoder, value: Any) -> JSON:
    """How many of its unit, and the unit."""
    import numpy as np  # heavy; pandas has brought it

    _refuse_attributes(encoder, value)
    return {"$pandas": ["Timedelta", encode_int(encoder, int(value.asm8.view(np.int64))), value.unit]}


def _decode_timedelta(decoder: Decoder, parts: list[JSON]) -> object:
    import numpy as np  # heavy
    import pandas as pd

    count, unit = decoder.items(cast("JSON", parts), 2)
    if unit not in _UNITS:
        decoder.fail("a number of s, ms, us or ns", parts)
    made = pd.Timedelta(np.timedelta64(_integer(decoder, count), cast("Any", unit)))
    if made is pd.NaT:
        decoder.fail("a duration", parts)
    return cast("object", made)


def encode_period(encoder: Encoder, value: Any) -> JSON:
    """Its number since 1970, counted in the frequency, and the frequency."""
    _refuse_attributes(encoder, value)
    freq = value.freqstr
    try:
        same = _period(value.ordinal, freq) == value
    except _ERRORS:
        same = False
    if not same:
        encoder.refuse(f"the frequency {freq!r} of a pandas.Period would not come back; use another one")
    return {"$pandas": ["Period", encode_int(encoder, value.ordinal), freq]}


def _decode_period(decoder: Decoder, parts: list[JSON]) -> object:
    ordinal, freq = decoder.items(cast("JSON", parts), 2)
    made = _period(_integer(decoder, ordinal), decoder.text(freq))
    if made.freqstr != freq:
        decoder.fail("a period and its frequency", parts)
    return cast("object", made)


def _period(ordinal: int, freq: str) -> Any:
    import pandas as pd  # heavy

    return pd.Period(ordinal=ordinal, freq=freq)


def encode_interval(encoder: Encoder, value: Any) -> JSON:
    """Both ends, whatever they are, and which of them belong to it."""
    ends = [encoder.child(getattr(value, side), f".{side}") for side in ("left", "right")]
    return {"$pandas": ["Interval", *ends, value.closed]}


def _decode_interval(decoder: Decoder, parts: list[JSON]) -> object:
    import pandas as pd  # heavy

    left, right, closed = decoder.items(cast("JSON", parts), 3)
    if closed not in _SIDES:
        decoder.fail("the side on which an interval is closed", closed)
    return cast("object", pd.Interval(decoder.decode(left), decoder.decode(right), str(closed)))


def _decode_missing(name: str) -> Callable[[Decoder, list[JSON]], object]:
    def decode(decoder: Decoder, parts: list[JSON]) -> object:
        import pandas as pd  # heavy

        decoder.items(cast("JSON", parts), 0)
        return cast("object", getattr(pd, name))

    return decode


def _integer(decoder: Decoder, node: JSON) -> int:
    value = decoder.decode(node)
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        decoder.fail("an integer of 64 bits", node)
    return value


def _refuse_attributes(encoder: Encoder, value: Any) -> None:
    """These classes are Python's on top, so that a value takes attributes, which pandas itself copies nowhere."""
    extra = sorted({*getattr(value, "__dict__", ())} - {"__doc__"})  # `Timestamp.max` has one
    if extra:
        encoder.refuse(
            f"the attributes {extra} of this pandas.{type(value).__name__} would be lost; save them beside it"
        )


_BY_KIND: Final[dict[str, Callable[[Decoder, list[JSON]], object]]] = {
    "Timestamp": _decode_timestamp,
    "Timedelta": _decode_timedelta,
    "Period": _decode_period,
    "Interval": _decode_interval,
    "NaT": _decode_missing("NaT"),
    "NA": _decode_missing("NA"),
}


def decode_value(decoder: Decoder, node: JSON) -> object:
    """What the functions above tag: the name of a kind, and its parts."""
    kind, *parts = decoder.items(node) or [None]
    decode = _BY_KIND.get(kind) if type(kind) is str else None
    if decode is None:
        decoder.fail("a value of pandas", kind)
    try:
        return decode(decoder, parts)
    except _ERRORS as err:
        if isinstance(err, CasregError):
            raise
        raise MaterializationError(f"the stored parts are not a pandas.{kind}: {err}") from err


def _names() -> Iterator[tuple[str, Callable[[Encoder, Any], JSON]]]:
    """The public names since pandas 3, and those of pandas 2."""
    libs = "pandas._libs."
    for name, module, encode in (
        ("Timestamp", libs + "tslibs.timestamps", encode_timestamp),
        ("Timedelta", libs + "tslibs.timedeltas", encode_timedelta),
        ("Period", libs + "tslibs.period", encode_period),
        ("Interval", libs + "interval", encode_interval),
    ):
        yield f"pandas.{name}", encode
        yield f"{module}.{name}", encode


def _encode_nat(_: Encoder, __: Any) -> JSON:
    return {"$pandas": ["NaT"]}


def _encode_na(_: Encoder, __: Any) -> JSON:
    return {"$pandas": ["NA"]}


BY_NAME: Final[dict[str, Callable[[Encoder, Any], JSON]]] = {
    **dict(_names()),
    "pandas.api.typing.NaTType": _encode_nat,
    "pandas._libs.tslibs.nattype.NaTType": _encode_nat,
    "pandas.api.typing.NAType": _encode_na,
    "pandas._libs.missing.NAType": _encode_na,
}

DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {"$pandas": decode_value}
