"""A server that dies while others save, and what each of them was told."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Self, TypeVar

from casreg import CasregError, Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend
    from casreg.testing.proxy import FaultProxy, Request
    from casreg.testing.servers import Server

T = TypeVar("T")

PATIENCE_SECONDS = 90.0
"""Within this time anything that is waited for has to happen."""

SIZES = (100, 60_000, 1_500_000)
"""Bytes of the values that are saved in turn: with a pack of their own or without, in one request or in some."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A save that returned.

    Attributes:
        writer: Whose.
        name: What it saved to.
        version: What it was told.
        digest: SHA-256 of the value.
        tries: How often it was tried, with this one.
    """

    writer: int
    name: str
    version: str
    digest: str
    tries: int


def digest_of(value: bytes) -> str:
    """SHA-256, as `Saved` has it."""
    return hashlib.sha256(value).hexdigest()


class Writers:
    """Threads that save without end while the `with` block lasts; a value that could not be saved is tried again.

    Every second value goes to a name that all share, the others to one of each thread.

    Args:
        number: How many.
        backend: Where they save to: called once by each.
    """

    def __init__(self, number: int, backend: Callable[[], Backend]) -> None:
        self.saved: list[Saved] = []
        self.failed: list[CasregError] = []
        self.tried: set[str] = set()
        self.errors: list[BaseException] = []
        self._number = number
        self._backend = backend
        self._ends = threading.Event()
        self._news = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(writer,)) for writer in range(number)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads)

    def wait_for_saves(self, each: int) -> None:
        """Until each thread has saved so many values from now on."""
        before = len(self.saved)

        def done() -> bool:
            counts = Counter(one.writer for one in self.saved[before:])
            return all(counts[writer] >= each for writer in range(self._number))

        self._wait(done)

    def wait_for_failures(self, number: int) -> None:
        """Until so many saves have failed from now on."""
        before = len(self.failed)
        self._wait(lambda: len(self.failed) >= before + number)

    def _wait(self, done: Callable[[], bool]) -> None:
        with self._news:
            arrived = self._news.wait_for(lambda: self.errors or done(), PATIENCE_SECONDS)
        assert not self.errors, self.errors
        assert arrived, f"{len(self.saved)} saved, {len(self.failed)} failed, and then nothing"

    def _run(self, writer: int) -> None:
        try:
            registry = Registry(self._backend(), cache=False)
            for turn in count():
                value = random.Random(f"{writer} {turn}").randbytes(SIZES[turn // 2 % len(SIZES)])
                name = "of:all" if turn % 2 else f"of:{writer}"
                self.tried.add(digest_of(value))
                for tries in count(1):
                    if self._ends.is_set():
                        return
                    if self._save(registry, writer, name, value, tries):
                        break
        except BaseException as err:
            self._tell(err, self.errors)
            raise

    def _save(self, registry: Registry, writer: int, name: str, value: bytes, tries: int) -> bool:
        try:
            version = registry.save(name, value)
        except CasregError as err:
            self._tell(err, self.failed)
            self._ends.wait(0.05)  # while nobody listens, tries would fill the log and nothing else
            return False
        self._tell(Saved(writer, name, version, digest_of(value), tries), self.saved)
        return True

    def _tell(self, what: T, those: list[T]) -> None:
        with self._news:
            those.append(what)
            self._news.notify_all()


def kill_at_work(
    server: Server, proxy: FaultProxy, fits: Callable[[list[Request]], bool], draw: random.Random
) -> list[Request]:
    """Kill the server at a random moment at which it has not answered all requests, and `fits` says so of these.

    It is stopped first, so that what it works at can be looked at; if that does not fit it goes on, for another
    moment to come.

    Args:
        server: What has to die.
        proxy: What all requests come through.
        fits: Told the requests without an answer.
        draw: For the moments.

    Returns:
        The requests that it has not answered.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(draw.uniform(0, 0.03))  # any moment: this is what is tested
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        _, status = os.waitpid(server.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        interrupted = proxy.unanswered
        if fits(interrupted):
            server.kill()
            return interrupted
        os.kill(server.pid, signal.SIGCONT)
    raise AssertionError("there was never such a moment")
