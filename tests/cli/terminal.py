"""A terminal, for what is seen by people only."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Seen:
    """What somebody saw, and how it ended.

    Attributes:
        code: The exit code.
        raw: Everything that the terminal got.
    """

    code: int
    raw: str

    @property
    def text(self) -> str:
        """Without what moves and colours."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n").replace("\r", "\n")


def on_terminal(
    command: Sequence[str],
    typed: Sequence[tuple[str, bytes]] = (),
    *,
    columns: int = 120,
    timeout: float = 120,
    **environment: str,
) -> Seen:
    """Run a program on a terminal of its own.

    Args:
        command: The program and its words.
        typed: What to wait for, and what to type then, in order.
        columns: How wide it is.
        timeout: Seconds after which it must have ended.
        **environment: More variables.
    """
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, columns))
    ours = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"}  # what tells of another terminal
    variables = {key: value for key, value in os.environ.items() if key not in ours}
    child = subprocess.Popen(
        command,
        preexec_fn=lambda: _sit_down(slave),  # noqa: PLW1509 - so that Ctrl-C reaches it
        env={**variables, "TERM": "xterm-256color", "PYTHONUTF8": "1", **environment},
    )
    os.close(slave)
    try:
        raw = _read(master, list(typed), time.monotonic() + timeout)
        return Seen(child.wait(timeout), raw)
    finally:
        os.close(master)
        child.kill()
        child.wait()


def _sit_down(slave: int) -> None:
    """In the child: this is its terminal, and Ctrl-C is not ignored, as a suite in the background has it."""
    os.login_tty(slave)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _read(master: int, typed: list[tuple[str, bytes]], end: float) -> str:
    raw = b""
    position = 0
    while time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:  # Linux says so when the last who had it open is gone
                break
            if not piece:
                break
            raw += piece
        text = raw.decode(errors="replace")
        if typed and typed[0][0] in text[position:]:
            position = text.index(typed[0][0], position) + len(typed[0][0])
            os.write(master, typed.pop(0)[1])
    assert not typed, f"never seen: {typed[0][0]!r} in {raw!r}"
    return raw.decode()


PROGRAM = [sys.executable, "-W", "error", "-m", "casreg.cli"]
