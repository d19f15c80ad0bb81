"""The page of a run: what it says, and that it stands alone."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from exemplar.bodies import Body, load_open_body
from exemplar.data.formats import table
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.evaluation.report import page as report_page
from exemplar.evaluation.report.page import write_report
from exemplar.samples import Sample
from tests.fixtures.made_runs import drawn_people, rows_of_people, write_run

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Elements that are open, cells, figures' images and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.sources: list[str] = []
        self.rows: list[list[tuple[str, str]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.sources += [given[name] or "" for name in ("src", "href") if name in given]
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append((given.get("class") or "", ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed at once."""

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] not in ("style", "script"):
            self.text += data
        if {"td", "th"} & set(self.stack):
            kind, text = self.rows[-1][-1]
            self.rows[-1][-1] = (kind, text + data)


def page_of(path: Path) -> Page:
    page = Page(path.read_text("utf-8"))
    assert not page.stack
    return page


def numbered(**errors: list[float]) -> list[dict]:
    return [
        {"method": method.replace("_", "+"), "number": number, "pa_mpjpe": error, "px": error / 9}
        for method, values in errors.items()
        for number, error in enumerate(values)
    ]


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body()


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    real = report_page.draw_cases
    monkeypatch.setattr(report_page, "draw_cases", lambda *a, **k: real(*a, **k, size=48))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def people(images: Path) -> list[Sample]:
    return drawn_people(3, images)


def test_a_page_of_drawn_people_has_everything_and_stands_alone(
    tmp_path: Path, people: list[Sample], images: Path, body: Body
) -> None:
    noises = {"none": 0.3, "eft": 0.15}
    rows = rows_of_people(people, body, noises, updates=2)
    table.write([PseudoTruth(one) for one in people], tmp_path / "truth.parquet")
    config = {"images": str(images), "annotations": str(tmp_path / "truth.parquet")}
    path = write_report(write_run(tmp_path / "run", rows, config=config), body=body)
    page = page_of(path)
    assert path == tmp_path / "run" / "report.html"
    for title in ("Result", "Errors", "Against the regressor", "Over updates", "Settings"):
        assert title in page.text
    files = [one for one in page.sources if not one.startswith(("#", "data:"))]
    assert files
    assert all((path.parent / name).is_file() for name in files)
    assert "the truth, then" in page.text
    assert "cannot be read" not in page.text
    assert "People with problems" not in page.text
    assert not re.search(r"\bnan\b|\binf\b|None", path.read_text("utf-8"))


def test_the_best_of_a_column_is_marked(tmp_path: Path) -> None:
    rows = numbered(none=[80.0, 60.0], eft=[50.0, 70.0], eft_guard=[40.0, 60.0])
    page = page_of(write_report(write_run(tmp_path, rows)))
    marked = {cells[0][1]: [text for kind, text in cells if kind == "best"] for cells in page.rows}
    # PA-MPJPE, px, share made worse
    assert marked["eft+guard"] == ["50.0", "5.56", "0.0"]
    assert marked["eft"] == []
    assert marked["regressor"] == []


def test_the_summarys_numbers_are_shown_and_a_difference_is_told(tmp_path: Path) -> None:
    rows = numbered(none=[80.0, 60.0])
    summary = {"methods": {"none": {"pa_mpjpe": 70.0, "px": 70 / 9, "pve": 91.25}}}
    page = page_of(write_report(write_run(tmp_path, rows, summary)))
    assert any(("", "91.2") in cells for cells in page.rows)
    assert "other means than summary.json" not in page.text
    summary["methods"]["none"]["pa_mpjpe"] = 65.0
    page = page_of(write_report(write_run(tmp_path, rows, summary)))
    assert "regressor PA-MPJPE 70.00, not 65.00" in page.text


def test_who_has_no_answer_is_listed_and_left_out(tmp_path: Path) -> None:
    rows = numbered(none=[80.0, 60.0, 10000.0])
    rows[2] |= {"status": "bad_input", "message": "keypoints: <script>alert(1)</script>"}
    path = write_report(write_run(tmp_path, rows))
    page = page_of(path)
    assert "keypoints: <script>alert(1)</script>" in page.text
    assert "<script>alert" not in path.read_text("utf-8")
    assert any(("", "70.0") in cells for cells in page.rows)
    assert "10000" not in page.text
    assert "2 ok, 1 bad input" in page.text


