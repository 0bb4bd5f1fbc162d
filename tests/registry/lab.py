"""What tests of the Registry stand on: places, their bytes, and data of known kinds."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from casreg.backends.local import FileSystem
from casreg.backends.memory import MemoryBackend

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend, Token
    from places import Places


class NoFlush(FileSystem):
    """A file system that flushes nothing: for the many places that no power failure will ever meet."""

    def sync_file(self, fd: int) -> None:
        """Nothing."""

    def sync_folder(self, path: str) -> None:
        """Nothing."""


class Meanwhile(MemoryBackend):
    """A place where somebody else is quicker, once: `others` is done before the next commit."""

    others: Callable[[], object] | None = None

    def swap(self, key: str, *args: Any, **kwargs: Any) -> Token:
        """As the parent's, after what the others do."""
        if self.others is not None and key.startswith("refs/"):
            others, self.others = self.others, None
            others()
        return super().swap(key, *args, **kwargs)


def snapshot(backend: Backend) -> dict[str, bytes]:
    """All bytes that a place holds, by key."""
    return {info.key: bytes(backend.get(info.key).data) for info in backend.list("")}


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that no codec makes smaller, always the same for a seed."""
    return random.Random(seed).randbytes(size)


def text(size: int, seed: int = 0) -> bytes:
    """Bytes that every codec makes smaller, and no two stretches of which are equal."""
    draw = random.Random(seed)
    words = [bytes(draw.choices(b"abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(2000)]
    return b" ".join(draw.choices(words, k=size // 5))[:size].ljust(size, b".")


def run_model(
    model: Callable[[Callable[[], Backend]], RuleBasedStateMachine], places: Places, examples: int, steps: int
) -> None:
    """So many examples of a model, each at new places. No flushes: no power failure will ever meet these."""
    new_place = replace(places, file_system=NoFlush()).new
    run_state_machine_as_test(
        lambda: model(new_place),  # type: ignore[arg-type]  # its text allows a function
        settings=settings(max_examples=examples, stateful_step_count=steps),
    )
