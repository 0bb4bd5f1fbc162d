"""What every case is given: where it works, how much of everything there is, and what it says of a process."""

from __future__ import annotations

import filecmp
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import data
from bench.measure import BenchError, Measured, run
from bench.peers import Place, answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.results import Metric


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    model: data.ModelSize
    tree: data.TreeSize
    dicts: int
    versions: int
    chunks: int
    names: int
    processes: int
    """Fresh processes of each small operation."""
    memory_file: int
    """Bytes of the file that shows the peak memory."""
    touched: int
    """Bytes of memory that are touched before each timed process."""
    far_dicts: int
    """Small objects that are saved far away."""


FULL = Sizes(
    data.ModelSize(),
    data.TreeSize(),
    dicts=500,
    versions=10_000,
    chunks=1_000_000,
    names=10_000,
    processes=50,
    memory_file=4 << 30,
    touched=3 << 30,
    far_dicts=200,
)
QUICK = Sizes(
    data.ModelSize(total=8 << 20, regions=4, inserted=100_000),
    data.TreeSize(files=200, folders=10, changed=5),
    dicts=20,
    versions=40,
    chunks=1_000,
    names=20,
    processes=1,
    memory_file=32 << 20,
    touched=0,
    far_dicts=5,
)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every case is given."""

    work: Path
    sizes: Sizes
    rounds: int
    peers: frozenset[str]
    say: Callable[[str], None]

    def data(self, kind: str, size: data.ModelSize | data.TreeSize) -> Path:
        """The folder with a set of data, made now unless an earlier run has left it in the work folder."""
        folder = (
            self.work / "data" / f"{kind}-{size.total if isinstance(size, data.ModelSize) else size.files}"
        )
        if not data.ready(folder, kind, size):
            self.say(f"writing data: {folder.name}")
            shutil.rmtree(folder, ignore_errors=True)
            run(data.command(folder, kind, size))
        return folder

    def place(self, *parts: str) -> Place:
        """A fresh place for one tool."""
        root = self.work.joinpath("places", *parts)
        shutil.rmtree(root, ignore_errors=True)
        place = Place(root)
        place.environment()
        return place


def numbers(measured: Measured) -> dict[Metric, float]:
    """The metrics of a process; a job script adds the time inside it."""
    found: dict[Metric, float] = {
        "wall": measured.wall,
        "cpu": measured.cpu,
        "peak_rss": float(measured.peak_rss),
    }
    if measured.stdout.lstrip().startswith("{"):
        found["inside"] = answer(measured)["inside"]
    return found


def require_same(expected: Path, found: Path, who: str) -> None:
    """Fails unless two folders have the same files with the same bytes."""
    wanted = {path.relative_to(expected): path for path in expected.rglob("*") if path.is_file()}
    got = {path.relative_to(found): path for path in found.rglob("*") if path.is_file()}
    if wanted.keys() != got.keys():
        odd = sorted(map(str, wanted.keys() ^ got.keys()))[:3]
        raise BenchError(f"{who} has not restored the same files into {found}: {', '.join(odd)}")
    for name, path in wanted.items():
        if not filecmp.cmp(path, got[name], shallow=False):
            raise BenchError(f"{who} has restored other bytes: {got[name]}")
