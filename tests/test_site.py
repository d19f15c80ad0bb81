"""The built documentation in a browser: `python scripts/build_site.py` makes it."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.fixtures.browsers import Driven, needs_chromium

SITE = Path(__file__).parent.parent / "site"
SHADOWS = "[...document.querySelectorAll('*')].map((e) => e.shadowRoot).filter(Boolean)"
"""The search of the theme is not in the page's own tree."""

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not (SITE / "index.html").is_file(), reason="the site is not built"),
]


class Quiet(SimpleHTTPRequestHandler):
    """Files, without a line for each."""

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    handler = functools.partial(Quiet, directory=SITE)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_pages_load_without_a_word_in_the_console(address: str, tmp_path: Path) -> None:
    with Driven(tmp_path) as page:
        for name in ("index", "start", "conventions", "results", "reference/api", "reference/cli"):
            page.open(f"{address}/{name}.html")
            page.until(f"location.pathname === '/{name}.html'")
            page.until("document.readyState === 'complete'")
            assert page.told("document.querySelector('h1').textContent")
            page.told("[...document.images].forEach((one) => { one.loading = 'eager'; })")
            page.until("[...document.images].every((one) => one.complete)")
            empty = "[...document.images].filter((one) => !one.naturalWidth)"
            assert page.told(f"{empty}.map((one) => one.src)") == []
        assert page.console == []


def test_the_search_finds_a_word_and_leads_to_it(address: str, tmp_path: Path) -> None:
    with Driven(tmp_path) as page:
        page.open(f"{address}/index.html")
        page.until("location.pathname === '/index.html'")
        page.until("document.readyState === 'complete'")
        field = f"{SHADOWS}.map((one) => one.querySelector('input')).find(Boolean)"
        shown = f"{field}?.checkVisibility({{opacityProperty: true, visibilityProperty: true}})"
        page.until(f"!!{field}")
        page.told("document.querySelector('.md-search__button').click()")
        page.until(shown)
        page.told(f"{field}.focus()")
        page.type("guard")
        links = f"{SHADOWS}.flatMap((one) => [...one.querySelectorAll('a')])"
        page.until(f"{links}.some((one) => one.href.endsWith('fitting.html#the-guard'))")
        page.told(f"{links}.find((one) => one.href.endsWith('#the-guard')).click()")
        page.until("location.href.includes('fitting.html')")
        assert page.until("document.querySelector('#the-guard')?.textContent").startswith(
            "The guard"
        )
        assert page.console == []
