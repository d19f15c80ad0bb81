"""Augmentation: pictures, keypoints, joints, bodies and cameras stay those of one person."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exemplar.bodies import BodyParams
from exemplar.data.crops import crop_person, person_box
from exemplar.geometry.cameras import (
    project,
    project_weak,
)
from exemplar.geometry.crops import Box, crop_to_image
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.regressors.cliff import Cliff
from exemplar.regressors.hmr import Hmr
from exemplar.regressors.lifter import Lifter
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import GT_24, OPENPOSE_25, SMPL_49, TORSO, mirror_name
from exemplar.training.augment import (
    PART_JOINTS,
    AugmentConfig,
    Draw,
    Frame,
    Part,
    augmented_example,
    draw,
    drawn_example,
    frame_of,
    mirrored_points,
    mirrored_pose,
    part_box,
)
from exemplar.training.batches import Example, collate
from tests.training.people import (
    ANNOTATED,
    FOCAL,
    HEIGHT,
    MIDDLE,
    WIDTH,
    noise,
    open_body,
    person,
)

SQUARE = Frame(224, 224, framing="level")
UPRIGHT = Frame(256, 256, framing="upright")
HIPS = Frame(256, 256, framing="hips")
RECT = Frame(256, 192, framing="level", full_frame=True)
NONE = AugmentConfig.none()
DRAWS = {
    "none": Draw(),
    "flip": Draw(flip=True),
    "turn": Draw(rotation=40.0),
    "scale": Draw(scale=0.8),
    "all": Draw(flip=True, rotation=-25.0, scale=1.2, channels=(0.7, 1.0, 1.3)),
    "upper": Draw(flip=True, rotation=20.0, part="upper", part_scale=0.9, part_shift=(0.5, -1.0)),
}
FLOAT32_METRES = 2e-6
"""Examples are float32, bodies of one metre about their origin; the open body's halves are mirror
images of one another. In crop units of the annotated box, about as much."""


def close(first: Example, second: Example, tolerance: float) -> None:
    for name in ("keypoints_2d", "joints_3d", "rotmats", "betas"):
        difference = getattr(first, name) - getattr(second, name)
        assert float(difference.abs().max()) <= tolerance, name


# ------------------------------------------------------------------ what stays


@pytest.mark.parametrize("frame", [SQUARE, UPRIGHT, HIPS, RECT])
def test_without_augmentation_a_person_is_the_crop_that_fits_see(frame: Frame) -> None:
    sample, picture = person(), noise()
    found = augmented_example(sample, picture, frame, NONE, np.random.default_rng(0))
    joints = torch.from_numpy(sample.keypoints_2d).float()
    box = Box(
        torch.from_numpy(sample.box_centre).float(),
        torch.tensor(sample.box_size),
        torch.tensor(0.0),
    )
    if frame.framing != "level":
        box = person_box(joints, frame.framing)
    expected = crop_person(picture, joints, box, frame.resolution, frame.width)
    # float32 against float64 boxes
    assert torch.allclose(found.keypoints_2d, expected.keypoints_2d, atol=1e-5)
    assert np.abs(found.crop.astype(int) - expected.crop).max() <= 1
    assert float(found.box.focal) == FOCAL
    assert found.box.principal_point.tolist() == list(MIDDLE)


def test_mirroring_twice_changes_nothing() -> None:
    points = torch.randn(49, 3)
    pose = axis_angle_to_rotmat(torch.randn(24, 3))
    assert torch.equal(mirrored_points(mirrored_points(points)), points)
    assert torch.equal(mirrored_points(mirrored_points(points[ANNOTATED])), points[ANNOTATED])
    assert torch.equal(mirrored_pose(mirrored_pose(pose)), pose)
    assert not torch.allclose(mirrored_pose(pose), pose, atol=0.1)


@pytest.mark.parametrize("frame", [SQUARE, UPRIGHT, HIPS, RECT])
@pytest.mark.parametrize("name", ["none", "turn", "scale"])
def test_the_mirrored_person_of_a_mirrored_image_is_the_person(frame: Frame, name: str) -> None:
    sample, picture = person(), noise()
    mirror_image = mirrored_sample(sample)
    drawn = DRAWS[name]
    again = replace(drawn, flip=True, rotation=-drawn.rotation)
    first = drawn_example(sample, picture, frame, NONE, drawn)
    second = drawn_example(mirror_image, picture[:, ::-1].copy(), frame, NONE, again)
    close(first, second, 1e-5)  # float32
    for name in ("centre", "size", "angle", "focal", "principal_point"):
        one, other = getattr(first.box, name), getattr(second.box, name)
        # px and radians; float64 rounds the mirrored places
        assert torch.allclose(one, other, rtol=0, atol=1e-9), name
    # the interpolation's weights are rounded to 1/32 px on either side
    assert np.abs(first.crop.astype(int) - second.crop).mean() < 1.5


def mirrored_sample(sample: Sample) -> Sample:
    """The sample as annotated in the mirrored image."""
    keypoints = mirrored_points(torch.from_numpy(sample.keypoints_2d)).numpy()
    keypoints[:, 0] += WIDTH
    assert sample.joints_3d is not None
    assert sample.body is not None
    assert sample.intrinsics is not None
    camera = sample.intrinsics.copy()
    camera[0, 2] = WIDTH - camera[0, 2]
    pose = mirrored_pose(torch.from_numpy(sample.body.pose)).numpy()
    return replace(
        sample,
        box_centre=np.array([WIDTH - sample.box_centre[0], sample.box_centre[1]]),
        keypoints_2d=keypoints,
        joints_3d=mirrored_points(torch.from_numpy(sample.joints_3d)).numpy(),
        body=replace(sample.body, pose=pose),
        intrinsics=camera,
    )


# ------------------------------------------------------------------ bodies, joints and cameras


def augmented_joints(found: Example) -> Tensor:
    """(49, 3) joints, metres, of the augmented body."""
    rotmats, betas = found.rotmats.double(), found.betas.double()
    return open_body().keypoints(BodyParams(rotmats[:1], rotmats[None, 1:], betas[None]))[0]


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("frame", [SQUARE, UPRIGHT, HIPS, RECT])
def test_the_augmented_body_has_the_augmented_joints(frame: Frame, name: str) -> None:
    found = drawn_example(person(), noise(), frame, NONE, DRAWS[name])
    ours, known = augmented_joints(found)[ANNOTATED], found.joints_3d[:, :3].double()
    pelvis = GT_24.index("pelvis")
    difference = (ours - ours[pelvis]) - (known - known[pelvis])
    assert float(difference.norm(dim=1).max()) < FLOAT32_METRES


@pytest.mark.parametrize("name", DRAWS)
def test_the_augmented_camera_sees_the_augmented_body_at_the_keypoints(name: str) -> None:
    sample, drawn = person(), replace(DRAWS[name], part="whole")
    found = drawn_example(sample, noise(), SQUARE, NONE, drawn)
    whole = drawn_example(sample, noise(), SQUARE, NONE, Draw())
    # scaled, turned and mirrored as the person is: the body's origin moves as a keypoint does
    turn = math.radians(-drawn.rotation)
    x, y = 0.1, 0.25
    side = float(found.box.size) / sample.box_size
    across, down = (
        (math.cos(turn) * x - math.sin(turn) * y) / side,
        (math.sin(turn) * x + math.cos(turn) * y) / side,
    )
    camera = torch.tensor([0.85 / side, -across if drawn.flip else across, down]).double()
    seen = project_weak(augmented_joints(found), camera)
    assert float((seen - found.keypoints_2d[:, :2]).norm(dim=1).max()) < FLOAT32_METRES / side
    if name != "none":
        assert float((whole.keypoints_2d - found.keypoints_2d).abs().max()) > 0.05


@pytest.mark.parametrize("name", DRAWS)
def test_the_full_images_camera_sees_the_augmented_body_at_the_keypoints(name: str) -> None:
    """CLIFF's camera, with the box information of the mirrored, rolled image, is exact."""
    drawn = DRAWS[name]
    found = drawn_example(person(perspective=True), noise(), RECT, NONE, drawn)
    joints = augmented_joints(found)
    box = found.box[None].to(torch.float64)
    camera = fitted_full_camera(joints, found.keypoints_2d[:, :2].double(), box)
    seen = project(joints[None], camera, box, "full_perspective", RECT.resolution)[0]
    error = (seen - found.keypoints_2d[:, :2]).norm(dim=1).max()
    assert float(error) < FLOAT32_METRES * 220 / float(found.box.size)


