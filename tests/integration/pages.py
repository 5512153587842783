"""Pages opened in a real Chromium: what they show, and what their consoles complain of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Chromium asks its makers for updates and names at every start; nothing of that belongs into a test.
FLAGS = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def program() -> str:
    """Gives the browser: CHROMIUM, else the first one on PATH."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert found, "expected Chromium on PATH; run: bash scripts/chromium.sh"
    return found


@contextmanager
def browser_page(*, width: int = 1400, height: int = 1000) -> Iterator[tuple[Page, list[str]]]:
    """Gives an empty page, and the list of errors that its console and its scripts will have written."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(FLAGS), chromium_sandbox=False)
        try:
            page, errors = browser.new_page(viewport={"width": width, "height": height}), []
            page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: errors.append(str(error)))
            yield page, errors
        finally:
            browser.close()
