"""What stands on the pages exists: commands, settings, links, requests, targets, files, and code that can be read."""

import ast
import configparser
import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own
from docs_commands import command_lines, commands, is_command, options, problem
from docs_pages import ROOT, Code, Page, line_of, pages

from imagequeue.config.settings import CONFIG_VARIABLE, OTHER_VARIABLES, Settings
from imagequeue.producer.door.description import describe

PAGES = pages("README.md", "docs/*.md")
LINKING = [*PAGES, *pages("docs/adr/*.md", "CHANGELOG.md")]
VARIABLES = {f"IMAGEQUEUE_{name.upper()}" for name in Settings.model_fields} | {*OTHER_VARIABLES}
ON_PURPOSE = {"IMAGEQUEUE_CASHE"}  # the mistake of which configure.md shows the message
COMPOSE_OPTIONS = {"--profile"}
PARTS = ("config", "queue", "ledger", "store", "producer", "worker", "simulator", "dashboard")
FOLDERS = (*PARTS, "benchmarks", "deploy", "docs", "requirements", "tests")
IN_CHECKOUT = re.compile(rf"(?<![\w./<-])(?:{'|'.join(FOLDERS)})/[\w./*-]*")
SOURCE = re.compile(r"(?<![\w./*-])[\w/]+\.(?:py|lua)\b")
REQUEST = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/(?:v1|metrics|healthz|readyz|openapi)[\w/{}.]*)")
SIMULATED = "docs/simulate.md"  # its requests go to the simulated provider

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code(page: Page) -> Iterator[Code]:
    """Yield everything on a page that is set as code."""
    yield from page.blocks
    yield from page.spans


def at(page: Page, line: int, says: str) -> str:
    """Return a finding as people look for it."""
    return f"{page.name}:{line}: {says}"


def test_the_pages_are_found_and_have_something_to_check() -> None:
    assert len(PAGES) > 15
    assert len([line for page in PAGES for block in page.blocks for line in command_lines(block)]) > 60
    assert len([link for page in PAGES for link in page.links]) > 80


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("imagequeue jobs lits", "imagequeue jobs has no command lits"),
        ("imagequeue ledger summary --by model", "imagequeue ledger summary has no --by"),
        ("FILE=x imagequeue demo --jobs many", "imagequeue demo: Invalid value for '--jobs'"),
        ("jq . jobs | .venv/bin/imagequeue enqueue - -", "imagequeue enqueue: Got unexpected extra argument"),
        ("docker compose run --rm worker keys create", "imagequeue keys create: Missing option '--name'."),
    ],
)
def test_what_the_program_would_refuse_is_found(line: str, says: str) -> None:
    ((_, words),) = command_lines(Code(line=1, language="sh", text=line))
    assert (problem(words, whole=True) or "").startswith(says)


@each_page
def test_every_command_line_would_be_taken(page: Page) -> None:
    found = [(line, problem(words, whole=_is_whole(part))) for part in code(page) for line, words in _commands(part)]
    assert [at(page, line, says) for line, says in found if says] == []


def _is_whole(part: Code) -> bool:
    """Return whether it is to be typed, not only named."""
    return part.language is not None or part.text.startswith("docker")


def _commands(part: Code) -> Iterator[tuple[int, list[str]]]:
    """Yield the command lines of a piece of code; in the text a command may stand without the program's name."""
    if part.language is None and is_command(part.text):
        part = replace(part, text=f"imagequeue {part.text}")
    yield from command_lines(part)


def test_every_command_is_on_some_page() -> None:
    text = " ".join(part.text for page in PAGES for part in code(page))
    assert [name for name in commands() if not re.search(rf"\b{name}\b", text)] == []


@each_page
def test_every_option_in_the_text_is_one_of_some_command(page: Page) -> None:
    known = options() | COMPOSE_OPTIONS | options_of_scripts()
    spans = [(span.line, re.match(r"--[a-z][a-z-]*", span.text)) for span in page.spans]
    assert [at(page, line, found[0]) for line, found in spans if found and found[0] not in known] == []


@cache
def options_of_scripts() -> frozenset[str]:
    """Return the options of the benchmarks and of the soak test."""
    scripts = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "tests" / "soak").glob("*.py")]
    return frozenset(option for script in scripts for option in re.findall(r'"(--[a-z-]+)"', script.read_text()))


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_every_variable_is_a_setting(page: Page) -> None:
    found = re.finditer(r"\bIMAGEQUEUE_[A-Z][A-Z_]*[A-Z]\b", page.text)
    unknown = [one for one in found if one[0] not in VARIABLES | ON_PURPOSE]
    assert [at(page, line_of(page.text, one.start()), one[0]) for one in unknown] == []