def fitted_full_camera(joints: Tensor, keypoints: Tensor, box: Box) -> Tensor:
    """(1, 3) of CLIFF's camera by Gauss-Newton."""
    camera = torch.tensor([[0.8, 0.0, 0.0]]).double()

    def residual(values: Tensor) -> Tensor:
        return (project(joints[None], values, box, "full_perspective")[0] - keypoints).flatten()

    for _ in range(6):
        slope = torch.autograd.functional.jacobian(residual, camera)[:, 0]
        camera = camera - torch.linalg.lstsq(slope, residual(camera)[:, None]).solution.T
    return camera


# ------------------------------------------------------------------ pictures


def painted() -> tuple[Sample, np.ndarray]:
    """A person whose joints are drawn: left ones red, right ones blue, the others green."""
    sample = person()
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    # eight to a pixel; cv2 counts from the pixels' middles
    places = np.rint((sample.keypoints_2d[ANNOTATED, :2] - 0.5) * 8).astype(int)
    for name, place in zip(GT_24, places, strict=True):
        cv2.circle(picture, tuple(int(x) for x in place), 16, colour_of(name), -1, shift=3)
    return sample, picture


def colour_of(name: str) -> tuple[int, int, int]:
    side = name.split("_")[0]
    return (255, 0, 0) if side == "left" else (0, 0, 255) if side == "right" else (0, 255, 0)


