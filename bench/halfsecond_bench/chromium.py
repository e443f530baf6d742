"""A real Chromium without a window, driven by its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from halfsecond import audio
from halfsecond.errors import ServerError

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0", "--force-device-scale-factor=1", "--hide-scrollbars",
)  # fmt: skip
START_LIMIT_S = 30.0


def chromium_program() -> str | None:
    """The browser's path; None where there is none."""
    return (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )


def require_chromium() -> str:
    """The browser's path; raises ServerError where there is none."""
    program = chromium_program()
    if program is None:
        raise ServerError("there is no chromium here; apt-get install chromium")
    return program


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.console: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._read_all()

    async def _read_all(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if (reply := self._replies.pop(message.get("id", 0), None)) and not reply.done():
                reply.set_result(message)
            elif message.get("method") == "Runtime.consoleAPICalled":
                values = [
                    str(a.get("value", a.get("description"))) for a in message["params"]["args"]
                ]
                self.console.append(" ".join(values))
            elif message.get("method") == "Runtime.exceptionThrown":
                details = message["params"]["exceptionDetails"]
                self.console.append(details.get("exception", {}).get("description", str(details)))
            elif message.get("method") == "Log.entryAdded":
                entry = message["params"]["entry"]
                self.console.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol."""
        number = next(self._numbers)
        reply = self._replies[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        answer = await asyncio.wait_for(reply, 30)
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    async def value(self, expression: str) -> Any:
        """What an expression gives in the page; promises are awaited."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True,
            userGesture=True,
        )  # fmt: skip
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str, *, limit_s: float = 20.0) -> Any:
        """Waits until an expression is true; returns it. One that fails is not true yet."""
        end_s = time.monotonic() + limit_s
        kept = "return typeof found === 'object' ? found !== null : found;"
        tried = f"try {{ const found = {expression}; {kept} }} catch {{ return null }}"
        expression = f"(() => {{ {tried} }})()"
        while True:
            value = await self.value(expression)
            if value:
                return value
            if time.monotonic() > end_s:
                raise AssertionError(f"{expression} stayed {value!r}; console: {self.console}")
            await asyncio.sleep(0.03)

    async def go(self, url: str) -> None:
        """Loads a page."""
        await self.call("Page.navigate", url=url)

    async def resize(self, width: int, height: int) -> None:
        """Gives the screen a size."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    async def screenshot(self) -> bytes:
        """The screen, as PNG."""
        answer = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["data"])

    async def close(self) -> None:
        """Ends listening."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)


@asynccontextmanager
async def running_chromium(
    *flags: str,
    microphone: Path | None = None,
    without: Sequence[str] = (),
    size: tuple[int, int] = (1280, 800),
) -> AsyncIterator[Page]:
    """A browser with one empty tab, and a profile of its own that goes with it.

    microphone: a WAV that is heard once, and silence after it; silence without one, for
        Chromium's own stand-in beeps every second.

    Raises ServerError where there is no Chromium.
    """
    program = require_chromium()
    kept = [flag for flag in FLAGS if flag not in without]
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        if microphone is None:
            microphone = Path(profile) / "silence.wav"
            audio.save_wav(microphone, np.zeros(16_000, np.float32), rate_hz=16_000)
        heard = f"--use-file-for-fake-audio-capture={microphone}%noloop"
        process = await asyncio.create_subprocess_exec(
            program, *kept, *flags, heard, f"--user-data-dir={profile}",
            f"--window-size={size[0]},{size[1]}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = await _port(Path(profile) / "DevToolsActivePort", process)
            url = await asyncio.to_thread(_tab, port)
            async with connect(url, max_size=None, proxy=None, compression=None) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                await page.resize(*size)
                yield page
                await page.close()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _port(file: Path, process: asyncio.subprocess.Process) -> int:
    end_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end_s:
        assert process.returncode is None, f"chromium ended with {process.returncode}"
        if (port := _read_port(file)) is not None:
            return port
        await asyncio.sleep(0.05)
    raise AssertionError("chromium opened no port for its DevTools")


def _read_port(file: Path) -> int | None:
    lines = file.read_text().splitlines() if file.exists() else []
    return int(lines[0]) if len(lines) >= 2 else None


def _tab(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
        tabs = json.load(answer)
    url: str = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
    return url
