"""Build the documentation site into `site/`: reference pages from the code, pages, checked links.

pip install '.[docs]' && python scripts/build_site.py
"""

import contextlib
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import exemplar

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs/reference"
SITE = ROOT / "site"
FETCHED = {"script": "src", "img": "src", "source": "src", "video": "src", "iframe": "src"}
"""Attributes of tags that a browser follows by itself."""


def help_text(*words: str) -> str:
    """What `exemplar WORDS --help` prints."""
    os.environ.update(NO_COLOR="1", COLUMNS="84")
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        import_module("exemplar.cli").main([*words, "--help"])
    return "\n".join(line.rstrip() for line in told.getvalue().splitlines())


def verbs(*words: str) -> list[tuple[tuple[str, ...], str]]:
    """Each command at and below `words`, with its help."""
    text = help_text(*words)
    found = [(words, text)] if words else []
    for name in re.findall(r"^\W*• ([a-z0-9-]+)", text, re.MULTILINE):
        found += verbs(*words, name)
    return found


def command_line_page() -> str:
    """Markdown of every command's help."""
    parts = [
        "# Command line",
        "What `--help` prints for each command. This page is made from the program itself.",
    ]
    for words, text in verbs():
        parts += [f"{'#' * (len(words) + 1)} exemplar {' '.join(words)}", f"```text\n{text}\n```"]
    return "\n\n".join(parts) + "\n"


def python_page() -> str:
    """Markdown that mkdocstrings fills with the signatures and docstrings of the public names."""
    parts = [
        "# Python API",
        "Everything that `import exemplar` promises. This page is made from the code. Shapes are"
        ' written as `"49 3"`: 49 rows of 3 numbers. [Conventions](../conventions.md) says what'
        " the axes and units are.",
    ]
    for name in exemplar.__all__:
        thing = getattr(exemplar, name)
        path = f"{thing.__module__}.{thing.__qualname__}"
        parts.append(f"::: {path}\n    options:\n      heading: exemplar.{name}")
    return "\n\n".join(parts) + "\n"


class Page(HTMLParser):
    """Anchors, links and fetched addresses of a built page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag names."""
        given = {key: value for key, value in attrs if value}
        self.anchors.update(given[key] for key in ("id", "name") if key in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        address = given.get("href" if tag == "link" else FETCHED.get(tag, ""))
        if address and given.get("rel") != "canonical":
            self.fetched.append(address)


def broken_links(site: Path) -> list[str]:
    """Links of the built pages to nothing, and whatever they would fetch from elsewhere."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    wrong = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links are from the root of the server
            continue
        for link in {*page.links, *page.fetched}:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.fetched and parts.scheme != "data":
                    wrong.append(f"{path.relative_to(site)} fetches {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            known = target in pages
            if not target.exists() or (parts.fragment and known):
                anchors = pages[target].anchors if known else set()
                if unquote(parts.fragment) not in anchors:
                    wrong.append(f"{path.relative_to(site)} links to {link}")
    for path in site.rglob("*.css"):
        if re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text("utf-8")):
            wrong.append(f"{path.relative_to(site)} fetches from elsewhere")
    return wrong


def main() -> None:
    """Write the reference pages, build, and exit with 1 if anything is wrong."""
    REFERENCE.mkdir(exist_ok=True)
    (REFERENCE / "cli.md").write_text(command_line_page(), "utf-8")
    (REFERENCE / "api.md").write_text(python_page(), "utf-8")
    zensical = Path(sys.executable).with_name("zensical")
    built = subprocess.run([zensical, "build", "--clean", "--strict"], cwd=ROOT)
    wrong = broken_links(SITE)
    pages = len(list(SITE.rglob("*.html")))
    print("\n".join(wrong) or f"{pages} pages, and every link leads somewhere")
    sys.exit(1 if built.returncode or wrong else 0)


if __name__ == "__main__":
    main()