@pytest.mark.parametrize("name", [name for name in DRAWS if name != "all"])
@pytest.mark.parametrize("frame", [SQUARE, UPRIGHT, HIPS, RECT])
def test_pictures_move_with_their_keypoints(frame: Frame, name: str) -> None:
    sample, picture = painted()
    drawn = DRAWS[name]
    found = drawn_example(sample, picture, frame, NONE, drawn)
    middle = np.array([frame.width, frame.resolution]) / 2
    pixels = found.keypoints_2d[ANNOTATED, :2].numpy() * frame.resolution / 2 + middle
    right, seen = 0, 0
    for joint, point in zip(GT_24, pixels, strict=True):
        alone = np.sort(np.hypot(*(pixels - point).T))[1] > 8
        column, row = np.floor(point).astype(int)
        if alone and 2 <= column < frame.width - 2 and 2 <= row < frame.resolution - 2:
            # the mirrored person's left is what was painted as right
            colour = colour_of(mirror_name(joint) if drawn.flip else joint)
            seen += 1
            right += (found.crop[row, column] > 180).tolist() == [value > 0 for value in colour]
    assert seen >= 5
    assert right == seen


def test_channel_noise_multiplies_and_stops_at_white() -> None:
    plain = drawn_example(person(), noise(), SQUARE, NONE, Draw()).crop.astype(float)
    factors = (0.6, 1.0, 1.4)
    found = drawn_example(person(), noise(), SQUARE, NONE, Draw(channels=factors)).crop
    assert np.array_equal(found, np.minimum(plain * factors, 255).astype(np.uint8))
    assert (found[..., 2] == 255).any()


def test_occluders_change_the_picture_alone() -> None:
    plain = drawn_example(person(), noise(), SQUARE, NONE, Draw())
    found = drawn_example(person(), noise(), SQUARE, NONE, Draw(occluders=1))
    close(found, plain, 0.0)
    assert not np.array_equal(found.crop, plain.crop)


# ------------------------------------------------------------------ boxes


@pytest.mark.parametrize("angle", [0.0, 0.7])
@pytest.mark.parametrize("part", ["upper", "face"])
def test_a_parts_box_shows_the_part_and_ends_below_it(part: Part, angle: float) -> None:
    joints = torch.from_numpy(person().keypoints_2d)
    box = part_box(joints, part, angle=angle)
    assert box is not None
    found = drawn_example(person(), noise(), SQUARE, NONE, Draw(part=part, part_scale=1.0))
    inside = dict(
        zip(GT_24, (found.keypoints_2d[ANNOTATED, :2].abs() < 1).all(1).tolist(), strict=True)
    )
    assert all(inside[name] for name in PART_JOINTS[part])
    assert not inside["left_ankle"]
    assert "left_elbow" in PART_JOINTS[part]
    assert ("left_hip" in PART_JOINTS[part]) == (part == "upper")


def test_supervision_of_what_a_crop_hides_is_kept() -> None:
    whole = drawn_example(person(), noise(), SQUARE, NONE, Draw())
    face = drawn_example(person(), noise(), SQUARE, NONE, Draw(part="face", part_scale=0.8))
    assert torch.equal(face.rotmats, whole.rotmats)
    assert torch.equal(face.joints_3d, whole.joints_3d)
    assert torch.equal(face.keypoints_2d[:, 2], whole.keypoints_2d[:, 2])
    assert float(face.keypoints_2d[ANNOTATED, 1].max()) > 1.5


