"""Broken images and annotations: a row with a status and a reason each, and the others unharmed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exemplar.cli import main
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.lift.config import LiftConfig
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import run_local
from exemplar.lift.store import Ledger, Selection
from exemplar.results import BAD_INPUT, NOTHING_TO_FIT, OK
from exemplar.samples import Sample
from tests.lift.toy import sample, write_annotation, write_images

FAST = LiftConfig("mobile", iterations=2, adapt="head")


def points(change: Callable[[np.ndarray], None]) -> Sample:
    """A sample with its keypoints changed in place."""
    changed = sample(1).keypoints_2d.copy()
    change(changed)
    return sample(1, keypoints_2d=changed)


def only(known: int) -> Sample:
    """A sample with only so many keypoints, on the face."""

    def drop(rows: np.ndarray) -> None:
        rows[: len(rows) - known, 2] = 0.0

    return points(drop)


def set_row(index: int, values: object) -> Callable[[np.ndarray], None]:
    def change(rows: np.ndarray) -> None:
        rows[index] = values

    return change


def pile(rows: np.ndarray) -> None:
    rows[:, :2] = 50.0


def box(**changes: object) -> Sample:
    return sample(2, **changes)


IMAGES: dict[str, tuple[str, str]] = {
    "missing": ("none.png", "missing image"),
    "truncated": ("truncated.jpg", "unreadable image"),
    "empty file": ("empty.jpg", "unreadable image"),
    "text": ("text.jpg", "unreadable image"),
    "a folder": ("folder.jpg", "unreadable image"),
    "one pixel": ("pixel.png", "unreadable image"),
    "a web page": ("page.png", "unreadable image"),
    "a kind of file that its decoder does not have": ("flags.dds", "unreadable image"),
}
SAMPLES: dict[str, tuple[Sample, str, str]] = {
    "box without extent": (box(box_scale=0.0), BAD_INPUT, "empty box"),
    "negative box": (box(box_scale=-1.0), BAD_INPUT, "empty box"),
    "infinite box": (box(box_scale=float("inf")), BAD_INPUT, "empty box"),
    "box that is not a number": (box(box_centre=np.full(2, np.nan)), BAD_INPUT, "empty box"),
    "person outside the image": (
        points(lambda rows: np.add(rows[:, :2], 5000.0, out=rows[:, :2])),
        BAD_INPUT,
        "box outside the image",
    ),
    "keypoint that is not a number": (
        points(set_row(40, [np.nan, 10.0, 1.0])),
        BAD_INPUT,
        "keypoints",
    ),
    "infinite keypoint": (points(set_row(40, [np.inf, 10.0, 1.0])), BAD_INPUT, "keypoints"),
    "negative confidence": (points(set_row(40, [10.0, 10.0, -0.5])), BAD_INPUT, "keypoints"),
    "broken record": (
        box(problem="broken annotation: 16 keypoints"),
        BAD_INPUT,
        "broken annotation",
    ),
    "image of another size": (
        sample(1, image_size=(512, 512)),
        BAD_INPUT,
        "image size",
    ),
    "no keypoints": (only(0), NOTHING_TO_FIT, "no keypoints"),
    "one keypoint": (only(1), NOTHING_TO_FIT, "no keypoints"),
    "path out of the folder": (box(image="../../x"), BAD_INPUT, "image outside the folder"),
}
STRANGE: dict[str, Sample] = {
    "unknown joint that is not a number": points(set_row(40, [np.nan, np.nan, 0.0])),
    "all keypoints in one place": points(pile),
    "keypoint far outside": points(set_row(40, [90000.0, -70000.0, 1.0])),
    "box as large as a city": sample(2, box_scale=1e7),
    "grey image": sample(2, image="grey.png"),
    "CMYK image": sample(2, image="cmyk.jpg"),
    "16-bit image": sample(2, image="deep.png"),
    "transparent image": sample(2, image="glass.png"),
}
"""Not broken, or not so that it matters: these are fitted, or rejected by their error."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_images(tmp_path_factory.mktemp("images"))
    Image.open(folder / "2.png").save(folder / "whole.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:900])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("not an image")
    (folder / "page.png").write_text("<html>404</html>")
    (folder / "folder.jpg").mkdir()
    Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    Image.new("RGB", (40, 30)).save(folder / "flags.dds")
    flags = bytearray((folder / "flags.dds").read_bytes())
    flags[80:84] = bytes(4)  # of the pixel format: Pillow raises NotImplementedError
    (folder / "flags.dds").write_bytes(flags)
    picture = Image.open(folder / "2.png")
    picture.convert("L").save(folder / "grey.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(
        folder / "deep.png"
    )
    picture.convert("RGBA").save(folder / "glass.png")
    return folder


@pytest.fixture(scope="module")
def lifted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PseudoTruth]:
    """One job with everything that is broken among sound people."""
    people: dict[str, Sample] = {"first": sample(3)}
    people |= {f"image: {name}": sample(2, image=file) for name, (file, _) in IMAGES.items()}
    people |= {name: broken for name, (broken, _, _) in SAMPLES.items()}
    people |= STRANGE | {"last": sample(4)}
    with Ledger(tmp_path_factory.mktemp("job"), create=True) as ledger:
        ledger.fill(people.values(), {"images": str(folder)})
        ledger.join()
        run_local(ledger, Lifter(FAST), Selection(), lambda made: None)
        return dict(zip(people, ledger.truths(), strict=True))


