"""Command lines on the pages: where they stand, and whether the program would take them."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

import typer
from docs_pages import Code

from imagequeue.producer.main import build
from imagequeue.producer.registry import installed_parts, register_parts

COMMAND = "imagequeue"
PROGRAM = re.compile(r"\bimagequeue \w|\bimagequeue -|\bdocker compose \w")
OTHER_LANGUAGES = frozenset({"python", "json", "toml", "yaml", "sql", "text"})
QUOTED_OR_CHOICE = re.compile(r"""'[^']*'|"[^"]*"|([\w-]+)(?:\|[\w-]+)+""")


@cache
def program() -> Any:
    """Return the whole command, as users have it."""
    app = build()
    assert register_parts(app, installed_parts()) == []
    return typer.main.get_command(app)


@cache
def options() -> frozenset[str]:
    """Return every option of every command."""
    return frozenset(option for _, command in _named(program(), "") for option in _options(command))


def commands() -> list[str]:
    """Return every command as it is typed, without the program's name."""
    return [name.strip() for name, command in _named(program(), "") if not hasattr(command, "commands")]


def command_lines(code: Code) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and arguments of each use of the program in a block of shell, or in code in the text."""
    if code.language in OTHER_LANGUAGES:
        return
    lines = code.text.replace("\\\n", "  ").splitlines()
    with_prompt = any(line.startswith("$ ") for line in lines)
    for number, line in enumerate(lines):
        if PROGRAM.search(line) and (not with_prompt or line.startswith("$ ")):
            for words in _simple_commands(line.removeprefix("$ ").removeprefix("ExecStart=")):
                if (arguments := _arguments(words)) is not None:
                    yield code.line + number, arguments


def problem(arguments: list[str], *, whole: bool) -> str | None:
    """Return what the program would not take. Unless `whole`, a command without any argument is only mentioned."""
    words = [word for word in (_cleaned(word) for word in arguments) if word]
    command = program()
    name = COMMAND
    while words and (below := getattr(command, "commands", None)) and not words[0].startswith("-"):
        if words[0] not in below:
            return f"{name} has no command {words[0]}"
        name, command = f"{name} {words[0]}", below[words.pop(0)]
    unknown = {word.partition("=")[0] for word in words if re.match(r"--\w", word)} - _options(command)
    if unknown or (not words and not whole) or hasattr(command, "commands"):
        return f"{name} has no {', '.join(sorted(unknown))}" if unknown else None
    try:
        command.make_context(name, [_filled(word) for word in words])
    except typer.TyperException as refused:
        return f"{name}: {refused.format_message()}"
    except typer.Exit:  # --help
        return None
    return None


def is_command(text: str) -> bool:
    """Return whether code in the text is a command without the program's name, e.g. `ledger audit`."""
    first, _, rest = text.partition(" ")
    command = program().commands.get(first)
    below = getattr(command, "commands", {})
    return command is not None and (rest.startswith("--") or rest.partition(" ")[0] in below)


def _named(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for below, one in getattr(command, "commands", {}).items():
        yield from _named(one, f"{name} {below}")


def _options(command: Any) -> set[str]:
    return {"--help"} | {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }


def _simple_commands(line: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line: what stands between pipes, `&&`, `;` and redirections."""
    line = QUOTED_OR_CHOICE.sub(lambda found: found[1] or found[0], line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|&;<>"):
            yield words
            words = []
        else:
            words.append(word)
    yield words


def _arguments(words: list[str]) -> list[str] | None:
    """Return what follows the program's name, or the service of `docker compose run`; None: another program."""
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    names = [word.rpartition("/")[2] for word in words]
    if names[:1] == [COMMAND]:
        return words[1:]
    if words[:2] != ["docker", "compose"]:
        return None
    if "run" in words:
        return words[words.index("worker") + 1 :]
    return words[names.index(COMMAND) + 1 :] if COMMAND in names else None


def _cleaned(word: str) -> str:
    """Return a word without the signs that say how often it may come."""
    return word.strip("[]").removesuffix("...").strip("[]")


def _filled(word: str) -> str:
    """Return what would be taken where a page has a placeholder: a number is also a word."""
    return "1" if re.fullmatch("[A-Z]+", word) else word
