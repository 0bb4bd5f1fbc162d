"""`casreg completion`: what a shell has to run so that it completes commands, options and names."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import add_completion_class, get_completion_class

from casreg.cli.completing import Bash
from casreg.cli.options import Command

VARIABLE: Final = "_CASREG_COMPLETE"
"""By this a shell asks for completions."""

add_completion_class(Bash)


@click.command(
    cls=Command,
    short_help="Print what makes a shell complete names.",
    has_json=False,
    examples=(
        'eval "$(casreg completion bash)"    # in ~/.bashrc',
        'eval "$(casreg completion zsh)"     # in ~/.zshrc, after compinit',
        "casreg completion fish > ~/.config/fish/completions/casreg.fish",
    ),
)
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options, mounts, and the names of local registries."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "casreg", VARIABLE).source())
