"""Saving and loading big files takes memory that does not grow with them."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FreshPython

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")

# Blocks of noise with zeros between them: a part compresses, a part does not, and no two blocks are equal.
WRITE = """
import random, sys
draw, left = random.Random(1), int(sys.argv[2])
with open(sys.argv[1], 'wb') as out:
    while left > 0:
        size = min(left, 4 << 20)
        out.write((draw.randbytes(3 << 20) + draw.randbytes(1 << 10) * (1 << 10))[:size])
        left -= size
"""

WORK = """
import hashlib, re, sys
from pathlib import Path
from casreg import Registry

def peak():
    return int(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]) * 1024

def sum_of(path):
    digest = hashlib.blake2b()
    with open(path, 'rb') as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()

registry = Registry(sys.argv[1])
source = Path(sys.argv[2])
registry.save('big', source)
saved = peak()
Path('/proc/self/clear_refs').write_text('5')  # begin to measure anew
found = registry.load('big', into=sys.argv[3])
print(saved, peak())
assert sum_of(found) == sum_of(source)
"""


def _run(tmp_path: Path, fresh_python: FreshPython, size: int, bound: int) -> None:
    if shutil.disk_usage(tmp_path).free < 4 * size:
        pytest.skip("there is not enough room here")
    fresh_python(WRITE, str(tmp_path / "source"), str(size), timeout=600)
    said = fresh_python(
        WORK, str(tmp_path / "place"), str(tmp_path / "source"), str(tmp_path / "out"), timeout=1800
    )
    saving, loading = map(int, said.split())
    for name in ("source", "place", "out"):
        path = tmp_path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(f"{saving >> 20} MiB to save, {loading >> 20} MiB to load")
    assert saving < bound
    assert loading < bound


def test_a_big_file(tmp_path: Path, fresh_python: FreshPython) -> None:
    """A file of 384 MiB is saved and loaded by its path with less than itself, interpreter and all."""
    _run(tmp_path, fresh_python, 384 << 20, 360 << 20)


@pytest.mark.soak
def test_four_gibibytes(tmp_path: Path, fresh_python: FreshPython) -> None:
    """A file of 4 GiB takes less than 600 MiB."""
    _run(tmp_path, fresh_python, 4 << 30, 600 << 20)


ARRAY = """
import re, sys
from pathlib import Path
import numpy as np
from casreg import Registry

def peak():
    return int(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]) * 1024

registry = Registry(sys.argv[1])
array = np.random.default_rng(1).integers(0, 1 << 60, 40_000_000)  # 320 MB
before = peak()
registry.save('array', array)
print(peak() - before)
"""


def test_an_array_is_saved_without_a_copy(tmp_path: Path, fresh_python: FreshPython) -> None:
    """Saving an array of 320 MB takes less than 250 MiB beside it."""
    assert int(fresh_python(ARRAY, str(tmp_path / "place"))) < 250 << 20


LOAD = """
import re, sys
from pathlib import Path
import numpy as np
from casreg import Registry

registry = Registry(sys.argv[1])
registry.load('small')
Path('/proc/self/clear_refs').write_text('5')
text = Path('/proc/self/status').read_text()
before = int(re.search(r'VmRSS:\\s+(\\d+) kB', text)[1]) * 1024
array = registry.load('array')
print(int(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]) * 1024 - before - array.nbytes)
"""


def test_an_array_is_loaded_into_its_own_buffer(tmp_path: Path, fresh_python: FreshPython) -> None:
    """Loading an array of 160 MB takes less than 120 MiB beside its buffer: there is no second copy of the whole."""
    import numpy as np

    from casreg.registry import Registry

    registry = Registry(tmp_path / "place")
    registry.save("small", np.zeros(3))
    registry.save("array", np.random.default_rng(1).integers(0, 1 << 60, 20_000_000))
    assert int(fresh_python(LOAD, str(tmp_path / "place"))) < 120 << 20
