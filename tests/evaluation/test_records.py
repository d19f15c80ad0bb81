"""Rows of an evaluation: 2D errors by hand, frames and cameras, and the file they lie in."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from exemplar.bodies import Body, load_open_body
from exemplar.data.crops import CroppedPerson, batch_of
from exemplar.evaluation.judge import Judge
from exemplar.evaluation.keypoint_sources import EXACT
from exemplar.evaluation.methods import Answers
from exemplar.evaluation.protocols import PROTOCOLS
from exemplar.evaluation.records import (
    Row,
    Shown,
    failed_row,
    params_of,
    read_rows,
    rows_of,
    seen_weights,
    shown_of,
    turned_back,
    write_rows,
)
from exemplar.fitting.projections import weak_projection
from exemplar.geometry.cameras import (
    move_weak_camera,
    project_crop_perspective,
    project_weak,
    rotate_weak_camera,
)
from exemplar.geometry.crops import Box, crop_to_image, image_to_crop
from exemplar.geometry.rotations import axis_angle_to_rotmat, rotation_about_z
from exemplar.lift.prepare import Prepared, annotated_box
from exemplar.regressors.prediction import Prediction
from exemplar.results import BAD_INPUT, OK
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import GT_24, OPENPOSE_25

COUNT = 3
SPLIT = len(OPENPOSE_25)
PX = 1 / 112
"""One px of a 224 crop, crop units."""
ROUNDING_PX = 0.01
"""float32 of some hundred px, through two boxes and a rotation."""
ROUNDING_MM = 0.02
"""float32 of a body a metre away, and alignments of it."""


@cache
def body() -> Body:
    return load_open_body()


@cache
def judge() -> Judge:
    return Judge(PROTOCOLS["open"], body())


@cache
def people() -> Prediction:
    """Bodies and cameras in the annotated boxes of unturned images."""
    noise = torch.Generator().manual_seed(3)
    pose = axis_angle_to_rotmat(0.3 * torch.randn(COUNT, 24, 3, generator=noise))
    root = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ pose[:, 0]
    camera = torch.tensor([0.85, 0.05, -0.1]) + 0.03 * torch.randn(COUNT, 3, generator=noise)
    return Prediction(root, pose[:, 1:], torch.randn(COUNT, 10, generator=noise), camera)


@cache
def samples() -> tuple[Sample, ...]:
    """The same people as annotated: every annotated joint where it is, none of OpenPose's."""
    found = people()
    made = []
    for row in range(COUNT):
        pose = torch.cat((found.global_orient[row][None], found.body_pose[row]))
        truth = BodyTruth(pose.double().numpy(), found.betas[row].double().numpy())
        empty = Sample(
            f"{row}.png", np.array([150.0 + row, 130.0]), 0.8 + 0.1 * row, np.zeros((49, 3)),
            annotation_id=10 + row, subject=f"S{row}", body=truth,
        )  # fmt: skip
        places = crop_to_image(flat(found)[row], annotated_box(empty))
        points = torch.cat((places, body().available("smpl49")[:, None]), 1).double().numpy()
        points[:SPLIT] = 0.0
        made.append(replace(empty, keypoints_2d=points))
    return tuple(made)


def flat(found: Prediction) -> Tensor:
    """The 49 joints as the weak camera sees them, crop units."""
    return project_weak(body().keypoints(found.body_params(), "smpl49"), found.camera)


def crop_of(sample: Sample, angle: float = 0.0, *, moved: bool = False) -> Box:
    """The person's crop: the annotated box, or another one, turned."""
    box = annotated_box(sample)
    if moved:
        box = replace(box, centre=box.centre + torch.tensor([9.0, -14.0]), size=1.3 * box.size)
    return replace(box, angle=torch.tensor(angle))


