"""Pictures of the best and worst cases of an evaluation: keypoints, bodies, and side views."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from exemplar.bodies import Body
from exemplar.evaluation.columns import BASELINE
from exemplar.evaluation.report.data import RunData, read_samples
from exemplar.files.image_files import image_within, read_image, write_image
from exemplar.render.drawing import (
    BACKDROP,
    INK,
    PAPER,
    View,
    draw_keypoints,
    fitting_font,
    from_the_side,
    with_body,
)
from exemplar.render.review_picture import (
    SIDE_ASPECT,
    person_view,
    posed_mesh,
    with_sample_body,
)
from exemplar.samples import Sample

PICTURES = "pictures"
"""Folder of the pictures in a run's folder."""

SIZE = 240
"""Height of a panel, px."""

SHOWN = 6
"""Cases of each kind."""

_PREFIX = "case_"
_STRIP, _GAP, _TEXT = 22, 4, 14
_FILLED = 0.92


Person = tuple[str, int | None, str]
"""Image, annotation id and subject."""


@dataclass(frozen=True)
class Case:
    """One person of a method, worth a look."""

    method: str
    """The method."""
    index: int
    """Place in the method's rows."""
    number: int
    """The person's number in the set."""

    @property
    def picture(self) -> str:
        """Its picture, relative to the run's folder."""
        slug = re.sub(r"[^0-9A-Za-z]+", "_", self.method)
        return f"{PICTURES}/{_PREFIX}{slug}_{self.number:06}.jpg"


@dataclass
class Drawn:
    """What came of drawing."""

    no_image: list[str] = field(default_factory=list)
    """Images that could not be read."""
    with_truth: int = 0
    """Pictures that show the truth."""


def choose_cases(run: RunData, method: str, count: int = SHOWN) -> dict[str, list[Case]]:
    """The most "improved" and "worsened" people of a method, and the "worst" of all.

    By the error `run.error`. Only who became better is improved, and only who became worse is
    worsened; the regressor itself has its worst alone.
    """
    rows = run.methods[method]
    error = rows.errors(run.error)
    change = error - run.before(method, run.error)
    kinds = {"worst": -error}
    if method != BASELINE:
        improved = np.where(change < 0, change, np.nan)
        worsened = np.where(change > 0, -change, np.nan)
        kinds = {"improved": improved, "worsened": worsened, **kinds}
    return {
        kind: [Case(method, i, int(rows.number[i])) for i in _first(values, count)]
        for kind, values in kinds.items()
    }


def _first(values: Float[np.ndarray, " people"], count: int) -> list[int]:
    """Places of the smallest known values."""
    order = np.argsort(values, kind="stable")
    return [int(i) for i in order[np.isfinite(values[order])][:count]]


def draw_cases(
    run: RunData,
    cases: Iterable[Case],
    *,
    images: Path | None,
    people: Iterable[Sample] | None,
    body: Body | None,
    size: int = SIZE,
) -> Drawn:
    """Write the pictures of cases into the run's folder, each whole or not at all.

    Pictures of earlier reports that are no case any more are removed.

    Args:
        run: the run.
        cases: those to draw; one that is named twice is drawn once.
        images: folder of the set's images; None draws on grey.
        people: the set, for true bodies; None shows none.
        body: the model of all bodies; None draws keypoints alone.
        size: height of the panels, px.
    """
    chosen = {case.picture: case for case in cases}
    drawn = Drawn()
    bodies = _bodies(run, list(chosen.values()))
    truths = _truths(people, {one.image for one in bodies.values()})
    for name, case in sorted(chosen.items(), key=lambda item: item[1].number):
        fitted = bodies[case.method, case.number]
        truth = _same_person(fitted, truths)
        shown = _shown(case, bodies, truth)
        drawn.with_truth += truth is not None and truth.body is not None
        picture = case_picture(fitted, _image(images, fitted.image, drawn), shown, body, size)
        write_image(picture, run.folder / name)
    _remove_others(run.folder, set(chosen))
    return drawn


def _truths(people: Iterable[Sample] | None, images: set[str]) -> dict[Person, list[Sample]]:
    """People of the set who are in these images, by who they are."""
    found: dict[Person, list[Sample]] = {}
    for sample in people or ():
        if sample.image in images:
            found.setdefault(_person(sample), []).append(sample)
    return found


def _person(sample: Sample) -> Person:
    return sample.image, sample.annotation_id, sample.subject


def _same_person(fitted: Sample, truths: Mapping[Person, Sequence[Sample]]) -> Sample | None:
    """The set's person, by the box where the set does not tell its people apart.

    Not by number: a protocol may leave people out, which changes the numbers.
    """
    candidates = truths.get(_person(fitted), ())
    far = [float(np.linalg.norm(one.box_centre - fitted.box_centre)) for one in candidates]
    return candidates[int(np.argmin(far))] if candidates else None


def _bodies(run: RunData, cases: Sequence[Case]) -> dict[tuple[str, int], Sample]:
    """What the methods and the regressor made of the people, by method and number."""
    rows = {(c.method, c.number): int(run.methods[c.method].row[c.index]) for c in cases}
    if BASELINE in run.methods:
        base = run.methods[BASELINE]
        numbers = {case.number for case in cases}
        places = zip(base.number.tolist(), base.row.tolist(), strict=True)
        rows |= {(BASELINE, number): row for number, row in places if number in numbers}
    return dict(zip(rows, read_samples(run.folder, list(rows.values())), strict=True))