def test_there_are_25_kinds_and_more() -> None:
    assert len(IMAGES) + len(SAMPLES) + len(STRANGE) + len(FILES) >= 25


@pytest.mark.parametrize("kind", IMAGES)
def test_a_broken_image_is_a_row(lifted: dict[str, PseudoTruth], kind: str) -> None:
    found = lifted[f"image: {kind}"]
    assert (found.status, found.message.partition(":")[0]) == (BAD_INPUT, IMAGES[kind][1])
    assert found.sample.body is None
    assert "\n" not in found.message


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_broken_annotation_is_a_row(lifted: dict[str, PseudoTruth], kind: str) -> None:
    _, status, reason = SAMPLES[kind]
    found = lifted[kind]
    assert (found.status, found.message.partition(":")[0]) == (status, reason)
    assert not found.usable
    assert "\n" not in found.message


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_only_strange_is_fitted_with_finite_numbers(
    lifted: dict[str, PseudoTruth], kind: str
) -> None:
    found = lifted[kind]
    assert found.status in (OK, "rejected"), found.message
    assert found.sample.body is not None
    for values in (found.sample.body.pose, found.sample.body.betas, found.sample.body.weak_camera):
        assert values is not None
        assert np.isfinite(values).all()


def test_the_sound_ones_are_as_if_they_were_alone(
    lifted: dict[str, PseudoTruth], folder: Path, tmp_path: Path
) -> None:
    with Ledger(tmp_path, create=True) as ledger:
        ledger.fill([sample(3), sample(4)], {"images": str(folder)})
        ledger.join()
        run_local(ledger, Lifter(FAST, workers=1), Selection(), lambda made: None)
        alone = list(ledger.truths())
    for name, expected in zip(("first", "last"), alone, strict=True):
        found = lifted[name]
        assert found.sample.body is not None
        assert expected.sample.body is not None
        assert np.array_equal(found.sample.body.pose, expected.sample.body.pose)
        assert replace(found, sample=expected.sample) == expected


def annotation(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def npz(path: Path, **changes: object) -> Path:
    with np.load(write_annotation(path.with_name("whole.npz"))) as file:
        arrays = dict(file) | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "file that is not there": (lambda folder: folder / "none.json", "no annotations"),
    "file that is not JSON": (lambda folder: annotation(folder / "a.json", "{"), "not JSON"),
    "empty file": (lambda folder: annotation(folder / "a.json", ""), "not JSON"),
    "JSON of something else": (
        lambda folder: annotation(folder / "a.json", {"shopping": ["milk"]}),
        "known formats",
    ),
    "npz of something else": (
        lambda folder: npz(folder / "a.npz", imgname=None, part=None),
        "known formats",
    ),
    "npz cut short": (lambda folder: cut(npz(folder / "a.npz")), "known formats"),
    "npz with rows of other lengths": (
        lambda folder: npz(folder / "a.npz", scale=np.ones(2)),
        "rows",
    ),
    "COCO without people": (
        lambda folder: annotation(
            folder / "a.json",
            {"images": [], "annotations": [], "categories": [{"id": 1, "keypoints": ["nose"]}]},
        ),
        "",
    ),
    "picture": (lambda folder: write_images(folder) / "0.png", "known formats"),
}


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:700])
    return path


@pytest.mark.parametrize("kind", FILES)
def test_a_broken_file_is_one_line_and_leaves_nothing_behind(
    kind: str, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, reason = FILES[kind]
    out = tmp_path / "out"
    command = ["lift", "--annotations", str(make(tmp_path)), "--images", str(folder)]
    with pytest.raises(SystemExit) as stop:
        main([*command, "-o", str(out)])
    assert stop.value.code == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert reason in lines[0]
    with pytest.raises(SystemExit):  # and the folder can be used for the right file
        main([*command, "-o", str(out), "--where", "nonsense ("])
    sound = str(write_annotation(tmp_path / "sound.npz"))
    main(["lift", "--annotations", sound, *command[3:], "-o", str(out), "--limit", "0", "--quiet"])
