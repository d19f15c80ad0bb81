"""`exemplar compare`: from two sources of bodies to votes and what they say."""

import io
import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from exemplar.cli import compare
from exemplar.cli.compare import CompareCommand
from exemplar.data.formats import table
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.evaluation.compare_sources import ComparedPictures, open_source
from exemplar.lift.store import Ledger, Selection
from exemplar.results import OK
from exemplar.samples import SCALE_UNIT, BodyTruth, Sample
from exemplar.skeletons import SMPL_24
from exemplar.viewer.compare.people import choose_people, match_people
from exemplar.viewer.compare.votes import Vote, VoteFile, read_votes

PEOPLE = 4
PHOTO = np.full((120, 160, 3), 120, np.uint8)
UPRIGHT = np.diag([1.0, -1.0, -1.0])


def rows(bend: float, images: str = "", count: int = PEOPLE) -> list[PseudoTruth]:
    """People whose elbows are bent by so many radians, a little more from one to the next."""
    made = []
    for number in range(count):
        angle = bend + 0.1 * number
        pose = np.tile(np.eye(3), (24, 1, 1))
        pose[0] = UPRIGHT
        pose[SMPL_24.index("left_elbow")] = [
            [np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)],
        ]  # fmt: skip
        sample = Sample(
            image=f"{images}{number}.png",
            box_centre=np.array([80.0, 60.0]),
            box_scale=110 / SCALE_UNIT,
            keypoints_2d=np.zeros((49, 3)),
            annotation_id=number,
            body=BodyTruth(pose, np.zeros(10), np.array([0.9, 0.0, 0.2])),
        )
        made.append(PseudoTruth(sample, OK, body_model="open"))
    return made


def job(folder: Path, images: Path, made: list[PseudoTruth]) -> Path:
    with Ledger(folder, create=True) as ledger:
        ledger.fill((replace(truth.sample, body=None) for truth in made), {"images": str(images)})
        ledger.join()
        claimed = ledger.claim(len(made), Selection())
        ledger.finish([(id, truth) for (id, _), truth in zip(claimed, made, strict=True)])
    return folder


def run_folder(folder: Path, images: Path, methods: dict[str, list[PseudoTruth]]) -> Path:
    """As `exemplar eval` leaves one."""
    folder.mkdir()
    scalars = ("mpjpe", "pa_mpjpe", "pve", "px", "px_fitted", "pck", "seconds")
    lists = ("pa_mpjpe_by_update", "mpjpe_by_update", "px_by_update")
    records = []
    for method, made in methods.items():
        for number, truth in enumerate(made):
            sample, body = truth.sample, truth.sample.body
            assert body is not None
            assert body.weak_camera is not None
            records.append(
                {
                    "method": method, "number": number, "image": sample.image,
                    "annotation_id": sample.annotation_id, "subject": "", "status": truth.status,
                    "message": "", "updates": 0, "kept": 0, "pose": body.pose.ravel().tolist(),
                    "betas": body.betas.tolist(), "weak_camera": body.weak_camera.tolist(),
                    "box_centre": sample.box_centre.tolist(), "box_size": sample.box_size,
                    "keypoints_2d": sample.keypoints_2d.ravel().tolist(),
                }
                | dict.fromkeys(scalars, 1.0) | {name: [1.0] for name in lists}
            )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(records), folder / "samples.parquet")
    (folder / "summary.json").write_text(json.dumps({"body": "open"}))
    (folder / "config.json").write_text(json.dumps({"images": str(images)}))
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number in range(PEOPLE - 1):  # the last one is missing
        Image.fromarray(PHOTO).save(tmp_path / "images" / f"{number}.png")
    return tmp_path / "images"


@pytest.fixture
def jobs(tmp_path: Path, images: Path) -> tuple[str, str]:
    """Folders of two lifting jobs."""
    a = job(tmp_path / "eft", images, rows(0.2))
    return str(a), str(job(tmp_path / "smplify", images, rows(1.2, count=PEOPLE + 1)))


