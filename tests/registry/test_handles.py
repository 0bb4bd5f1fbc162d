"""One Registry in many threads, across a fork, in another process; and how long what it loads lives."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from casreg.registry import Registry
from registry.lab import noise, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend
    from conftest import FreshPython
    from places import Places

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def test_sixteen_threads_on_one_name(registry: Registry) -> None:
    """Sixteen threads that save one name at once get sixteen versions, and each loads what it saved."""
    ready = threading.Barrier(16)

    def save(number: int) -> tuple[str, bytes]:
        ready.wait()
        data = noise(60_000, number)
        return registry.save("thing", data), data

    with ThreadPoolExecutor(16) as threads:
        saved = dict(threads.map(save, range(16)))
    assert registry.list_versions("thing") == [f"1.0.{number}" for number in range(16)]
    assert all(registry.load("thing", version) == data for version, data in saved.items())


def test_sixteen_threads_that_do_all(registry: Registry, tmp_path: Path) -> None:
    """Sixteen threads that save, load, tag, list and delete names of their own do not disturb each other."""

    def work(number: int) -> None:
        name = f"thing:{number}"
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "file").write_bytes(text(50_000, number))
        for turn in range(5):
            registry.save(name, noise(40_000, turn), tags=["last"])
            registry.save(f"{name}:folder", folder)
            assert registry.load(f"{name}@last") == noise(40_000, turn)
            found = registry.load(f"{name}:folder")
            assert (found / "file").read_bytes() == text(50_000, number)
            registry.annotate(name, turn=turn)
            assert name in registry.list_objects()
        registry.delete(f"{name}@1.0.0")
        assert registry.list_versions(name) == ["1.0.1", "1.0.2", "1.0.3", "1.0.4"]

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(16)))


def test_threads_share_one_opening(registry: Registry, backend: Backend) -> None:
    """Threads that make the first save of a place at once make one repository, and lose nothing."""
    ready = threading.Barrier(8)

    def save(number: int) -> str:
        ready.wait()
        return registry.save(f"thing:{number}", number)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(save, range(8))) == ["1.0.0"] * 8
    assert len(registry.list_objects()) == 8
    assert not list(backend.list("probe/"))


# ---------------------------------------------------------------------------------------------- forks


def _in_child(work: Callable[[], None], timeout: float = 60) -> None:
    """Run `work` in a forked child; whatever it raises, or if it does not end, fails the test."""
    child = multiprocessing.get_context("fork").Process(target=_run, args=(work,))
    child.start()
    child.join(timeout)
    ended = child.exitcode
    if ended is None:
        child.kill()
        child.join()
    assert ended == 0, "the child did not end" if ended is None else f"the child ended with {ended}"


def _run(work: Callable[[], None]) -> None:
    work()
    sys.stdout.flush()
    os._exit(0)


@needs_fork
def test_a_forked_child_works(shared_places: Places) -> None:
    """A Registry that was used before a fork is used in the child, and what it saves there the parent sees."""
    registry = Registry(shared_places.new())
    registry.save("thing", noise(100_000))

    def work() -> None:
        assert registry.load("thing") == noise(100_000)
        assert registry.save("thing", noise(100_000, 1)) == "1.0.1"

    _in_child(work)
    assert registry.load("thing") == noise(100_000, 1)
    assert registry.save("thing", 2) == "1.0.2"


@needs_fork
def test_a_fork_while_other_threads_work(shared_places: Places, tmp_path: Path) -> None:
    """A child that is forked while threads of the parent save and load is not stuck in their locks."""
    registry = Registry(shared_places.new())
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}").write_bytes(noise(2_000, number))
    registry.save("thing:tree", folder)
    stop = threading.Event()

    def busy(number: int) -> None:
        while not stop.is_set():
            registry.save(f"busy:{number}", noise(300_000, number))
            registry.load("thing:tree")
            registry.list_objects()

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(busy, number) for number in range(4)]
        try:
            for turn in range(8):

                def work(turn: int = turn) -> None:
                    assert registry.save("child", noise(50_000, turn)) == f"1.0.{turn}"
                    assert registry.load("child") == noise(50_000, turn)
                    assert (registry.load("thing:tree") / "7").read_bytes() == noise(2_000, 7)
                    registry.save("thing:tree:again", folder)

                _in_child(work)
        finally:
            stop.set()
    assert [one.result() for one in running] == [None] * 4
    assert len(registry.list_versions("child")) == 8


@needs_fork
def test_a_child_does_not_take_away_what_its_parent_loaded(tmp_path: Path) -> None:
    """A path that the parent loaded stays when a forked child ends, and a child's own goes with the child."""
    registry = Registry(tmp_path / "place")
    (tmp_path / "file").write_bytes(b"x" * 50_000)
    registry.save("thing", tmp_path / "file")
    loaded = registry.load("thing")
    report = tmp_path / "report"

    def work() -> None:
        mine = registry.load("thing")
        report.write_text(str(mine))
        assert mine.is_file()
        assert loaded.is_file()
        assert not mine.is_relative_to(loaded.parent.parent)  # the parent may end, and clean up, first

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert loaded.is_file()


# ---------------------------------------------------------------------------------------------- other processes


