"""Metrics: by hand, against EFT's numbers, against scipy's Procrustes, and degenerate input."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation
from torch import Tensor

from exemplar.geometry.align import similarity_align
from exemplar.metrics import auc_3d, mpjpe, pa_mpjpe, pck_2d, pck_3d, pve
from tests.golden import eft

METRICS = {"mpjpe": mpjpe, "pa_mpjpe": pa_mpjpe, "pve": pve, "pck_3d": pck_3d, "auc_3d": auc_3d}
MASKED = {name: metric for name, metric in METRICS.items() if name != "pve"}
EXACT = 1e-9
"""mm: float64 rounding of metres is 1e-16, of millimetres 1e-13; this leaves room for an SVD."""

TETRAHEDRON = torch.tensor(
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64
)


def people(*batch: int, joints: int = 14) -> tuple[Tensor, Tensor]:
    """Truth of a person's size, and it turned, scaled, moved and disturbed; float64, metres."""
    truth = 0.4 * torch.randn(*batch, joints, 3, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(*batch, 3, 3, dtype=torch.float64)).Q
    turn = turn * torch.det(turn)[..., None, None]
    found = 0.8 * truth @ turn + torch.randn(*batch, 1, 3, dtype=torch.float64)
    return found + 0.05 * torch.randn_like(found), truth


def moved_tetrahedron() -> Tensor:
    """Its second corner moved by 5 mm, its third by 7 mm."""
    moves = torch.zeros_like(TETRAHEDRON)
    moves[1, 0], moves[1, 1], moves[2, 2] = 0.003, 0.004, -0.007
    return TETRAHEDRON + moves


def turned() -> Tensor:
    """A quarter turn about z."""
    return torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def by_scipy(found: Tensor, truth: Tensor) -> float:
    """PA-MPJPE with the rotation of scipy's solver, mm."""
    x, y = (points.numpy() - points.numpy().mean(0) for points in (found, truth))
    rotation, _ = Rotation.align_vectors(y, x)
    x = rotation.apply(x)
    x = x * (x * y).sum() / (x * x).sum()
    return 1000 * float(np.linalg.norm(x - y, axis=1).mean())


# By hand


def test_mpjpe_is_the_mean_distance_in_millimetres() -> None:
    moved = moved_tetrahedron()
    assert mpjpe(moved, TETRAHEDRON).item() == pytest.approx((5 + 7) / 4, abs=EXACT)
    assert pve(moved, TETRAHEDRON).item() == pytest.approx((5 + 7) / 4, abs=EXACT)


def test_only_valid_joints_count() -> None:
    moved = moved_tetrahedron()
    valid = torch.tensor([True, True, False, False])
    assert mpjpe(moved, TETRAHEDRON, valid).item() == pytest.approx(5 / 2, abs=EXACT)
    assert pck_3d(moved, TETRAHEDRON, 4.0, valid).item() == 1 / 2


def test_pa_mpjpe_of_a_similar_figure_is_nothing() -> None:
    found = 1.7 * TETRAHEDRON @ turned() + torch.tensor([3.0, -2.0, 5.0])
    assert pa_mpjpe(found, TETRAHEDRON).item() < EXACT
    assert mpjpe(found, TETRAHEDRON).item() > 1000


def test_pa_mpjpe_of_a_stretched_figure_by_hand() -> None:
    """Four points of a square, two opposite ones pulled out from radius 1 to 1 + e: the best scale
    leaves s - 1 at two and s (1 + e) - 1 at the others, s = (2 + 2 (1 + e)) / (2 + 2 (1 + e)^2)."""
    square = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)
    pulled = square.clone()
    pulled[[0, 2]] *= 1.5
    scale = (1 + 1.5) / (1 + 1.5**2)
    by_hand = 1000 * (abs(scale * 1.5 - 1) + abs(scale - 1)) / 2
    assert pa_mpjpe(pulled, square).item() == pytest.approx(by_hand, abs=EXACT)