def test_jobs_tables_and_methods_of_runs_are_read_alike(
    tmp_path: Path, images: Path, jobs: tuple[str, str]
) -> None:
    table.write(rows(0.2), tmp_path / "a.parquet")
    run = run_folder(tmp_path / "run", images, {"eft": rows(0.2), "none": rows(0.7)})
    job_of, file_of, eft = (
        open_source(jobs[0]),
        open_source(str(tmp_path / "a.parquet")),
        f"{run}:eft",
    )
    for source in (job_of, file_of, open_source(eft)):
        found = list(source.rows())
        assert [truth.sample.annotation_id for truth in found] == list(range(PEOPLE))
        for truth, made in zip(found, rows(0.2), strict=True):
            assert truth.body_model == "open"
            assert truth.sample.body is not None
            assert made.sample.body is not None
            np.testing.assert_array_equal(truth.sample.body.pose, made.sample.body.pose)
            assert truth.sample.box_size == pytest.approx(110, rel=1e-12)  # over 200, times 200
    assert (job_of.images, file_of.images, open_source(eft).images) == (images, None, images)
    assert len(match_people(open_source(f"{run}:none").rows(), job_of.rows()).people) == PEOPLE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "no lifting job, file of bodies or RUN:METHOD at"),
        ("nowhere:eft", "no lifting job, file of bodies or RUN:METHOD at"),
        ("images", "neither a lifting job nor an evaluation run"),
        ("run", r"several methods: name one of .*run:none, .*run:eft"),
        ("run:dual", "no method 'dual', only none, eft"),
        ("note.txt", "none of the known formats"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    tmp_path: Path, images: Path, name: str, said: str
) -> None:
    run_folder(tmp_path / "run", images, {"eft": rows(0.2), "none": rows(0.7)})
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises((ValueError, OSError), match=said):
        list(open_source(str(tmp_path / name)).rows())


def test_methods_with_names_of_several_lines_are_told_in_one(tmp_path: Path, images: Path) -> None:
    run = run_folder(tmp_path / "run", images, {"a\nb": rows(0.2), "none": rows(0.7)})
    for name, said in ((run, "name one of .*:none, .*:a b"), (f"{run}:eft", "only none, a b")):
        with pytest.raises(ValueError, match=f"{said}$"):
            open_source(str(name))


def pictures(jobs: tuple[str, str], **options: Path) -> ComparedPictures:
    sources = open_source(jobs[0]), open_source(jobs[1])
    people = choose_people(match_people(*(s.rows() for s in sources)).people, None, seed=0)
    given = {"images": Path("gone")} | options
    return ComparedPictures(people, sources, size=64, **given)


def test_pictures_of_both_bodies_differ_only_in_the_bodies(
    jobs: tuple[str, str], images: Path
) -> None:
    made = pictures(jobs, images=images)
    place = next(i for i, person in enumerate(made.people) if person.annotation_id == 0)
    plain = [
        np.asarray(Image.open(io.BytesIO(made.body(place, s, "plain")))) for s in (False, True)
    ]
    assert plain[0].shape == plain[1].shape == (64, 128, 3)
    assert (plain[0] != plain[1]).any()
    # one scale for both, though only one's arms are stretched: heads and feet are in the same rows
    ends = [np.flatnonzero((picture < 200).any((1, 2)))[[0, -1]] for picture in plain]
    np.testing.assert_array_equal(*ends)
    over = np.asarray(Image.open(io.BytesIO(made.body(place, False, "overlay"))))
    assert np.abs(over[2, 2].astype(int) - 120).max() < 4
    shown = np.asarray(Image.open(io.BytesIO(made.photo(place))))
    assert np.abs(shown[32, 32].astype(int) - 120).max() < 4


def test_a_missing_image_is_no_end(jobs: tuple[str, str]) -> None:
    made = pictures(jobs)
    for place in range(PEOPLE):
        assert made.photo(place)
        assert made.body(place, True, "overlay")


def ask(jobs: tuple[str, str], **options: object) -> None:
    compare.run(CompareCommand(*jobs, browser=False, **options))