def shown(
    own: Sequence[Sample], boxes: Sequence[Box], fitted: Sequence[Sample] | None = None
) -> Shown:
    """People who were cropped by these boxes, with the keypoints of `fitted`."""
    ready = []
    for number, (sample, box) in enumerate(zip(fitted or own, boxes, strict=True)):
        points = torch.from_numpy(sample.keypoints_2d).float()
        in_crop = torch.cat((image_to_crop(points[:, :2], box), points[:, 2:]), 1)
        person = CroppedPerson(np.zeros((8, 8, 3), np.uint8), box, in_crop)
        ready.append(Prepared(number + 5, sample, person))
    return shown_of(own, ready, batch_of([one.person for one in ready]))


def in_crops(found: Prediction, boxes: Sequence[Box]) -> Prediction:
    """Bodies of the annotated boxes as a network that is shown these crops would give them."""
    angle = torch.stack([box.angle for box in boxes])
    cameras = [
        move_weak_camera(camera, one.centre, one.size, box.centre, box.size)
        for camera, one, box in zip(found.camera, map(annotated_box, samples()), boxes, strict=True)
    ]
    return replace(
        found,
        global_orient=rotation_about_z(-angle) @ found.global_orient,
        camera=rotate_weak_camera(torch.stack(cameras), -angle),
    )


def answers_of(found: Prediction, weights: Tensor, iterates: Prediction | None = None) -> Answers:
    none = torch.zeros(len(weights), dtype=torch.long)
    status = (OK,) * len(weights)
    return Answers(found, iterates, weak_projection, weights, none, none, status, 0.5)


def rows(
    found: Prediction,
    boxes: Sequence[Box] | None = None,
    own: Sequence[Sample] | None = None,
    fitted: Sequence[Sample] | None = None,
    iterates: Prediction | None = None,
) -> list[Row]:
    """Rows of bodies in the frames of the crops."""
    own = own or samples()
    now = shown(own, boxes or [crop_of(one) for one in own], fitted)
    weights = (now.fitted[..., 2] > 0).float()
    found_answers = answers_of(found, weights, iterates)
    return rows_of(judge(), judge().truth(own), now, "eft", found_answers, "weak")


def shifted(found: Prediction, x: float) -> Prediction:
    """The same bodies, seen further to the right, crop units."""
    return replace(found, camera=found.camera + torch.tensor([0.0, x, 0.0]))


def stirred(found: Prediction, amount: float) -> Prediction:
    """Other bodies: every joint turned, the camera closer."""
    noise = torch.Generator().manual_seed(8)
    turns = axis_angle_to_rotmat(amount * torch.randn(COUNT, 23, 3, generator=noise))
    return replace(found, body_pose=found.body_pose @ turns, camera=found.camera * (1 + amount / 9))


# 2D errors


def test_the_truth_has_no_error() -> None:
    for row in rows(people()):
        assert row["px"] < ROUNDING_PX
        assert row["px_fitted"] < ROUNDING_PX
        assert row["pck"] == 1.0
        assert row["mpjpe"] < ROUNDING_MM
        assert row["pa_mpjpe"] < ROUNDING_MM
        assert row["pve"] < ROUNDING_MM


@pytest.mark.parametrize(("px", "share"), [(3.0, 1.0), (22.3, 1.0), (22.5, 0.0)])
def test_a_body_that_is_shifted_is_off_by_that_much(px: float, share: float) -> None:
    """A tenth of the side of a 224 crop is 22.4 px."""
    for row in rows(shifted(people(), px * PX)):
        assert row["px"] == pytest.approx(px, abs=ROUNDING_PX)
        assert row["px_fitted"] == pytest.approx(px, abs=ROUNDING_PX)
        assert row["pck"] == share
        assert row["mpjpe"] < ROUNDING_MM, "where a body is does not count in 3D"


def spoil(sample: Sample, names: Sequence[str], px: float) -> Sample:
    """Some annotated joints, moved by px of a 224 crop of the annotated box."""
    points = sample.keypoints_2d.copy()
    for name in names:
        points[SPLIT + GT_24.index(name), 0] += px * sample.box_size / 224
    return replace(sample, keypoints_2d=points)


