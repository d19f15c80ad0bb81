"""A whole evaluation: what it says of whom, and that it can stop, go on, and grow."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from exemplar.data.formats import spin_npz
from exemplar.data.formats.h36m import FRONTAL_CAMERA
from exemplar.evaluation import methods, run
from exemplar.evaluation.config import METHODS, EvalConfig, Method, MethodConfig
from exemplar.evaluation.records import Row, read_rows
from exemplar.evaluation.run import evaluate, people_of
from exemplar.evaluation.run_files import CONFIG, SAMPLES, SUMMARY
from exemplar.lift.prepare import Prepared
from exemplar.results import BAD_INPUT, OK
from tests.fixtures.small_set import (
    BLOCK,
    MISSING,
    PEOPLE,
    SmallSet,
    quick_tools,
    with_images,
    write_small_set,
)
from tests.golden import eft

BLOCKS = -(-PEOPLE // BLOCK)
SOME: tuple[Method, ...] = ("none", "eft", "eft+guard")


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Times are 0, so that a run done twice gives the same bytes."""
    with quick_tools() as patch:
        patch.setattr(methods, "_since", lambda began, batch: 0.25)
        yield


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallSet:
    return write_small_set(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def config(small: SmallSet) -> EvalConfig:
    return EvalConfig(
        data=str(small.annotations),
        truth=str(small.truth),
        protocol="open",
        methods=MethodConfig(
            regressor=str(small.regressor), auxiliary=str(small.auxiliary), iterations=2,
            eft_rate=1e-3, stop=False,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(config: EvalConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of all methods."""
    folder = tmp_path_factory.mktemp("done")
    evaluate(config, folder, METHODS)
    return folder


@pytest.fixture
def folder(done: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    for path in (p for p in done.rglob("*") if p.is_file()):
        target = tmp_path / "run" / path.relative_to(done)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return tmp_path / "run"


def block_files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "blocks").iterdir())


def rows_at(folder: Path, **wanted: Any) -> list[Row]:
    found = read_rows(folder / SAMPLES)
    return [row for row in found if all(row[name] == value for name, value in wanted.items())]


# What is said


def test_everyone_has_a_row_of_every_method(done: Path) -> None:
    rows = read_rows(done / SAMPLES)
    expected = [(number, method) for number in range(PEOPLE) for method in METHODS]
    assert [(row["number"], row["method"]) for row in rows] == expected
    for row in rows:
        assert row["image"] == f"images/{row['number']:08d}.jpg"
        assert row["annotation_id"] == row["number"]
        if row["number"] == MISSING:
            assert row["status"] == BAD_INPUT
            assert row["message"].startswith("missing image: ")
            assert row["px"] is row["pose"] is row["seconds"] is None
        else:
            assert row["status"] != BAD_INPUT
            assert len(row["pose"]) == 216
            assert row["px"] > 0
            assert row["mpjpe"] > row["pa_mpjpe"] > 0
            assert row["seconds"] == 0.25


def test_methods_that_move_have_their_updates_and_curves(done: Path) -> None:
    for row in rows_at(done):
        sound = row["number"] != MISSING
        moves = sound and row["method"] in ("eft", "eft+guard", "dual")
        assert (row["pa_mpjpe_by_update"] is not None) == moves
        if moves:
            most = 2 if row["method"] != "dual" else row["updates"]
            assert row["updates"] == most
            assert len(row["px_by_update"]) == 3
            start = rows_at(done, number=row["number"], method="none")[0]
            # the network runs in parts and one person at a time: float32's last bits, in mm and px
            assert row["pa_mpjpe_by_update"][0] == pytest.approx(start["pa_mpjpe"], abs=0.05)
            assert row["px_by_update"][row["kept"]] == pytest.approx(row["px"], abs=0.01)
            assert row["mpjpe_by_update"][row["kept"]] == pytest.approx(row["mpjpe"], abs=0.05)


def test_fits_come_closer_to_their_keypoints(done: Path) -> None:
    before = {row["number"]: row["px_fitted"] for row in rows_at(done, method="none", status=OK)}
    fits = rows_at(done, method="eft", status=OK)
    assert fits
    assert all(row["px_fitted"] < before[row["number"]] for row in fits)


def test_the_summary_is_the_mean_of_the_rows(done: Path, config: EvalConfig) -> None:
    summary = json.loads((done / SUMMARY).read_text())
    about = {name: summary[name] for name in ("set", "protocol", "keypoints", "regressor", "body")}
    assert about == {
        "set": "annotations.npz", "protocol": "open", "keypoints": "annotated",
        "regressor": "toy.safetensors", "body": "open",
    }  # fmt: skip
    assert summary["people"] == PEOPLE
    assert list(summary["methods"]) == list(METHODS)
    for method, found in summary["methods"].items():
        rows = [row for row in rows_at(done, method=method) if row["number"] != MISSING]
        assert found["people"] == len(rows) == PEOPLE - 1
        for name in ("mpjpe", "pa_mpjpe", "pve", "px", "px_fitted", "pck", "seconds"):
            assert found[name] == pytest.approx(np.mean([row[name] for row in rows]))
        assert found["statuses"] == Counter(row["status"] for row in rows_at(done, method=method))
        start = {row["number"]: row["pa_mpjpe"] for row in rows_at(done, method="none")}
        worse = np.mean([row["pa_mpjpe"] > start[row["number"]] for row in rows])
        assert found["worse_percent"] == pytest.approx(100 * worse)
    curves = [row["pa_mpjpe_by_update"] for row in rows_at(done, method="eft") if row["pose"]]
    assert summary["methods"]["eft"]["by_update"]["pa_mpjpe"] == pytest.approx(np.mean(curves, 0))
    assert summary == json.loads(json.dumps(evaluate(config, done, METHODS)))


def test_the_settings_say_what_was_run(done: Path, small: SmallSet) -> None:
    settings = json.loads((done / CONFIG).read_text())
    assert settings["annotations"] == str(small.annotations)
    assert settings["images"] == str(small.folder)
    assert settings["config"]["methods"]["iterations"] == 2
    assert len(settings["regressor"]) == len(settings["auxiliary"]) == 8
    assert settings["regressor"] != settings["auxiliary"]
    assert {"version", "commit", "machine"} <= set(settings)


# Going on


class Counted:
    """The blocks that are done, not read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, int]] = []
        own = run._Work.rows

        def rows(work: Any, fit: str, ready: Sequence[Prepared]) -> list[Row]:
            self.made.append((fit, ready[0].number))
            return own(work, fit, ready)

        patch.setattr(run._Work, "rows", rows)


@pytest.mark.parametrize("lost", ["eft-000002", "none-000000", "smplify-000004", "dual-000002"])
def test_only_what_is_missing_is_done_again_to_the_same_bytes(
    config: EvalConfig, folder: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    before = (folder / SAMPLES).read_bytes()
    (folder / SAMPLES).unlink()
    (folder / "blocks" / f"{lost}.parquet").unlink()
    counted = Counted(monkeypatch)
    evaluate(config, folder, METHODS)
    fit, _, first = lost.partition("-")
    assert counted.made == [(fit, int(first))]
    assert (folder / SAMPLES).read_bytes() == before


def test_everything_is_told_once(config: EvalConfig, folder: Path) -> None:
    heard: list[tuple[int, int, int]] = []

    def told(done: int, total: int, rows: Sequence[Row]) -> None:
        heard.append((done, total, len(rows)))

    (folder / "blocks" / "none-000002.parquet").unlink()
    evaluate(config, folder, SOME, told=told)
    total = 2 * PEOPLE
    assert heard == [
        (2, total, 2), (4, total, 4), (6, total, 2), (8, total, 4), (9, total, 1), (10, total, 2),
    ]  # fmt: skip


def test_methods_are_added_later(
    config: EvalConfig, tmp_path: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dual networks, too, whose second network was not given at first."""
    counted = Counted(monkeypatch)
    alone = replace(config, methods=replace(config.methods, auxiliary=None))
    assert list(evaluate(alone, tmp_path, ["none", "eft"])["methods"]) == ["none", "eft"]
    assert len(counted.made) == 2 * BLOCKS
    evaluate(alone, tmp_path, ["eft+guard", "none"])
    assert len(counted.made) == 2 * BLOCKS, "eft and eft+guard are one fit"
    evaluate(config, tmp_path, METHODS)
    assert len(counted.made) == 4 * BLOCKS
    assert (tmp_path / SAMPLES).read_bytes() == (done / SAMPLES).read_bytes()
    settings = json.loads((tmp_path / CONFIG).read_text())
    assert settings == json.loads((done / CONFIG).read_text())
    evaluate(alone, tmp_path, ["none"])
    assert json.loads((tmp_path / CONFIG).read_text()) == settings


def test_order_of_methods_is_as_asked_for(config: EvalConfig, folder: Path) -> None:
    asked: tuple[Method, ...] = ("eft+guard", "dual", "none")
    assert list(evaluate(config, folder, asked)["methods"]) == list(asked)
    assert [row["method"] for row in rows_at(folder, number=0)] == list(asked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": "true"}, "another keypoints: 'annotated', not 'true'"),
        ({"limit": 4}, "another limit: None, not 4"),
        ({"protocol": "coco"}, "another protocol: 'open', not 'coco'"),
        ({"methods": {"iterations": 3}}, "another iterations: 2, not 3"),
        ({"methods": {"robust_px": 50.0}}, r"another robust_px: None, not 50\.0"),
    ],
)
def test_another_setting_in_the_same_folder_is_refused_in_a_line(
    config: EvalConfig, folder: Path, changes: dict[str, Any], message: str
) -> None:
    before = (folder / CONFIG).read_bytes()
    settings = dict(changes)
    if "methods" in settings:
        settings["methods"] = replace(config.methods, **settings["methods"])
    with pytest.raises(ValueError, match=f"holds an evaluation with {message}; give") as caught:
        evaluate(replace(config, **settings), folder, SOME)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert (folder / CONFIG).read_bytes() == before


def test_other_weights_in_the_same_file_are_another_evaluation(
    config: EvalConfig, folder: Path, small: SmallSet, tmp_path: Path
) -> None:
    settings = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(settings | {"regressor": "01234567"}))
    with pytest.raises(ValueError, match=r"another regressor: '01234567', not '[0-9a-f]{8}'"):
        evaluate(config, folder, SOME)


def test_settings_from_before_an_option_came_are_the_same_run(
    config: EvalConfig, folder: Path
) -> None:
    settings = json.loads((folder / CONFIG).read_text())
    del settings["config"]["methods"]["robust_px"]
    del settings["config"]["seed"]
    (folder / CONFIG).write_text(json.dumps(settings))
    evaluate(config, folder, SOME)
    with pytest.raises(ValueError, match="another seed: 0, not 1"):
        evaluate(replace(config, seed=1), folder, SOME)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"config": {}}', "\x00"])
def test_damaged_settings_are_refused_in_a_line(
    config: EvalConfig, folder: Path, text: str
) -> None:
    (folder / CONFIG).write_text(text)
    with pytest.raises(ValueError, match=r"config\.json: not the settings of an eval") as caught:
        evaluate(config, folder, SOME)
    assert "\n" not in str(caught.value)


# Stopping


def test_a_killed_block_leaves_nothing_and_the_run_goes_on(
    config: EvalConfig, tmp_path: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = run.rows_of

    def stop_at_three(judge: Any, truth: Any, shown: Any, *rest: Any) -> list[Row]:
        if 2 in shown.numbers:
            raise KeyboardInterrupt
        return own(judge, truth, shown, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(run, "rows_of", stop_at_three)
        with pytest.raises(KeyboardInterrupt):
            evaluate(config, tmp_path, METHODS)
    of_the_first = [name for name in block_files(done) if name.endswith("-000000.parquet")]
    assert block_files(tmp_path) == of_the_first
    assert not (tmp_path / SAMPLES).exists()
    evaluate(config, tmp_path, METHODS)
    assert (tmp_path / SAMPLES).read_bytes() == (done / SAMPLES).read_bytes()
    assert block_files(tmp_path) == block_files(done)


def test_a_full_disk_leaves_no_half_file(
    config: EvalConfig, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    lost = folder / "blocks" / "eft-000002.parquet"
    lost.unlink()

    def half(table: Any, path: Path, **options: Any) -> None:
        Path(path).write_bytes(b"PAR1half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", half)
    with pytest.raises(OSError, match=r"cannot write to .*eft-000002\.parquet: no space left"):
        evaluate(config, folder, METHODS)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == {path: data for path, data in before.items() if path != lost}


def test_a_damaged_block_is_named(config: EvalConfig, folder: Path) -> None:
    path = folder / "blocks" / "eft-000002.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"eft-000002\.parquet: not a table of an evaluation"):
        evaluate(config, folder, METHODS)


def test_who_shares_a_block_changes_no_number(
    config: EvalConfig, tmp_path: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "BLOCK", PEOPLE)
    evaluate(config, tmp_path, SOME)
    for one in rows_at(tmp_path):
        (other,) = rows_at(done, number=one["number"], method=one["method"])
        assert one["status"] == other["status"]
        for name in ("mpjpe", "pa_mpjpe", "pve", "px", "px_fitted"):
            # other sizes of batches, so float32's last bits
            assert one[name] == pytest.approx(other[name], abs=0.05), name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_what_the_cpu_gives(config: EvalConfig, tmp_path: Path, done: Path) -> None:
    evaluate(config, tmp_path, METHODS, device="cuda")
    for one, other in zip(rows_at(tmp_path), rows_at(done), strict=True):
        assert one["number"] == other["number"]
        for name in ("mpjpe", "pa_mpjpe", "pve", "px", "px_fitted", "weak_camera"):
            # float32 in other sums, through four steps of Adam
            assert one[name] == pytest.approx(other[name], rel=1e-2, abs=1e-2), name


# Whom, and by what


def test_protocol_2_is_about_the_frontal_camera_alone(
    config: EvalConfig, small: SmallSet, tmp_path: Path
) -> None:
    names = [f"S9_Walking.{FRONTAL_CAMERA}_1.jpg", "S9_Walking.58860488_1.jpg", "no.jpg"]
    annotations = with_images(small, tmp_path / "h36m", names)
    both = replace(config, data=str(annotations), truth=None)
    for protocol, wanted in (("h36m-p1", names), ("h36m-p2", names[:1])):
        folder = tmp_path / protocol
        summary = evaluate(replace(both, protocol=protocol), folder, ["none"])
        assert [row["image"] for row in rows_at(folder)] == wanted
        assert summary["people"] == summary["methods"]["none"]["people"] == len(wanted)
        assert summary["methods"]["none"]["mpjpe"] > 0
        assert "pve" not in summary["methods"]["none"]
    one = replace(both, protocol="h36m-p2", limit=1)
    assert [person.image for person in people_of(one).samples] == names[:1]
    nobody = with_images(small, tmp_path / "others", names[1:])
    with pytest.raises(ValueError, match=r"has nobody to evaluate \(as spin_npz, by h36m-p2\)"):
        people_of(replace(both, data=str(nobody), protocol="h36m-p2"))


def test_keypoints_that_need_a_truth_are_a_status_without_it(
    config: EvalConfig, tmp_path: Path
) -> None:
    summary = evaluate(replace(config, truth=None, keypoints="detected"), tmp_path, SOME)
    assert all(found["people"] == 0 for found in summary["methods"].values())
    for row in rows_at(tmp_path):
        assert row["status"] == BAD_INPUT
        assert "has no exact keypoints, which 'detected' needs" in row["message"]


def test_sources_of_keypoints_change_what_is_fitted_and_not_what_errors_are_about(
    config: EvalConfig, tmp_path: Path, done: Path
) -> None:
    exact = {one.annotation_id: one.keypoints_2d for one in spin_npz.read(config.truth or "")}
    evaluate(replace(config, keypoints="true"), tmp_path / "true", SOME)
    evaluate(replace(config, keypoints="outliers"), tmp_path / "outliers", SOME)
    for source, most in (("true", 0.01), ("outliers", 1e3)):
        for row in rows_at(tmp_path / source, method="none"):
            if row["number"] == MISSING:
                continue
            fitted = np.reshape(row["keypoints_2d"], (49, 3))
            used = fitted[:, 2] > 0
            error = np.linalg.norm(fitted - exact[row["annotation_id"]], axis=1)[used].max()
            assert (error < 0.01) == (source == "true")
            assert error < most
            (annotated,) = rows_at(done, number=row["number"], method="none")
            # this network's crop is the annotated box whatever is fitted
            assert row["px"] == pytest.approx(annotated["px"], abs=1e-3)
            assert row["mpjpe"] == pytest.approx(annotated["mpjpe"], abs=0.05)


def test_the_first_people_are_the_same_people(
    config: EvalConfig, tmp_path: Path, done: Path
) -> None:
    evaluate(replace(config, limit=2), tmp_path, ["none"])
    assert rows_at(tmp_path) == [*rows_at(done, number=0, method="none"), *rows_at(
        done, number=1, method="none")]  # fmt: skip


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_a_number_of_people(config: EvalConfig, limit: int) -> None:
    with pytest.raises(ValueError, match=f"--limit must be 1 or more, got {limit}"):
        people_of(replace(config, limit=limit))


# Bodies of the truth


def test_a_missing_body_is_told_before_anything_is_done(
    config: EvalConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if only the last person needs it; and the folder can then be used."""
    own = run.people_of

    def last_is_female(settings: EvalConfig) -> run.PeopleOfSet:
        people = own(settings)
        last = people.samples[-1]
        assert last.body is not None
        female = replace(last, body=replace(last.body, gender="female"))
        return replace(people, samples=[*people.samples[:-1], female])

    monkeypatch.setattr(run, "people_of", last_is_female)
    counted = Counted(monkeypatch)
    body = eft.write_body(tmp_path)
    neutral = replace(config, protocol="3dpw", truth_body=(f"neutral={body}",))
    with pytest.raises(ValueError, match=r"SMPL's female body: .* --truth-body female=FILE"):
        evaluate(neutral, tmp_path / "run", ["none"])
    assert counted.made == []
    both = replace(neutral, truth_body=(f"neutral={body}", f"female={body}"))
    evaluate(both, tmp_path / "run", ["none"])
    assert len(counted.made) == BLOCKS


def test_a_run_that_did_nothing_leaves_the_folder_free(
    config: EvalConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(run._Work, "rows", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            evaluate(config, tmp_path, ["none"])
    other = replace(config, limit=2)
    evaluate(other, tmp_path, ["none"])
    assert json.loads((tmp_path / CONFIG).read_text())["config"]["limit"] == 2