def test_pck_counts_joints_below_the_threshold() -> None:
    truth = torch.zeros(4, 3, dtype=torch.float64)
    found = truth.clone()
    found[:, 0] = torch.tensor([0.0, 0.149, 0.151, 0.400])
    assert pck_3d(found, truth).item() == 2 / 4
    assert pck_3d(found, truth, 400.5).item() == 1.0
    assert pck_3d(found[:1], truth[:1], 0.0).item() == 0.0  # below, not at


def test_auc_is_the_mean_of_pck_over_its_thresholds() -> None:
    truth = torch.zeros(3, 3, dtype=torch.float64)
    found = truth.clone()
    found[:, 1] = torch.tensor([0.0, 0.0725, 0.2])  # below 5..150, below 75..150, below none
    by_hand = (30 / 31 + 16 / 31 + 0) / 3
    assert auc_3d(found, truth).item() == pytest.approx(by_hand, abs=1e-12)
    thresholds = [pck_3d(found, truth, 5.0 * step).item() for step in range(31)]
    assert auc_3d(found, truth).item() == pytest.approx(sum(thresholds) / 31, abs=1e-12)


def test_pck_2d_is_of_each_persons_own_size() -> None:
    distances = torch.tensor([[10.0, 20.0, 30.0, 9.0], [10.0, 20.0, 30.0, 9.0]])
    valid = torch.tensor([[True, True, True, True], [True, True, True, False]])
    sizes = torch.tensor([100.0, 200.0])
    assert pck_2d(distances, sizes, valid=valid).tolist() == pytest.approx([2 / 4, 2 / 3])
    assert pck_2d(distances, sizes, 0.3).tolist() == [1.0, 1.0]


# Against other programs


