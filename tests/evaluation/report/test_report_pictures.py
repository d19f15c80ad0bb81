"""Best and worst cases: who is chosen, and what their pictures show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exemplar.bodies import Body, load_open_body
from exemplar.evaluation.report.data import read_run
from exemplar.evaluation.report.pictures import case_picture, choose_cases, draw_cases
from exemplar.files.image_files import read_image
from exemplar.render.drawing import BACKDROP
from exemplar.samples import Sample
from tests.fixtures.made_runs import drawn_people, rows_of_people, write_run

SIZE = 64


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def people(images: Path) -> list[Sample]:
    return drawn_people(2, images)


def numbered(errors: dict[str, list[float | None]]) -> list[dict]:
    return [
        {"method": method, "number": number, "pa_mpjpe": error}
        for method, values in errors.items()
        for number, error in enumerate(values)
    ]


def test_cases_are_the_largest_changes_and_the_largest_errors(tmp_path: Path) -> None:
    errors: dict[str, list[float | None]] = {
        "none": [50.0, 60.0, 70.0, 80.0, None],
        "eft": [10.0, 90.0, 71.0, 80.0, 500.0],
    }
    run = read_run(write_run(tmp_path, numbered(errors)))
    chosen = {
        kind: [case.number for case in cases] for kind, cases in choose_cases(run, "eft").items()
    }
    assert chosen == {"improved": [0], "worsened": [1, 2], "worst": [4, 1, 3, 2, 0]}
    assert [case.number for case in choose_cases(run, "none", 2)["worst"]] == [3, 2]
    assert set(choose_cases(run, "none")) == {"worst"}


def test_pictures_of_different_methods_have_different_names(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, numbered({"eft": [1.0], "eft+guard": [2.0]})))
    names = {choose_cases(run, method)["worst"][0].picture for method in run.methods}
    assert names == {"pictures/case_eft_000000.jpg", "pictures/case_eft_guard_000000.jpg"}


def test_a_picture_has_a_front_and_a_side_panel_a_body(people: list[Sample], body: Body) -> None:
    photo = np.full((256, 256, 3), 90, np.uint8)
    wide = [
        case_picture(people[0], photo, [("regressor", people[0])] * count, body, SIZE).shape[1]
        for count in range(4)
    ]
    front, side, gap = SIZE, round(0.62 * SIZE), 4
    assert wide[0] == front
    assert np.diff(wide).tolist() == [front + side + 2 * gap] * 3


def test_a_side_view_of_the_same_body_is_the_same_and_of_none_is_empty(
    people: list[Sample], body: Body
) -> None:
    nobody = replace(people[0], body=None)
    shown = [("regressor", people[0]), ("eft", people[0]), ("truth", nobody)]
    picture = case_picture(people[0], None, shown, body, SIZE)
    side, gap = round(0.62 * SIZE), 4
    first, second, empty = (
        picture[-SIZE:, picture.shape[1] - k * (side + gap) + gap :][:, :side] for k in (3, 2, 1)
    )
    assert np.array_equal(first, second)
    assert (first != BACKDROP).any()
    assert (empty == BACKDROP).all()


def test_the_truth_is_found_by_image_and_id_whatever_its_number(
    tmp_path: Path, images: Path, people: list[Sample], body: Body
) -> None:
    rows = rows_of_people(people[1:], body, {"none": 0.3}, updates=1)
    run = read_run(write_run(tmp_path, rows))
    cases = choose_cases(run, "none")["worst"]
    drawn = draw_cases(run, cases, images=images, people=people, body=body, size=SIZE)
    assert drawn.with_truth == 1
    with_truth = read_image(tmp_path / cases[0].picture).shape[1]
    others = [replace(one, annotation_id=1) for one in people]
    drawn = draw_cases(run, cases, images=images, people=others, body=body, size=SIZE)
    assert drawn.with_truth == 0
    assert read_image(tmp_path / cases[0].picture).shape[1] < with_truth


def test_people_of_one_image_are_told_apart_by_their_boxes(
    tmp_path: Path, images: Path, people: list[Sample], body: Body
) -> None:
    """The nearer person has no body: no truth is shown, whatever the order."""
    rows = rows_of_people(people[:1], body, {"none": 0.3}, updates=1)
    run = read_run(write_run(tmp_path, rows))
    other = replace(people[0], box_centre=people[0].box_centre + 40)
    for company in ([other, replace(people[0], body=None)], [replace(people[0], body=None), other]):
        cases = choose_cases(run, "none")["worst"]
        drawn = draw_cases(run, cases, images=images, people=company, body=body, size=SIZE)
        assert drawn.with_truth == 0


def test_pictures_of_an_earlier_report_go_and_other_files_stay(tmp_path: Path, body: Body) -> None:
    run = read_run(write_run(tmp_path, numbered({"none": [1.0]})))
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "case_eft_000009.jpg").write_bytes(b"old")
    (folder / "mine.jpg").write_bytes(b"mine")
    cases = choose_cases(run, "none")["worst"]
    drawn = draw_cases(run, cases, images=None, people=None, body=body, size=SIZE)
    assert sorted(path.name for path in folder.iterdir()) == ["case_none_000000.jpg", "mine.jpg"]
    assert drawn.no_image == ["0.jpg"]
