"""The data of the benchmark, the same bytes on every machine. Run as a program, it writes one set into a folder.

It runs in a process of its own: a parent that had once held a gigabyte would show in its children's peak memory.
`RandomState` and not `Generator`, because numpy promises that its streams never change; the digests of small sets
are pinned by a test.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECIPE = 1
"""Raise it with any change of the bytes: a folder made by another recipe is made again."""

KIB = 1 << 10
MIB = 1 << 20

_SEED_WORDS, _SEED_FLOATS, _SEED_TEXT, _SEED_POOL, _SEED_SLICES = 11, 12, 13, 14, 15
_SEED_OVERWRITE, _SEED_INSERT, _SEED_TREE, _SEED_CHANGE = 16, 17, 18, 19


@dataclass(frozen=True, slots=True)
class ModelSize:
    """How large workload A is: one file that looks like a model with its data, and two edits of it."""

    total: int = 1 << 30
    """Bytes of v1: half float32 noise, a quarter text, a quarter slices that repeat."""
    regions: int = 64
    """v2 overwrites so many regions of 160 KiB each (1 % of the whole at full size); with 0 there is no v2."""
    inserted: int = 1_000_000
    """v3 has so many random bytes inserted, near the front; with 0 there is no v3."""


@dataclass(frozen=True, slots=True)
class TreeSize:
    """How large workload B is: many small files in folders, half of them random bytes and half text."""

    files: int = 20_000
    folders: int = 100
    changed: int = 100


def _words() -> list[bytes]:
    """20,000 words of two to ten letters."""
    state = np.random.RandomState(_SEED_WORDS)
    lengths = state.randint(2, 11, size=20_000)
    letters = state.randint(ord("a"), ord("z") + 1, size=int(lengths.sum())).astype(np.uint8).tobytes()
    ends = np.cumsum(lengths).tolist()
    return [letters[end - size : end] for end, size in zip(ends, lengths.tolist(), strict=True)]


def text_stream(seed: int) -> Iterator[bytes]:
    """Endless text whose words follow Zipf's law (the n-th commonest word 1/n as often), 16 words a line."""
    words = _words()
    weight = np.cumsum(1.0 / np.arange(1, len(words) + 1))
    weight /= weight[-1]
    state = np.random.RandomState(seed)
    while True:
        picked = np.searchsorted(weight, state.random_sample(160_000)).tolist()
        lines = (b" ".join([words[i] for i in picked[at : at + 16]]) for at in range(0, len(picked), 16))
        yield b"\n".join(lines) + b"\n"


