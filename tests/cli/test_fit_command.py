"""`exemplar fit`: files written, and one clear line for anything the user can mend."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from exemplar.cli import main
from exemplar.files.given_photos import output_folders, photos_of
from exemplar.regressors import checkpoints

FILES = ("overlay.png", "steps.gif", "body.glb", "fit.json", "fit.npz", "photo.jpg")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(skimage.data.astronaut()).save(path)
    return path


def run(*arguments: object) -> int:
    """Exit status of a command."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a failing command prints."""
    assert run("fit", *arguments) == 1
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    lines = shown.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def test_a_photo_gives_pictures_and_files(photo: Path, tmp_path: Path) -> None:
    assert run("fit", photo, "-o", tmp_path / "out", "--stop-px", 0, "--quiet") == 0
    for name in FILES:
        assert (tmp_path / "out" / name).stat().st_size > 1000
    content = json.loads((tmp_path / "out" / "fit.json").read_text())
    (person,) = content["people"]
    assert person["status"] in ("ok", "doubtful")
    assert person["error_px_after"] < person["error_px_before"]
    assert set(person) >= {
        "joints_3d", "joints_2d", "global_orient", "body_pose", "betas", "camera", "iterations",
        "seconds",
    }  # fmt: skip
    assert len(person["joints_3d"]["left_knee"]) == 3
    assert person["iterations_made"] == person["iterations"] > 0


