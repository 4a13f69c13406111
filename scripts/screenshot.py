"""Make the README's pictures from the running page: docs/images/{light,dark,phone}.png, talk.webp.

    make chat                                  # in one terminal
    .venv/bin/python scripts/screenshot.py     # in another, after `make test-browser` ran once

One conversation is played on the real page in a real Chromium and shown as it was drawn; nothing
is mocked up. The stills are PNG with a palette, the animation is WebP: typing, cards as they
come, a question, a critique, a comparison. Needs Chromium here (`apt-get install chromium`).
"""

import base64
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image, ImageChops
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SAID = "I loved Spirited Away and Paddington 2. Under 100 minutes, please."
WAIT_MS = 90_000  # only a limit
TYPING_MS, STREAM_MS, LOOK_MS, LAST_MS = 60, 80, 900, 1_700  # how long a frame is shown
COLOURS = 224  # of a still's palette: text and flat surfaces need no more
WEBP_QUALITY = 62


class Film:
    """Frames of the page with how long each is shown; equal neighbours are one frame."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.shown_ms: list[int] = []

    def shoot(self, ms: int) -> None:
        self.add(self.page.screenshot(type="png"), ms)

    def add(self, png: bytes, ms: int) -> None:
        picture = Image.open(io.BytesIO(png)).convert("RGB")
        if self.frames and not ImageChops.difference(picture, self.frames[-1]).getbbox():
            self.shown_ms[-1] = max(self.shown_ms[-1], ms)
            return
        self.frames.append(picture)
        self.shown_ms.append(ms)

    def shoot_until(self, done: Callable[[], bool]) -> None:
        """A frame at each change until ``done``; what is long in coming takes no longer here."""
        screen = self.page.context.new_cdp_session(self.page)
        coming: list[dict[str, Any]] = []
        screen.on("Page.screencastFrame", lambda frame: coming.append(frame))
        screen.send("Page.startScreencast", {"format": "png"})
        ended = False
        while coming or not ended:
            ended = done()
            while coming:
                frame = coming.pop(0)
                self.add(base64.b64decode(frame["data"]), STREAM_MS)
                screen.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})
            self.page.wait_for_timeout(STREAM_MS / 2)
        screen.send("Page.stopScreencast")
        screen.detach()
        self.shoot(LOOK_MS)

    def save(self, path: Path) -> None:
        self.shown_ms[-1] = LAST_MS
        self.frames[0].save(
            path,
            save_all=True,
            append_images=self.frames[1:],
            duration=self.shown_ms,
            loop=0,
            quality=WEBP_QUALITY,
            method=6,
        )


def idle(page: Page) -> bool:
    """Has the last reply come in whole?"""
    return page.locator("#talk").get_attribute("aria-busy") == "false"


def say(page: Page, text: str) -> None:
    """Send a message and wait for its whole reply."""
    before = page.locator("#talk .exchange").count()
    page.locator("#say-text").fill(text)
    page.locator("#say-text").press("Enter")
    expect(page.locator("#talk .exchange")).to_have_count(before + 1)
    expect(page.locator("#talk")).to_have_attribute("aria-busy", "false")


def opened(browser: Browser, url: str, width: int, height: int, scale: float, dark: bool) -> Page:
    """A new person's page; without motion, so that the same talk gives the same picture."""
    page = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=scale,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    ).new_page()
    page.goto(url)
    expect(page.locator("html[data-ready]")).to_have_count(1)
    return page


def still(browser: Browser, url: str, path: Path, width: int, height: int, *, dark: bool) -> None:
    """A slate, its reasons, and what was understood."""
    page = opened(browser, url, width, height, 2 if width < 500 else 1.5, dark)
    say(page, SAID)
    page.evaluate("document.activeElement.blur(); window.getSelection().removeAllRanges()")
    page.locator("#talk .exchange").last.evaluate("one => one.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(600)
    picture = Image.open(io.BytesIO(page.screenshot(type="png"))).convert("RGB")
    small = picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    page.context.close()
    told(path)


def typed(film: Film, text: str, *, accept: bool = False) -> None:
    """Type with a frame every few letters; ``accept`` takes the suggestion that stands first."""
    field = film.page.locator("#say-text")
    field.focus()
    for start in range(0, len(text), 4):
        field.press_sequentially(text[start : start + 4])
        film.shoot(TYPING_MS)
    if accept:
        expect(film.page.locator("#parley-suggest")).to_be_visible()
        film.shoot(LOOK_MS // 2)
        field.press("ArrowDown")
        film.shoot(TYPING_MS * 4)
        field.press("Enter")
        film.shoot(TYPING_MS * 3)


def sent(film: Film) -> None:
    page = film.page
    before = page.locator("#talk .exchange").count()
    page.locator("#say-text").press("Enter")
    expect(page.locator("#talk .exchange")).to_have_count(before + 1)
    film.shoot_until(lambda: idle(page))


def animation(browser: Browser, url: str, path: Path) -> None:
    """Typing with a suggestion, a slate, a question, a critique on a card, a comparison."""
    page = opened(browser, url, 1040, 820, 1, dark=False)
    film = Film(page)
    film.shoot(LOOK_MS // 2)
    typed(film, "I loved Spirited Aw", accept=True)
    typed(film, "and Paddington 2")
    sent(film)
    typed(film, "why the third?")
    sent(film)
    cards = page.locator("#talk .slate").last.locator(".card")
    first = cards.first
    first.scroll_into_view_if_needed()
    refuse = first.locator("[data-do=not_this]")
    refuse.hover()
    film.shoot(LOOK_MS // 2)
    count = page.locator("#talk .exchange").count()
    refuse.click()
    expect(page.locator("#talk .exchange")).to_have_count(count + 1)
    film.shoot_until(lambda: idle(page))
    boxes = page.locator("#talk .slate").last.locator("[data-compare]")
    for place in (0, 1):
        boxes.nth(place).scroll_into_view_if_needed()
        boxes.nth(place).check()
        film.shoot(LOOK_MS // 3)
    page.locator("#compare-open").click()
    expect(page.locator("table.compare")).to_be_visible()
    film.shoot(LAST_MS)
    film.save(path)
    page.context.close()
    told(path)
    typer.echo(f"{len(film.frames)} frames, {sum(film.shown_ms) / 1000:.1f} s")


def told(path: Path) -> None:
    typer.echo(f"{path} ({path.stat().st_size // 1024} KB)")


def main(
    url: Annotated[str, typer.Option(help="Where the page runs.")] = "http://127.0.0.1:7860",
    out: Annotated[Path, typer.Option(help="The folder for the pictures.")] = ROOT / "docs/images",
    only: Annotated[
        list[str] | None, typer.Option(help="light, dark, phone or talk; once for each.")
    ] = None,
) -> None:
    """Play the conversation on the page and write the pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise typer.BadParameter("no Chromium on this machine: apt-get install chromium")
    wanted = set(only or ("light", "dark", "phone", "talk"))
    if unknown := wanted - {"light", "dark", "phone", "talk"}:
        raise typer.BadParameter(f"no picture is called {sorted(unknown)[0]!r}", param_hint="only")
    expect.set_options(timeout=WAIT_MS)
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for name, width, height in (("light", 1280, 860), ("dark", 1280, 860), ("phone", 380, 780)):
            if name in wanted:
                still(browser, url, out / f"{name}.png", width, height, dark=name == "dark")
        if "talk" in wanted:
            animation(browser, url, out / "talk.webp")
        browser.close()


if __name__ == "__main__":
    typer.run(main)
