"""The built documentation: no warning, no dead link, nothing from elsewhere, and pages that a browser shows."""

from __future__ import annotations

import functools
import html.parser
import http.server
import re
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pages import browser_page

pytestmark = [pytest.mark.beside, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
FETCHED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser loads by itself, and by which attribute."""
NO_FILES = {"canonical", "alternate"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as by `make docs`."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Document(html.parser.HTMLParser):
    """What a page has: ids, links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.links, self.loads = set[str](), list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in FETCHED and FETCHED[tag] in given and not NO_FILES & set(given.get("rel", "").split()):
            self.loads.append(given[FETCHED[tag]])


@pytest.fixture(scope="module")
def documents(site: Path) -> dict[Path, Document]:
    return {path: Document(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_link_leads_to_a_page_and_a_place_on_it(site: Path, documents: dict[Path, Document]) -> None:
    dead = [
        f"{page.relative_to(site)}: {link}"
        for page, document in documents.items()
        for link in document.links
        if page.name != "404.html" and not link.startswith(("http:", "https:")) and not _lives(page, link, documents)
    ]
    assert len(documents) > 50 and dead == []


def _lives(page: Path, link: str, documents: dict[Path, Document]) -> bool:
    path, _, place = urllib.parse.unquote(link).partition("#")
    target = (page.parent / path).resolve() if path else page
    target = target / "index.html" if target.is_dir() else target
    ours = target in documents
    return target.is_file() and (not (place and ours) or place.startswith("__") or place in documents[target].ids)


def test_nothing_is_loaded_from_elsewhere(site: Path, documents: dict[Path, Document]) -> None:
    loads = {one for document in documents.values() for one in document.loads}
    assert loads and [one for one in loads if re.match(r"(https?:)?//", one)] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:@import\s+|url\()[\"']?(?:https?:)?//[^)\"']+", styles) == []


def test_the_front_page_is_the_readme_and_every_public_name_has_a_place(
    documents: dict[Path, Document], site: Path
) -> None:
    import tfspark_cnn

    assert {"two-commands", "how-it-works", "when-not-to-use-it"} <= documents[site / "index.html"].ids
    names = documents[site / "reference" / "tfspark_cnn.html"].ids
    public = [name for name in tfspark_cnn.__all__ if not name.startswith("_")]
    assert [name for name in public if f"tfspark_cnn.{name}" not in names] == []


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder at a port of this machine."""
    handler = functools.partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def test_a_browser_shows_pages_without_an_error_and_search_finds_a_setting(site: Path) -> None:
    with served(site) as url, browser_page() as (page, errors):
        asked = list[str]()
        page.on("request", lambda request: asked.append(request.url))
        for path, heading in (
            ("index.html", "tfspark_cnn"),
            ("reference/tfspark_cnn.html", "tfspark_cnn"),
            ("guides/tuning.html", "Tuning"),
        ):
            page.goto(f"{url}/{path}")
            assert page.inner_text("article h1").startswith(heading)
            assert {"Guides", "Reference", "Migration"} <= set(page.locator(".md-tabs__link").all_inner_texts())
        page.click("input.md-search__input")
        page.keyboard.type("dynamicAllocation")
        found = page.locator(".md-search-result__link").first
        found.wait_for()
        assert "dynamicAllocation" in page.inner_text(".md-search-result__list")
        assert not [one for one in asked if not one.startswith((url, "data:", "blob:"))]
        assert errors == []


def test_a_browser_shows_every_notebook_with_its_pictures(site: Path) -> None:
    notebooks = sorted(path.stem for path in ROOT.glob("notebooks/*.ipynb"))
    with served(site) as url, browser_page() as (page, errors):
        for name in notebooks:
            page.goto(f"{url}/notebooks/{name}.html")
            assert page.inner_text("article h1").rstrip("¶").endswith("?")
            widths = page.locator("article img").evaluate_all("all => all.map(one => one.naturalWidth)")
            assert widths and min(widths) > 300, name
        assert len(notebooks) == 7 and errors == []
