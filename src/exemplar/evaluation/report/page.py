"""The page of an evaluation run: `report.html` beside its numbers, readable without a network.

Numbers of the table are those of `summary.json`; everything else is computed from
`samples.parquet`. Pictures lie in `pictures/`, everything else is in the one file.
"""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from exemplar.bodies import OPEN_BODY, Body, load_body
from exemplar.counting import counted
from exemplar.data.contents import Contents
from exemplar.data.formats import format_named, read, recognise
from exemplar.data.options import parse_options
from exemplar.environment import code_version
from exemplar.evaluation.report import charts, tables
from exemplar.evaluation.report.cases import cases as shown_cases
from exemplar.evaluation.report.data import RunData, read_run
from exemplar.evaluation.report.pictures import Case, Drawn, choose_cases, draw_cases
from exemplar.files.atomic_files import replacing
from exemplar.samples import Sample

REPORT = "report.html"
"""The page's name in a run's folder."""

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<style>
$style</style>
</head>
<body>
<header>
<h1>$title</h1>
$lead
<nav>$links</nav>
</header>
<main>
$sections
</main>
<footer>Written by <code>exemplar</code> $version</footer>
<script>
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
});
</script>
</body>
</html>
""")


def write_report(
    folder: str | Path,
    *,
    images: str | Path | None = None,
    people: Iterable[Sample] | None = None,
    body: Body | None = None,
) -> Path:
    """Write `report.html` and its pictures into a run's folder; where the page is.

    Args:
        folder: of the run (`samples.parquet`, `summary.json`, `config.json`).
        images: folder of the set's images; `images` of `config.json` unless given.
        people: the set's people, for their true bodies; read from `annotations` of `config.json`
            unless given.
        body: the model of the bodies; the one that `summary.json` names unless given.

    Without images, annotations or body the pictures lack what they would show, and the page says
    so. FileNotFoundError or ValueError, in one line, if the run itself cannot be read; OSError if
    the page cannot be written.
    """
    run = read_run(folder)
    notes: list[str] = []
    body = _body(run, notes) if body is None else body
    cases = {method: choose_cases(run, method) for method in run.methods}
    drawn = _draw(
        run,
        [case for kinds in cases.values() for chosen in kinds.values() for case in chosen],
        images=_folder(images or run.config.get("images")),
        people=people,
        body=body,
        notes=notes,
    )
    page = run.folder / REPORT
    with replacing(page) as temporary:
        text = _page(run, cases, drawn, notes)
        temporary.write_text(text, encoding="utf-8", errors="replace")  # JSON has half characters
    return page


def _body(run: RunData, notes: list[str]) -> Body | None:
    name = run.summary.get("body") or OPEN_BODY
    try:
        return load_body(str(name))
    except (OSError, ValueError, ImportError) as error:
        notes.append(f"Pictures show no bodies: {error}.")
        return None


def _folder(name: Any) -> Path | None:
    return Path(name) if isinstance(name, str | Path) and Path(name).is_dir() else None


def _draw(
    run: RunData,
    cases: list[Case],
    *,
    images: Path | None,
    people: Iterable[Sample] | None,
    body: Body | None,
    notes: list[str],
) -> Drawn:
    """Draw with the truth; without it, if the annotations cannot be read to the end."""
    drawing = {"images": images, "body": body}
    try:
        drawn = draw_cases(run, cases, people=_annotated(run, people), **drawing)
    except _Unreadable as error:
        notes.append(f"Pictures show no true bodies: {error}.")
        drawn = draw_cases(run, cases, people=None, **drawing)
    if drawn.no_image:
        count, first = len(drawn.no_image), drawn.no_image[0]
        where = images or run.config.get("images") or "a folder that config.json does not name"
        notes.append(f"{counted(count, 'image')} cannot be read, {first} the first, in {where}.")
    return drawn


class _Unreadable(Exception):
    """Annotations that cannot be read."""


def _annotated(run: RunData, people: Iterable[Sample] | None) -> Iterable[Sample]:
    """The set's people, as given or read; `_Unreadable` where that fails."""
    try:
        if people is not None:
            yield from people
        elif run.config.get("annotations"):
            yield from _set_of(str(run.config["annotations"]), run.config.get("config") or {})
    except Exception as error:  # settings and annotations may hold anything
        raise _Unreadable(" ".join(str(error).split())) from error


def _set_of(path: str, config: Mapping[str, Any]) -> Iterator[Sample]:
    """The people of an annotation, read as the run's settings say."""
    contents = Contents(path)
    kind = config.get("format") or recognise(contents)
    options = parse_options(format_named(kind).read, config.get("option") or (), f"format {kind}")
    return read(contents, kind, **options)


def _page(
    run: RunData, cases: dict[str, dict[str, list[Case]]], drawn: Drawn, notes: list[str]
) -> str:
    sections = {
        "result": ("Result", tables.result(run)),
        "errors": ("Errors", charts.errors(run)),
        "change": ("Against the regressor", charts.changes(run)),
        "updates": ("Over updates", charts.updates(run)),
        "cases": ("Best and worst cases", shown_cases(run, cases, drawn, notes)),
        "problems": ("People with problems", tables.problems(run)),
        "settings": ("Settings", tables.settings(run)),
    }
    shown = {key: value for key, value in sections.items() if value[1]}
    title = f"Evaluation on {run.summary.get('set') or run.folder.resolve().name}"
    return _PAGE.substitute(
        title=escape(title),
        style=resources.files("exemplar.evaluation.report")
        .joinpath("report.css")
        .read_text("utf-8"),
        lead=tables.lead(run),
        links="".join(f'<a href="#{key}">{name}</a>' for key, (name, _) in shown.items()),
        sections="\n".join(
            f'<section id="{key}"><h2>{name}</h2>\n{inside}</section>'
            for key, (name, inside) in shown.items()
        ),
        version=escape(code_version()),
    )