def _take(stream: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The first `size` bytes of a stream of pieces; the rest of the last piece is lost."""
    while size > 0:
        piece = next(stream)[:size]
        size -= len(piece)
        yield piece


class _Tap:
    """Hands out a stream of pieces in lengths as asked for; nothing is lost between two of them."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream = stream
        self._piece = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        while len(self._piece) - self._at < size:
            self._piece = self._piece[self._at :] + next(self._stream)
            self._at = 0
        self._at += size
        return self._piece[self._at - size : self._at]


def _float_stream(seed: int) -> Iterator[bytes]:
    """Endless little-endian float32 values, normally distributed with deviation 0.02, as trained weights are."""
    state = np.random.RandomState(seed)
    while True:
        yield (state.standard_normal(MIB) * 0.02).astype("<f4").tobytes()


def _slice_stream(pool: bytes) -> Iterator[bytes]:
    """Endless slices of 1 to 3 MiB (at most half of the pool) from anywhere in one pool: content that repeats."""
    state = np.random.RandomState(_SEED_SLICES)
    limit = len(pool) // 2
    while True:
        size = min(int(state.randint(MIB, 3 * MIB + 1)), limit)
        start = int(state.randint(0, len(pool) - size + 1))
        yield pool[start : start + size]


def _model(total: int) -> Iterator[bytes]:
    header = json.dumps({"format": "bench", "dtype": "float32", "total": total}).encode().ljust(256)
    yield header
    yield from _take(_float_stream(_SEED_FLOATS), total // 2 - len(header))
    yield from _take(text_stream(_SEED_TEXT), total // 4)
    pool_size = min(64 * MIB, total // 16)
    random_part = pool_size * 40 // 64
    pool = np.random.RandomState(_SEED_POOL).bytes(random_part)
    pool += b"".join(_take(text_stream(_SEED_POOL), pool_size - random_part))
    yield from _take(_slice_stream(pool), total - total // 2 - total // 4)


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.writelines(pieces)


def write_model(folder: Path, size: ModelSize) -> None:
    """Writes workload A: ``v1/data.bin``, ``v2/data.bin`` (regions overwritten), ``v3/data.bin`` (bytes inserted)."""
    first = folder / "v1" / "data.bin"
    _write(first, _model(size.total))

    if size.regions:
        _write_overwritten(first, folder / "v2" / "data.bin", size)
    if size.inserted:
        _write(folder / "v3" / "data.bin", _inserted(first, size))


def _write_overwritten(first: Path, second: Path, size: ModelSize) -> None:
    _write(second, _pieces(first))
    state = np.random.RandomState(_SEED_OVERWRITE)
    with second.open("r+b") as stream:
        for _ in range(size.regions):
            stream.seek(int(state.randint(0, size.total - 160 * KIB, dtype=np.int64)))
            stream.write(state.bytes(160 * KIB))


def _inserted(first: Path, size: ModelSize) -> Iterator[bytes]:
    at = min(3 * MIB, size.total // 2)
    yield from _pieces(first, 0, at)
    yield np.random.RandomState(_SEED_INSERT).bytes(size.inserted)
    yield from _pieces(first, at)


def _pieces(path: Path, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The bytes of a file from `start` to `stop`, in pieces of at most 8 MiB."""
    left = (path.stat().st_size if stop is None else stop) - start
    with path.open("rb") as stream:
        stream.seek(start)
        while left > 0:
            piece = stream.read(min(left, 8 * MIB))
            left -= len(piece)
            yield piece


def _tree_name(number: int, size: TreeSize) -> Path:
    return Path(f"folder-{number % size.folders:03d}") / f"file-{number:05d}"


def write_tree(folder: Path, size: TreeSize) -> None:
    """Writes workload B: ``tree/folder-…/file-…``, every second file random, each of 2 to 20 KiB.

    ``original/`` has those again that `changed_files` changes, so that the change can be undone.
    """
    state = np.random.RandomState(_SEED_TREE)
    text = _Tap(text_stream(_SEED_TREE))
    for number in range(size.files):
        length = int(state.randint(2 * KIB, 20 * KIB + 1))
        piece = state.bytes(length) if number % 2 else text.take(length)
        _write(folder / "tree" / _tree_name(number, size), iter([piece]))
    for path, _ in changed_files(size):
        _write(folder / "original" / path, _pieces(folder / "tree" / path))


def changed_files(size: TreeSize) -> list[tuple[Path, bytes]]:
    """The files of workload B that its second version changes, with their new content."""
    state = np.random.RandomState(_SEED_CHANGE)
    numbers = state.choice(size.files, size.changed, replace=False).tolist()
    return [
        (_tree_name(n, size), state.bytes(int(state.randint(2 * KIB, 20 * KIB + 1)))) for n in sorted(numbers)
    ]


def small_dicts(count: int) -> list[dict[str, object]]:
    """Dicts as one run of an experiment leaves them: about 250 bytes of JSON each, all different."""
    return [
        {
            "run": f"run-{number:05d}",
            "step": number * 100,
            "rate": 0.1 / (number + 1),
            "layers": [number % 7, 64, 128, 256],
            "losses": [round(1.0 / (number + step + 1), 6) for step in range(8)],
            "settings": {
                "optimizer": "adam",
                "batch": 32 + number % 5,
                "shuffle": number % 2 == 0,
                "seed": None,
            },
        }
        for number in range(count)
    ]


def digest_of(folder: Path) -> str:
    """One BLAKE2b over the names and bytes of every file below a folder, in the order of their names."""
    total = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        for piece in _pieces(path):
            total.update(piece)
    return total.hexdigest()


def ready(folder: Path, kind: str, size: ModelSize | TreeSize) -> bool:
    """Whether the folder already holds exactly this set, written to its end by this recipe."""
    marker = folder / "ready.json"
    return marker.exists() and json.loads(marker.read_text("utf-8")) == _label(kind, size)


def _label(kind: str, size: ModelSize | TreeSize) -> dict[str, object]:
    return {"recipe": RECIPE, "kind": kind, "size": asdict(size)}


def command(folder: Path, kind: str, size: ModelSize | TreeSize) -> list[str]:
    """The command line that writes a set into a folder, in a process of its own."""
    return [sys.executable, "-P", str(Path(__file__)), kind, str(folder), json.dumps(asdict(size))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("model", "tree"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("size", type=json.loads, help="fields of ModelSize or TreeSize, as JSON")
    chosen = parser.parse_args()
    size: ModelSize | TreeSize
    write: Callable[[], None]
    if chosen.kind == "model":
        model = ModelSize(**chosen.size)
        size, write = model, lambda: write_model(chosen.folder, model)
    else:
        tree = TreeSize(**chosen.size)
        size, write = tree, lambda: write_tree(chosen.folder, tree)
    write()
    # Last: a folder without it was left half-written, and is made again.
    (chosen.folder / "ready.json").write_text(json.dumps(_label(chosen.kind, size)), "utf-8")


if __name__ == "__main__":
    main()