@pytest.mark.parametrize("frame", [SQUARE, UPRIGHT])
def test_the_random_box_lies_in_the_parts_box_or_about_it(frame: Frame) -> None:
    config, seen = AugmentConfig(extreme_crop=1.0), set()
    for seed in range(30):
        drawn = draw(np.random.default_rng(seed), config)
        assert drawn.part_scale is not None
        box = drawn_example(person(), None, frame, config, drawn).box
        part = part_box(torch.from_numpy(person().keypoints_2d), drawn.part, angle=float(box.angle))
        assert part is not None
        seen.add((drawn.part, drawn.part_scale > 1))
        assert 0.8 * part.size <= box.size <= 1.2 * part.size
        turned = Box(0 * part.centre, torch.tensor(2.0).double(), -box.angle)
        way = crop_to_image((box.centre - part.centre)[None], turned)[0].abs()
        assert (way <= (box.size - part.size).abs() / 2 + 1e-9).all()
    assert len(seen) == 4


def test_parts_with_too_few_joints_are_not_cropped_to() -> None:
    sample = person()
    keypoints = sample.keypoints_2d.copy()
    keypoints[ANNOTATED, 2] = [1.0 if name in TORSO[:2] else 0.0 for name in GT_24]
    few = replace(sample, keypoints_2d=keypoints)
    assert part_box(torch.from_numpy(keypoints), "face") is None
    found = drawn_example(few, noise(), SQUARE, NONE, Draw(part="face", part_scale=0.9, scale=1.1))
    assert float(found.box.size) == pytest.approx(1.1 * sample.box_size)


def test_parts_of_tiny_people_are_not_cropped_to() -> None:
    sample = person()
    tiny = replace(sample, keypoints_2d=sample.keypoints_2d * [0.15, 0.15, 1])
    box = drawn_example(tiny, noise(), SQUARE, NONE, Draw(part="face", part_scale=0.9)).box
    assert float(box.size) == pytest.approx(sample.box_size)


def test_released_extreme_crops_want_certain_joints() -> None:
    joints = torch.from_numpy(person().keypoints_2d)
    joints[ANNOTATED, 2] = 0.9
    assert part_box(joints, "upper") is not None
    assert part_box(joints, "upper", least_confidence=1.0) is None


@pytest.mark.parametrize("frame", [UPRIGHT, HIPS])
def test_upright_crops_stay_upright_and_turn_about_that(frame: Frame) -> None:
    def torso_angle(found: Example) -> float:
        rows = [SMPL_49.index(name, len(OPENPOSE_25)) for name in TORSO]
        left, right, left_hip, right_hip = found.keypoints_2d[rows, :2]
        up = left + right - left_hip - right_hip
        return math.degrees(math.atan2(float(up[0]), -float(up[1])))

    for part in ("whole", "upper"):
        for rotation in (0.0, 30.0):
            drawn = Draw(rotation=rotation, part=part, part_scale=1.0)
            found = drawn_example(person(3), noise(), frame, NONE, drawn)
            assert torso_angle(found) == pytest.approx(-rotation, abs=1e-3)  # float32 keypoints
    leaning = drawn_example(person(3), noise(), SQUARE, NONE, Draw())
    assert abs(torso_angle(leaning)) > 3


@pytest.mark.parametrize("frame", [UPRIGHT, HIPS])
def test_upright_frames_fall_back_on_the_annotated_box(frame: Frame) -> None:
    sample = person()
    unseen = replace(sample, keypoints_2d=np.zeros((49, 3)))
    box = drawn_example(unseen, noise(), frame, NONE, Draw()).box
    assert box.centre.tolist() == sample.box_centre.tolist()
    assert float(box.size) == pytest.approx(sample.box_size)
    assert float(box.angle) == 0


def test_an_image_without_a_camera_gets_cliffs_default() -> None:
    found = drawn_example(replace(person(), intrinsics=None), noise(), RECT, NONE, Draw(flip=True))
    assert float(found.box.focal) == pytest.approx(math.hypot(WIDTH, HEIGHT))
    assert found.box.principal_point.tolist() == [WIDTH / 2, HEIGHT / 2]


# ------------------------------------------------------------------ draws and what is unknown


