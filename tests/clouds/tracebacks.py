"""What tools print that show a traceback with the variables of each frame."""

from __future__ import annotations

import traceback


def variables_of(error: BaseException, besides: str) -> str:
    """All variables of all frames of an error and its causes, but for those of the file `besides`."""
    told: traceback.TracebackException | None = traceback.TracebackException.from_exception(
        error, capture_locals=True
    )
    found: list[str] = []
    while told is not None:
        found += [str(told), *(str(frame.locals) for frame in told.stack if frame.filename != besides)]
        told = told.__cause__ or told.__context__
    return "\n".join(found)
