"""`exemplar data review`: a real ledger on the review page."""

import io
import json
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exemplar.cli import data_review
from exemplar.cli.data_review import ReviewCommand
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.evaluation.ledger_review import LedgerReview
from exemplar.lift.store import Ledger, Selection
from exemplar.render.review_picture import picture_width
from exemplar.results import BAD_INPUT, OK, REJECTED
from exemplar.samples import SCALE_UNIT, BodyTruth, Sample
from exemplar.viewer import local_server
from tests.fixtures.made_results import made_result

PHOTO = np.full((300, 400, 3), 120, np.uint8)


def truths() -> list[PseudoTruth]:
    """A good fit, one that the fit's tests refused, a sample without its image, a broken one."""
    person = made_result(PHOTO, [(200.0, 150.0)], 260.0).people[0]
    fit = person.after
    body = BodyTruth(
        pose=np.concatenate([fit.global_orient[None], fit.body_pose]).astype(np.float64),
        betas=fit.betas.astype(np.float64),
        weak_camera=fit.weak_camera.astype(np.float64),
    )
    sample = Sample(
        image="sub/a.png",
        box_centre=np.array([200.0, 150.0]),
        box_scale=260.0 / SCALE_UNIT,
        keypoints_2d=person.keypoints_2d.astype(np.float64),
        annotation_id=785,
        subject="s1",
        body=body,
    )
    good = PseudoTruth(
        sample, OK, error_px_before=9.0, error_px_after=2.0, loss_2d=0.1, iterations=20,
        kept_iteration=7, body_model="open",
    )  # fmt: skip
    return [
        good,
        replace(good, status=REJECTED, message="shape: a beta of 6.1", error_px_after=14.0),
        replace(good, sample=replace(sample, image="gone.png"), error_px_after=8.0),
        replace(
            good, sample=replace(sample, body=None), status=BAD_INPUT, message="empty box: scale 0",
            error_px_before=float("nan"), error_px_after=float("nan"), loss_2d=float("nan"),
        ),
    ]  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The folder of a finished lifting job."""
    (tmp_path / "images" / "sub").mkdir(parents=True)
    Image.fromarray(PHOTO).save(tmp_path / "images" / "sub" / "a.png")
    fill(tmp_path / "out", tmp_path / "images", truths())
    return tmp_path / "out"


def fill(folder: Path, images: Path, made: list[PseudoTruth]) -> None:
    with Ledger(folder, create=True) as ledger:
        bare = (replace(truth.sample, body=None) for truth in made)
        ledger.fill(bare, {"images": str(images)})
        ledger.join()
        claimed = ledger.claim(len(made), Selection())
        ledger.finish([(id, truth) for (id, _), truth in zip(claimed, made, strict=True)])


@pytest.fixture
def review(job: Path) -> Iterator[LedgerReview]:
    with Ledger.open(job) as ledger:
        yield LedgerReview(ledger)


def picture(review: LedgerReview, id: int, size: int = 120) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(review.picture(id, size))))


def test_rows_say_what_the_ledger_says(review: LedgerReview) -> None:
    (row,) = review.rows(status=OK, decision=None, sort="id", offset=0, limit=1)
    assert row.id == 0
    assert (row.image, row.annotation_id, row.subject) == ("sub/a.png", 785, "s1")
    assert (row.status, row.message, row.decision) == (OK, "", "")
    assert (row.error_before, row.error_after, row.loss) == (9.0, 2.0, 0.1)
    assert (row.iterations, row.kept_iteration) == (20, 7)


def test_the_worst_come_first_and_filters_and_pages_hold(review: LedgerReview) -> None:
    every = {"status": None, "decision": None, "sort": "error_after"}
    fitted = [row.id for row in review.rows(**every, offset=0, limit=9) if row.id != 3]
    assert fitted == [1, 2, 0]
    both = review.rows(**(every | {"status": OK}), offset=0, limit=9)
    assert [row.id for row in both] == [2, 0]
    assert [row.id for row in review.rows(**(every | {"status": OK}), offset=1, limit=1)] == [0]
    review.decide(0, "rejected")
    for decision, ids in (("rejected", {0}), ("accepted", set()), ("", {1, 2, 3})):
        rows = review.rows(**(every | {"decision": decision}), offset=0, limit=9)
        assert {row.id for row in rows} == ids


def test_decisions_are_in_the_ledger_at_once_and_rule_the_export(
    job: Path, review: LedgerReview
) -> None:
    review.decide(0, "rejected")
    review.decide(1, "accepted")
    assert review.counts()["decision"] == {"": 2, "accepted": 1, "rejected": 1}
    with Ledger.open(job) as other:
        usable = [truth.usable for truth in other.truths()]
    assert usable == [False, True, True, False]
    review.decide(1, "")
    with Ledger.open(job) as other:
        assert not other.truth(1).usable


def test_pictures_show_the_photo_or_grey(review: LedgerReview) -> None:
    shown, gone = picture(review, 0), picture(review, 2)
    assert shown.shape == gone.shape == (120, picture_width(120), 3)
    # JPEG moves flat grey by a level or two
    assert np.abs(shown[4, 4].astype(int) - 120).max() < 4
    assert np.abs(gone[4, 4].astype(int) - 120).max() > 4
    assert picture(review, 3).shape == shown.shape


def test_unknown_samples_are_key_errors(review: LedgerReview) -> None:
    with pytest.raises(KeyError):
        review.picture(4, 120)
    with pytest.raises(KeyError):
        review.decide(4, "accepted")


def test_a_body_that_moved_is_named_with_the_option_that_helps(tmp_path: Path, job: Path) -> None:
    made = [replace(truths()[0], body_model="/nowhere/smpl.npz")]
    fill(tmp_path / "other", tmp_path / "images", made)
    with Ledger.open(tmp_path / "other") as ledger:
        with pytest.raises(FileNotFoundError, match=r"/nowhere/smpl\.npz.*--body FILE"):
            LedgerReview(ledger).picture(0, 120)
        assert picture(LedgerReview(ledger, body="open"), 0).shape[0] == 120
        moved = LedgerReview(ledger, images=tmp_path / "nothing", body="open")
        assert not np.array_equal(picture(moved, 0), picture(LedgerReview(ledger, body="open"), 0))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def ctrl_c():
    """Ctrl-C works here, even where the shell began the tests in the background without it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("ctrl_c")
