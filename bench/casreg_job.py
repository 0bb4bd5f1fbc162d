"""One process that does one thing with casreg: `casreg_job.py PLACE VERB ARGUMENTS…`. Prints one JSON object.

PLACE is a folder, or the address of a bucket, as `Registry` takes it.

`inside` is the time in seconds from making the Registry to the end of the last operation, without the start of
Python and the import of casreg.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg import Registry

NAME = "bench:a"
MANY = "bench:many"
"""The name with 10,000 versions; `bench:few-N` are names with nine."""


def save_path(place: str, path: str) -> dict[str, Any]:
    """Saves a file or a folder, as the next version of one name."""
    registry, began = _open(place)
    version = registry.save(NAME, Path(path))
    return {"inside": time.perf_counter() - began, "version": version}


def load_path(place: str, version: str, out: str) -> dict[str, Any]:
    """Loads it back, into a folder that does not exist or is empty."""
    registry, began = _open(place)
    registry.load(NAME, version, into=Path(out))
    return {"inside": time.perf_counter() - began}


def save_dicts(place: str, dicts: str) -> dict[str, Any]:
    """Saves each dict of a JSON list under a name of its own."""
    values = json.loads(Path(dicts).read_text("utf-8"))
    registry, began = _open(place)
    for number, one in enumerate(values):
        registry.save(f"bench:dict-{number}", one)
    return {"inside": time.perf_counter() - began}


def load_dicts(place: str, dicts: str) -> dict[str, Any]:
    """Loads each of them, and compares."""
    values = json.loads(Path(dicts).read_text("utf-8"))
    registry, began = _open(place)
    for number, one in enumerate(values):
        if registry.load(f"bench:dict-{number}") != one:
            raise SystemExit(f"bench:dict-{number} is not what was saved")
    return {"inside": time.perf_counter() - began}


def many_versions(place: str, count: str, few: str) -> dict[str, Any]:
    """Saves `count` versions of one name, nine of each of twice `few` others, and times two rows of saves in turn.

    The rows are the next saves of the long name and the tenth of each of the first short ones: in one process and
    one repository, so that nothing differs but the length of the history.
    """
    registry, began = _open(place)
    for number in range(int(count)):
        registry.save(MANY, {"step": number})
    built = time.perf_counter() - began
    for number in range(9 * 2 * int(few)):
        registry.save(f"bench:few-{number // 9}", {"step": number})
    late, early = [], []
    for number in range(int(few)):
        late.append(_seconds_of_save(registry, MANY, {"late": number}))
        early.append(_seconds_of_save(registry, f"bench:few-{number}", {"early": number}))
    return {"inside": built, "late": late, "early": early}


def probe(place: str, what: str, number: str) -> dict[str, Any]:
    """One small operation, timed: save-dict, load-dict, save-array, list, or save-version (of a name)."""
    value = _array(number) if what == "save-array" else {"number": number, "rate": random.random()}
    _import_everything(value)
    registry, began = _open(place)
    result: object = None
    if what == "save-array":
        registry.save(f"bench:array-{number}", value)
    elif what == "save-dict":
        registry.save(f"bench:probe-{number}", value)
    elif what == "load-dict":
        registry.load(f"bench:probe-{number}")
    elif what == "save-version":
        registry.save(number, value)
    else:
        result = len(registry.list_objects())
    return {"inside": time.perf_counter() - began, "result": result}


def _array(number: str) -> object:
    """1 MiB of random floats, so that nothing of it is stored yet; its own for each number."""
    import numpy as np

    return np.random.default_rng(int.from_bytes(number.encode())).standard_normal(1 << 18, dtype=np.float32)


def _import_everything(value: object) -> None:
    """Loads what casreg imports on first use: the same everywhere, it would hide how an operation grows."""
    from casreg import Registry

    other = Registry("memory://imports")
    other.save("warm:up", value)
    other.load("warm:up")
    other.list_objects()


def _open(place: str) -> tuple[Registry, float]:
    from casreg import Registry

    began = time.perf_counter()
    return Registry(place), began


def _seconds_of_save(registry: Registry, name: str, value: object) -> float:
    began = time.perf_counter()
    registry.save(name, value)
    return time.perf_counter() - began


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "save-path": save_path,
    "load-path": load_path,
    "save-dicts": save_dicts,
    "load-dicts": load_dicts,
    "many-versions": many_versions,
    "probe": probe,
}


if __name__ == "__main__":
    print(json.dumps(VERBS[sys.argv[2]](sys.argv[1], *sys.argv[3:])))
