"""Ctrl-C: at once where nothing is begun, and with everything put away where something is."""

from __future__ import annotations

import signal
import threading


def end_at_once() -> None:
    """From now on Ctrl-C ends the process without a word, as it does with any small program.

    So it is while modules are loaded, some of which break where an exception meets them, and when all is done. A handler
    that somebody else has set stays, and so does that it is ignored (`nohup`).
    """
    _set(signal.default_int_handler, signal.SIG_DFL)


def end_tidily() -> None:
    """From now on Ctrl-C is a `KeyboardInterrupt`: what was begun is put away, and the terminal is as it was."""
    _set(signal.SIG_DFL, signal.default_int_handler)


def _set(before: object, after: signal.Handlers | object) -> None:
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == before:
        signal.signal(signal.SIGINT, after)  # type: ignore[arg-type]  # one of the two that are named above