def _shown(
    case: Case, bodies: Mapping[tuple[str, int], Sample], truth: Sample | None
) -> list[tuple[str, Sample]]:
    """The bodies of a picture under their titles: regressor, method, truth."""
    shown = []
    if (BASELINE, case.number) in bodies:
        shown.append(("regressor", bodies[BASELINE, case.number]))
    if case.method != BASELINE:
        shown.append((case.method, bodies[case.method, case.number]))
    if truth is not None and truth.body is not None:
        shown.append(("truth", truth))
    return shown


def _image(images: Path | None, name: str, drawn: Drawn) -> UInt8[np.ndarray, "h w 3"] | None:
    try:
        if images is None:
            raise FileNotFoundError(f"no folder of images for {name}")
        return read_image(image_within(images, name))
    except (OSError, ValueError):
        if name not in drawn.no_image:
            drawn.no_image.append(name)
        return None


def _remove_others(folder: Path, names: set[str]) -> None:
    for path in (folder / PICTURES).glob(f"{_PREFIX}*.jpg"):
        if f"{PICTURES}/{path.name}" not in names:
            path.unlink(missing_ok=True)


def case_picture(
    fitted: Sample,
    image: UInt8[np.ndarray, "rows columns 3"] | None,
    shown: Sequence[tuple[str, Sample]],
    body: Body | None,
    size: int = SIZE,
) -> UInt8[np.ndarray, "h w 3"]:
    """A person's fitted keypoints, then bodies on the photo, then all bodies from the image's left.

    Side views share the scale and the pelvis's height, so that they can be compared.

    Args:
        fitted: whose keypoints and box are shown.
        image: RGB photo; None draws on grey.
        shown: title and person of each body; one without a body has an empty panel.
        body: the model of the bodies; None leaves them out.
        size: height of the panels, px.
    """
    view = person_view(fitted, image, size)
    first = view.photo.copy()
    draw_keypoints(first, np.nan_to_num(fitted.keypoints_2d), view.points)
    panels = [("keypoints fitted", first)]
    if body is not None:
        posed = [_posed(sample, body) for _, sample in shown]
        panels += [
            (_front_title(title, sample, one), _front(sample, body, view, one))
            for (title, sample), one in zip(shown, posed, strict=True)
        ]
        sides = _side_views(posed, body, size)
        panels += [(f"{title}, side", side) for (title, _), side in zip(shown, sides, strict=True)]
    return _joined(panels, size)


Posed = tuple[Float[np.ndarray, "v 3"], Float[np.ndarray, "3"]]


def _posed(sample: Sample, body: Body) -> Posed | None:
    """The mesh about the body's origin and its pelvis, metres; None without a usable body."""
    posed = posed_mesh(sample.body, body)
    return None if isinstance(posed, str) else posed


def _front_title(title: str, sample: Sample, posed: Posed | None) -> str:
    if posed is None:
        return f"{title}: no body"
    assert sample.body is not None
    full = sample.body.translation is not None and sample.intrinsics is not None
    return title if full or sample.body.weak_camera is not None else f"{title}: no camera"


def _front(
    sample: Sample, body: Body, view: View, posed: Posed | None
) -> UInt8[np.ndarray, "h w 3"]:
    return view.photo if posed is None else with_sample_body(view.photo, sample, body, view)


def _side_views(
    posed: Sequence[Posed | None], body: Body, size: int
) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Bodies from the image's left, pelvis on pelvis and at one scale."""
    width = round(SIDE_ASPECT * size)
    turned = [None if one is None else from_the_side(*one) for one in posed]
    known = [points for points in turned if points is not None]
    pages = [np.full((size, width, 3), BACKDROP, np.uint8) for _ in posed]
    if not known:
        return pages
    low = np.min([points[:, :2].min(0) for points in known], axis=0)
    high = np.max([points[:, :2].max(0) for points in known], axis=0)
    room = np.array([width, size])
    scale = _FILLED * float((room / np.maximum(high - low, 1e-3)).min())
    faces = body.faces.cpu().numpy()
    for i, points in enumerate(turned):
        if points is not None:
            pages[i] = with_body(
                pages[i],
                (points[:, :2] - (low + high) / 2) * scale + room / 2,
                points[:, 2],
                faces,
                pixels_per_metre=scale,
                opacity=1.0,
            )
    return pages


def _joined(panels: Sequence[tuple[str, np.ndarray]], size: int) -> UInt8[np.ndarray, "h w 3"]:
    """Panels side by side, each under its title."""
    width = sum(panel.shape[1] for _, panel in panels) + _GAP * (len(panels) - 1)
    page = Image.new("RGB", (width, _STRIP + size), PAPER)
    draw = ImageDraw.Draw(page)
    x = 0
    for title, panel in panels:
        font = fitting_font(title, _TEXT, panel.shape[1] - 4)
        draw.text((x + 2, _STRIP / 2), title, INK, font=font, anchor="lm")
        page.paste(Image.fromarray(panel), (x, _STRIP))
        x += panel.shape[1] + _GAP
    return np.asarray(page, np.uint8)
