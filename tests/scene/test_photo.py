"""From a photo to fitted bodies, on real photographs that scikit-image carries."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import exemplar
from exemplar.assets import asset_path
from exemplar.data.detections import Detection, detections_of
from exemplar.export import write_bvh
from exemplar.export.json_file import fit_to_dict
from exemplar.files.image_files import read_image
from exemplar.fitting.projections import UNSEEN
from exemplar.geometry.cameras import NEAREST
from exemplar.motion import kinematic_joints, vertices_at
from exemplar.motion_files import read_motions
from exemplar.results import NOTHING_TO_FIT, REJECTED, BodyState, FitResult, PersonFit
from exemplar.scene import FitOptions, Fitter
from exemplar.scene.options import DETECTED_STOP_PX
from exemplar.skeletons import (
    COCO_17,
    HANDS_24,
    OPENPOSE_25,
    SMPL_24,
    SMPL_49,
    SMPLX_55,
    TORSO,
    flip_permutation,
    hand_parents,
)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def fitted(portrait: np.ndarray) -> FitResult:
    """All updates that EFT may make."""
    return exemplar.fit(portrait, options=exemplar.FitOptions(stop_px=0.0))


def coco_of(result: FitResult) -> np.ndarray:
    """The built-in keypoints of the first person as COCO's 17."""
    rows = [SMPL_49.index(name) for name in COCO_17]
    return result.people[0].keypoints_2d[rows]


def updates_until(full: PersonFit, stop_px: float) -> int:
    """Updates after which a fit that does not stop is first below an error."""
    updates = full.steps[: full.iterations + 1]
    below = [i for i, state in enumerate(updates) if state.error_px < stop_px]
    return below[0] if below else full.iterations


def test_eft_brings_the_error_on_a_real_photo_down(fitted: FitResult) -> None:
    (person,) = fitted.people
    assert person.status != REJECTED
    assert person.iterations == 20
    # to about half of it where this was written
    assert person.after.error_px < 0.8 * person.before.error_px


def test_detected_keypoints_are_fitted_no_closer_than_they_are_good(
    portrait: np.ndarray, fitted: FitResult
) -> None:
    """... in px of a crop of what is visible: half of the portrait's own, which is turned, would
    hold the legs."""
    (full,) = fitted.people
    (person,) = exemplar.fit(portrait).people
    seen = person.keypoints_2d[person.keypoints_2d[:, 2] > 0, :2]
    across = np.exp(-1j * person.box_angle) * (seen[:, 0] + 1j * seen[:, 1])
    share = 1.35 * max(np.ptp(across.real), np.ptp(across.imag)) / person.box_size
    assert 0.3 < share < 0.7
    assert 0 < person.iterations == updates_until(full, DETECTED_STOP_PX * share)


def test_given_keypoints_are_fitted_as_closely_as_in_the_paper(
    portrait: np.ndarray, fitted: FitResult
) -> None:
    points = coco_of(fitted)
    endless = exemplar.FitOptions(stop_px=0.0)
    (full,) = exemplar.fit(portrait, points, options=endless).people
    (person,) = exemplar.fit(portrait, points).people
    assert person.iterations == updates_until(full, 2.0)


def test_the_head_of_a_portrait_is_put_on_the_head(portrait: np.ndarray, fitted: FitResult) -> None:
    (person,) = fitted.people
    assert person.aligned
    assert len(person.steps) == person.iterations + 2
    assert fit_to_dict(fitted)["people"][0]["aligned"] is True
    face = [SMPL_49.index(name) for name in ("nose", "left_eye", "right_eye")]
    target = person.keypoints_2d[face, :2]

    def off(state: BodyState) -> float:
        return float(np.linalg.norm(state.joints_2d[face] - target, axis=1).mean())

    assert off(person.after) < 0.95 * off(person.steps[-2])
    # 1.2 px of a 224 crop where this was written
    assert off(person.after) / person.box_size * 224 < 2.0


def test_alignment_can_be_turned_off(portrait: np.ndarray, fitted: FitResult) -> None:
    options = exemplar.FitOptions(stop_px=0.0, align=False)
    (plain,) = exemplar.fit(portrait, options=options).people
    assert not plain.aligned
    assert len(plain.steps) == plain.iterations + 1
    np.testing.assert_array_equal(plain.after.body_pose, fitted.people[0].steps[-2].body_pose)


