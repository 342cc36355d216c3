"""
Turn a command line into one call, and what it raises into a message and an exit code.

Commands live one per file and are imported only when named, so that `curate --help` is quick:

    >>> COMMANDS["plan"]
    'Print what a recipe would mix: exact tokens, shares, epochs, what is dropped.'
"""

import importlib
import os
import signal
import sys

import click

from curate import __version__, files
from curate.errors import CurateError

COMMANDS: dict[str, str] = {
    "init": "Write a commented recipe to start from.",
    "fetch": "Download named public dumps, after saying what that takes.",
    "lock": "Pin every input, tokenizer and model of a recipe by its digest.",
    "plan": "Print what a recipe would mix: exact tokens, shares, epochs, what is dropped.",
    "build": "Make the mixes of a recipe: read, tag, tokenize, plan, write.",
    "verify": "Check that a mix is what its manifest says.",
    "inspect": "Show a mix at a glance.",
    "trace": "Say which document a token comes from.",
    "find": "Say where a document is in a mix, or why it is not.",
    "diff": "Say what differs between two mixes.",
    "prove": "Prove that a document is in a mix, or that it is not.",
    "query": "Run read-only SQL over the spans of a mix.",
    "remove": "Take documents out of mixes: a new version that rewrites only what changed.",
    "export": "Write a mix in another format, without tokenizing again.",
    "use": "Print a trainer's own configuration for a mix.",
    "tagger": "Train, evaluate, calibrate and show taggers.",
    "tokenizer": "Train, show and check tokenizers.",
    "schema": "Print the JSON Schema of recipes or manifests.",
    "doctor": "Say what this installation can do.",
}
"""Command name → one line of help."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the file that holds a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"curate.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command where there is none of that name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        "Exit codes: 0 done, 1 failed, 2 usage, 3 integrity, 4 input rejected, "
        "5 recipe not satisfiable, 6 remote failed, 7 busy, 130/143 signals."
    ),
)
@click.version_option(__version__, prog_name="curate")
def group() -> None:
    """Turn raw dumps into token-exact, versioned, auditable mixes for language-model training."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command; the process ends with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # NumPy's linear algebra starts a thread per core, and rounds by how many there are.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with files.refusals_told():
            code = group.main(arguments, prog_name="curate", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except CurateError as error:
        _fail(error, arguments)
    except click.exceptions.Abort:
        click.echo("\ninterrupted; run the same line again to go on", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`| head`); nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _terminate(number: int, frame: object) -> None:
    # An exception, so that workers are stopped and temporary files deleted on the way out.
    sys.exit(128 + number)


def _fail(error: CurateError, arguments: list[str]) -> None:
    import json

    from curate.cli.console import clean

    if "--json" in arguments:
        click.echo(json.dumps(error.as_json()))
    else:
        click.echo(clean(error.render()), err=True)
    sys.exit(error.exit_code)
