"""What every test stands on: places of its own, servers of the clouds, and a way to run code in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest

from casreg.refs.pace import Pace
from casreg.testing import servers
from places import KINDS, SHARED, Places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# The machine that runs the suite may be busy: how long one example takes says nothing about the code.
hypothesis.settings.register_profile("casreg", deadline=None, print_blob=True)
hypothesis.settings.load_profile("casreg")


class FreshPython(Protocol):
    def __call__(self, code: str, *arguments: str, timeout: float = 120) -> str: ...


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test, and no process that it starts, reads or writes the places of the user who runs the suite."""
    monkeypatch.setenv("CASREG_REGISTRY_DIR", str(tmp_path / "default-registry"))
    monkeypatch.setenv("CASREG_STORE_DIR", str(tmp_path / "default-store"))
    monkeypatch.setenv("CASREG_CACHE_DIR", str(tmp_path / "default-cache"))
    monkeypatch.setenv("CASREG_CONFIG", str(tmp_path / "default-config.toml"))
    monkeypatch.delenv("CASREG_MOUNTS", raising=False)


@pytest.fixture(autouse=True)
def no_keys_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test, and no process that it starts, finds the credentials of the user who runs the suite."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MINIO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[servers.Server]:
    """S3, one for the whole run. Whoever kills it makes one of their own. If it does not start, the tests fail."""
    with servers.running(servers.seaweedfs()) as server:
        yield server


@pytest.fixture(scope="session")
def fake_gcs() -> Iterator[servers.Server]:
    """Google Cloud Storage, one for the whole run. Whoever kills it makes one of their own."""
    with servers.running(servers.fake_gcs()) as server:
        yield server


@pytest.fixture
def places_of(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Places]:
    """From the name of a kind to new places of it; the server is started when the first are asked for."""

    def of(kind: str) -> Places:
        if kind == "s3":
            # In the environment, where other processes find them too: neither a location nor a pickle has them.
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", servers.ACCESS_KEY)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", servers.SECRET_KEY)
            return Places(kind, tmp_path, request.getfixturevalue("seaweedfs").url)
        if kind == "gcs":
            return Places(kind, tmp_path, request.getfixturevalue("fake_gcs").url)
        return Places(kind, tmp_path)

    return of


@pytest.fixture(params=KINDS)
def places(request: pytest.FixtureRequest, places_of: Callable[[str], Places]) -> Places:
    """New places of each kind: in memory, in folders, and in buckets of S3 and of Google."""
    return places_of(request.param)


@pytest.fixture(params=SHARED)
def shared_places(request: pytest.FixtureRequest, places_of: Callable[[str], Places]) -> Places:
    """As `places`, of those kinds that other processes reach by their location."""
    return places_of(request.param)


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers try again as often as ever, and at once: for tests in which a storage stays away on purpose."""
    monkeypatch.setattr("casreg.refs.pace.PACE", Pace(sleep=lambda _: None))


@pytest.fixture
def fresh_python() -> FreshPython:
    """Run code in a new interpreter, warnings as errors, and get what it printed; its failure fails the test.

    `arguments` are `sys.argv[1:]` there; the environment is the test's own.
    """

    def run(code: str, *arguments: str, timeout: float = 120) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONUTF8": "1"},
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
