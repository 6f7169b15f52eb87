"""The root of the command line: commands by entry point, one line for every error, exit codes."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, version
from pathlib import Path

import pytest
import typer
from cli_programs import command, environment, imagequeue
from redis.exceptions import ConnectionError as RedisConnectionError

from imagequeue.config.errors import ConfigError, ImageQueueError, JobRefused, LedgerUnavailable, NotFound
from imagequeue.producer.main import run
from imagequeue.producer.registry import GROUP, installed_parts, parts_for


def part(name: str, register: Callable[[typer.Typer], None] | None) -> EntryPoint:
    """Return the entry point of a part made in the test; None is a part that cannot be loaded."""
    if register is None:
        return EntryPoint(name=name, value="imagequeue.not_there:register", group=GROUP)
    setattr(sys.modules[__name__], f"register_{name}", register)
    return EntryPoint(name=name, value=f"{__name__}:register_{name}", group=GROUP)


def raising(name: str, error: BaseException) -> EntryPoint:
    """Return a part whose one command raises."""

    def register(app: typer.Typer) -> None:
        @app.command(name)
        def fails() -> None:
            raise error

    return part(name, register)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("IMAGEQUEUE_X: not so"), 2, "IMAGEQUEUE_X: not so"),
        (JobRefused("size", "accepted: 1x1"), 2, "size: accepted: 1x1"),
        (NotFound("no job of that id"), 1, "no job of that id"),
        (LedgerUnavailable("ledger: gone"), 1, "ledger: gone"),
        (
            ValueError("line one\nline two"),
            1,
            "unexpected ValueError: line one line two (IMAGEQUEUE_DEBUG=1 shows where)",
        ),
        (RedisConnectionError("refused"), 1, "the Redis server cannot be used now: refused"),
        (ImageQueueError("red \x1b[31m"), 1, "red \N{REPLACEMENT CHARACTER}[31m"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fails"], {}, [raising("fails", error)]) == code
    captured = capsys.readouterr()
    assert captured.err == f"imagequeue: {said}\n"
    assert captured.out == ""


def test_debug_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fails"], {"IMAGEQUEUE_DEBUG": "1"}, [raising("fails", ValueError("x"))]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141), (typer.Exit(7), 7), (SystemExit(3), 3)],
)
def test_a_quiet_end_is_quiet(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        ended = run(["fails"], {}, [raising("fails", error)])
    except SystemExit as left:
        ended = int(str(left.code))
    assert ended == code
    assert capsys.readouterr().err == ""


def test_a_broken_part_does_not_break_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    def register(app: typer.Typer) -> None:
        app.command("works")(lambda: typer.echo("done"))
        app.command("too")(lambda: typer.echo("as well"))

    parts = [part("broken", None), part("works", register)]
    assert run(["works"], {}, parts) == 0
    assert run(["too"], {}, parts) == 0
    assert capsys.readouterr().out == "done\nas well\n"
    assert run(["broken"], {}, parts) == 1
    assert run(["unknown"], {}, parts) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all("No module named 'imagequeue.not_there'" in line for line in said)
    assert run(["--help"], {}, parts) == 0
    assert "Not usable: broken" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments", [["unknown"], ["works", "--unknown"], ["--unknown"], ["works", "extra"]])
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def register(app: typer.Typer) -> None:
        app.command("works")(lambda: None)
        app.command("too")(lambda: None)

    assert run(arguments, {}, [part("works", register)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("imagequeue: ")
    assert captured.err.count("\n") == 1


def test_a_group_without_a_command_shows_its_help_and_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    def register(app: typer.Typer) -> None:
        group = typer.Typer(no_args_is_help=True)
        group.command("list")(lambda: None)
        group.command("show")(lambda: None)
        app.add_typer(group, name="things")

    assert run(["things"], {}, [part("things", register)]) == 2
    captured = capsys.readouterr()
    assert "list" in captured.out
    assert captured.err == "imagequeue: a command is needed; the help above lists them\n"


def test_one_part_alone_is_loaded_for_its_own_command() -> None:
    parts = [part("broken", None), part("other", None)]
    assert parts_for("other", parts) == parts[1:]
    assert parts_for("up", parts) == parts


def test_every_installed_command_is_there() -> None:
    """What pyproject names can be loaded, in this very installation."""
    broken = [entry.name for entry in installed_parts() if not callable(entry.load())]
    assert broken == []


def test_version_and_help_need_no_configuration(tmp_path: Path) -> None:
    wrong = {"IMAGEQUEUE_LEASE_SECONDS": "never"}
    assert imagequeue(tmp_path, "--version", **wrong).stdout == f"imagequeue {version('imagequeue')}\n"
    for arguments in ([], ["--help"], ["-h"], ["up", "--help"]):
        ended = imagequeue(tmp_path, *arguments, **wrong)
        assert ended.returncode == 0, ended.stderr
        assert "Usage: imagequeue" in ended.stdout


def test_wrong_configuration_is_said_by_name(tmp_path: Path) -> None:
    ended = imagequeue(tmp_path, "down", IMAGEQUEUE_LEASE_SECONDS="never")
    assert ended.returncode == 2
    assert ended.stderr.startswith("imagequeue: IMAGEQUEUE_LEASE_SECONDS: ")
    assert ended.stderr.count("\n") == 1


def test_nobody_reading_the_output_is_no_error(tmp_path: Path) -> None:
    """As in `imagequeue catalog --json | head -1`: the reader is gone before the first byte."""
    with subprocess.Popen(
        command("catalog", "--json"),
        env=environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_catalog_json_is_json(tmp_path: Path) -> None:
    assert json.loads(imagequeue(tmp_path, "catalog", "--json").stdout)
