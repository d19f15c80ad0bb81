"""SMPL+H and SMPL-X as bodies of 24 joints, on small random bodies of their joints."""

from pathlib import Path

import numpy as np
import pytest
import torch

from exemplar.bodies import Body, BodyArrays, BodyParams, load_open_body, load_smpl
from exemplar.bodies.key_vertices import key_vertices
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.skeletons import SMPL_24, SMPL_49, SMPLH_52, SMPLX_55, hand_parents

VERTICES = 400
BODY = len(SMPLH_52) - 30
"""Joints before those of the fingers, in SMPL+H."""


def file_of(names: tuple[str, ...], *, mixed: bool, mean: bool) -> dict[str, np.ndarray]:
    """Random numbers in the layout of a file; `mixed` vertices follow joints of hands and arms."""
    rng = np.random.default_rng(0)
    joints = len(names)
    weights = rng.random((VERTICES, joints)) ** 8
    if not mixed:
        side = rng.integers(0, 3, VERTICES)
        hands = [
            [
                name == f"{side}_wrist" or (name.startswith(side) and name[-1] in "123")
                for name in names
            ]
            for side in ("left", "right")
        ]
        on_hand = np.array([*hands, ~np.any(hands, axis=0)])
        weights = weights * on_hand[side]
    regressor = rng.random((joints, VERTICES))
    table = np.stack([np.array(hand_parents(names)), np.arange(joints)]) % 2**32
    return {
        "v_template": rng.standard_normal((VERTICES, 3)),
        "f": rng.integers(0, VERTICES, (50, 3)).astype(np.uint32),
        "weights": weights / weights.sum(1, keepdims=True),
        "shapedirs": rng.standard_normal((VERTICES, 3, 20)) * 0.1,
        "posedirs": rng.standard_normal((VERTICES, 3, 9 * (joints - 1))) * 0.1,
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "kintree_table": table.astype(np.uint32),
        **({f"hands_mean{x}": rng.standard_normal(45) * 0.4 for x in "lr"} if mean else {}),
    }


def full_body(data: dict[str, np.ndarray]) -> Body:
    """All joints of a file as they are."""
    numbers = {name: torch.from_numpy(value) for name, value in data.items() if name != "f"}
    regressor, shapedirs = numbers["J_regressor"], numbers["shapedirs"][..., :10]
    parents = data["kintree_table"][0].astype(np.int64)
    return Body(
        BodyArrays(
            v_template=numbers["v_template"],
            shapedirs=shapedirs,
            posedirs=numbers["posedirs"],
            joints_template=regressor @ numbers["v_template"],
            joints_shapedirs=torch.einsum("jv,vcb->jcb", regressor, shapedirs),
            skinning_weights=numbers["weights"],
            parents=(-1, *(int(p) for p in parents[1:])),
            faces=torch.from_numpy(data["f"].astype(np.int64)),
            regressors={},
        ),
        name="full",
    )


def random_params() -> BodyParams:
    rotmats = axis_angle_to_rotmat(torch.randn(3, len(SMPL_24), 3, dtype=torch.float64))
    return BodyParams(rotmats[:, 0], rotmats[:, 1:], torch.randn(3, 10, dtype=torch.float64))


@pytest.mark.parametrize("names", [SMPLH_52, SMPLX_55])
@pytest.mark.parametrize(("mixed", "mean"), [(True, False), (False, True)])
def test_24_joints_pose_the_body_as_all_of_its_joints_do(
    tmp_path: Path, names: tuple[str, ...], mixed: bool, mean: bool
) -> None:
    data = file_of(names, mixed=mixed, mean=mean)
    np.savez(tmp_path / "body.npz", **data)
    body, params = load_smpl(tmp_path / "body.npz", dtype=torch.float64), random_params()
    kept = torch.eye(3, dtype=torch.float64).repeat(3, len(names) - 1, 1, 1)
    kept[:, : BODY - 1] = params.body_pose[:, : BODY - 1]
    if mean:
        hands = np.concatenate((data["hands_meanl"], data["hands_meanr"])).reshape(30, 3)
        kept[:, -30:] = axis_angle_to_rotmat(torch.from_numpy(hands))
    expected = full_body(data)(BodyParams(params.global_orient, kept, params.betas))
    found = body(params)
    assert torch.allclose(found.vertices, expected.vertices, atol=1e-12)
    where = {"left_hand": "left_middle1", "right_hand": "right_middle1"}
    rows = [names.index(where.get(name, name)) for name in SMPL_24]
    assert torch.allclose(found.joints, expected.joints[:, rows], atol=1e-12)


def test_smplx_has_the_keypoints_that_its_mesh_tells(tmp_path: Path) -> None:
    """SPIN's regressors are for SMPL's mesh: those beside the file are not taken."""
    np.savez(tmp_path / "body.npz", **file_of(SMPLX_55, mixed=False, mean=True))
    np.save(tmp_path / "J_regressor_extra.npy", np.ones((9, 6890)))
    body = load_smpl(tmp_path / "body.npz")
    has = dict(zip(SMPL_49, body.available("smpl49").tolist(), strict=True))
    assert all(has[name] for name in SMPL_49 if name.startswith("op_"))
    assert {name for name in has if not has[name]} == {
        "right_hip", "left_hip", "neck", "head_top", "pelvis", "thorax", "spine", "jaw", "head",
    }  # fmt: skip


def test_key_vertices_lie_at_the_keypoints() -> None:
    """On the open body, whose keypoints were measured."""
    body = load_open_body()
    eye = torch.eye(3).repeat(1, len(SMPL_24), 1, 1)
    params = BodyParams(eye[:, 0], eye[:, 1:], torch.zeros(1, 10))
    keypoints = dict(zip(SMPL_49, body.keypoints(params)[0], strict=True))
    found = key_vertices(body.v_template, body.skinning_weights)
    assert len(found) == 9
    for name, vertex in found.items():
        gap = (body.v_template[vertex] - keypoints[f"op_{name}"]).norm()
        assert gap < 0.02, name  # the ears' keypoint is 17 mm inside of the outermost vertex
