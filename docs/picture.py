"""Renders docs/images/demo.svg from a real run of the demo: `.venv/bin/python docs/picture.py`."""

import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 104
RUN_SECONDS_MAX = 120
FOLDER = Path(__file__).parent
FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)
"""Fonts from elsewhere; a picture of ours loads nothing."""


def main() -> None:
    """Run the demo, keep what it prints, write the picture."""
    command = Path(sys.executable).with_name("imagequeue")
    environ = {**os.environ, "COLUMNS": str(WIDTH)}
    run = subprocess.run(  # noqa: S603 - our own command
        [command, "demo"], env=environ, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=True
    )
    console = Console(record=True, width=WIDTH, file=Path(os.devnull).open("w"))  # noqa: SIM115 - ends with the process
    console.print(Text("$ make demo", style="bold"))
    for line in run.stdout.splitlines():
        shown = line.replace(str(Path.cwd()) + "/", "")
        console.print(Text(shown, style=_style(shown)))
    picture = FONTS.sub("", console.export_svg(title="imagequeue demo"))
    (FOLDER / "images" / "demo.svg").write_text(picture, encoding="utf-8")


def _style(line: str) -> str:
    if line.startswith(("PRIORITY", "all ")):
        return "bold"
    if "equals the provider's bill" in line:
        return "bold green"
    return "dim" if line.startswith("  ") else ""


if __name__ == "__main__":
    main()