def test_a_study_is_written_voted_on_and_counted(
    jobs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page"
    ask(jobs, static=page, count=3)
    said = capsys.readouterr().out
    assert "3 of 4 people that both have" in said
    assert f"left out 1: only in {jobs[1]}" in said
    for path in page.rglob("*.*"):
        content = path.read_bytes()
        assert b"smplify" not in content.lower(), path
        assert b"eft" not in content.lower().replace(b"left", b""), path
    study = json.loads((page / "study.js").read_text().partition("STUDY = ")[2].rstrip(";\n"))
    assert len(study["people"]) == 3
    key = {
        name: side
        for person in match_people(*(open_source(j).rows() for j in jobs)).people
        for side, name in zip("ab", person.bodies, strict=True)
    }
    records = [
        {"annotator": "ann", "left": left, "right": right,
         "choice": "left" if key[left] == "a" else "right"}
        for left, right in (person["bodies"] for person in study["people"])
    ]  # fmt: skip
    (tmp_path / "votes-ann.json").write_text(json.dumps(records))
    ask(jobs, result=(tmp_path / "votes-ann.json",))
    said = capsys.readouterr().out
    assert "3 votes of 1 annotator on 3 people" in said
    assert "A in 100.0 % of 3, 95 % interval 43.9 to 100.0 %" in said  # 3 / (3 + 1.96^2)
    ask(jobs[::-1], result=(tmp_path / "votes-ann.json",))
    assert "A in 0.0 % of 3, 95 % interval 0.0 to 56.1 %" in capsys.readouterr().out


def test_results_for_programs_are_json_with_each_person(
    jobs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = match_people(*(open_source(j).rows() for j in jobs)).people
    file = VoteFile(tmp_path / "votes.jsonl")
    for name, choices in {"ann": ("left", "left"), "ben": ("left", "none")}.items():
        for person, choice in zip(people, choices, strict=False):
            file.add(Vote(name, *person.bodies, choice=choice))
    ask(jobs, result=(file.path,), json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["a"], found["b"]) == jobs
    assert (found["votes"]["share"], found["ties"]) == (1.0, 1)
    assert found["majority"]["first"] == 1
    assert found["undecided"] == 1
    assert found["people"][1] == {
        "image": "1.png", "annotation_id": 1, "subject": "", "first": 1, "second": 0, "none": 1,
    }  # fmt: skip
    ask(jobs, result=(file.path,))
    said = capsys.readouterr().out
    assert "bootstrap over people" in said
    assert "majority: A in 100.0 % of 1" in said


def test_bad_input_is_one_line(jobs: tuple[str, str], tmp_path: Path) -> None:
    votes = tmp_path / "votes.jsonl"
    votes.write_text('{"annotator": "ann"\n')
    with pytest.raises(ValueError, match=r"votes\.jsonl, line 1: not JSON"):
        ask(jobs, result=(votes,))
    with pytest.raises(ValueError, match=r"votes\.jsonl, line 1: not JSON"):
        ask(jobs, votes=votes)
    with pytest.raises(ValueError, match="--json is for --result"):
        ask(jobs, json=True)
    with pytest.raises(ValueError, match="one of them"):
        ask(jobs, result=(votes,), static=tmp_path / "page")
    with pytest.raises(ValueError, match="A and B are the same"):
        ask((jobs[0], jobs[0]))
    with pytest.raises(FileNotFoundError, match="no folder of images"):
        ask(jobs, images=tmp_path / "no")
    with pytest.raises(ValueError, match="expected a count of 1 or more"):
        ask(jobs, count=0)
    other = job(tmp_path / "other", tmp_path, rows(0.3, "elsewhere/"))
    with pytest.raises(ValueError, match=r"nobody is in both: .*0\.png number 0.*one data set"):
        ask((jobs[0], str(other)))
    for name, bend in (("a.parquet", 0.2), ("b.parquet", 1.2)):
        table.write(rows(bend), tmp_path / name)
    with pytest.raises(FileNotFoundError, match="neither names its images: --images FOLDER"):
        ask((str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")))


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C works here, even where the shell began the tests in the background without it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("ctrl_c")
def test_the_command_serves_until_ctrl_c_and_goes_on_where_it_was_left(
    jobs: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    votes = tmp_path / "votes.jsonl"
    person = match_people(*(open_source(j).rows() for j in jobs)).people[0]
    VoteFile(votes).add(Vote("ann", *person.bodies, choice="left"))

    def interrupted(console: object, line: str, address: str, *, browser: bool) -> None:
        print(line)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    monkeypatch.setattr(compare, "open_page", interrupted)
    ask(jobs, votes=votes, annotator="ann")
    said = capsys.readouterr().out
    assert "compare at http://127.0.0.1:" in said
    assert said.rstrip().endswith(": 1 vote")
    assert len(read_votes(votes)) == 1
