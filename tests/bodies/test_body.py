"""Skinning and keypoints, on a small random body with every feature and on the open body."""

import pytest
import torch

from exemplar.bodies import Body, BodyArrays, BodyParams, load_body, load_open_body
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.skeletons import JOINT_SETS, SMPL_24, SMPL_24_PARENTS, flip_permutation


def small_body(*, vertices: int = 30, matrix: torch.Tensor | None = None) -> Body:
    """A random body with pose correctives and a keypoint set over joints and vertices."""
    joints, dtype = len(SMPL_24), torch.float64
    template = torch.randn(vertices, 3, dtype=dtype)
    weights = torch.rand(vertices, joints, dtype=dtype) ** 8
    if matrix is None:
        matrix = torch.randn(7, joints + vertices, dtype=dtype)
        matrix[0] = 0
    return Body(
        BodyArrays(
            v_template=template,
            shapedirs=torch.randn(vertices, 3, 10, dtype=dtype) * 0.02,
            posedirs=torch.randn(vertices, 3, 9 * (joints - 1), dtype=dtype) * 0.01,
            joints_template=torch.randn(joints, 3, dtype=dtype),
            joints_shapedirs=torch.randn(joints, 3, 10, dtype=dtype) * 0.02,
            skinning_weights=weights / weights.sum(1, keepdim=True),
            parents=SMPL_24_PARENTS,
            faces=torch.zeros(1, 3, dtype=torch.long),
            regressors={"seven": matrix},
        ),
        name="small",
    )


def random_params(
    count: int, dtype: torch.dtype = torch.float64, spread: float = 0.5
) -> BodyParams:
    rotmats = axis_angle_to_rotmat(torch.randn(count, len(SMPL_24), 3, dtype=dtype) * spread)
    return BodyParams(rotmats[:, 0], rotmats[:, 1:], torch.randn(count, 10, dtype=dtype))


def rest_params(count: int, dtype: torch.dtype = torch.float32) -> BodyParams:
    eye = torch.eye(3, dtype=dtype).repeat(count, len(SMPL_24), 1, 1)
    return BodyParams(eye[:, 0], eye[:, 1:], torch.zeros(count, 10, dtype=dtype))


