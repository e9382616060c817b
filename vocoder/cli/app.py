"""Assembles the command line from one module per group of commands.

A user's mistake prints one line and exits 2.
"""

import logging
import sys
from typing import Annotated, cast

import typer

from vocoder import __version__
from vocoder.cli import measure, recognise, speak, train, voices
from vocoder.errors import UserError
from vocoder.server import cli as server

COMMANDS = (
    *(speak.speak, speak.generate, speak.analyze),
    *(voices.voices, voices.pack),
    *(server.serve, server.key),
    *(train.prepare, train.shard, train.align, train.train, train.compare),
    *(measure.evaluate, measure.decompose, measure.bench, recognise.recognise),
)
"""All commands, in the order of the help."""

# Typer exports its usage errors' subclass only.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app = typer.Typer(
    help="A neural text-to-speech vocoder: speech from text or acoustic features.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"vocoder {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def main() -> None:
    """Entry point of ``vocoder``."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        sys.exit(app(prog_name="vocoder", standalone_mode=False))
    except UserError as error:
        _fail(str(error))
    except _UsageError as error:
        message = error.format_message().rstrip(".")
        command = error.ctx.command_path if error.ctx else "vocoder"
        _fail(f"{message[:1].lower()}{message[1:]} (see {command} --help)")
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)


def _fail(message: str) -> None:
    print(f"vocoder: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
