"""Age, gender and height tell which shapes to expect."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from exemplar.assets import asset_path
from exemplar.bodies import Body, BodyParams, load_open_body
from exemplar.bodies.open_body import open_body_arrays
from exemplar.bodies.shape_prior import Traits, height_at_rest, shape_prior
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.skeletons import SMPL_24

OF_THE_NETWORKS = "bae604a5c39355861e4543ce463cb0bec04b9d78590d598c5b6002af9f5e5358"
"""SHA-256 of the arrays with which the shipped networks were trained."""

BODY = load_open_body()


def expected(**traits: object) -> torch.Tensor:
    return shape_prior(BODY, Traits(**traits)).mean.float()  # type: ignore[arg-type]


def height(betas: torch.Tensor) -> float:
    return float(height_at_rest(BODY, betas))


def posed(betas: torch.Tensor) -> BodyParams:
    angles = 0.4 * torch.randn(24, 3, generator=torch.Generator().manual_seed(2))
    rotmats = axis_angle_to_rotmat(angles).expand(len(betas), -1, 3, 3)
    return BodyParams(rotmats[:, 0], rotmats[:, 1:], betas)


def test_what_the_networks_were_trained_on_is_as_it_was() -> None:
    sums = hashlib.sha256()
    with asset_path("open_body.npz") as path, np.load(path) as file:
        for name in sorted(file.files):
            if not name.startswith(("further_", "people_", "meta")):
                array = file[name]
                sums.update(name.encode() + str(array.dtype).encode() + array.tobytes())
        assert path.stat().st_size < 1_500_000
    assert sums.hexdigest() == OF_THE_NETWORKS


def test_betas_that_are_not_given_are_zero() -> None:
    short = torch.randn(3, BODY.num_betas, generator=torch.Generator().manual_seed(0))
    long = torch.nn.functional.pad(short, (0, BODY.most_betas - BODY.num_betas))
    assert torch.equal(BODY(posed(short)).vertices, BODY(posed(long)).vertices)
    assert torch.equal(BODY.keypoints(posed(short)), BODY.keypoints(posed(long)))
    assert not BODY.takes(BODY.num_betas - 1)
    assert not BODY.takes(BODY.most_betas + 1)


@pytest.mark.parametrize("name", ["smpl49", "blazepose33"])
def test_keypoints_move_with_the_mesh_under_all_betas(name: str) -> None:
    betas = torch.randn(3, BODY.most_betas, generator=torch.Generator().manual_seed(1))
    output = BODY(posed(betas))
    points = torch.cat((output.joints, output.vertices), 1)
    wanted = torch.einsum("kn,bnc->bkc", open_body_arrays().regressors[name], points)
    assert torch.allclose(BODY.keypoints(posed(betas), name), wanted, atol=1e-5)  # metres


@pytest.mark.parametrize("metres", [0.75, 1.1, 1.5, 1.8, 2.05])
@pytest.mark.parametrize("more", [{}, {"gender": "female"}])
def test_a_height_that_is_asked_is_the_height_expected(
    metres: float, more: dict[str, object]
) -> None:
    assert height(expected(height=metres, **more)) == pytest.approx(metres, abs=0.005)


@pytest.mark.parametrize(
    ("age", "metres"), [(2, 0.87), (5, 1.10), (8, 1.275), (12, 1.50), (20, 1.70), (40, 1.70)]
)
def test_people_of_an_age_are_as_tall_as_the_who_says(age: float, metres: float) -> None:
    """The median of boys and girls; 5 cm: the population is anny's."""
    assert height(expected(age=age)) == pytest.approx(metres, abs=0.05)


def test_men_are_taller_than_women() -> None:
    taller = height(expected(gender="male")) - height(expected(gender="female"))
    assert 0.08 < taller < 0.18


def test_a_childs_head_is_large_for_it() -> None:
    def share(betas: torch.Tensor) -> float:
        """Of the head, above its joint, in the height."""
        eye = torch.eye(3)
        rest = BODY(BodyParams(eye, eye.expand(23, 3, 3), betas))
        top = rest.vertices[:, 1].max() - rest.joints[SMPL_24.index("head"), 1]
        return float(top) / height(betas)

    small, adult = expected(height=0.95), torch.zeros(BODY.num_betas)
    assert share(small) > 1.25 * share(adult)


def test_more_that_is_said_leaves_less_open() -> None:
    def spread(**traits: object) -> float:
        covariance = shape_prior(BODY, Traits(**traits)).covariance  # type: ignore[arg-type]
        assert float(torch.linalg.eigvalsh(covariance).min()) > 0
        return float(covariance.trace())

    assert spread(age=8, gender="male", height=1.3) < spread(age=8, gender="male")


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"age": -3}, r"age -3: expected 0 to 120 years"),
        ({"age": float("nan")}, "age nan: expected"),
        ({"height": 17}, r"height 17: expected 0.4 to 2.6 metres"),
        ({"gender": "x"}, "gender 'x': expected male or female"),
    ],
)
def test_what_nobody_is_gives_one_line(traits: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Traits(**traits)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_bodies_without_a_population_refuse() -> None:
    other = Body(replace(open_body_arrays(), population=None), name="mine.npz")
    with pytest.raises(ValueError, match=r"for the open body: of mine\.npz it is not known"):
        shape_prior(other, Traits(age=5))
