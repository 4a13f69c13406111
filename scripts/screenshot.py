"""Make docs/images/conversation.png: a real conversation on the real page.

    make chat                                  # in one terminal
    .venv/bin/python scripts/screenshot.py     # in another, after `make test-browser` ran once

Needs Chromium on this machine (`apt-get install chromium`); the picture is what it drew.
"""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
LINES = [
    "I loved Spirited Away and Paddington 2.",
    "Under 100 minutes please.",
    "Who directed the third?",
]


def main(
    url: Annotated[str, typer.Option(help="Where the page runs.")] = "http://127.0.0.1:7860",
    out: Annotated[Path, typer.Option(help="The picture.")] = ROOT / "docs/images/conversation.png",
    say: Annotated[list[str] | None, typer.Option(help="A message; give it once for each.")] = None,
    width: int = 1280,
    height: int = 1130,
    dark: bool = False,
) -> None:
    """Say the lines on the page, wait for the replies, and take a picture."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise typer.BadParameter("no Chromium on this machine: apt-get install chromium")
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": width, "height": height},
            device_scale_factor=1.5,
            color_scheme="dark" if dark else "light",
        )
        page.goto(url)
        expect(page.locator("#openers button").first).to_be_visible()
        for number, line in enumerate(say or LINES, 1):
            page.locator("#say textarea").fill(line)
            page.locator("#say textarea").press("Enter")
            replies = page.locator("#chat .bot.message")
            expect(replies).to_have_count(number)
            expect(page.locator(".card.waiting")).to_have_count(0)
            page.wait_for_timeout(1500)
        out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=out)
        browser.close()
    typer.echo(f"{out} ({out.stat().st_size // 1024} KB)")


if __name__ == "__main__":
    typer.run(main)