def loop_lbs(body: Body, params: BodyParams, i: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints and vertices of one body, joint by joint with 4x4 matrices (Loper et al., Eq. 2-4)."""
    shaped = body.v_template + body.shapedirs @ params.betas[i]
    rest = body.joints_template + body.joints_shapedirs @ params.betas[i]
    if body.posedirs is not None:
        eye = torch.eye(3, dtype=shaped.dtype)
        shaped = shaped + body.posedirs @ (params.body_pose[i] - eye).flatten()
    world: list[torch.Tensor] = []
    for j, parent in enumerate(body.parents):
        local = torch.eye(4, dtype=shaped.dtype)
        local[:3, :3] = params.global_orient[i] if parent < 0 else params.body_pose[i, j - 1]
        local[:3, 3] = rest[j] if parent < 0 else rest[j] - rest[parent]
        world.append(local if parent < 0 else world[parent] @ local)
    transforms = torch.stack(world)
    joints = transforms[:, :3, 3]
    moved = transforms.clone()
    moved[:, :3, 3] -= (transforms[:, :3, :3] @ rest[..., None])[..., 0]
    blended = torch.einsum("vj,jab->vab", body.skinning_weights, moved)
    return joints, (blended[:, :3, :3] @ shaped[..., None])[..., 0] + blended[:, :3, 3]


def test_skinning_equals_the_joint_by_joint_definition() -> None:
    body, params = small_body(), random_params(3)
    posed = body(params)
    for i in range(3):
        joints, vertices = loop_lbs(body, params, i)
        # float64: only the order of sums differs
        assert torch.allclose(posed.joints[i], joints, atol=1e-12)
        assert torch.allclose(posed.vertices[i], vertices, atol=1e-12)


def test_keypoints_without_the_mesh_equal_keypoints_from_the_mesh() -> None:
    matrix = torch.randn(7, len(SMPL_24) + 30, dtype=torch.float64)
    body, params = small_body(matrix=matrix), random_params(4)
    posed = body(params)
    from_mesh = matrix @ torch.cat((posed.joints, posed.vertices), dim=1)
    assert torch.allclose(body.keypoints(params, "seven"), from_mesh, atol=1e-11)


def test_the_layer_passes_gradcheck_in_float64() -> None:
    body = small_body(vertices=5)

    def run(axis_angle: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
        rotmats = axis_angle_to_rotmat(axis_angle)
        params = BodyParams(rotmats[:, 0], rotmats[:, 1:], betas)
        posed = body(params)
        return torch.cat((posed.joints, posed.vertices, body.keypoints(params, "seven")), dim=1)

    axis_angle = (torch.randn(1, 24, 3, dtype=torch.float64) * 0.3).requires_grad_()
    betas = torch.randn(1, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (axis_angle, betas), fast_mode=True)


def test_translation_moves_everything() -> None:
    body, params = small_body(), random_params(2)
    shift = torch.tensor([[1.0, 2, 3], [4, 5, 6]]).double()
    moved = BodyParams(params.global_orient, params.body_pose, params.betas, shift)
    assert torch.allclose(body(moved).vertices, body(params).vertices + shift[:, None])
    expected = body.keypoints(params, "seven") + shift[:, None]
    assert torch.allclose(body.keypoints(moved, "seven"), expected)


def test_an_undefined_keypoint_is_marked_unavailable() -> None:
    body = small_body()
    assert body.available("seven").tolist() == [0, 1, 1, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="no keypoint set 'eight'"):
        body.available("eight")


def test_the_open_body_has_the_smpl_layout() -> None:
    body = load_open_body()
    assert body.parents == SMPL_24_PARENTS
    assert body.num_betas == 10
    assert torch.allclose(body.skinning_weights.sum(1), torch.ones(len(body.v_template)), atol=1e-6)
    for name in ("smpl49", "h36m17", "coco17", "blazepose33"):
        assert body.keypoints(rest_params(1), name).shape == (1, len(JOINT_SETS[name]), 3)
        assert bool((body.available(name) == 1).all())


def test_the_open_body_is_upright_adult_and_faces_forward() -> None:
    body = load_open_body()
    vertices = body.v_template
    height = float(vertices[:, 1].max() - vertices[:, 1].min())
    assert 1.6 < height < 1.8
    points = dict(
        zip(JOINT_SETS["coco17"], body.keypoints(rest_params(1), "coco17")[0], strict=True)
    )
    assert points["nose"][2] > points["left_ear"][2]
    assert points["left_wrist"][0] > 0.5 > -0.5 > points["right_wrist"][0]
    assert points["nose"][1] > points["left_hip"][1] > points["left_ankle"][1]


@pytest.mark.parametrize("name", ["smpl49", "h36m17", "coco17", "blazepose33"])
def test_open_keypoints_are_mirror_images(name: str) -> None:
    points = load_open_body().keypoints(rest_params(1), name)[0]
    mirrored = points[flip_permutation(JOINT_SETS[name])] * torch.tensor([-1.0, 1, 1])
    # the decimated mesh is not exactly symmetric: a few millimetres
    assert float((points - mirrored).norm(dim=1).max()) < 0.008


def test_the_faces_of_the_open_body_look_outward() -> None:
    body = load_open_body()
    corners = body.v_template[body.faces]
    volume = torch.einsum(
        "fi,fi->f", corners[:, 0], torch.linalg.cross(corners[:, 1], corners[:, 2])
    )
    assert 0.04 < float(volume.sum() / 6) < 0.12  # cubic metres: a positive body of 40 to 120 kg


def test_a_body_is_chosen_by_name_or_file(tmp_path: object) -> None:
    assert load_body("open").name == "open"
    with pytest.raises(FileNotFoundError, match="no SMPL file"):
        load_body(f"{tmp_path}/none.npz")
