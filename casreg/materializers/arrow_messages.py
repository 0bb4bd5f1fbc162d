"""Where the buffers of an Arrow file are, read before Arrow follows any of it.

Arrow decompresses what a file says is compressed, into as much memory as it says, and reads a batch as often as the
footer lists it, or a buffer as often as a batch does: a few kilobytes become any number of gigabytes.  casreg writes
none of this.  A file that passes here says of every byte at most once what it is.

Source: the Arrow columnar format (`Footer`, `Message`, `RecordBatch` and `DictionaryBatch` in `format/*.fbs`), and the
FlatBuffers encoding of tables: a table begins with the way back to its vtable, which has the way to each field.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from casreg.exceptions import MaterializationError

_END: Final = 10  # bytes behind the footer: its length, and the magic
_CONTINUES: Final = 0xFFFFFFFF
_DICTIONARY: Final = 2
_BATCH: Final = 3


@dataclass(frozen=True, slots=True)
class _Table:
    """A FlatBuffers table, at `at` of `data`."""

    data: memoryview
    at: int

    def field(self, number: int) -> int:
        """Where the field with that number is; 0 if the table has it not."""
        vtable = self.at - _number(self.data, "<i", self.at)
        place = 4 + 2 * number
        if place >= _number(self.data, "<H", vtable):
            return 0
        offset = _number(self.data, "<H", vtable + place)
        return offset and self.at + offset

    def table(self, number: int) -> _Table | None:
        """The table in the field with that number."""
        place = self.field(number)
        return _Table(self.data, place + _number(self.data, "<I", place)) if place else None

    def pairs(self, number: int, form: str) -> list[tuple[int, ...]]:
        """The structs of the vector in the field with that number."""
        place = self.field(number)
        if not place:
            return []
        start = place + _number(self.data, "<I", place)
        size = _number(self.data, "<I", start) * struct.calcsize(form)
        return list(struct.iter_unpack(form, _part(self.data, start + 4, size)))


def check_file(data: memoryview) -> None:
    """See that nothing in an Arrow file is compressed, or there twice.

    Raises:
        MaterializationError: Something is; or what says where the buffers are cannot be followed.
    """
    try:
        size = _number(data, "<I", data.nbytes - _END)
        footer = _root(_part(data, data.nbytes - _END - size, size))
        blocks = sorted(footer.pairs(2, "<qi4xq") + footer.pairs(3, "<qi4xq"))
        free = 0
        for offset, length, body in blocks:
            if offset < free or length < 0 or body < 0:
                raise MaterializationError("its batches overlap, or one is listed twice")
            free = offset + length + body
            _check_message(_part(data, offset, length), body)
    except struct.error as err:
        raise MaterializationError("its batches are not where it says") from err
    if free > data.nbytes:
        raise MaterializationError("its batches are longer than the file")


def _check_message(data: memoryview, body: int) -> None:
    if _number(data, "<I", 0) != _CONTINUES:
        raise MaterializationError("a batch is of a form that is never written")
    message = _root(_part(data, 8, _number(data, "<I", 4)))
    kind = _number(message.data, "<B", message.field(1)) if message.field(1) else 0
    size = _number(message.data, "<q", message.field(3)) if message.field(3) else 0
    batch = message.table(2)
    if batch is not None and kind == _DICTIONARY:
        batch = batch.table(1)
    # Metadata of a message could name a compression too, in the words of Arrow 0.17.
    if batch is None or kind not in (_DICTIONARY, _BATCH) or size != body or message.field(4):
        raise MaterializationError("a batch is of a form that is never written")
    if batch.field(3):
        raise MaterializationError("its values are compressed, which casreg leaves to its chunks")
    lengths = [length for _, length in batch.pairs(2, "<qq")]
    if sum(lengths) > body or any(length < 0 for length in lengths):
        raise MaterializationError("its buffers overlap")


def _root(data: memoryview) -> _Table:
    return _Table(data, _number(data, "<I", 0))


def _number(data: memoryview, form: str, at: int) -> int:
    (number,) = struct.unpack(form, _part(data, at, struct.calcsize(form)))
    return int(number)


def _part(data: memoryview, start: int, size: int) -> memoryview:
    """Bytes of `data`, all of which are there."""
    if start < 0 or start + size > data.nbytes:
        raise struct.error("beyond the end")
    return data[start : start + size]