def test_one_may_say_where_a_fit_stops(portrait: np.ndarray, fitted: FitResult) -> None:
    (full,) = fitted.people
    stop = (full.before.error_px + full.after.error_px) / 2
    (person,) = exemplar.fit(portrait, options=exemplar.FitOptions(stop_px=stop)).people
    assert 0 < person.iterations == updates_until(full, stop) < 20


@pytest.mark.parametrize("focal", [None, 500.0, 1500.0, 20_000.0])
@pytest.mark.parametrize("place", [(0, 0), (0, 700), (300, 0)])
def test_the_written_camera_sees_the_joints_as_near_as_can_be(
    portrait: np.ndarray, fitted: FitResult, focal: float | None, place: tuple[int, int]
) -> None:
    """Wherever the person is in the photo: no other translation is nearer to the joints that are
    seen, and the file says what is left, which a long lens makes small."""
    down, right = place
    photo = np.zeros((512 + down, 512 + right, 3), np.uint8)
    photo[down:, right:] = portrait
    options = exemplar.FitOptions(iterations=0, focal=focal)
    points = coco_of(fitted) + np.array([right, down, 0.0])
    result = exemplar.fit(photo, points, options=options)
    state = result.people[0].after
    seen = result.people[0].keypoints_2d[:, 2] > 0

    def left(shift: np.ndarray) -> np.ndarray:
        return np.linalg.norm(result.reprojected(state.joints_3d + shift) - state.joints_2d, axis=1)

    def squares(shift: np.ndarray) -> float:
        return float(np.square(left(shift)) @ np.where(seen, 1.0, UNSEEN))

    least = squares(np.zeros(3))
    for shift in 0.01 * np.concatenate((np.eye(3), -np.eye(3))):
        assert squares(shift * [1, 1, state.translation[2]]) > least
    written = fit_to_dict(result)["people"][0]["camera"]
    assert written["misfit_px"] == pytest.approx(left(np.zeros(3))[seen].mean(), rel=1e-4)
    assert state.joints_3d[:, 2].min() >= NEAREST
    if focal == 20_000.0:
        assert written["misfit_px"] < 2.5  # the body's depth of a metre, seen from 38 m


def test_people_are_as_far_away_as_one_believes(fitted: FitResult) -> None:
    """A portrait: 55 degrees show half a metre at half a metre's distance."""
    assert fitted.focal == pytest.approx(256 / np.tan(np.radians(27.5)))
    assert fitted.focal_source == "assumed, 55 degrees along the longer side"
    assert 0.5 < fitted.people[0].after.translation[2] < 2.0


