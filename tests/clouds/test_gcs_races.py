"""Many writers on Google Cloud Storage at once, while answers get lost and while the server dies: nothing is lost or doubled."""

from __future__ import annotations

import random
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import pytest

from casreg import CasregError, CommitUnknownError, GCPRegistryBackend, Registry, StorageUnavailableError
from casreg.testing import servers
from casreg.testing.proxy import CUT, DROP, LOSE, TRUNCATE, Fault, FaultProxy, Harm

if TYPE_CHECKING:
    from casreg.testing.proxy import Request
    from casreg.testing.servers import Server

pytestmark = pytest.mark.clouds

MIXED = (LOSE, DROP, CUT, TRUNCATE, Fault(Harm.REFUSE, 503), Fault(Harm.FAIL, 503), Fault(Harm.REFUSE, 429))


def patiently(registry: Registry, value: str) -> str:
    """The version that a save made, after as many tries as that takes: one that failed has made none."""
    while True:
        try:
            return registry.save("one:name", value)
        except StorageUnavailableError:
            continue


def test_saves_of_one_name_through_a_bad_network(fake_gcs: Server) -> None:
    """A quarter of all requests fails, in seven ways: 24 saves by six writers are 24 versions, each with its value."""
    draw, lock = random.Random(7), threading.Lock()

    def plan(_: Request) -> Fault | None:
        with lock:
            return draw.choice(MIXED) if draw.random() < 0.25 else None

    with FaultProxy(fake_gcs.endpoint) as proxy:
        uri = f"gs://races-{secrets.token_hex(6)}?endpoint={proxy.url}"
        Registry(uri, cache=False).save("one:name", "first")
        proxy.reset(plan)

        def save(writer: int) -> dict[str, str]:
            registry = Registry(GCPRegistryBackend(uri, timeout=10), cache=False)
            return {patiently(registry, f"{writer} {turn}"): f"{writer} {turn}" for turn in range(4)}

        with ThreadPoolExecutor(6) as threads:
            saved = list(threads.map(save, range(6)))
        assert proxy.faults > 20
        proxy.reset()
        after = Registry(uri, cache=False)
        versions = after.list_versions("one:name")
        assert len(versions) == 25
        assert {version: after.load("one:name", version) for version in versions} == {
            "1.0.0": "first",
            **{version: value for one in saved for version, value in one.items()},
        }


def test_what_was_saved_before_the_server_died_is_there() -> None:
    """Killed in the middle of saves, three times: whoever was told a version finds it; the others were told an error.

    Each save has a name of its own: this server, when it is killed while it replaces an object, may lose the old one
    too (seen once in about thirty kills), which no storage may do that holds anything of value.
    """
    saved: dict[str, str] = {}
    failed: list[CasregError] = []
    stop = threading.Event()
    with servers.running(servers.fake_gcs()) as server:
        uri = f"gs://killed-{secrets.token_hex(6)}?endpoint={server.url}"
        Registry(uri, cache=False).save("name:0", "first")

        def work(writer: int) -> None:
            registry = Registry(GCPRegistryBackend(uri, timeout=5), cache=False)
            for turn in count():
                if stop.is_set():
                    return
                name = f"name:{writer}-{turn}"
                try:
                    registry.save(name, name)
                except CasregError as err:
                    failed.append(err)
                else:
                    saved[name] = name

        with ThreadPoolExecutor(3) as threads:
            workers = [threads.submit(work, writer) for writer in range(3)]
            try:
                for _ in range(3):
                    time.sleep(0.4)
                    server.restart()
            finally:
                stop.set()
            for worker in workers:
                worker.result()
        assert len(saved) > 3
        after = Registry(uri, cache=False)
        for name, value in saved.items():
            assert after.load(name) == value
        assert all(isinstance(err, StorageUnavailableError | CommitUnknownError) for err in failed), failed
        assert after.save("name:again", "a second try") == "1.0.0"