def test_the_command_serves_until_ctrl_c_and_ends_well(
    job: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_server, "token_urlsafe", lambda length: "secret")
    port = free_port()
    origin, address = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/secret"
    seen: list[object] = []

    def visit() -> None:
        """As a person at a browser, who ends with Ctrl-C."""
        try:
            for _ in range(100):
                try:
                    page = urllib.request.urlopen(f"{address}/rows?sort=id", timeout=5)
                    break
                except OSError:
                    threading.Event().wait(0.05)
            seen.append([row["id"] for row in json.load(page)["rows"]])
            asked = urllib.request.Request(
                f"{address}/decisions",
                data=json.dumps({"id": 2, "decision": "rejected"}).encode(),
                headers={"Content-Type": "application/json", "Origin": origin},
            )
            seen.append(json.load(urllib.request.urlopen(asked, timeout=5)))
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    visitor = threading.Thread(target=visit)
    visitor.start()
    data_review.run(ReviewCommand(job, port=port, browser=False))
    visitor.join()
    assert seen[0] == [0, 1, 2, 3]
    printed = capsys.readouterr().out
    assert "4 fitted, 0 accepted, 0 rejected, 4 undecided" in printed
    assert f"{address}/" in printed
    assert printed.rstrip().endswith("0 accepted, 1 rejected, 3 undecided")
    with Ledger.open(job) as ledger:
        assert ledger.truth(2).decision == "rejected"


def test_what_cannot_be_reviewed_is_one_line(tmp_path: Path, job: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no lifting job in"):
        data_review.run(ReviewCommand(tmp_path, browser=False))
    assert not list(tmp_path.glob("*.sqlite*"))
    with pytest.raises(FileNotFoundError, match="no folder of images"):
        data_review.run(ReviewCommand(job, images=tmp_path / "no", browser=False))
    with pytest.raises(FileNotFoundError, match=r"no\.npz"):
        data_review.run(ReviewCommand(job, body=str(tmp_path / "no.npz"), browser=False))
    Ledger(tmp_path / "empty", create=True).close()
    with pytest.raises(ValueError, match="no samples are recorded"):
        data_review.run(ReviewCommand(tmp_path / "empty", browser=False))