def test_a_pickled_registry_works_in_a_new_process(
    shared_places: Places, tmp_path: Path, fresh_python: FreshPython
) -> None:
    """A Registry that was used, pickled and read in a new process loads and saves there, with its own settings."""
    registry = Registry(shared_places.new(), version_objects=False, allow_pickle=True, trusted=["a.B"])
    registry.save("thing", b"from the parent")
    (tmp_path / "pickle").write_bytes(pickle.dumps(registry))
    said = fresh_python(
        "import pickle, sys; from pathlib import Path\n"
        "registry = pickle.loads(Path(sys.argv[1]).read_bytes())\n"
        "print(registry.load('thing'))\n"
        "print(registry.save('thing', b'from the child'))\n"
        "registry.save('odd', Path, allow_pickle=None)\n",
        str(tmp_path / "pickle"),
    )
    assert said.split("\n")[:2] == ["b'from the parent'", "1.0.0"]
    assert registry.load("thing") == b"from the child"
    assert registry.load("odd") is Path


def test_registered_things_are_pickled_with_it(tmp_path: Path) -> None:
    """Materializers that were registered by name go along."""
    registry = Registry(tmp_path / "place")
    registry.register_materializer(bytes, "casreg.materializers.python_bytes.PythonBytes")
    again = pickle.loads(pickle.dumps(registry))
    again.save("thing", b"x")
    assert registry.load("thing") == b"x"


def test_a_pickled_registry_is_small(tmp_path: Path) -> None:
    """Neither caches nor callbacks are pickled."""
    registry = Registry(tmp_path / "place", progress=lambda report: None)
    registry.save("thing", noise(3_000_000))
    registry.load("thing")
    assert len(pickle.dumps(registry)) < 10_000


def test_memory_is_shared_by_name_within_a_process() -> None:
    """Two registries at one memory:// place see the same; a pickled one finds it again."""
    place = f"memory://test-{os.getpid()}-{os.urandom(4).hex()}"
    first = Registry(place)
    first.save("thing", 5)
    assert Registry(place).load("thing") == 5
    assert pickle.loads(pickle.dumps(first)).load("thing") == 5


# ---------------------------------------------------------------------------------------------- how long paths live


def test_a_loaded_path_goes_with_its_registry(tmp_path: Path) -> None:
    """Without `into`, a path is there as long as somebody holds the Registry, and no longer."""
    registry = Registry(tmp_path / "place")
    (tmp_path / "file").write_bytes(b"x" * 50_000)
    registry.save("thing", tmp_path / "file")
    loaded = registry.load("thing")
    gc.collect()
    assert loaded.is_file()
    del registry
    gc.collect()
    assert not loaded.exists()
    assert not loaded.parent.parent.exists()


def test_a_loaded_path_goes_at_the_end_of_the_process(tmp_path: Path, fresh_python: FreshPython) -> None:
    """A process that ends leaves nothing of the paths that it loaded."""
    (tmp_path / "file").write_bytes(b"x" * 50_000)
    Registry(tmp_path / "place").save("thing", tmp_path / "file")
    said = fresh_python(
        "import sys; from casreg import Registry\n"
        "registry = Registry(sys.argv[1])\n"
        "path = registry.load('thing'); assert path.is_file(); print(path.parent.parent)\n",
        str(tmp_path / "place"),
    )
    assert not Path(said.strip()).exists()


def test_making_a_registry_does_no_io(tmp_path: Path) -> None:
    """A Registry at a place that cannot be is made without a word; using it says what is wrong."""
    (tmp_path / "file").write_bytes(b"")
    registry = Registry(tmp_path / "file" / "below")
    assert repr(registry) == f"Registry('{(tmp_path / 'file' / 'below').as_uri()}')"
    assert not (tmp_path / "file").is_dir()


# ---------------------------------------------------------------------------------------------- the end of a process

AT_THE_END = """
import atexit, sys, threading, concurrent.futures.thread as pools
from pathlib import Path
from casreg import Registry

registry = Registry(sys.argv[1])
big = Path(sys.argv[2]).read_bytes()

def work(name):
    registry.save(name, big)
    assert registry.load(name) == big
    registry.save(name + ':small', 1)
    print('done', flush=True)

def late():
    while not pools._shutdown:  # the main thread has ended, and pools are closed
        pass
    work('thread')

if sys.argv[3] == 'thread':
    threading.Thread(target=late).start()
else:
    atexit.register(work, 'handler')
"""


@pytest.mark.parametrize("kind", ["thread", "handler"])
def test_saving_at_the_end_of_a_process(
    shared_places: Places, tmp_path: Path, fresh_python: FreshPython, kind: str
) -> None:
    """A thread that outlives the main one, and a handler of `atexit`, save and load as ever."""
    place = shared_places.new().location
    (tmp_path / "big").write_bytes(text(60_000_000))
    assert fresh_python(AT_THE_END, place, str(tmp_path / "big"), kind) == "done\n"
    assert len(Registry(place).list_objects()) == 2


FORKS = """
import os, sys
from casreg import Registry
registry = Registry(sys.argv[1])
loaded = registry.load('thing')
child = os.fork()
if child == 0:
    sys.exit(0)  # runs what is to be done at the end of a process
os.waitpid(child, 0)
print(loaded.is_file())
"""


@needs_fork
def test_a_child_that_ends_takes_nothing_away(tmp_path: Path, fresh_python: FreshPython) -> None:
    """A forked child that ends as processes do leaves what its parent has loaded."""
    (tmp_path / "file").write_bytes(b"x" * 50_000)
    Registry(tmp_path / "place").save("thing", tmp_path / "file")
    assert fresh_python(FORKS, str(tmp_path / "place")) == "True\n"