def test_one_method_alone_has_a_page_without_comparisons(tmp_path: Path) -> None:
    page = page_of(write_report(write_run(tmp_path, numbered(none=[80.0, 60.0]))))
    assert "Against the regressor" not in page.text
    assert "Over updates" not in page.text
    assert "Worst of all" in page.text
    assert "best of a column" not in page.text


def test_people_with_2d_errors_alone_are_compared_by_them(tmp_path: Path) -> None:
    rows = [row | {"pa_mpjpe": None} for row in numbered(none=[90.0, 90.0], eft=[45.0, 180.0])]
    page = page_of(write_report(write_run(tmp_path, rows)))
    assert "PA-MPJPE" not in page.text
    assert "2D error 10.00 → 5.00 px (−5.00)" in page.text
    assert "2D error 10.00 → 20.00 px (+10.00)" in page.text


def test_nobody_known_is_no_error(tmp_path: Path) -> None:
    rows = [{"method": "none", "number": 0, "status": "bad_input", "message": "empty box"}]
    page = page_of(write_report(write_run(tmp_path, rows)))
    assert "empty box" in page.text
    assert "Errors" not in page.text


def test_what_is_missing_is_told_and_drawn_without(
    tmp_path: Path, people: list[Sample], body: Body
) -> None:
    rows = rows_of_people(people, body, {"none": 0.3}, updates=1)
    config = {"images": "/nowhere", "annotations": "/nowhere/else.json"}
    summary = {"body": "/nowhere/smpl.npz"}
    page = page_of(write_report(write_run(tmp_path, rows, summary, config)))
    assert "3 images cannot be read, 000.jpg the first, in /nowhere." in page.text
    assert "Pictures show no true bodies: " in page.text
    assert "Pictures show no bodies: " in page.text
    assert len(list((tmp_path / "pictures").iterdir())) == 3


def test_the_best_number_of_updates_and_the_oracle_are_those_of_the_curves(tmp_path: Path) -> None:
    rows = numbered(eft=[7.0, 9.0])
    rows[0]["pa_mpjpe_by_update"] = [20.0, 10.0, 7.0]
    rows[1]["pa_mpjpe_by_update"] = [10.0, 4.0, 9.0]
    page = page_of(write_report(write_run(tmp_path, rows)))
    (found,) = [cells for cells in page.rows if ("text", "PA-MPJPE, mm") in cells]
    # regressor, best number, mean there, last, kept, oracle
    assert [text for _, text in found[2:]] == ["15.0", "1", "7.0", "8.0", "8.0", "5.5"]


def test_methods_of_the_same_updates_share_a_curve_and_show_what_they_keep(tmp_path: Path) -> None:
    rows = numbered(eft=[8.0, 8.0], eft_guard=[6.0, 8.0], dual=[5.0, 5.0])
    for row in rows:
        row["pa_mpjpe_by_update"] = [9.0, 5.0] if row["method"] == "dual" else [9.0, 6.0, 8.0]
        row["kept"] = 1 if row["pa_mpjpe"] == 6.0 else 2
    text = write_report(write_run(tmp_path, rows)).read_text("utf-8")
    assert re.findall(r'class="curve (m\d)"', text) == ["m2", "m4"]
    assert "eft+guard keeps 1.5 updates on average: 7.00 mm" in text
    assert "eft keeps 2.0 updates on average: 8.00 mm" in text


def test_a_page_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    folder = write_run(tmp_path, numbered(none=[80.0]))
    (folder / "report.html").mkdir()
    with pytest.raises(OSError, match="it is a folder"):
        write_report(folder)


def test_a_mean_that_is_no_float_is_not_known(tmp_path: Path) -> None:
    summary = {"methods": {"none": {"pa_mpjpe": 10**400, "mpjpe": "x", "px": None}}}
    rows = [{"method": "none", "number": 0, "pa_mpjpe": 10.0, "mpjpe": 20.0}]
    text = write_report(write_run(tmp_path, rows, summary)).read_text("utf-8")
    assert "<td>10.0</td>" in text
    assert "<td>20.0</td>" in text


def test_half_characters_of_a_summary_are_shown_as_question_marks(tmp_path: Path) -> None:
    rows = [{"method": "none", "number": 0, "pa_mpjpe": 10.0}]
    run = write_run(tmp_path, rows, {"protocol": "a\ud800b"}, {"note": "c\ud800d"})
    text = write_report(run).read_text("utf-8")
    assert "a?b" in text
    assert "c?d" in text
