"""The real page in a real Chromium: one server process, started as `make chat` starts it."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.app.shop import Shop

ROOT = Path(__file__).resolve().parent.parent.parent
START_LIMIT_S = 240  # only a limit for a server that never starts; nothing is measured here
# Root needs --no-sandbox; the others keep the browser itself from asking hosts of its own.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Server:
    """``python app.py`` with a home of its own; may be killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None
        self.printed: list[str] = []

    def start(self) -> None:
        """Start the process and wait for the line that says it is ready."""
        variables = {"PARLEY_PORT": str(self.port), "PARLEY_HOME": str(self.home)}
        self.process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        ready = threading.Event()
        threading.Thread(target=self._read, args=(self.process, ready), daemon=True).start()
        assert ready.wait(START_LIMIT_S), f"not ready; it printed:\n{''.join(self.printed)}"
        assert f"Parley is ready on {self.url}" in "".join(self.printed), "".join(self.printed)

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.printed.append(line)
                if "Parley is ready" in line:
                    ready.set()
        ready.set()  # it ended: whoever waits shall see what it printed

    def kill(self) -> None:
        """End it without a chance to save anything."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("home"))
    try:
        running.start()
        yield running
    finally:
        running.kill()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The page over the lamp shop, where a turn can be made to stand still or to fail."""
    running = Shop(tmp_path_factory.mktemp("shop") / "c.sqlite")
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "These tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        expect.set_options(timeout=20_000)  # patience on a busy machine, nothing is measured
        yield browser
        browser.close()


REPLY_LIMIT_MS = 60_000  # only a limit for a reply that never comes
Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Open the page in a browser profile of its own: ``visit(url, width=380, dark=True)``.

    In the end: every request went to the page's own origin, and nothing was reported as an
    error, save what a test that kills the server allows with ``calm=True``.
    """
    opened = []

    def open_page(
        url: str, *, width: int = 1280, height: int = 900, dark: bool = False, calm: bool = False
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            has_touch=width < 500,
            reduced_motion="reduce",
        )
        tab = context.new_page()
        tab.set_default_timeout(REPLY_LIMIT_MS)
        asked: set[str] = set()
        reported: list[str] = []
        tab.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        tab.on("console", lambda m: reported.append(m.text) if m.type == "error" else None)
        tab.on("pageerror", lambda error: reported.append(str(error)))
        opened.append((context, url, asked, reported, calm))
        tab.goto(url)
        tab.wait_for_selector("html[data-ready]")
        return tab

    yield open_page
    for context, url, asked, reported, calm in opened:
        context.close()
        assert asked - {""} <= {urlsplit(url).netloc}  # "" is data: and blob:
        assert calm or reported == []


def say(page: Page, text: str) -> None:
    """Send a message and wait until its reply is complete."""
    page.locator("#say textarea").fill(text)
    page.locator("#say textarea").press("Enter")
    complete(page, text)


def complete(page: Page, said: str = "") -> None:
    """Wait until the newest exchange (about ``said``) is whole."""
    newest = page.locator(".exchange").last
    if said:
        expect(newest).to_contain_text(said)
    expect(newest.locator(".after")).to_be_visible(timeout=REPLY_LIMIT_MS)
    expect(page.locator("#talk")).to_have_attribute("aria-busy", "false")