def test_the_photo_s_exif_tells_its_focal_length(
    portrait: np.ndarray, fitted: FitResult, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    Image.fromarray(portrait).save(tmp_path / "phone.jpg", exif=exif)
    options = exemplar.FitOptions(iterations=0)
    result = exemplar.fit(tmp_path / "phone.jpg", coco_of(fitted), options=options)
    assert result.focal == pytest.approx(26 / np.hypot(36, 24) * np.hypot(512, 512))
    assert result.focal_source == "EXIF, 26 mm on 35 mm film"
    given = exemplar.FitOptions(iterations=0, focal=700.0)
    result = exemplar.fit(tmp_path / "phone.jpg", coco_of(fitted), options=given)
    assert (result.focal, result.focal_source) == (700.0, "given")
    exif.get_ifd(0x8769)[0xA405] = 65535
    Image.fromarray(portrait).save(tmp_path / "phone.jpg", exif=exif)
    result = exemplar.fit(tmp_path / "phone.jpg", coco_of(fitted), options=options)
    assert result.focal_source.startswith("assumed")


def test_fitted_keypoints_have_the_error_that_is_reported(fitted: FitResult) -> None:
    person = fitted.people[0]
    used = person.fitted > 0
    gaps = np.linalg.norm(person.after.joints_2d - person.keypoints_2d[:, :2], axis=1)[used]
    assert gaps.mean() * 224 / person.box_size == pytest.approx(person.after.error_px, rel=1e-3)


def test_torchs_threads_change_no_bit_of_a_fit(portrait: np.ndarray, fitted: FitResult) -> None:
    """Adam's first steps follow signs: other sums of a reduction would end elsewhere."""
    torch.set_num_threads(2)
    (person,) = exemplar.fit(portrait, options=exemplar.FitOptions(stop_px=0.0)).people
    assert torch.get_num_threads() == 2
    np.testing.assert_array_equal(person.after.body_pose, fitted.people[0].after.body_pose)


def test_a_turned_photo_gives_the_turned_body(portrait: np.ndarray, fitted: FitResult) -> None:
    """Given the same keypoints turned by a quarter, the crop is the same and so is the pose."""
    points = coco_of(fitted)
    side = portrait.shape[0]
    quarter = np.ascontiguousarray(np.rot90(portrait, k=-1))
    moved = np.stack((side - points[:, 1], points[:, 0], points[:, 2]), axis=1)
    # the regressor's answer only: Adam's first steps follow signs and enlarge rounding
    options = exemplar.FitOptions(iterations=0)
    upright = exemplar.fit(portrait, points, options=options).people[0].after
    turned = exemplar.fit(quarter, moved, options=options).people[0].after
    # the crops differ by one grey level here and there
    assert np.allclose(upright.body_pose, turned.body_pose, atol=2e-3)
    clockwise = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert np.allclose(clockwise @ upright.global_orient, turned.global_orient, atol=2e-3)
    assert np.allclose(
        turned.joints_2d,
        np.stack((side - upright.joints_2d[:, 1], upright.joints_2d[:, 0]), 1),
        atol=1,
    )


def test_a_mirrored_photo_gives_the_mirrored_body(portrait: np.ndarray, fitted: FitResult) -> None:
    """Given the mirrored keypoints: the network's own answers are symmetric."""
    points, side = coco_of(fitted), portrait.shape[1]
    swapped = points[flip_permutation(COCO_17)] * [-1.0, 1.0, 1.0] + [side, 0.0, 0.0]
    # the regressor's answer only: Adam's first steps follow signs and enlarge rounding
    options = exemplar.FitOptions(iterations=0)
    (plain,) = exemplar.fit(portrait, points, options=options).people
    mirror_image = np.ascontiguousarray(portrait[:, ::-1])
    (mirrored,) = exemplar.fit(mirror_image, swapped, options=options).people
    across = np.diag([-1.0, 1.0, 1.0])
    expected = np.concatenate((plain.after.global_orient[None], plain.after.body_pose))
    expected = across @ expected[flip_permutation(SMPL_24)] @ across
    # the crops differ by one grey level here and there
    assert np.allclose(expected[0], mirrored.after.global_orient, atol=2e-3)
    assert np.allclose(expected[1:], mirrored.after.body_pose, atol=2e-3)
    assert np.allclose(plain.after.betas, mirrored.after.betas, atol=2e-3)


def test_an_auxiliary_network_makes_it_the_dual_networks_fit(
    portrait: np.ndarray, fitted: FitResult
) -> None:
    options = exemplar.FitOptions(auxiliary="mobile", iterations=3)
    (person,) = exemplar.fit(portrait, options=options).people
    (by_eft,) = fitted.people
    assert person.iterations == 3
    np.testing.assert_array_equal(person.before.body_pose, by_eft.before.body_pose)
    assert person.after.error_px < person.before.error_px
    assert np.abs(person.after.body_pose - by_eft.steps[3].body_pose).max() > 1e-3


@pytest.mark.parametrize(
    "wrong", [{"guard": True}, {"robust_px": 80.0}, {"stop_px": 3.0}, {"teacher": "landmarks"}]
)
def test_what_does_not_go_with_an_auxiliary_network_is_told(wrong: dict) -> None:
    with pytest.raises(ValueError, match="are EFT's"):
        exemplar.FitOptions(auxiliary="mobile", **wrong)


def test_a_teacher_gives_the_fit_its_3d_term(portrait: np.ndarray, fitted: FitResult) -> None:
    options = exemplar.FitOptions(teacher="landmarks", iterations=3, stop_px=0.0)
    (person,) = exemplar.fit(portrait, options=options).people
    (untaught,) = fitted.people
    np.testing.assert_array_equal(person.before.body_pose, untaught.before.body_pose)
    assert np.abs(person.after.body_pose - untaught.steps[3].body_pose).max() > 1e-3


def test_given_keypoints_are_what_is_fitted(portrait: np.ndarray, fitted: FitResult) -> None:
    points = coco_of(fitted)
    options = exemplar.FitOptions(iterations=1)
    (person,) = exemplar.fit(portrait, points, options=options).people
    given = person.keypoints_2d[person.keypoints_2d[:, 2] > 0]
    assert len(given) == (points[:, 2] > 0).sum()
    assert person.iterations == 1


def test_people_are_chosen_by_number_size_and_box(portrait: np.ndarray, fitted: FitResult) -> None:
    points = coco_of(fitted)
    small = points.copy()
    small[:, :2] = small[:, :2] / 4
    two = np.stack((small, points))
    none = {"iterations": 0}

    def centre(**options: object) -> np.ndarray:
        chosen = exemplar.FitOptions(**none, **options)
        people = exemplar.fit(portrait, two, options=chosen).people
        assert len(people) == 1
        return people[0].box_centre

    assert np.allclose(centre(person="0") * 4, centre(person="1"), atol=0.1)
    assert np.allclose(centre(person="largest"), centre(person="1"))
    assert np.allclose(centre(box=(0.0, 0.0, 120.0, 120.0)), centre(person="0"))
    everyone = exemplar.fit(portrait, two, options=exemplar.FitOptions(**none))
    assert len(everyone.people) == 2


def test_people_fitted_together_are_as_if_alone(portrait: np.ndarray, fitted: FitResult) -> None:
    """What a GPU does, here on a CPU; they stop at different times."""
    points = coco_of(fitted)
    moved = points + np.where(np.arange(17)[:, None] % 3 == 1, (9.0, -6.0, 0), 0)
    people, heard = np.stack((points, moved)), list[tuple[int, int, int]]()
    endless = exemplar.fit(portrait, points, options=FitOptions(stop_px=0.0, iterations=6))
    stop_px = endless.people[0].steps[3].error_px + 0.01
    fitter = Fitter(options=FitOptions(stop_px=stop_px, iterations=6))
    alone = fitter.fit(portrait, people).people
    fitter.together = True
    together = fitter.fit(portrait, people, lambda *now: heard.append(now[:3])).people
    assert alone[0].iterations != alone[1].iterations
    for one, other in zip(alone, together, strict=True):
        assert (one.status, one.iterations) == (other.status, other.iterations)
        # float32 sums in another order, through Adam's division of small by small
        assert np.allclose(one.after.body_pose, other.after.body_pose, atol=1e-3)
        assert np.allclose(one.after.vertices, other.after.vertices, atol=5e-3)
        assert np.array_equal(one.keypoints_2d, other.keypoints_2d)
    assert {(person, people) for person, people, _ in heard} == {(0, 2), (1, 2)}


def test_a_person_without_a_fitted_keypoint_keeps_the_regressors_answer(
    portrait: np.ndarray,
) -> None:
    points = np.array([[200.0, 300, 1], [260, 300, 1], [200, 480, 1], [260, 480, 1]])
    names = ("left_hip", "right_hip", "left_ankle", "right_ankle")
    person = Detection(points, names)
    (fit,) = exemplar.fit(portrait, person).people
    assert fit.status == NOTHING_TO_FIT
    assert fit.iterations == 0
    assert np.isfinite(fit.after.vertices).all()


def test_a_person_whose_keypoints_coincide_is_left_out(
    portrait: np.ndarray, fitted: FitResult
) -> None:
    points = coco_of(fitted)
    dot = np.ones_like(points)
    options = exemplar.FitOptions(iterations=0)
    assert len(exemplar.fit(portrait, np.stack((dot, points)), options=options).people) == 1
    with pytest.raises(ValueError, match="2 distinct keypoints"):
        exemplar.fit(portrait, dot)


def test_a_photo_without_a_person_says_so() -> None:
    with pytest.raises(ValueError, match="no person found"):
        exemplar.fit(skimage.data.coffee())


def test_bad_arrays_are_refused(portrait: np.ndarray) -> None:
    with pytest.raises(ValueError, match="RGB image"):
        exemplar.fit(portrait[..., 0].astype(np.float32))
    with pytest.raises(ValueError, match="5 keypoints"):
        exemplar.fit(portrait, np.ones((5, 3)))
    with pytest.raises(ValueError, match=r"\(5, 2\), expected \(K, 3\)"):
        detections_of(np.ones((5, 2)))
    with pytest.raises(ValueError, match="2 distinct keypoints"):
        exemplar.fit(portrait, np.full((17, 3), np.nan))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"box": (600.0, 0.0, 50.0, 50.0)}, "outside the 512x512 image"),
        ({"box": (0.0, 0.0, -1.0, 5.0)}, "positive w and h"),
        ({"person": "7"}, "--person '7'"),
        ({"person": "tallest"}, r"expected all, largest, or 0 \(1 person\)"),
        ({"body": "nowhere.pkl"}, "no SMPL file"),
        ({"device": "toaster"}, "device 'toaster' cannot be used: expected auto, cpu"),
        ({"iterations": -3}, "iterations must be 0 or more"),
        ({"stop_px": -1.0}, "stop_px must be 0 or more"),
        ({"focal": -1.0}, "focal"),
        ({"teacher": "magic"}, "unknown teacher 'magic': expected landmarks"),
    ],
)
def test_nonsense_options_are_one_clear_error(
    portrait: np.ndarray, options: dict[str, object], message: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        exemplar.fit(portrait, options=exemplar.FitOptions(**options))


@pytest.mark.parametrize("names", [SMPL_24, SMPLX_55])
def test_an_smpl_file_takes_the_place_of_the_open_body(
    portrait: np.ndarray, fitted: FitResult, tmp_path: Path, names: tuple[str, ...]
) -> None:
    """The open body written as a file, with loose vertices that sit on its joints: those of the
    face and the fingers on the head and the hands."""
    body = exemplar.load_body()
    place = {name: i for i, name in enumerate(SMPL_24)}
    rows = [
        place.get(name, place["head"] if "_" not in name else place[f"{name.split('_')[0]}_hand"])
        for name in names
    ]
    joints, count = len(names), len(body.v_template)
    regressor = np.zeros((joints, count + joints))
    regressor[:, count:] = np.eye(joints)
    weights = np.zeros((count, joints))
    weights[:, [names.index(HANDS_24.get(x, x) if len(names) > 24 else x) for x in SMPL_24]] = (
        body.skinning_weights
    )
    parents = body.parents if len(names) == 24 else hand_parents(names)
    path = tmp_path / "smpl.npz"
    np.savez(
        path,
        v_template=np.concatenate((body.v_template, body.joints_template[rows])),
        shapedirs=np.concatenate((body.shapedirs, body.joints_shapedirs[rows])),
        posedirs=np.zeros((count + joints, 3, 9 * (joints - 1))),
        weights=np.concatenate((weights, np.eye(joints))),
        J_regressor=regressor,
        kintree_table=np.stack((np.array([0, *parents[1:]]), np.arange(joints))),
        f=body.faces.numpy(),
    )
    options = exemplar.FitOptions(
        iterations=0, body=str(path), looks=False, align=False, perspective=False
    )
    points = coco_of(fitted)
    (person,) = exemplar.fit(portrait, points, options=options).people
    expected = exemplar.fit(portrait, points, options=replace(options, body=None)).people[0].before
    # float32 through another file and another order of sums; from fewer joints the camera sees the
    # body at another distance
    found = person.after.kinematic_joints - person.after.kinematic_joints[0]
    wanted = expected.kinematic_joints - expected.kinematic_joints[0]
    assert np.allclose(found, wanted, atol=1e-3)
    assert person.after.vertices.shape == (count + joints, 3)
    lower, upper = SMPL_49.index("left_hip"), SMPL_49.index("left_shoulder")
    assert person.fitted[lower] == 0  # needs a regressor file that is not there
    assert person.fitted[upper] > 0


@pytest.mark.parametrize("focal", [1e-3, 5.1, 513_000.0, 1e9])
def test_no_lens_has_such_a_focal_length(portrait: np.ndarray, focal: float) -> None:
    options = exemplar.FitOptions(iterations=0, focal=focal)
    with pytest.raises(ValueError, match=r"expected 5\.12 to 512000 for an image of 512"):
        exemplar.fit(portrait, options=options)


@pytest.mark.parametrize("focal", [0.0, -5.0, float("inf"), float("nan")])
def test_a_focal_length_is_a_positive_number(focal: float) -> None:
    with pytest.raises(ValueError, match="must be a positive number"):
        exemplar.FitOptions(focal=focal)


@pytest.fixture(scope="module")
def as_a_child(portrait: np.ndarray, fitted: FitResult) -> FitResult:
    """The portrait fitted as if it showed a child."""
    options = exemplar.FitOptions(age=5, height=1.1, iterations=3, stop_px=0.0)
    return exemplar.fit(portrait, coco_of(fitted), options=options)


def test_who_is_said_to_be_a_child_is_as_tall_as_said_and_stands_nearer(
    portrait: np.ndarray, fitted: FitResult, as_a_child: FitResult
) -> None:
    options = exemplar.FitOptions(iterations=3, stop_px=0.0)
    (plain,) = exemplar.fit(portrait, coco_of(fitted), options=options).people
    (child,) = as_a_child.people
    assert plain.height is not None
    assert child.height == pytest.approx(1.1, abs=0.02)
    assert plain.height > 1.5
    nearer = child.after.translation[2] / plain.after.translation[2]
    # a child's head, which most of a portrait is, is larger for its height
    assert 0.6 < nearer < 0.9
    written = fit_to_dict(as_a_child)["people"][0]
    assert written["given"] == {"age": 5, "height": 1.1}
    assert written["height"] == pytest.approx(1.1, abs=0.02)
    assert len(written["betas"]) > len(plain.after.betas) == 10


def test_a_fit_that_is_told_something_is_the_same_again(
    portrait: np.ndarray, fitted: FitResult, as_a_child: FitResult
) -> None:
    options = exemplar.FitOptions(age=5, height=1.1, iterations=3, stop_px=0.0)
    again = exemplar.fit(portrait, coco_of(fitted), options=options)
    assert np.array_equal(again.people[0].after.vertices, as_a_child.people[0].after.vertices)


def test_files_carry_the_shape_that_was_fitted(as_a_child: FitResult, tmp_path: Path) -> None:
    as_a_child.save(tmp_path)
    (motion,) = read_motions(tmp_path)
    body = exemplar.load_body(motion.body)
    after = as_a_child.people[0].after
    assert np.allclose(vertices_at(motion, body, 0), after.vertices, atol=1e-4)  # metres
    write_bvh(motion, body, tmp_path / "a.bvh")
    joints = kinematic_joints(motion, body)[0]
    shin = np.linalg.norm(joints[SMPL_24.index("left_knee")] - joints[SMPL_24.index("left_ankle")])
    offset = (tmp_path / "a.bvh").read_text().split("left_ankle")[1].split("OFFSET")[1].split()[:3]
    assert np.linalg.norm(np.array(offset, float)) == pytest.approx(100 * shin, rel=1e-3)  # cm


def test_people_of_whom_more_and_less_is_known_share_a_photo(
    portrait: np.ndarray, fitted: FitResult
) -> None:
    points = np.stack([coco_of(fitted), coco_of(fitted)])
    options = exemplar.FitOptions(height=(1.1, None), iterations=1)
    small, plain = exemplar.fit(portrait, points, options=options).people
    assert small.height == pytest.approx(1.1, abs=0.02)
    (alone,) = exemplar.fit(portrait, points[:1], options=exemplar.FitOptions(iterations=1)).people
    assert np.array_equal(plain.after.vertices, alone.after.vertices)
    assert plain.after.betas.shape == small.after.betas.shape
    with pytest.raises(ValueError, match="given for 2 people, expected one value for all, or 1"):
        exemplar.fit(portrait, points[:1], options=options)


def test_somebody_cut_above_the_hips_stands_where_the_whole_photo_has_them() -> None:
    """The crop is about hips that are outside the picture; one of what is seen alone makes the
    network squeeze a whole body into it, its shoulders 33 to 39 px off."""
    with asset_path("demo.jpg") as path:
        photo = read_image(path)
    options = FitOptions(iterations=0)
    (whole,) = exemplar.fit(photo, options=options).people
    shoulders, hips = np.reshape([SMPL_49.index(n, len(OPENPOSE_25)) for n in TORSO], (2, 2))
    seen = whole.keypoints_2d[:, 1]
    chest = round((seen[shoulders].mean() + seen[hips].mean()) / 2)
    (cut,) = exemplar.fit(photo[:chest], options=options).people
    assert not cut.keypoints_2d[hips, 2].any()
    away = cut.before.joints_2d[shoulders] - whole.before.joints_2d[shoulders]
    assert np.linalg.norm(away, axis=1).max() < 10