WRISTS = ("left_wrist", "right_wrist")


def test_errors_are_means_over_the_annotated_joints() -> None:
    wrong = [spoil(one, WRISTS, 40.0) for one in samples()]
    count = int((samples()[0].keypoints_2d[:, 2] > 0).sum())
    for row in rows(people(), own=wrong):
        assert row["px"] == pytest.approx(40 * 2 / count, abs=ROUNDING_PX)
        assert row["pck"] == pytest.approx(1 - 2 / count, abs=1e-6)


def test_annotated_and_fitted_keypoints_have_errors_of_their_own() -> None:
    wrong = [spoil(one, WRISTS, 40.0) for one in samples()]
    count = int((samples()[0].keypoints_2d[:, 2] > 0).sum())
    for row in rows(people(), fitted=wrong):
        assert row["px"] < ROUNDING_PX
        assert row["px_fitted"] == pytest.approx(40 * 2 / count, abs=ROUNDING_PX)


def test_joints_that_are_not_annotated_take_no_part() -> None:
    points = [one.keypoints_2d.copy() for one in samples()]
    for each in points:
        each[SPLIT : SPLIT + 20] = np.nan
        each[SPLIT : SPLIT + 20, 2] = 0.0
    some = [replace(one, keypoints_2d=p) for one, p in zip(samples(), points, strict=True)]
    for row in rows(shifted(people(), 3 * PX), own=some, fitted=samples()):
        assert row["px"] == pytest.approx(3.0, abs=ROUNDING_PX)


def test_exact_places_are_used_where_they_are_known() -> None:
    """The marks are 30 px off; what was marked is where it was, and the rest is not asked."""
    marked = [spoil(one, WRISTS, 30.0) for one in samples()]
    known = []
    for mark, true in zip(marked, samples(), strict=True):
        points = mark.keypoints_2d.copy()
        points[SPLIT + GT_24.index("left_knee")] = 0.0
        exact = true.keypoints_2d.copy()
        exact[SPLIT + GT_24.index("left_knee"), 0] += 500.0
        known.append(replace(mark, keypoints_2d=points, extra={EXACT: exact}))
    for row, marks in zip(rows(people(), own=known), rows(people(), own=marked), strict=True):
        assert row["px"] < ROUNDING_PX
        assert row["pck"] == 1.0
        assert row["px_fitted"] > 1.0
        assert marks["px"] > 1.0


def test_openpose_counts_only_where_nothing_else_is_annotated() -> None:
    points = torch.zeros(3, 49, 3)
    points[0, :, 2] = 1.0
    points[1, :SPLIT, 2] = 0.5
    weights = seen_weights(points, body())
    assert weights[0, :SPLIT].sum() == 0
    assert torch.equal(weights[0, SPLIT:], body().available("smpl49")[SPLIT:])
    assert torch.equal(weights[1, :SPLIT], body().available("smpl49")[:SPLIT])
    assert weights[2].sum() == 0


def test_who_has_no_annotated_joint_has_no_2d_error() -> None:
    bare = [replace(samples()[0], keypoints_2d=np.zeros((49, 3))), *samples()[1:]]
    found = rows(people(), own=bare)
    assert found[0]["px"] is None
    assert found[0]["pck"] is None
    assert found[0]["mpjpe"] < ROUNDING_MM
    assert found[1]["px"] < ROUNDING_PX


def test_who_has_no_truth_has_2d_errors_alone() -> None:
    unknown = [replace(samples()[0], body=None), *samples()[1:]]
    found = rows(people(), own=unknown, iterates=several(people()))
    for name in ("mpjpe", "pa_mpjpe", "pve", "mpjpe_by_update", "pa_mpjpe_by_update"):
        assert found[0][name] is None
        assert found[1][name] is not None or name == "pve"
    assert found[0]["px"] < ROUNDING_PX
    assert len(found[0]["px_by_update"]) == 2


