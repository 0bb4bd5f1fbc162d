"""What a cloud promises to many writers at once, while answers get lost and while its server dies."""

from __future__ import annotations

import random
import secrets
import threading
from collections import Counter
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from casreg import CommitUnknownError, Registry, StorageUnavailableError
from casreg.repository import Repository
from casreg.testing import proxy as proxies, servers
from casreg.testing.counter_race import race_processes
from casreg.testing.proxy import FaultProxy
from casreg.verify import verify
from clouds.outages import Writers, digest_of, kill_at_work
from clouds.racers import (
    NAME,
    changed,
    create_all,
    in_processes,
    large,
    raced_keys,
    save_at_once,
    save_changed,
    save_stubbornly,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from casreg.backends.base import Backend
    from casreg.testing.proxy import Fault, Request

MIXED = (
    proxies.LOSE,
    proxies.DROP,
    proxies.CUT,
    proxies.TRUNCATE,
    proxies.refusal(503),
    proxies.refusal(503, after=True),
    proxies.refusal(500, after=True),
    proxies.refusal(429),
    proxies.refusal(409),
    proxies.refusal(409, after=True),
)
"""Ten ways in which a request goes wrong."""


def a_quarter(seed: int) -> Callable[[Request], Fault | None]:
    """A plan that harms every fourth request or so, each in one of ten ways."""
    draw, lock = random.Random(seed), threading.Lock()

    def plan(_: Request) -> Fault | None:
        with lock:
            return draw.choice(MIXED) if draw.random() < 0.25 else None

    return plan


class RacesOnACloud:
    """The suite. A subclass says what a server is, and where places are on it."""

    kills: ClassVar[int]
    """So often its server is killed while it works."""

    def server(self, request: pytest.FixtureRequest) -> servers.Server:
        """The one that all tests share."""
        raise NotImplementedError

    def own_server(self) -> servers.Server:
        """One that may be killed; not started yet."""
        raise NotImplementedError

    def backend(self, url: str, place: str) -> Backend:
        """A handle on a place; those with equal names are one, through whichever server or proxy."""
        raise NotImplementedError

    def may_die(self, turn: int, waiting: list[Request]) -> bool:
        """Whether the server may be killed for the so many-th time now, when it has not answered these requests."""
        raise NotImplementedError

    def mend(self, server: servers.Server) -> None:
        """What a killed server needs before it starts again: nothing, where nothing half-written is seen."""

    def new(self, request: pytest.FixtureRequest) -> Backend:
        """A place that was never written, on the server that all share."""
        return self.backend(self.server(request).url, secrets.token_hex(6))

    @contextmanager
    def behind_a_proxy(self, request: pytest.FixtureRequest) -> Iterator[tuple[FaultProxy, Backend, Backend]]:
        """A proxy that harms nothing yet, a new place as seen through it, and the same one past it."""
        server, place = self.server(request), secrets.token_hex(6)
        with FaultProxy(server.endpoint) as proxy:
            yield proxy, self.backend(proxy.url, place), self.backend(server.url, place)

    def test_sixteen_processes_race_to_create(self, request: pytest.FixtureRequest) -> None:
        """Two hundred keys: each has exactly one winner and holds what that one wrote; the others hear that it exists."""
        backend = self.new(request)
        won = in_processes(16, create_all, backend)
        assert sorted(key for one in won for key in one) == raced_keys()
        assert sum(bool(one) for one in won) > 1, "nobody raced"
        for one in won:
            for key, data in one.items():
                assert backend.get(key).data == data

    def test_eight_processes_count_together(self, request: pytest.FixtureRequest) -> None:
        """Fifty compare-and-swaps each: 400."""
        assert race_processes(self.new(request), processes=8, times=50) == 400

    def test_eighty_saves_of_one_name_at_once(self, request: pytest.FixtureRequest) -> None:
        """Ten in each of eight processes, at a place never written: 80 versions, each what its saver saved."""
        backend = self.new(request)
        told = [pair for one in in_processes(8, save_at_once, backend, 10) for pair in one]
        registry = Registry(backend, cache=False)
        versions = [version for version, _ in told]
        assert len(set(versions)) == 80
        assert sorted(registry.list_versions(NAME)) == sorted(versions)
        for version, value in told:
            assert registry.load(NAME, version) == value

    def test_a_quarter_of_all_requests_goes_wrong(self, request: pytest.FixtureRequest) -> None:
        """In ten ways, while six processes add 30 versions each: 180, numbered without a gap, each value once."""
        with self.behind_a_proxy(request) as (proxy, bad, good):
            proxy.reset(a_quarter(3))
            in_processes(6, save_stubbornly, bad, good, 30)
            assert proxy.faults > 180
        registry = Registry(good, cache=False)
        versions = registry.list_versions(NAME)
        assert versions == [f"1.0.{number}" for number in range(180)]
        values = Counter(tuple(registry.load(NAME, version)) for version in versions)
        assert values == Counter((writer, step) for writer in range(6) for step in range(30))

    def test_a_server_that_is_killed_in_the_middle_of_saves(self) -> None:
        """Whoever was told a version loads it, byte for byte; the others were told so, and a second try works.

        Four threads save without a pause, to a name of their own and to one of all. Each time the server holds
        requests that it has not answered when it is killed (SIGKILL), and stays away until a save has failed for it.
        Nothing half-saved is seen: what is listed is a value that somebody saved, and all that is reached verifies.
        """
        draw, place = random.Random(5), secrets.token_hex(6)
        with servers.running(self.own_server()) as server, FaultProxy(server.endpoint) as proxy:
            with Writers(4, lambda: self.backend(proxy.url, place)) as writers:
                for turn in range(self.kills):
                    writers.wait_for_saves(1)
                    assert kill_at_work(server, proxy, partial(self.may_die, turn), draw)
                    writers.wait_for_failures(1)
                    self.mend(server)
                    server.start()
                writers.wait_for_saves(1)
            backend = self.backend(server.url, place)
            registry = Registry(backend, cache=False)
            versions = [(one.name, one.version) for one in writers.saved]
            assert len(set(versions)) == len(versions)
            for one in writers.saved:
                assert digest_of(registry.load(one.name, one.version)) == one.digest
            assert any(one.tries > 1 for one in writers.saved)
            for err in writers.failed:
                assert isinstance(err, StorageUnavailableError | CommitUnknownError), repr(err)
            listed = {name: registry.list_versions(name) for name in registry.list_objects()}
            assert set(versions) <= {(name, version) for name in listed for version in listed[name]}
            for name, there in listed.items():
                for version in there:
                    assert digest_of(registry.load(name, version)) in writers.tried
            report = verify(Repository(backend), data=True)
            assert report.clean, report.damages
            assert report.versions == sum(map(len, listed.values()))

    def test_another_name_from_a_fresh_process(
        self,
        request: pytest.FixtureRequest,
        tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """64 MiB under one name are found by a process that knows nothing and saves them, changed a little, under another.

        Less than 5 % of the bytes are sent; both load.
        """
        with self.behind_a_proxy(request) as (proxy, seen, direct):
            Registry(direct, cache=False).save("one:name", large())
            monkeypatch.setenv("CASREG_CACHE_DIR", str(tmp_path_factory.mktemp("empty")))
            (stored,) = in_processes(1, save_changed, seen)
            sent = sum(one.size for one in proxy.requests if one.method in ("POST", "PUT"))
            assert 0 < stored <= sent < 0.05 * large().nbytes
        registry = Registry(direct, cache=False)
        np.testing.assert_array_equal(registry.load("another:name"), changed())
        np.testing.assert_array_equal(registry.load("one:name"), large())
