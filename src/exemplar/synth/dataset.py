"""Synthetic photographs with exact truth, drawn one by one from (seed, index)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from exemplar.bodies.body import Body
from exemplar.synth.config import SynthConfig
from exemplar.synth.faces import face_marks
from exemplar.synth.garments import draw_outfit
from exemplar.synth.poses import draw_pose, turn
from exemplar.synth.regions import Regions
from exemplar.synth.render import Canvas, new_canvas, render_person
from exemplar.synth.subjects import (
    MIN_DEPTH,
    Subject,
    draw_subject,
    fabric_noise,
    open_body,
    pose_body,
    regions_of,
    truth_of,
)
from exemplar.synth.surfaces import SceneMesh, dress


@dataclass(frozen=True)
class SynthBatch:
    """Photographs of n people; S is the side of the crops, pixels."""

    images: np.ndarray
    """uint8 (n, S, S, 3), RGB."""
    global_orient: np.ndarray
    """float32 (n, 3, 3): body frame to the crop's camera frame."""
    body_pose: np.ndarray
    """float32 (n, 23, 3, 3): joint rotations relative to the parent."""
    betas: np.ndarray
    """float32 (n, 10)."""
    weak_camera: np.ndarray
    """float32 (n, 3): (s, tx, ty), least squares, u = s X + tx in the crop's [-1, 1]; X is the
    body at its own origin, as `body(params)` gives it."""
    keypoints_2d: np.ndarray
    """float32 (n, 49, 3): x, y in crop pixels and confidence 1, or 0 outside the picture."""
    visible: np.ndarray
    """bool (n, 49): inside the picture and not behind the body itself or an occluder."""
    keypoints_3d: np.ndarray
    """float32 (n, 49, 3): camera frame, metres, relative to the op_mid_hip joint."""
    root: np.ndarray
    """float32 (n, 3): that joint in the camera frame, metres."""
    focal: np.ndarray
    """float32 (n,): pixels of the crop."""
    principal_point: np.ndarray
    """float32 (n, 2): crop pixels."""
    distance: np.ndarray
    """float32 (n,): depth of the root, metres."""
    family: np.ndarray
    """str (n,): name of the pose's family."""


def draw_samples(
    n: int,
    *,
    seed: int,
    start: int = 0,
    body: Body | None = None,
    config: SynthConfig | None = None,
) -> SynthBatch:
    """Draw samples `start` to `start + n` of the endless sequence of a seed.

    Every sample depends on (seed, index, config, body) alone: ranges may be drawn in any order,
    by any number of processes.

    Raises:
        ValueError: n is not positive.
    """
    if n < 1:
        raise ValueError(f"expected n >= 1, got {n}")
    body = open_body() if body is None else body
    config = SynthConfig() if config is None else config
    regions = regions_of(body)
    canvas = new_canvas(config)
    rows = [_draw_sample(seed, start + i, body, regions, config, canvas) for i in range(n)]
    return stack_rows(rows)


def stack_rows(rows: Sequence[Mapping[str, np.ndarray]]) -> SynthBatch:
    """People, each with every field of a batch, as a batch."""
    return SynthBatch(
        **{item.name: np.stack([row[item.name] for row in rows]) for item in fields(SynthBatch)}
    )


def _draw_sample(
    seed: int, index: int, body: Body, regions: Regions, config: SynthConfig, canvas: Canvas
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([seed, index])
    subject = draw_subject(rng, body, config)
    outfit = draw_outfit(rng, regions)
    mesh = dress(subject.posed, outfit, regions, fabric_noise())
    bystander = None
    if rng.random() < config.scene.bystander:
        bystander = _draw_bystander(rng, subject, mesh, body, regions, config)
    picture = render_person(
        rng, mesh, bystander, face_marks(rng, outfit, regions.marks), regions.marks.neck_y,
        subject.crop, subject.up, config, fabric_noise(), canvas,
    )  # fmt: skip
    return truth_of(subject, picture, config)


def _draw_bystander(
    rng: np.random.Generator,
    subject: Subject,
    mesh: SceneMesh,
    body: Body,
    regions: Regions,
    config: SynthConfig,
) -> SceneMesh | None:
    """Somebody else on the same floor; None if they would stand in the camera."""
    draw = draw_pose(rng, body.joints_template.double().numpy(), config.poses)
    betas = np.clip(rng.normal(0, config.poses.betas_std, body.num_betas), -3, 3)
    facing = turn("y", rng.uniform(-np.pi, np.pi)) @ draw.world_orient
    orient = subject.level @ facing
    ahead = rng.uniform(-0.5, 2.0)
    aside = rng.choice([-1.0, 1.0]) * rng.uniform(0.5 if ahead < 0.2 else 0.2, 1.1)
    away = subject.level @ turn("y", rng.normal(0, 0.5)) @ np.array([aside, 0.0, 0.0])
    place = subject.transl + away + np.array([0.0, 0.0, ahead])
    posed = pose_body(body, orient, draw.body_pose, betas, place)
    up = subject.up.astype(np.float32)
    lift = up * ((mesh.vertices @ up).min() - (posed.vertices @ up).min())
    posed = replace(posed, vertices=posed.vertices + lift, offsets=posed.offsets + lift)
    if posed.vertices[:, 2].min() < MIN_DEPTH:
        return None
    return dress(posed, draw_outfit(rng, regions), regions, fabric_noise())