# Frames


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.5])
def test_how_a_crop_is_turned_changes_no_error_in_mm_and_no_body(angle: float) -> None:
    found = stirred(people(), 0.2)
    straight = rows(found)
    boxes = [crop_of(one, angle, moved=True) for one in samples()]
    turned = rows(in_crops(found, boxes), boxes)
    for one, other in zip(straight, turned, strict=True):
        assert 20 < one["mpjpe"] < 400
        for name in ("mpjpe", "pa_mpjpe", "pve"):
            assert other[name] == pytest.approx(one[name], abs=ROUNDING_MM)
        # float32 through rotations of up to 2.5 rad and a box 1.3 times as large
        for name, least in (("pose", 1e-5), ("betas", 0), ("weak_camera", 1e-5)):
            np.testing.assert_allclose(other[name], one[name], rtol=0, atol=least)
        assert other["box_centre"] == one["box_centre"]
        assert other["box_size"] == one["box_size"]
        # the crop shows 1.3 times as much, so its px are larger
        assert other["px"] == pytest.approx(one["px"] / 1.3, rel=1e-3)


def test_a_turned_crop_is_not_judged_in_its_own_frame() -> None:
    boxes = [crop_of(one, 0.7) for one in samples()]
    wrong = rows(people(), boxes)
    for row in wrong:
        assert row["mpjpe"] > 50
        assert row["pa_mpjpe"] < ROUNDING_MM


@pytest.mark.parametrize("angle", [0.0, 1.1])
def test_a_row_shows_its_body_where_the_fit_saw_it(angle: float) -> None:
    found = stirred(people(), 0.2)
    boxes = [crop_of(one, angle, moved=True) for one in samples()]
    given = in_crops(found, boxes)
    made = rows(given, boxes)
    for i, row in enumerate(made):
        by_fit = crop_to_image(flat(given)[i], boxes[i])
        stored = project_weak(
            body().keypoints(params_of(row), "smpl49"), torch.tensor(row["weak_camera"])
        )
        seen = stored * row["box_size"] / 2 + torch.tensor(row["box_centre"])
        # float32 of places up to 300 px, through a rotation and two boxes
        assert (seen - by_fit).abs().max() < 0.05
        places = np.reshape(row["keypoints_2d"], (49, 3))
        used = places[:, 2] > 0
        np.testing.assert_array_equal(places[:, 2], samples()[i].keypoints_2d[:, 2])
        np.testing.assert_allclose(places[used], samples()[i].keypoints_2d[used], atol=0.05)


@pytest.mark.parametrize("angle", [0.0, 1.1])
def test_the_camera_of_a_perspective_network_is_stored_as_a_weak_one(angle: float) -> None:
    """SPIN's camera stands some 50 m away, so the two differ by 1 % of a limb's 100 px."""
    boxes = [crop_of(one, angle, moved=True) for one in samples()]
    weak = in_crops(people(), boxes)
    scale, shift = weak.camera[:, :1], weak.camera[:, 1:]
    given = replace(weak, camera=torch.cat((scale, shift / scale), 1))
    now = shown(samples(), boxes)
    answers = replace(
        answers_of(given, torch.ones(COUNT, 49)),
        projection=lambda points, camera, rows: project_crop_perspective(points, camera),
    )
    made = rows_of(judge(), judge().truth(samples()), now, "none", answers, "crop_perspective")
    for row, expected in zip(made, rows(weak, boxes), strict=True):
        np.testing.assert_allclose(row["weak_camera"], expected["weak_camera"], rtol=0, atol=1e-5)
        assert row["px"] < 2.0


def several(*found: Prediction) -> Prediction:
    """Bodies as iterates, axes (b, k, ...); one alone is repeated."""
    both = found if len(found) > 1 else found * 2
    parts = zip(*(vars(one).values() for one in both), strict=True)
    return Prediction(*(torch.stack(part, 1) for part in parts))


