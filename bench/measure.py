"""Runs a whole process and says what it cost. Unix only: the kernel's own accounting (`wait4`) is what it reads."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TIMEOUT_S = 1800.0
"""A tool that takes longer than this is stuck: the whole run would wait for ever."""


class BenchError(Exception):
    """The benchmark cannot go on; the message says which command failed and what it printed."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one process cost, with every process that it started and waited for."""

    wall: float
    """Seconds from just before the start to the end of the process."""
    cpu: float
    """Seconds of processor time, user and system."""
    peak_rss: int
    """Bytes: the largest resident set of any one of the processes, mapped file pages included."""
    stdout: str
    """What it printed."""


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = TIMEOUT_S,
) -> Measured:
    """Runs a command to its end and measures it from the outside.

    Raises:
        BenchError: It did not start, ended with something else than 0, or took more than `timeout` seconds.
    """
    # Files, not pipes: nobody has to read while `wait4` waits, and a chatty tool cannot block on a full pipe.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=cwd
            )
        except OSError as problem:
            raise BenchError(f"cannot start {argv[0]}: {problem}") from problem
        watchdog = threading.Timer(timeout, process.kill)
        watchdog.start()
        try:
            status, cpu, peak = _wait(process.pid)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            watchdog.cancel()
        wall = time.perf_counter() - began
        # `wait4` has reaped it; without this Popen would look for it again, and warn.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise BenchError(_complaint(argv, process.returncode, wall, timeout, _text(err), _text(out)))
        return Measured(wall, cpu, peak, _text(out))


def _wait(pid: int) -> tuple[int, float, int]:
    """Status, processor seconds and peak resident bytes of a child, which is reaped by this."""
    if sys.platform == "win32":
        raise BenchError(
            "the benchmark reads wait4(2), which Windows does not have; run it on Linux or macOS"
        )
    _, status, usage = os.wait4(pid, 0)
    # The unit of ru_maxrss is KiB on Linux and bytes on macOS (getrusage(2) of each).
    unit = 1 if sys.platform == "darwin" else 1024
    return status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")


def _complaint(argv: Sequence[str], code: int, wall: float, timeout: float, err: str, out: str) -> str:
    command = " ".join(argv)
    why = f"was stopped after {timeout:.0f} s" if wall >= timeout else f"ended with {code}"
    said = (err.strip() or out.strip() or "nothing")[-3000:]
    return f"{why}: {command}\nit printed: {said}"


def settle(memory: int) -> None:
    """Brings the machine into the same state before each timed process, whichever tool comes next.

    Writes out what earlier processes left dirty, so that nobody pays for another's data; and touches `memory`
    bytes in a process of its own, because on many virtual machines the host takes freed memory back and the first
    to touch it again pays up to 2 s for each GiB.
    """
    os.sync()
    if memory > 0:
        # One byte in each page; in another process, or this one's size would show in its children's peak.
        code = f"b = bytearray({memory}); b[::4096] = bytes(len(range(0, {memory}, 4096)))"
        run([sys.executable, "-I", "-S", "-c", code])


def read_through(root: Path) -> None:
    """Reads every file below `root` once, so that every tool finds it in the page cache."""
    buffer = bytearray(1 << 20)
    for path in [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file()):
        with path.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def stored_bytes(root: Path) -> int:
    """The sum of the sizes of all files below `root`."""
    return sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())
