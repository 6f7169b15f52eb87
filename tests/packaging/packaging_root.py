"""Where the checkout is, and what pyproject.toml says of it."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def pyproject() -> dict[str, Any]:
    """Return pyproject.toml, decoded."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def part_folders() -> list[str]:
    """Return the folders of the parts, as the wheel is made from them."""
    packages: list[str] = pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return [package.removesuffix("/imagequeue") for package in packages]