def test_turning_iterates_back_is_turning_each_back() -> None:
    box = shown(samples(), [crop_of(one, 0.4 + i) for i, one in enumerate(samples())]).box
    one, two = people(), stirred(people(), 0.3)
    together = turned_back(several(one, two), box)
    for step, alone in enumerate((one, two)):
        expected = turned_back(alone, box).global_orient
        assert torch.allclose(together.global_orient[:, step], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.9])
def test_curves_hold_the_errors_of_each_iterate(angle: float) -> None:
    boxes = [crop_of(one, angle) for one in samples()]
    steps = [in_crops(stirred(people(), amount), boxes) for amount in (0.3, 0.2, 0.05)]
    made = rows(steps[-1], boxes, iterates=several(*steps))
    for step, found in enumerate(steps):
        for row, alone in zip(made, rows(found, boxes), strict=True):
            for name in ("mpjpe", "pa_mpjpe", "px"):
                # other sizes of batches, so float32's last bits
                assert row[f"{name}_by_update"][step] == pytest.approx(alone[name], abs=0.02)
            assert alone["px_by_update"] is None


def test_an_iterate_that_is_not_finite_leaves_no_curve_but_the_rest() -> None:
    betas = people().betas.clone()
    betas[1] = math.nan
    broken = replace(people(), betas=betas)
    made = rows(people(), iterates=several(broken, people()))
    assert made[1]["px_by_update"] is made[1]["mpjpe_by_update"] is None
    assert made[1]["px"] < ROUNDING_PX
    assert len(made[0]["px_by_update"]) == len(made[0]["mpjpe_by_update"]) == 2


# The file


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    failed = failed_row("eft", Prepared(9, samples()[0], None, "missing image: x"), BAD_INPUT)
    made = [*rows(people(), iterates=several(stirred(people(), 0.1), people())), failed]
    write_rows(made, tmp_path / "a.parquet")
    found = read_rows(tmp_path / "a.parquet")
    assert [one["number"] for one in found] == [5, 6, 7, 9]
    for one, other in zip(made, found, strict=True):
        for name, value in other.items():
            given = one.get(name)
            if isinstance(given, float | list):
                np.testing.assert_array_equal(np.float32(value), np.float32(given), name)
            else:
                assert value == given, name
    assert found[3]["message"] == "missing image: x"
    assert found[3]["pose"] is None
    assert found[0]["subject"] == "S0"
    assert found[0]["annotation_id"] == 10
    write_rows(found, tmp_path / "b.parquet")
    assert (tmp_path / "b.parquet").read_bytes() == (tmp_path / "a.parquet").read_bytes()


def test_no_rows_are_a_table_too(tmp_path: Path) -> None:
    write_rows([], tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet") == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def scramble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4 : len(data) - 8] = b"\xff" * (len(data) - 12)
    path.write_bytes(data)


def foreign(path: Path) -> None:
    pq.write_table(pa.table({"method": ["eft"], "number": [1]}), path)


def mistyped(path: Path) -> None:
    table: Any = pq.read_table(path)
    where = table.column_names.index("mpjpe")
    pq.write_table(table.set_column(where, "mpjpe", pa.array(["far"] * len(table))), path)


@pytest.mark.parametrize("name", ["method", "number"])
def test_rows_of_nobody_are_refused(tmp_path: Path, name: str) -> None:
    made = rows(people())
    made[1][name] = None
    write_rows(made, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=rf"a\.parquet: {name} is missing in a row"):
        read_rows(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "spoil",
    [cut, scramble, foreign, mistyped, lambda path: path.write_text("{}"), Path.unlink],
    ids=["cut", "scrambled", "foreign", "mistyped", "text", "missing"],
)
def test_what_is_no_table_of_rows_is_refused_in_a_line(tmp_path: Path, spoil: Any) -> None:
    path = tmp_path / "a.parquet"
    write_rows(rows(people()), path)
    spoil(path)
    with pytest.raises(ValueError, match=r"a\.parquet: .*not a table of an evaluation") as caught:
        read_rows(path)
    assert "\n" not in str(caught.value)
