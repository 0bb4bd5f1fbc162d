"""What a shell completes: names, mounts. Only what a local place says at once: nobody waits for a network at a key."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import BashComplete, CompletionItem, split_arg_string

import casreg
from casreg.cli.session import Session
from casreg.exceptions import CasregError

if TYPE_CHECKING:
    from casreg import Registry

_MOST: Final = 200


class KeyType(click.ParamType):  # type: ignore[type-arg]  # generic in new releases of click only
    """`name`, `location/name`, with or without `@version`."""

    name = "name"

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - the signature is click's
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        """The names and mounts that begin so."""
        try:
            return [CompletionItem(key) for key in _keys(ctx.ensure_object(Session), incomplete)]
        except CasregError:
            return []  # a shell that completes nothing is all that anybody wants to see of it


class PlaceType(click.ParamType):  # type: ignore[type-arg]  # as above
    """A path, a URI, or the location of a mount."""

    name = "place"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - the signature is click's
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        """The mounts that begin so; folders, if there is none."""
        try:
            mounts = [one for one in casreg.Store().list_mounts() if one.startswith(incomplete)]
        except CasregError:
            mounts = []
        return [CompletionItem(one) for one in mounts] or [CompletionItem(incomplete, type="dir")]


def _keys(session: Session, incomplete: str) -> list[str]:
    location, slash, name = incomplete.rpartition("/")
    if "@" in name:
        registry, key = session.find(incomplete.partition("@")[0])
        base = incomplete.partition("@")[0]
        versions = registry.list_versions(key) if _is_near(registry) else []
        return [found for one in versions if (found := f"{base}@{one}").startswith(incomplete)]
    registry = session.find(f"{location}/")[0] if slash else session.open()
    names = [f"{location}{slash}{one}" for one in _names(registry, name)]
    if slash or session.registry is not None:
        return names
    return names + [f"{one}/" for one in casreg.Store().list_mounts() if one.startswith(name)]


def _names(registry: Registry, begin: str) -> list[str]:
    if not _is_near(registry) or any(one in "*?[" for one in begin):
        return []
    return [row["name"] for row in registry.overview(f"{begin}*")][:_MOST]


def _is_near(registry: Registry) -> bool:
    return registry.backend.location.startswith("file://")


class Bash(BashComplete):
    """Completion for bash, to which `:` and `@` in a name begin a new word: the line is read as a whole instead."""

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' line="${COMP_LINE:0:COMP_POINT}" word breaks response completion type value
    word="${line##*[[:space:]]}"
    breaks="${COMP_WORDBREAKS//[^:@=]/}"
    if [ -n "$breaks" ]; then word="${word%%"${word##*[$breaks]}"}"; else word=; fi
    response=$(env COMP_WORDS="$line" COMP_CWORD=-1 %(complete_var)s=bash_complete "$1")
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) COMPREPLY=(); compopt -o dirnames ;;
            file) COMPREPLY=(); compopt -o default ;;
            plain) COMPREPLY+=("${value#"$word"}"); [[ $value == */ ]] && compopt -o nospace ;;
        esac
    done
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words of the line before the last, and the last."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words[1:], incomplete
