"""What ships: the wheel holds every file of every part, and works where the checkout is not."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging_root import ROOT, part_folders

from imagequeue.config.embedded import stop_server

pytestmark = pytest.mark.xdist_group("wheel")  # one build for all tests here

OPEN_LEDGER = """
import asyncio, sys
from imagequeue.ledger.ledger import Ledger
async def work():
    ledger = await Ledger.open(sys.argv[1])
    await ledger.ping()
    await ledger.aclose()
asyncio.run(work())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new environment's bin folder, with the wheel in it and the dependencies that are installed here.

    The dependencies are made visible after the wheel is installed: pip would otherwise find this checkout's own
    installation among them, and replace it.
    """
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    subprocess.run(
        [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", str(wheel)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (folder / "lib" / version / "site-packages" / "dependencies.pth").write_text("\n".join(libraries))
    return folder / "bin"


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Return a data dir whose embedded server ends with the test."""
    yield tmp_path
    stop_server(tmp_path)


def run(*command: str, data_dir: Path) -> str:
    """Run a program away from the checkout and return what it prints."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    ended = subprocess.run(
        command,
        env=kept | {"IMAGEQUEUE_DATA_DIR": str(data_dir)},
        cwd=data_dir,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def shipped_files() -> set[str]:
    """Return every file of the parts' trees, as named inside the wheel."""
    return {
        str(path.relative_to(ROOT / folder))
        for folder in part_folders()
        for path in (ROOT / folder / "imagequeue").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_of_every_part(wheel: Path) -> None:
    """Lua, SQL, migrations, the catalog's data, templates: nothing that the editable installation would hide."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert names == shipped_files()
    assert {Path(name).suffix for name in names} >= {".py", ".lua", ".sql", ".typed"}


def test_no_part_owns_the_namespace(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert "imagequeue/__init__.py" not in archive.namelist()
    assert [folder for folder in part_folders() if (ROOT / folder / "imagequeue" / "__init__.py").exists()] == []


def test_every_part_says_that_it_is_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert [part for part in part_folders() if f"imagequeue/{part}/py.typed" not in names] == []


def test_the_installed_wheel_is_what_runs(installed: Path, data_dir: Path) -> None:
    """The command, its data and the ledger's migrations come from the wheel and not from the checkout."""
    code = "import imagequeue.config.catalog as it; print(it.__file__)"
    assert run(str(installed / "python"), "-c", code, data_dir=data_dir).startswith(str(installed.parent))
    catalog = run(str(installed / "imagequeue"), "catalog", "--json", data_dir=data_dir)
    assert "dall-e-3" in catalog
    json.loads(catalog)
    run(str(installed / "python"), "-c", OPEN_LEDGER, f"sqlite:///{data_dir}/ledger.sqlite3", data_dir=data_dir)


def test_the_installed_wheel_starts_its_embedded_server(installed: Path, data_dir: Path) -> None:
    code = (
        "from pathlib import Path; from imagequeue.config.embedded import ensure_server;"
        f"print(ensure_server(Path({str(data_dir)!r})))"
    )
    assert run(str(installed / "python"), "-c", code, data_dir=data_dir).startswith("redis://:")
