"""Shared by the tests of config: the packaged catalog and a way to load settings without this process's environment."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imagequeue.config.catalog import Catalog, load_catalog
from imagequeue.config.settings import Settings, load_settings

Load = Callable[..., Settings]


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Return the catalog as packaged."""
    return load_catalog()


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load settings from the given variables, and a TOML text if given, in a folder of their own."""

    def load(toml: str | None = None, **environ: str) -> Settings:
        if toml is not None:
            (tmp_path / "imagequeue.toml").write_text(toml, encoding="utf-8")
        return load_settings(environ, tmp_path)

    return load
