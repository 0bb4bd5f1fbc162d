"""The program: all commands, and how they end. An error is one line on standard error and an exit code."""

from __future__ import annotations

import os
import re
import sys
import traceback
import warnings
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from casreg.backends.base import shown
from casreg.cli import (
    adopting,
    bundles,
    checking,
    collecting,
    comparing,
    exits,
    labels,
    listings,
    objects,
    places,
    syncing,
)
from casreg.cli.completion import VARIABLE, completion
from casreg.cli.interrupts import end_at_once
from casreg.cli.options import shared
from casreg.cli.output import remark
from casreg.cli.session import Session, log_as_before
from casreg.cli.wording import worded
from casreg.display import printable
from casreg.exceptions import CasregError

if TYPE_CHECKING:
    from collections.abc import Callable

SECTIONS: Final[dict[str, tuple[click.Command, ...]]] = {
    "Objects": (objects.save, objects.load, objects.cat, objects.rm, objects.undelete),
    "What there is": (
        listings.ls,
        listings.versions,
        listings.info,
        listings.files,
        listings.history,
        listings.find,
        comparing.diff,
        comparing.stats,
    ),
    "Labels": (labels.tag, labels.untag, labels.annotate, labels.protect, labels.unprotect, labels.rename),
    "Places": (places.init, places.mounts, syncing.sync, bundles.export_, bundles.import_),
    "Care": (checking.verify, checking.heal, collecting.prune, collecting.gc, adopting.adopt),
    "Shell": (completion,),
}
"""The commands, as `--help` and the manual show them."""


_URI: Final = re.compile(r"\S+://\S+")

_HELP: Final = """\
A content-addressed, versioned registry: every byte once, on a folder or a bucket.

A NAME is `my:model`, one version of it `my:model@1.2.0`, `my:model@prod` (a tag) or 'my:model@>=1,<2' (a range). It is in
the registry that --registry says, or in your default one; `team/my:model` is in the mount team. Options below may stand
behind a command too.
"""


class _Program(click.Group):
    """The group of all commands, which ends each with a line and an exit code that say what happened."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """In the order of the manual."""
        return [command.name or "" for commands in SECTIONS.values() for command in commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """By section."""
        width = max(map(len, self.commands)) + 2
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                limit = formatter.width - formatter.current_indent - width - 2
                rows = [(f"{one.name:<{width - 2}}", one.get_short_help_str(limit)) for one in commands]
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. If nobody reads its output any more, it ends quietly."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _drop_output()
            ctx.exit(exits.CLOSED_PIPE)
        except KeyboardInterrupt:
            # On a terminal there is a `^C` in the line.
            click.echo("\n" * sys.stderr.isatty() + "casreg: interrupted", err=True)
            ctx.exit(exits.INTERRUPTED)
        return result

    def main(  # type: ignore[override]  # it ends the process, whatever the mode
        self, args: Any = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command line. Does not return."""
        extra.pop("standalone_mode", None)
        session = Session()
        extra["obj"] = session

        def run() -> object:
            return super(_Program, self).main(
                args,
                prog_name or "casreg",
                extra.pop("complete_var", VARIABLE),
                standalone_mode=False,
                **extra,
            )

        with log_as_before(), warnings.catch_warnings():
            warnings.showwarning = partial(_warned, session)
            code = _ended(run, session)
        sys.exit(code)


def _ended(run: Callable[[], object], session: Session) -> int:
    """Run something, and say how it ended. Returns the exit code."""
    try:
        code = run()
    except click.exceptions.NoArgsIsHelpError as err:
        click.echo(err.format_message(), err=True)
        return exits.USAGE
    except click.ClickException as err:
        return _failed(_usage(err), err.exit_code)
    except click.Abort:
        return _failed("nothing was done, since you did not say yes", exits.FAILED)
    except CasregError as err:
        return _failed(worded(str(err)), exits.exit_code(err), traced=session.debug)
    except Exception as err:  # noqa: BLE001 - the last line of defence: nobody shall read a traceback unasked
        message = f"{type(err).__name__}: {err}. That is not foreseen; --debug shows where it comes from"
        return _failed(message, exits.FAILED, traced=session.debug)
    return code if isinstance(code, int) else exits.DONE


def _failed(message: str, code: int, *, traced: bool = False) -> int:
    if traced:
        traceback.print_exc()
    with suppress(BrokenPipeError):
        click.echo(f"casreg: error: {printable(' '.join(message.split()))}", err=True)
    return code


def _warned(session: Session, message: Warning | str, *_where: object) -> None:
    """A warning, without the line of the library that it comes from."""
    remark(session, f"warning: {worded(' '.join(str(message).split()))}")


def _usage(err: click.ClickException) -> str:
    """What click says, and where to read on."""
    context = getattr(err, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    said = _URI.sub(lambda uri: shown(uri[0]), err.format_message())  # it repeats what was written
    return f"{said.rstrip('.')}{hint}"


def _drop_output() -> None:
    """Whoever read it has gone: what is left in the buffer has nowhere to go at the end of the process either."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _program() -> _Program:
    program = _Program(
        "casreg",
        params=shared(),
        help=_HELP,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        no_args_is_help=True,
    )
    for commands in SECTIONS.values():
        for command in commands:
            program.add_command(command)
    return click.version_option(package_name="casreg", message="%(prog)s %(version)s")(program)


program: Final = _program()
"""All of it, for click."""


def main() -> None:
    """Run the command line of this process, and end it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name need not fit into what a terminal can show
    try:
        program.main()
    finally:
        end_at_once()  # whoever says it twice waits for nothing more
