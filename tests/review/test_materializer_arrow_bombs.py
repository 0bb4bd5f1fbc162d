"""Arrow files that become more in memory than they are on disk are refused before Arrow follows them."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from casreg.exceptions import MaterializationError
from casreg.materializers.arrow_table import ArrowTable
from casreg.materializers.pandas_frame import PandasFrame
from casreg.testing.materializer_folders import MemoryInFolder

if TYPE_CHECKING:
    from collections.abc import Callable


def written(table: Any, metadata: dict[str, str] | None = None, **options: Any) -> bytes:
    """An Arrow file, as others write it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in table.to_batches():
            writer.write_batch(batch, metadata)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def load(data: bytes) -> Any:
    """The table of an Arrow file."""
    return ArrowTable().load(MemoryInFolder({"data.arrow": data}, {"kind": "table"}), None)


def listed_twice(data: bytes) -> bytes:
    """The file of two batches, whose footer names the first one two times."""
    batches = pa.ipc.open_file(data)
    assert batches.num_record_batches == 2
    footer = data[-10 - int.from_bytes(data[-10:-6], "little") : -10]
    blocks = [
        place
        for place in range(0, len(footer) - 23, 4)
        if (block := struct.unpack_from("<qi4xq", footer, place))
        and 0 < block[0] < len(data)
        and data[block[0] : block[0] + 4] == b"\xff" * 4
        and block[0] + block[1] + block[2] <= len(data)
        and block[2] > 0
    ]
    first, second = sorted(blocks, key=lambda place: struct.unpack_from("<q", footer, place))
    twice = bytearray(footer)
    twice[second : second + 24] = footer[first : first + 24]
    return data.replace(footer, bytes(twice))


def overlapping(data: bytes) -> bytes:
    """The file of two columns in one batch, where both have all of the batch's memory."""
    buffers = struct.pack("<8q", 0, 0, 0, 800, 800, 0, 800, 800)
    assert data.count(buffers) == 1
    return data.replace(buffers, struct.pack("<8q", 0, 0, 0, 1600, 0, 0, 0, 1600))


TABLE = pa.table({"a": np.arange(100.0), "b": np.arange(100.0)})


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed_values_are_refused(codec: str) -> None:
    """Kilobytes that say they are gigabytes are not believed: what casreg writes is not compressed."""
    with pytest.raises(MaterializationError, match="compressed"):
        load(written(pa.table({"a": np.zeros(1 << 16)}), compression=codec))


def test_compressed_tables_of_pandas_are_refused() -> None:
    """The same for frames."""
    said = {"kind": "index", "index": {"values": "float64", "freq": None, "name": None}}
    files = {
        "data.arrow": written(pa.table({"a": np.zeros(1 << 16)}), compression="zstd"),
        "frame.json": json.dumps(said).encode(),
    }
    with pytest.raises(MaterializationError, match="compressed"):
        PandasFrame().load(MemoryInFolder(files), None)


@pytest.mark.parametrize(
    ("bend", "said"),
    [(listed_twice, "listed twice"), (overlapping, "buffers overlap")],
    ids=["batch", "buffer"],
)
def test_nothing_is_there_twice(bend: Callable[[bytes], bytes], said: str) -> None:
    """Neither a batch that the footer lists again, nor memory that is given to two columns, is read."""
    table = pa.concat_tables([TABLE, TABLE]) if bend is listed_twice else TABLE
    bent = bend(written(table))
    assert pa.ipc.open_file(bent).read_all().num_rows == table.num_rows  # Arrow itself takes it
    with pytest.raises(MaterializationError, match=said):
        load(bent)


def test_metadata_of_batches_are_refused() -> None:
    """They could name a compression in older words of Arrow's; casreg writes none."""
    with pytest.raises(MaterializationError, match="never written"):
        load(written(TABLE, {"ARROW:experimental_compression": "zstd"}))


def test_plain_files_of_others_are_read() -> None:
    """What Arrow writes without compression is read."""
    assert load(written(TABLE, compression=None)).equals(TABLE)
