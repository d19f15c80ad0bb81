"""Places without the images: nobody is recorded as lacking one that others have."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from exemplar.cli import main
from exemplar.lift.ledger_files import LEDGER
from exemplar.lift.store import Ledger, Selection
from exemplar.skeletons import OPENPOSE_25
from tests.lift.toy import sample

COUNT = 12
QUICK = ("--regressor", "mobile", "--recipe", "regressor")


@pytest.fixture
def data(photographs: Path, tmp_path: Path) -> Path:
    """12 people with an image each."""
    (tmp_path / "images").mkdir()
    people = [sample(i) for i in range(COUNT)]
    for i in range(COUNT):
        shutil.copy(photographs / people[i].image, tmp_path / "images" / f"{i:02}.png")
    np.savez(
        tmp_path / "a.npz",
        imgname=np.array([f"{i:02}.png" for i in range(COUNT)]),
        center=np.array([person.box_centre for person in people]),
        scale=np.array([person.box_scale for person in people]),
        part=np.array([person.keypoints_2d[len(OPENPOSE_25) :] for person in people]),
    )
    return tmp_path


def lift(data: Path, *more: str) -> None:
    files = ("--annotations", str(data / "a.npz"), "--images", str(data / "images"))
    main(["lift", *files, "-o", str(data / "out"), *QUICK, *more])


def test_a_place_without_the_images_spoils_nothing(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = data / "hidden"
    (data / "images").rename(hidden)
    (data / "images").mkdir()
    with pytest.raises(SystemExit):
        lift(data)
    assert "none of 12 images, such as 00.png" in " ".join(capsys.readouterr().err.split())
    with Ledger(data / "out") as ledger:
        assert ledger.progress(Selection()) == (COUNT, 0, 0)
    (data / "images").rmdir()
    hidden.rename(data / "images")
    lift(data)
    with Ledger(data / "out") as ledger:
        assert "bad_input (missing image)" not in ledger.outcomes()


def test_most_of_a_job_failed_and_is_taken_up_again(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = data / "hidden"
    hidden.mkdir()
    for i in range(COUNT - 4):
        (data / "images" / f"{i:02}.png").rename(hidden / f"{i:02}.png")
    with pytest.raises(SystemExit) as stop:
        lift(data)
    assert stop.value.code == 1
    said = capsys.readouterr()
    assert "most of the job failed: 8 of 12 people" in said.err
    assert "--retry missing_image" in said.err
    assert "pseudo_gt.parquet (12 people)" in said.out
    for image in hidden.iterdir():
        image.rename(data / "images" / image.name)
    with Ledger(data / "out") as ledger:
        ledger.decide(0, "rejected")  # by hand: stays
    lift(data, "--retry", "missing_image", "diverged")
    assert "taken up again: 7 people" in capsys.readouterr().out
    with Ledger(data / "out") as ledger:
        outcomes = ledger.outcomes()
    assert outcomes["bad_input (missing image)"] == 1
    assert sum(outcomes.values()) == COUNT


def test_detected_keypoints_of_images_in_a_tar(photographs: Path, tmp_path: Path) -> None:
    points = [[100.0 + 5 * i, 90.0 + 7 * i, 0.9] for i in range(len(OPENPOSE_25))]
    people = {"people": [{"pose_keypoints_2d": [v for point in points for v in point]}]}
    (tmp_path / "00_keypoints.json").write_text(json.dumps(people))
    with tarfile.open(tmp_path / "all.tar", "w") as file:
        file.add(photographs / sample(0).image, "00.jpg")
    files = ("--annotations", str(tmp_path), "--images", str(tmp_path / "all.tar"))
    main(["lift", *files, "-o", str(tmp_path / "out"), *QUICK])
    with Ledger(tmp_path / "out") as ledger:
        assert [truth.sample.image for truth in ledger.truths()] == ["00.jpg"]
        assert not any("image" in outcome for outcome in ledger.outcomes())


def test_an_unknown_reason_is_one_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        lift(data, "--retry", "bad_luck")
    assert "--retry bad_luck: expected one of bad_input" in capsys.readouterr().err
    assert (data / "out" / LEDGER).exists()
