"""Draws the pictures of the dashboard in docs/images, in the real browser that the tests drive.

.venv/bin/python tests/dashboard/pictures.py [FOLDER]
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from dashboard_chromium import Browser, browser, chromium_binary
from dashboard_door import FakeDoor
from dashboard_scene import set_scene
from dashboard_server import served

from imagequeue.config.settings import load_settings

DOCS = Path(__file__).parents[2] / "docs" / "images"
ORGS = (
    '[{"name": "main", "api_key": "sk-local", "base_url": "http://127.0.0.1:9/v1", "tier": "5", '
    '"monthly_cap_usd": "100000"}]'
)
PICTURES = (
    ("overview", "/dashboard/", 1280, False),
    ("phone", "/dashboard/", 360, False),
    ("failed", "/dashboard/jobs?status=failed", 1280, False),
    ("job-dark", "/dashboard/jobs/one", 1280, True),
    ("images", "/dashboard/images", 1280, False),
    ("pools", "/dashboard/pools", 1280, False),
    ("ledger", "/dashboard/ledger", 1280, False),
    ("planner", "/dashboard/plan?images_per_day=100000&model=dall-e-3&tier=1", 1280, False),
)
PHONE_WIDTH_MAX = 600
HEIGHT = 900
HEIGHT_MAX = 2_600
PHONE_HEIGHT_MAX = 1_300


def main() -> None:
    """Draw all pictures into a folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    binary = chromium_binary()
    if binary is None:
        sys.exit("no Chromium on this machine; apt-get install chromium brings one")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        environ = {"IMAGEQUEUE_ORGS": ORGS, "TZ": "UTC"}
        door = FakeDoor(settings=load_settings(environ, Path(scratch)))
        set_scene(door)
        with served(door) as address:
            asyncio.run(_draw(binary, Path(scratch), address, folder))


async def _draw(binary: str, scratch: Path, address: str, folder: Path) -> None:
    async with browser(binary, scratch / "profile") as page:
        await page.send("Emulation.setTimezoneOverride", timezoneId="UTC")
        for name, path, width, dark in PICTURES:
            await _picture(page, f"{address}{path}", folder / f"dashboard-{name}.png", width, dark=dark)


async def _picture(page: Browser, url: str, path: Path, width: int, *, dark: bool) -> None:
    await page.size(width, HEIGHT, dark=dark)
    await page.open(url)
    tall = await page.evaluate("document.documentElement.scrollHeight")
    await page.size(width, min(int(tall), HEIGHT_MAX if width > PHONE_WIDTH_MAX else PHONE_HEIGHT_MAX), dark=dark)
    await page.picture(path)


if __name__ == "__main__":
    main()
