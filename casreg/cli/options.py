"""The options that every command has, what names a thing on the command line, and examples in each `--help`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

import casreg
from casreg.cli.completing import KeyType, PlaceType
from casreg.cli.interrupts import end_tidily
from casreg.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Function = TypeVar("_Function", bound="Callable[..., Any]")


def _keep(context: click.Context, option: click.Parameter, value: object) -> None:
    """Put what was said into the session. It may be said before the command and behind it."""
    session = context.ensure_object(Session)
    if value and option.name:
        setattr(session, option.name, value)


def shared(*, json: bool = True) -> list[click.Parameter]:
    """The options that stand before a command, and behind it too."""
    given: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
        (
            ("-r", "--registry"),
            "The registry: a path, a URI, or the location of a mount.",
            {"metavar": "PLACE", "type": PlaceType()},
        ),
        (("-q", "--quiet"), "Say nothing but results and errors.", {"is_flag": True}),
        (("-v", "--verbose"), "Show what the library logs.", {"is_flag": True}),
        (("--debug",), "Show the traceback of an error.", {"is_flag": True}),
    ]
    if json:
        given.insert(1, (("--json",), "Print one JSON document; sizes are bytes.", {"is_flag": True}))
    return [
        click.Option(names, help=text, expose_value=False, callback=_keep, is_eager=True, **rest)
        for names, text, rest in given
    ]


class Command(click.Command):
    """A command with the options that all have, and with examples."""

    def __init__(self, *args: Any, examples: Sequence[str], has_json: bool = True, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.examples = examples
        self.params.extend(shared(json=has_json))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, each on a line of its own."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, with a log if one was asked for."""
        ctx.ensure_object(Session).start_log()
        _ = casreg.Registry  # loaded now, while Ctrl-C may end it
        end_tidily()
        return super().invoke(ctx)


def key_argument(
    name: str = "key", metavar: str = "NAME[@VERSION]", **rest: Any
) -> Callable[[_Function], _Function]:
    """The argument that is a name."""
    return click.argument(name, metavar=metavar, type=KeyType(), **rest)


yes_option = click.option("-y", "--yes", is_flag=True, help="Do it without asking.")
"""Of commands that destroy something."""
