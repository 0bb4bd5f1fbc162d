"""Errors of the library in the words of the command line: a call that helps is a command here."""

from __future__ import annotations

import re
from typing import Final

_COMMANDS: Final = {
    "export": "export",
    "files": "files",
    "history": "history",
    "list_objects": "ls",
    "undelete": "undelete",
    "unprotect": "unprotect",
    "verify": "verify",
}
"""The commands that do what these methods do. Their arguments are a name, or a name and a version."""

_CALL: Final = re.compile(r"`(\w+)(?:\((?:'([^']*)')?(?:, '([^']*)')?\))?`")

_PHRASES: Final = (
    (
        "`save` without `version=` takes the next one, a copy takes `target_version=`",
        "without --version it is the next one",
    ),
    ("open the registry with `mutable=True`", "write `mutable = true` for its mount"),
    ("open the registry with allow_underscore=True", "write `allow_underscore = true` for its mount"),
    ("or say shared_fs=True if this mount's locks hold", "unless this mount's locks hold"),
    ("say shared_fs=True", "say --shared-fs"),
    (", or open it with LocalRegistryBackend", ""),
)
"""What Python says, and what a shell does."""


def worded(message: str) -> str:
    """A message, with commands and options for methods and arguments."""
    for python, shell in _PHRASES:
        message = message.replace(python, shell)
    return _CALL.sub(_command, message)


def _command(call: re.Match[str]) -> str:
    method, name, version = call.groups()
    if method not in _COMMANDS:
        return call[0]
    key = "@".join(part for part in (name, version) if part)
    return f"`casreg {_COMMANDS[method]}{' ' if key else ''}{key}`"
