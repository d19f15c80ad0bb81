"""Synthetic photographs: repeatable, and their truth is true."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from exemplar.bodies.body import BodyParams
from exemplar.bodies.open_body import load_open_body
from exemplar.skeletons import SMPL_49, indices
from exemplar.synth import (
    PoseConfig,
    SceneConfig,
    SynthBatch,
    SynthConfig,
    ViewConfig,
    draw_samples,
    render,
)
from exemplar.synth.poses import FAMILIES

ROOT = indices(["op_mid_hip"], SMPL_49)[0]
SIZE = SynthConfig().image_size


@pytest.fixture(scope="module")
def batch() -> SynthBatch:
    return draw_samples(24, seed=3)


def test_arrays_have_their_documented_shapes(batch: SynthBatch) -> None:
    assert batch.images.shape == (24, SIZE, SIZE, 3)
    assert batch.images.dtype == np.uint8
    assert batch.body_pose.shape == (24, 23, 3, 3)
    assert batch.keypoints_2d.shape == (24, 49, 3)
    assert batch.visible.shape == (24, 49)
    assert batch.visible.dtype == bool
    for item in fields(SynthBatch):
        assert len(getattr(batch, item.name)) == 24


def test_a_sample_depends_on_seed_and_index_alone(batch: SynthBatch) -> None:
    parts = [draw_samples(2, seed=3, start=5), draw_samples(1, seed=3, start=7)]
    for item in fields(SynthBatch):
        joined = np.concatenate([getattr(part, item.name) for part in parts])
        assert np.array_equal(joined, getattr(batch, item.name)[5:8]), item.name
    assert not np.array_equal(draw_samples(1, seed=4).images, batch.images[:1])


def test_threads_do_not_change_a_sample(batch: SynthBatch) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = draw_samples(2, seed=3)
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(again.images, batch.images[:2])


def test_keypoints_project_where_they_are_drawn(batch: SynthBatch) -> None:
    """float32 at 256 px: 0.01 px."""
    points = (batch.keypoints_3d + batch.root[:, None]).astype(np.float64)
    pixels = points[..., :2] / points[..., 2:] * batch.focal[:, None, None]
    pixels = pixels + batch.principal_point[:, None]
    near = np.abs(pixels).max(-1) < 1000
    assert np.abs(pixels - batch.keypoints_2d[..., :2])[near].max() < 0.01


def test_the_body_parameters_give_the_keypoints(batch: SynthBatch) -> None:
    """float32 skinning of a metre-sized body: 1e-5 m."""
    params = BodyParams(
        torch.from_numpy(batch.global_orient),
        torch.from_numpy(batch.body_pose),
        torch.from_numpy(batch.betas),
    )
    points = load_open_body().keypoints(params, "smpl49").numpy()
    assert np.abs(points - points[:, [ROOT]] - batch.keypoints_3d).max() < 1e-5


def test_the_weak_camera_is_close_for_distant_people() -> None:
    config = SynthConfig(views=ViewConfig(distance=(40.0, 60.0), off_axis=0.0))
    far = draw_samples(3, seed=1, config=config)
    params = BodyParams(
        torch.from_numpy(far.global_orient),
        torch.from_numpy(far.body_pose),
        torch.from_numpy(far.betas),
    )
    points = load_open_body().keypoints(params, "smpl49").numpy()
    scale, shift = far.weak_camera[:, None, :1], far.weak_camera[:, None, 1:]
    pixels = (scale * points[..., :2] + shift + 1) * SIZE / 2
    # perspective over a body of +-1 m at 40 m and more bends pixels by some 1/40 of 100 px
    assert np.abs(pixels - far.keypoints_2d[..., :2]).max() < 5


def test_confidence_says_what_is_in_the_picture(batch: SynthBatch) -> None:
    xy, confidence = batch.keypoints_2d[..., :2], batch.keypoints_2d[..., 2]
    outside = ((xy < 0) | (xy >= SIZE)).any(-1)
    assert set(np.unique(confidence)) <= {0.0, 1.0}
    assert (confidence[outside] == 0).all()
    assert not batch.visible[confidence == 0].any()
    assert 0.3 < batch.visible.mean() < 0.95


def test_visible_keypoints_lie_on_the_drawn_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same draw with and without its person differs where the person is."""
    bare = SceneConfig(**dict.fromkeys((item.name for item in fields(SceneConfig)), 0.0))
    views = ViewConfig(truncated=0.0, image_border=0.0)
    config = SynthConfig(scene=bare, views=views, poses=PoseConfig(families={"standing": 1.0}))
    shown = draw_samples(6, seed=2, config=config)

    def leave_out(background: np.ndarray, rgb: np.ndarray, coverage: np.ndarray, gain) -> None:
        background *= gain

    monkeypatch.setattr(render, "over_background", leave_out)
    empty = draw_samples(6, seed=2, config=config)
    changed = np.abs(shown.images.astype(int) - empty.images).max(-1) > 2
    on_person = []
    for i in range(6):
        x, y = shown.keypoints_2d[i, shown.visible[i], :2].astype(int).T
        on_person.append(changed[i, y, x])
    assert np.concatenate(on_person).mean() > 0.9  # colours may agree by chance


def test_every_family_occurs_and_only_those_asked_for() -> None:
    config = SynthConfig(image_size=32, antialias=1)
    drawn = draw_samples(150, seed=0, config=config)
    assert set(drawn.family) == set(FAMILIES)
    only = SynthConfig(image_size=32, antialias=1, poses=PoseConfig(families={"lying": 1.0}))
    assert set(draw_samples(3, seed=0, config=only).family) == {"lying"}


def test_pictures_have_contrast_and_differ(batch: SynthBatch) -> None:
    spread = batch.images.reshape(24, -1).std(1)
    assert (spread > 4).all()
    assert len({image.tobytes() for image in batch.images}) == 24


def test_asking_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="n >= 1"):
        draw_samples(0, seed=0)
