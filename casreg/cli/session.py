"""What stands on the command line beside the command: which registry, how much is said, and in which form."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import casreg
from casreg.exceptions import InvalidArgumentError, StoreLocationNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casreg import Mount, Registry

DEFAULT: Final = "-"
"""The registry that is meant where nothing is said, where something has to be."""

_PLACE: Final = ("/", os.sep, "://", "~")


@dataclass(slots=True)
class Session:
    """The options that every command has, and the registries that they mean.

    Attributes:
        registry: A path, a URI or the location of a mount; None for the default registry.
        json: Results are one JSON document.
        quiet: Nothing is said beside results and errors.
        verbose: What the library logs is shown.
        debug: Errors come with their traceback.
    """

    registry: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False

    def start_log(self) -> None:
        """Show what the library logs on standard error: warnings, or everything, or nothing but errors."""
        log = logging.getLogger("casreg")
        for handler in [one for one in log.handlers if isinstance(one, _Handler)]:
            log.removeHandler(handler)
        log.addHandler(_Handler())
        log.setLevel(logging.DEBUG if self.verbose else logging.ERROR if self.quiet else logging.WARNING)
        log.propagate = False

    @property
    def shows_progress(self) -> bool:
        """Whether somebody is there to see how far it is."""
        return sys.stderr.isatty() and not self.quiet and os.environ.get("TERM") != "dumb"

    def open(self, work: str | None = None) -> Registry:
        """The registry that is meant where a name has no location.

        Args:
            work: What shall be done to it; None if it is only read.

        Raises:
            StoreLocationNotFound: `--registry` is neither a place nor the location of a mount.
            ReadOnlyError: It is mounted read-only, and something shall be done to it.
        """
        if self.registry is None:
            return casreg.Registry()
        if work is None:
            return registry_at(self.registry)
        found = opened(self.registry)
        return found.writable(work) if isinstance(found, casreg.Mount) else found

    def find(self, key: str, work: str | None = None) -> tuple[Registry, str]:
        """The registry that a key means, and what the object is called there, perhaps with `@version`.

        Args:
            key: `name` or `location/name`.
            work: What shall be done to it; None if it is only read.

        Raises:
            InvalidArgumentError: The key has a location, and `--registry` was given too.
            StoreLocationNotFound: There is no such mount.
            ReadOnlyError: It is mounted read-only, and something shall be done to it.
        """
        if "/" not in key:
            return self.open(work), key
        location, _, inside = key.partition("/")
        if inside and not any(one in inside for one in "*?["):
            casreg.Store.parse_key(key)
        if self.registry is not None:
            raise InvalidArgumentError(
                f"{location}/… says where it is, and --registry too: leave one of them out"
            )
        mount = casreg.Store().get_mount(location)
        return mount.registry if work is None else mount.writable(work), inside


def registry_at(place: str) -> Registry:
    """The registry at a place that is only read.

    Raises:
        StoreLocationNotFound, InvalidArgumentError: As `opened`.
    """
    found = opened(place)
    return found.registry if isinstance(found, casreg.Mount) else found


def opened(place: str) -> Registry | Mount:
    """What `--registry` means: `-` is the default registry, a word is the location of a mount, or a folder that is here;
    all else is a place.

    Raises:
        StoreLocationNotFound: It is a word, and neither a mount nor a folder.
        InvalidArgumentError: It cannot be understood.
    """
    if place == DEFAULT:
        return casreg.Registry()
    if is_place(place):
        return casreg.Registry(place)
    store = casreg.Store()
    if store.has_mount(place) or not os.path.isdir(place):
        try:
            return store.get_mount(place)
        except StoreLocationNotFound as err:
            raise StoreLocationNotFound(
                f"{err} A folder that is not there yet is written as ./{place}"
            ) from err
    return casreg.Registry(place)


def is_place(text: str) -> bool:
    """Whether this is a path or a URI by its form, and not a word that may be the location of a mount."""
    return text in {"", ".", ".."} or text.lower().endswith(".casreg") or any(one in text for one in _PLACE)


@contextmanager
def log_as_before() -> Iterator[None]:
    """Whatever a command shows of the log, afterwards it goes where it went before: the process may live on."""
    log = logging.getLogger("casreg")
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    try:
        yield
    finally:
        log.handlers[:] = handlers
        log.setLevel(level)
        log.propagate = propagate


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # it is generic for type checkers only
    """Writes to what standard error is at the time."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter("casreg: %(levelname)s: %(message)s"))