def test_shares_and_spreads_are_the_configurations() -> None:
    config = AugmentConfig.default()
    draws = [draw(np.random.default_rng(seed), config) for seed in range(2000)]

    # four standard deviations of a share of 2000 are below 0.045
    for wanted, given in (
        (config.flip, [d.flip for d in draws]),
        (config.extreme_crop, [d.part != "whole" for d in draws]),
        (config.occlusion, [d.occluders is not None for d in draws]),
    ):
        assert np.mean(given) == pytest.approx(wanted, abs=0.045)
    turned = [d.rotation for d in draws if d.rotation != 0]
    assert len(turned) / 2000 == pytest.approx(config.rotation_share, abs=0.045)
    assert max(map(abs, turned)) == 60
    assert {min(d.scale for d in draws), max(d.scale for d in draws)} == {0.75, 1.25}
    channels = np.array([d.channels for d in draws])
    assert channels.min() > 0.6
    assert channels.max() < 1.4
    assert np.ptp(channels) > 0.75


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_example(seed: int) -> None:
    config = AugmentConfig.default()
    first, second = (
        augmented_example(person(), noise(), UPRIGHT, config, np.random.default_rng(seed))
        for _ in range(2)
    )
    close(first, second, 0.0)
    assert np.array_equal(first.crop, second.crop)


def test_what_is_unknown_stays_so() -> None:
    keypoints = person().keypoints_2d.copy()
    keypoints[:10] = 0.0
    bare = replace(person(), body=None, joints_3d=None, keypoints_2d=keypoints)
    found = drawn_example(bare, noise(), SQUARE, NONE, DRAWS["all"])
    assert not found.has_body
    assert not found.has_joints_3d
    assert torch.equal(found.rotmats, torch.eye(3).repeat(24, 1, 1))
    assert float(found.joints_3d.abs().max()) == 0
    missing = found.keypoints_2d[:, 2] == 0
    assert int(missing.sum()) == 10
    assert float(found.keypoints_2d[missing].abs().max()) == 0


def test_examples_go_side_by_side() -> None:
    bare = replace(person(), body=None, joints_3d=None, intrinsics=None)
    config = AugmentConfig.default()
    people = [
        person(),
        bare,
        replace(person(), body=BodyTruth(np.eye(3)[None].repeat(24, 0), np.ones(4))),
    ]
    rng = np.random.default_rng(0)
    batch = collate([augmented_example(sample, noise(), RECT, config, rng) for sample in people])
    assert batch.has_body.tolist() == [True, False, True]
    assert batch.body.betas[2].tolist() == [1.0] * 4 + [0.0] * 6
    assert batch.box.focal is not None


def test_without_pixels_there_is_a_black_crop() -> None:
    found = drawn_example(person(), None, RECT, NONE, Draw(flip=True))
    assert found.crop.shape == (256, 192, 3)
    assert not found.crop.any()
    seen = drawn_example(person(), noise(), RECT, NONE, Draw(flip=True))
    close(found, seen, 0.0)


@pytest.mark.parametrize(
    ("network", "frame"),
    [
        (Hmr, Frame(224, 224, framing="level")),
        (Cliff, Frame(256, 192, framing="level", full_frame=True)),
        (Lifter, Frame(256, 256, framing="hips")),
    ],
)
def test_a_network_says_what_it_is_shown(network: type[nn.Module], frame: Frame) -> None:
    with torch.device("meta"):
        assert frame_of(network()) == frame


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flip", 1.5),
        ("occlusion", -0.1),
        ("scale", 1.0),
        ("rotation", math.nan),
        ("channel_noise", 2.0),
    ],
)
def test_configurations_that_make_no_sense_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field}.*{value}"):
        AugmentConfig(**{field: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box_centre": np.array([900.0, 100.0])}, "outside the image of 400 x 300"),
        ({"box_scale": 0.0}, "positive finite size, got 0.0"),
        ({"box_centre": np.array([math.nan, 100.0])}, "positive finite size"),
        ({"body": BodyTruth(np.eye(3)[None].repeat(24, 0), np.zeros(16))}, "up to 10.*got 16"),
    ],
)
def test_broken_people_are_refused_in_one_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        drawn_example(replace(person(), **change), noise(), SQUARE, NONE, Draw())  # pyright: ignore
    assert "\n" not in str(caught.value)


def test_a_module_without_a_resolution_is_no_regressor() -> None:
    with pytest.raises(ValueError, match="resolution, got Linear"):
        frame_of(nn.Linear(1, 1))
