"""Drives a real Chromium over its DevTools protocol: opens pages, asks them, and notes what they must not do."""

import asyncio
import base64
import itertools
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp

BINARIES: Final = ("chromium", "chromium-browser", "google-chrome")
STARTED_SECONDS_MAX: Final = 60.0
ANSWER_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.02
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
OPTIONS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--hide-scrollbars",
    "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip


def chromium_binary() -> str | None:
    """Return the browser's program, None when there is none on this machine."""
    return next((found for name in BINARIES if (found := shutil.which(name))), None)


class Browser:
    """One page of a browser. It notes dialogs, requests, and what the console and the content policy reported."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.dialogs: list[str] = []
        self.requests: list[str] = []
        self.reports: list[str] = []

    async def listen(self) -> None:
        """Take messages until the socket closes."""
        async for message in self._socket:
            self._take(message.json())

    async def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            found: dict[str, Any] = await answer
            return found

    async def open(self, url: str) -> None:
        """Go to an address and return when the page and all in it are loaded."""
        self._loaded.clear()
        await self.send("Page.navigate", url=url)
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page; promises are awaited."""
        result = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str) -> None:
        """Return when an expression becomes true in the page."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while not await self.evaluate(expression):  # noqa: ASYNC110 - the page has no event to wait for
                await asyncio.sleep(POLL_SECONDS)

    async def click(self, selector: str) -> None:
        """Click what a selector finds, and return when the page that this leads to is loaded."""
        self._loaded.clear()
        await self.evaluate(f"document.querySelector({selector!r}).click()")
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await self._loaded.wait()

    async def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Make the window so large, and set the viewer's preference for light or dark."""
        mobile = width < 600
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.send("Emulation.setEmulatedMedia", features=features)

    async def picture(self, path: Path, *, whole: bool = False) -> None:
        """Save a picture of the window, or of the whole page."""
        result = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(result["data"]))

    def _take(self, message: Mapping[str, Any]) -> None:
        if "id" in message:
            self._answers.pop(message["id"]).set_result(message.get("result", {"exceptionDetails": message}))
            return
        parameters = message.get("params", {})
        match message["method"]:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Page.javascriptDialogOpening":
                self.dialogs.append(parameters["message"])
                self._answers[number := next(self._numbers)] = asyncio.get_running_loop().create_future()
                command = {"id": number, "method": "Page.handleJavaScriptDialog", "params": {"accept": False}}
                self._closing = asyncio.ensure_future(self._socket.send_json(command))
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Log.entryAdded":
                self.reports.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.reports.append(str(parameters["exceptionDetails"]))


@asynccontextmanager
async def browser(binary: str, folder: Path) -> AsyncIterator[Browser]:
    """Give a browser with an empty profile for the length of a block."""
    process = subprocess.Popen(  # noqa: ASYNC220 - started once, and ended by this block
        [binary, *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = await _port(folder / "DevToolsActivePort", process)
        async with aiohttp.ClientSession() as session, _page(session, port) as found:
            yield found
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, STARTED_SECONDS_MAX)


@asynccontextmanager
async def _page(session: aiohttp.ClientSession, port: int) -> AsyncIterator[Browser]:
    async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
        address = next(target["webSocketDebuggerUrl"] for target in await answer.json() if target["type"] == "page")
    async with session.ws_connect(address, max_msg_size=MESSAGE_BYTES_MAX) as socket:
        found = Browser(socket)
        listening = asyncio.create_task(found.listen())
        for domain in ("Page", "Network", "Runtime", "Log"):
            await found.send(f"{domain}.enable")
        try:
            yield found
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


async def _port(file: Path, process: "subprocess.Popen[bytes]") -> int:
    async with asyncio.timeout(STARTED_SECONDS_MAX):
        while True:
            lines = await asyncio.to_thread(_lines, file)
            if len(lines) >= 2:
                return int(lines[0])
            assert process.poll() is None, "the browser ended at its start"
            await asyncio.sleep(POLL_SECONDS)


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