def test_eft_has_the_same_errors() -> None:
    recorded = eft.reference()
    for name in ("pa", "pa17"):
        found, truth = recorded[f"{name}_S1"], recorded[f"{name}_S2"]
        errors = 1000 * recorded[f"{name}_error"]
        # Both are float64; mm of a metre.
        assert torch.allclose(pa_mpjpe(found, truth), errors, rtol=0, atol=EXACT)
    plain = mpjpe(recorded["pa_S1"], recorded["pa_S2"])
    assert torch.allclose(plain, 1000 * recorded["mpjpe_error"], rtol=0, atol=EXACT)
    aligned = similarity_align(recorded["pa_S1"], recorded["pa_S2"])
    assert torch.allclose(aligned, recorded["pa_aligned"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("joints", [4, 14, 17])
def test_scipy_aligns_alike(joints: int) -> None:
    found, truth = people(20, joints=joints)
    errors = pa_mpjpe(found, truth)
    expected = [by_scipy(*pair) for pair in zip(found, truth, strict=True)]
    assert errors.tolist() == pytest.approx(expected, abs=EXACT)


def test_scipys_procrustes_has_the_same_disparity() -> None:
    """Scipy's may mirror, which these people never ask for."""
    found, truth = people(20)
    aligned = similarity_align(found, truth)
    size = (truth - truth.mean(1, keepdim=True)).square().sum((1, 2))
    disparity = (aligned - truth).square().sum((1, 2)) / size
    expected = [procrustes(y.numpy(), x.numpy())[2] for x, y in zip(found, truth, strict=True)]
    assert disparity.tolist() == pytest.approx(expected, abs=1e-12)


def test_a_mirrored_figure_is_not_mirrored_back() -> None:
    found, truth = people(8)
    found = found * torch.tensor([-1.0, 1.0, 1.0])
    errors = pa_mpjpe(found, truth)
    expected = [by_scipy(*pair) for pair in zip(found, truth, strict=True)]
    assert errors.tolist() == pytest.approx(expected, abs=EXACT)
    assert errors.min() > 100  # a mirror would bring them to some 60


# Axioms


def test_pa_mpjpe_does_not_see_a_similarity_of_either() -> None:
    found, truth = people(6)
    errors = pa_mpjpe(found, truth)
    moved = 3.0 * found @ turned() + 1.0
    assert torch.allclose(pa_mpjpe(moved, truth), errors, rtol=0, atol=EXACT)
    assert torch.allclose(pa_mpjpe(found, truth @ turned() - 2.0), errors, rtol=0, atol=EXACT)


def test_leaving_joints_out_is_masking_them() -> None:
    found, truth = people(5, 2)
    valid = torch.ones(5, 2, 14, dtype=torch.bool)
    valid[..., 3:7] = False
    kept = [0, 1, 2, *range(7, 14)]
    spoilt = torch.where(valid[..., None], found, torch.nan)
    for name, metric in MASKED.items():
        fewer = metric(found[..., kept, :], truth[..., kept, :])
        assert torch.allclose(metric(spoilt, truth, valid=valid), fewer, rtol=0, atol=EXACT), name


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_of_any_axes_are_their_people(name: str, dtype: torch.dtype) -> None:
    found, truth = (points.to(dtype) for points in people(2, 3))
    values = METRICS[name](found, truth)
    assert values.shape == (2, 3)
    assert values.dtype == dtype
    alone = METRICS[name](found[1, 2], truth[1, 2])
    assert alone.shape == ()
    # The same arithmetic, but a batch may sum in another order: some last bits of 1e3 mm.
    assert torch.allclose(values[1, 2], alone, rtol=10 * torch.finfo(dtype).eps, atol=0)


def test_single_precision_is_good_to_a_thousandth_of_a_millimetre() -> None:
    found, truth = people(50)
    single = pa_mpjpe(found.float(), truth.float()).double()
    assert (single - pa_mpjpe(found, truth)).abs().max() < 1e-3


# Degenerate


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_joints_in_one_place_go_to_the_mean(dtype: torch.dtype) -> None:
    truth = TETRAHEDRON.to(dtype)
    spread = 1000 * (truth - truth.mean(0)).norm(dim=1).mean()
    flat = torch.full_like(truth, 0.3)
    assert pa_mpjpe(flat, truth).item() == pytest.approx(spread.item(), rel=1e-6)
    assert pa_mpjpe(truth, flat).item() < 1e-3  # float32 of a metre, in mm
    assert pa_mpjpe(flat, flat).item() < 1e-3


def test_joints_in_a_line_and_in_a_plane_are_aligned() -> None:
    line = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None] * torch.tensor([[0.0, 3.0, 0.0]])
    bent = line @ torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    assert pa_mpjpe(line, bent).item() < EXACT
    plane = torch.randn(6, 3, dtype=torch.float64)
    plane[:, 2] = 0.0
    # Within a plane a reflection is a rotation in space.
    mirrored = plane * torch.tensor([-1.0, 1.0, 1.0])
    assert pa_mpjpe(plane, mirrored).item() < EXACT


def test_one_joint_fits_anything() -> None:
    found, truth = people(3, joints=1)
    assert pa_mpjpe(found, truth).abs().max() < EXACT
    valid = torch.zeros(14, dtype=torch.bool)
    valid[4] = True
    found, truth = people()
    assert pa_mpjpe(found, truth, valid).item() < EXACT
    assert mpjpe(found, truth, valid).item() > 1


@pytest.mark.parametrize("name", MASKED)
def test_who_has_no_valid_joint_has_no_error(name: str) -> None:
    found, truth = people(3)
    valid = torch.ones(3, 14, dtype=torch.bool)
    valid[1] = False
    values = MASKED[name](found, truth, valid=valid)
    assert values.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("side", [0, 1])
def test_a_broken_person_breaks_nobody_else(name: str, value: float, side: int) -> None:
    """1e30 m is finite, but its square is not in float32."""
    pair = [points.float() for points in people(4)]
    clean = METRICS[name](*pair)
    pair[side][2, 5, 1] = value
    values = METRICS[name](*pair)
    others = [0, 1, 3]
    assert torch.equal(values[others], clean[others])
    assert values[2].isnan()
