"""Where the program starts: before the rest of it is loaded."""

from __future__ import annotations

from casreg.cli.interrupts import end_at_once


def main() -> None:
    """Run the command line of this process, and end it."""
    end_at_once()
    from casreg.cli.main import main as run  # noqa: PLC0415 - loading it may be interrupted from here on

    run()