def test_the_demo_makes_every_update_and_says_what_to_look_at(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("fit", "--demo", "-o", tmp_path / "out") == 0
    assert f"Look at {tmp_path / 'out'}/steps.gif" in capsys.readouterr().out
    (person,) = json.loads((tmp_path / "out" / "fit.json").read_text())["people"]
    assert person["iterations"] == 20
    assert person["error_px_after"] < person["error_px_before"] - 0.3, "px; measured 1.0 and 1.7"


def test_several_photos_get_a_folder_each_and_a_bad_one_costs_nothing(
    photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    status = run(
        "fit", tmp_path / "text.jpg", photo, "-o", tmp_path / "out", "--iterations", 0, "--quiet"
    )
    assert status == 1
    assert (tmp_path / "out" / "astronaut" / "fit.json").is_file()
    assert not (tmp_path / "out" / "text" / "fit.json").exists()


def test_folders_and_patterns_stand_for_their_photos(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "notes.txt", "c.jpg"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "none").mkdir()

    def names(*given: Path) -> list[str]:
        return [path.name for path in photos_of(given)]

    assert names(tmp_path) == ["a.PNG", "b.jpg", "c.jpg"]
    assert names(tmp_path / "c.jpg", tmp_path / "*.jpg") == ["c.jpg", "b.jpg", "c.jpg"]
    assert names(tmp_path / "missing.jpg") == ["missing.jpg"]
    with pytest.raises(FileNotFoundError, match="no file like"):
        names(tmp_path / "*.gif")
    with pytest.raises(FileNotFoundError, match="no picture in"):
        names(tmp_path / "none")


def test_a_folder_of_photos_gives_a_folder_each_with_output_in_it(
    photo: Path, tmp_path: Path
) -> None:
    """The unreadable one of the two gets none."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.png").write_bytes(photo.read_bytes())
    (tmp_path / "in" / "two.png").write_text("not a picture")
    taken = ("--iterations", 0, "--quiet", "-o", tmp_path / "out")
    assert run("fit", tmp_path / "in", *taken) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one"]
    assert run("fit", tmp_path / "in" / "two.png", *taken[:-1], tmp_path / "two") == 1
    assert not (tmp_path / "two").exists()


def test_photos_of_one_name_keep_their_results_apart(tmp_path: Path) -> None:
    def folders(*images: str) -> list[str]:
        found = output_folders([Path(image) for image in images], tmp_path)
        return [path.relative_to(tmp_path).as_posix() for path in found]

    assert folders("a/1.jpg") == ["."]
    assert folders("a/1.jpg", "b/2.jpg") == ["1", "2"]
    assert folders("a/1.jpg", "a/1.png") == ["1.jpg", "1.png"]
    assert folders("x/a/1.jpg", "x/b/1.jpg", "x/b/2.jpg") == ["a_1", "b_1", "b_2"]
    assert folders("a/1.jpg", "a/1.png", "b/1.jpg") == ["a_1.jpg", "a_1.png", "b_1.jpg"]
    with pytest.raises(ValueError, match=r"a/1.jpg is given twice"):
        folders("a/1.jpg", "b/1.jpg", "b/../a/1.jpg")
    with pytest.raises(ValueError, match=r"a/1.jpg is given twice, or differs in capitals"):
        folders("a/1.jpg", "a/1.JPG")


def test_a_keypoint_file_of_one_photo_is_not_taken_for_two(
    capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path
) -> None:
    people = {"people": [{"pose_keypoints_2d": [50.0, 60.0, 1.0, 90.0, 150.0, 1.0] + [0.0] * 69}]}
    (tmp_path / "one.json").write_text(json.dumps(people))
    given = (photo, tmp_path / "other.png", "--keypoints", tmp_path / "one.json")
    assert "does not say which photo" in fails(capsys, *given, "-o", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_keypoints_outside_the_photo_are_told(
    capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path
) -> None:
    points = np.column_stack([np.linspace(50, 400, 17), np.linspace(60, 480, 17), np.ones(17)])
    points[0, 0] = -40
    np.savez(tmp_path / "k.npz", keypoints=points)
    taken = ("--iterations", 0, "--no-looks", "--regressor", "mobile", "-o", tmp_path / "o")
    assert run("fit", photo, "--keypoints", tmp_path / "k.npz", *taken) == 0
    assert "1 of 17 keypoints lie outside the photo of 512 x 512" in capsys.readouterr().out
    np.savez(tmp_path / "k.npz", keypoints=points + np.array([600, 0, 0]))
    assert "no keypoint lies in the photo" in fails(
        capsys, photo, "--keypoints", tmp_path / "k.npz", *taken
    )


@pytest.mark.parametrize("mode", ["I;16", "RGBA", "exif"])
def test_unusual_pictures_work(photo: Path, tmp_path: Path, mode: str) -> None:
    image = Image.open(photo)
    path = tmp_path / ("p.jpg" if mode == "exif" else "p.png")
    if mode == "I;16":
        grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
        Image.fromarray(grey).save(path)
    elif mode == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6  # stored turned; a viewer turns it by 90 degrees clockwise
        image.rotate(90, expand=True).save(path, exif=exif, quality=95)
    else:
        image.convert(mode).save(path)
    fast = ("--regressor", "mobile", "--iterations", 0, "--quiet")
    assert run("fit", path, "-o", tmp_path / "out", *fast) == 0
    content = json.loads((tmp_path / "out" / "fit.json").read_text())
    head = content["people"][0]["keypoints_2d"]["nose"]
    # the astronaut's nose is at (224, 115) in the picture as displayed
    assert abs(head[0] - 224) < 20
    assert abs(head[1] - 115) < 25


def test_missing_and_broken_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "nowhere.jpg" in fails(capsys, tmp_path / "nowhere.jpg")
    (tmp_path / "text.jpg").write_text("hello")
    assert "text.jpg" in fails(capsys, tmp_path / "text.jpg", "-o", tmp_path / "o")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    assert "dot.png" in fails(capsys, tmp_path / "dot.png", "-o", tmp_path / "o")
    (tmp_path / "empty").mkdir()
    assert "no picture in" in fails(capsys, tmp_path / "empty", "-o", tmp_path / "o")
    Image.new("RGB", (300, 200), (90, 120, 60)).save(tmp_path / "plain.png")
    line = fails(capsys, tmp_path / "plain.png", "-o", tmp_path / "o")
    assert "no person found in plain.png" in line


def test_no_photo_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no photo given" in fails(capsys)


def test_boxes(capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "o")
    assert "outside the 512x512 image" in fails(capsys, photo, "--box", "900,900,50,50", *out)
    assert "four numbers" in fails(capsys, photo, "--box", "1,2,3", *out)


@pytest.mark.parametrize(
    "content",
    [
        '{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}',
        '{"people": [{"pose_keypoints_2d": [' + ", ".join(["NaN"] * 75) + "]}]}",
        '{"something": 1}',
        "[1, 2",
        '{"people": []}',
    ],
)
def test_bad_keypoint_files(
    capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "keypoints.json"
    path.write_text(content)
    assert "keypoints.json" in fails(capsys, photo, "--keypoints", path, "-o", tmp_path / "o")


def test_bad_bodies(capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    evil = b"cos\nmkdir\n(S'" + str(trap).encode() + b"'\ntR."
    (tmp_path / "evil.pkl").write_bytes(evil)
    out = ("-o", tmp_path / "o")
    assert "posix.mkdir" in fails(capsys, photo, "--body", tmp_path / "evil.pkl", *out).replace(
        "os.mkdir", "posix.mkdir"
    )
    assert not trap.exists()
    np.savez(tmp_path / "cut.npz", v_template=np.zeros((6890, 3)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:500])
    assert "cut.npz" in fails(capsys, photo, "--body", tmp_path / "cut.npz", *out)
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1]))
    assert "expected a dict" in fails(capsys, photo, "--body", tmp_path / "list.pkl", *out)


def test_teachers(capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "o")
    assert run("fit", photo, "--teacher", "magic", *out) == 2
    assert "invalid choice 'magic'" in capsys.readouterr().err
    both = ("--teacher", "landmarks", "--auxiliary", "aux.safetensors")
    assert "EFT's: with an auxiliary network" in fails(capsys, photo, *both, *out)
    taught = ("--teacher", "landmarks", "--iterations", 1, "--quiet", *out)
    assert run("fit", photo, *taught) == 0


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--age", "-3", "age -3: expected 0 to 120 years"),
        ("--age", "old", "--age 'old': expected a number"),
        ("--height", "17", "height 17: expected 0.4 to 2.6 metres"),
        ("--gender", "x", "gender 'x': expected male or female"),
        ("--age", "5,38,2", "given for 3 people, expected one value for all, or 1"),
    ],
)
def test_people_whom_nobody_is(
    capsys: pytest.CaptureFixture[str], photo: Path, option: str, value: str, message: str
) -> None:
    assert message in fails(capsys, photo, f"{option}={value}", "--regressor", "mobile")


def test_what_is_said_of_a_person_is_told(
    capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path
) -> None:
    told = ("--age", 9, "--gender", "female", "--height", 1.32)
    assert run("fit", photo, "-o", tmp_path, "--iterations", 1, *told) == 0
    assert "person 0 is fitted as age 9.0, gender female, height 1.32" in capsys.readouterr().out
    (person,) = json.loads((tmp_path / "fit.json").read_text())["people"]
    assert person["given"] == {"age": 9.0, "gender": "female", "height": 1.32}


def test_where_a_fit_stops(capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "o")
    assert "stop_px must be 0 or more, got -2.0" in fails(capsys, photo, "--stop-px", -2, *out)
    assert run("fit", photo, "--stop-px", 1000, "--quiet", *out) == 0
    (person,) = json.loads((tmp_path / "o" / "fit.json").read_text())["people"]
    assert person["iterations"] == 0


def test_a_regressor_whose_file_is_missing_is_one_line(
    capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checkpoints._SHIPPED, "large", "nowhere.safetensors")
    line = fails(capsys, photo, "--regressor", "large", "-o", tmp_path / "o")
    assert "assets/nowhere.safetensors" in line
    line = fails(capsys, photo, "--regressor", "larger", "-o", tmp_path / "o")
    assert "no regressor 'larger': expected mobile, large or a checkpoint file" in line


def test_an_unwritable_output_folder(
    capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "cannot write to" in fails(capsys, photo, "-o", tmp_path / "file")
    assert "cannot write to" in fails(capsys, photo, "-o", tmp_path / "file" / "below")


def test_wrong_usage_exits_with_2(photo: Path) -> None:
    assert run("fit", photo, "--no-such-option", 1) == 2
    assert run("no-such-verb") == 2
