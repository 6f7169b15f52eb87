"""The command `imagequeue`: finds the command, runs it, and turns every error into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, configuration or job, 130 interrupted, 141 nobody reads the output.
"""

import os
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, version
from typing import Annotated, Final

import typer

from imagequeue.config.errors import DEBUG_VARIABLE, ConfigError, ImageQueueError, JobRefused
from imagequeue.producer.commands.output import print_error
from imagequeue.producer.registry import BrokenPart, installed_parts, parts_for, register_parts

FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130
NOBODY_READS: Final = 141


def main() -> None:
    """Run the command of this process's arguments and end the process."""
    code = run(sys.argv[1:], os.environ, installed_parts())
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = NOBODY_READS
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the interpreter's own flush is quiet
    sys.exit(code)


def run(arguments: Sequence[str], environ: Mapping[str, str], parts: Sequence[EntryPoint]) -> int:
    """Run one command and return its exit code; no error leaves here."""
    try:
        return _invoke(list(arguments), parts)
    except BrokenPipeError:
        return NOBODY_READS
    except SystemExit as left:  # what typer makes of a broken pipe
        if isinstance(left.__context__, BrokenPipeError):
            return NOBODY_READS
        raise
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # the outermost boundary: reported, and the end of us
        if environ.get(DEBUG_VARIABLE) == "1":
            traceback.print_exc()
        print_error(describe(error))
        return exit_code(error)


def exit_code(error: Exception) -> int:
    """Return the exit code of an error: 2 when the caller has to ask for something else, 1 otherwise."""
    if isinstance(error, ConfigError | JobRefused):
        return WRONG_USAGE
    if isinstance(error, typer.TyperException):
        return error.exit_code
    return FAILED


def describe(error: Exception) -> str:
    """Return the one line that a person gets to read."""
    if isinstance(error, typer.TyperException):
        return error.format_message() or "a command is needed; the help above lists them"
    if isinstance(error, ImageQueueError):
        return str(error)
    if isinstance(error, typer.Abort):
        return "stopped; nothing was done"
    from imagequeue.queue.scripts import TROUBLE, unavailable  # loaded here: commands that use no server do without

    if isinstance(error, TROUBLE):
        return str(unavailable(error))
    return f"unexpected {type(error).__name__}: {error} ({DEBUG_VARIABLE}=1 shows where)"


def _invoke(arguments: list[str], parts: Sequence[EntryPoint]) -> int:
    app = build()
    word = arguments[0] if arguments else ""
    broken = register_parts(app, parts_for(word, parts))
    command = typer.main.get_command(app)
    if broken:
        command.epilog = f"Not usable: {_list(broken)}"
        _refuse_unusable(word, typer.main.get_group(app).commands, broken)
    ended = command.main(arguments, prog_name="imagequeue", standalone_mode=False)
    return ended if isinstance(ended, int) else 0


def _refuse_unusable(word: str, usable: Iterable[str], broken: Sequence[BrokenPart]) -> None:
    if word and not word.startswith("-") and word not in usable:
        raise ImageQueueError(f"the command {word} is not there; not usable: {_list(broken)}")


def _list(broken: Sequence[BrokenPart]) -> str:
    return "; ".join(f"{part.name} ({part.reason})" for part in broken)


def build() -> typer.Typer:
    """Return the application without any command."""
    app = typer.Typer(
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    return app


def _root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Queue, pace, pay for and keep the images of a paid image API."""
    if show_version:
        typer.echo(f"imagequeue {version('imagequeue')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


if __name__ == "__main__":
    main()
