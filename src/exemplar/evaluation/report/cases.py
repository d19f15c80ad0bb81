"""The pictures of the page of an evaluation, with their numbers below them."""

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from exemplar.evaluation.columns import BASELINE, name_of, number
from exemplar.evaluation.report.charts import TITLES
from exemplar.evaluation.report.data import RunData
from exemplar.evaluation.report.pictures import Case, Drawn
from exemplar.evaluation.report.tables import swatch
from exemplar.results import OK

_KINDS = {
    "improved": "Most improved",
    "worsened": "Most worsened",
    "worst": "Worst of all",
}


def cases(
    run: RunData,
    chosen: Mapping[str, Mapping[str, Sequence[Case]]],
    drawn: Drawn,
    notes: Sequence[str],
) -> str:
    """A part a method, each with its kinds of cases; "" if there are none."""
    parts = []
    for method, kinds in chosen.items():
        inside = "".join(
            f"<h3>{_KINDS[kind]}</h3>{''.join(_figure(run, case) for case in shown)}"
            for kind, shown in kinds.items()
            if shown
        )
        if inside:
            opened = " open" if not parts else ""
            parts.append(
                f"<details{opened}><summary>{swatch(run, method)}</summary>{inside}</details>"
            )
    if not parts:
        return ""
    truth = ", the truth" if drawn.with_truth else ""
    told = "".join(f'<p class="note"><b>{escape(note)}</b></p>' for note in notes)
    return (
        f'<p class="note">By {TITLES[run.error][0]}. From the left: the keypoints that were fitted '
        f"(blue on the person's left, orange on the right), the regressor's body, the method's"
        f"{truth}, then the same bodies seen from the image's left, at one scale.</p>"
        f"{told}{''.join(parts)}"
    )


def _figure(run: RunData, case: Case) -> str:
    rows = run.methods[case.method]
    texts = {name: values[case.index] for name, values in rows.texts.items()}
    alt = f"Person {case.number} by {name_of(case.method)}"
    about = [f"<b>{case.number}</b> {escape(texts['image'])}"]
    if rows.annotation_id[case.index] is not None:
        about.append(f"id {rows.annotation_id[case.index]}")
    about += [escape(texts["subject"])] if texts["subject"] else []
    about += _numbers(run, case)
    if texts["status"] != OK:
        problem = ": ".join(part for part in (texts["status"], texts["message"]) if part)
        about.append(f"<b>{escape(problem.replace('_', ' '))}</b>")
    caption = "".join(f"<span>{part}</span>" for part in about)
    return (
        f'<figure><a href="{quote(case.picture)}"><img src="{quote(case.picture)}" loading="lazy" '
        f'alt="{escape(alt)}"></a><figcaption>{caption}</figcaption></figure>'
    )


def _numbers(run: RunData, case: Case) -> list[str]:
    """Errors, against the regressor's where it is known, and what the fit did."""
    rows, i = run.methods[case.method], case.index
    found = []
    for error, (title, unit, decimals) in TITLES.items():
        after, before = rows.values[error][i], run.before(case.method, error)[i]
        text = number(float(after), decimals)
        if text == "–":
            continue
        if case.method != BASELINE and before == before:
            change = number(float(after - before), decimals, signed=True)
            text = f"{number(float(before), decimals)} → <b>{text}</b> {unit} ({change})"
        else:
            text = f"<b>{text}</b> {unit}"
        found.append(f"{title} {text}")
    for name, decimals, factor, shown in (
        ("pve", 1, 1.0, "PVE {} mm"),
        ("pck", 0, 100.0, "PCK {} %"),
        ("updates", 0, 1.0, "{} updates"),
        ("kept", 0, 1.0, "body after {}"),
        ("seconds", 2, 1.0, "{} s"),
    ):
        text = number(float(rows.values[name][i]), decimals, factor=factor)
        if text != "–" and not (case.method == BASELINE and name in ("updates", "kept")):
            found.append(shown.format(text))
    return found