def test_every_variable_of_the_container_files_is_a_setting() -> None:
    named = [name for file in ("Dockerfile", "docker-compose.yml", ".env.example") for name in _variables(ROOT / file)]
    assert CONFIG_VARIABLE not in named
    assert sorted(set(named) - VARIABLES) == []
    assert len(named) > 5


def _variables(path: Path) -> list[str]:
    return re.findall(r"\bIMAGEQUEUE_[A-Z_]+\b", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Page) -> None:
    assert [at(page, line, target) for line, target in page.links if not _leads(page, target)] == []


def _leads(page: Page, target: str) -> bool:
    path, _, anchor = target.partition("#")
    there = (page.path.parent / path).resolve() if path else page.path
    return there.exists() and (not anchor or anchor in Page(path=there).anchors)


@each_page
def test_every_block_of_data_can_be_read(page: Page) -> None:
    for block in page.blocks_in("toml"):
        assert tomllib.loads(block.text), at(page, block.line, "TOML")
    for block in page.blocks_in("json"):
        assert json.loads(block.text), at(page, block.line, "JSON")
    for block in page.blocks_in("yaml"):
        assert yaml.safe_load(block.text), at(page, block.line, "YAML")
    for block in page.blocks_in("ini"):
        unit = configparser.ConfigParser(strict=True, interpolation=None)
        unit.read_string(block.text, source=at(page, block.line, "INI"))
        assert unit.sections()


@each_page
def test_every_python_block_compiles_and_imports_what_there_is(page: Page) -> None:
    for block in page.blocks_in("python"):
        where = at(page, block.line, "Python")
        for node in ast.walk(ast.parse(block.text, filename=where)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("imagequeue"):
                module = importlib.import_module(node.module or "")
                assert [name.name for name in node.names if not hasattr(module, name.name)] == [], where
            if isinstance(node, ast.Import):
                assert [name.name for name in node.names if name.name.startswith("imagequeue")] == [], where


@each_page
def test_every_target_of_make_exists(page: Page) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = [(part.line, name) for part in code(page) for name in re.findall(r"\bmake ([a-z]+)\b", _shell(part))]
    assert [at(page, line, f"make {name}") for line, name in named if name not in targets] == []


def _shell(part: Code) -> str:
    return "" if part.language in ("python", "text") else part.text


@each_page
def test_every_path_of_the_checkout_exists(page: Page) -> None:
    paths = [(part.line, path.rstrip(".")) for part in code(page) for path in IN_CHECKOUT.findall(part.text)]
    assert [at(page, line, path) for line, path in paths if not any(ROOT.glob(_pattern(path)))] == []


def _pattern(path: str) -> str:
    return path.replace("/.../", "/**/").rstrip("/")


@each_page
def test_every_source_file_in_the_text_is_one_of_ours(page: Page) -> None:
    named = [(span.line, name) for span in page.spans for name in SOURCE.findall(span.text)]
    assert [
        at(page, line, name) for line, name in named if not any(file.endswith(f"/{name}") for file in sources())
    ] == []


@cache
def sources() -> tuple[str, ...]:
    """Return the paths of all Python and Lua files of the checkout."""
    files = [file for folder in (*PARTS, "benchmarks", "tests") for file in (ROOT / folder).rglob("*")]
    return tuple(
        file.as_posix() for file in files if file.suffix in (".py", ".lua") and "node_modules" not in file.parts
    )


@each_page
def test_every_request_to_the_door_is_in_its_description(page: Page) -> None:
    if page.name == SIMULATED:
        return
    routes = [(method.upper(), path) for path, methods in describe()["paths"].items() for method in methods]
    asked = [(part.line, *found) for part in code(page) for found in REQUEST.findall(part.text)]
    unknown = [(line, f"{method} {path}") for line, method, path in asked if not _served(method, path, routes)]
    assert [at(page, line, says) for line, says in unknown] == []


def _served(method: str, path: str, routes: list[tuple[str, str]]) -> bool:
    return any(method == verb and re.fullmatch(re.sub(r"{\w+}", r"[^/]+", route), path) for verb, route in routes)
