"""Broken exemplars: a status each, finite numbers, and the others unchanged to the bit."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch

from exemplar.bodies import Body, load_open_body
from exemplar.fitting.dual import DualConfig, fit_dual
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.fitting.fits import Acceptance, Fits
from exemplar.fitting.inputs import checked
from exemplar.results import BAD_INPUT, NOTHING_TO_FIT, OK
from exemplar.samples import Batch
from exemplar.skeletons import GT_24, OPENPOSE_25
from tests.fitting.toy import ToyConvNet, exemplar_of, people

BAD_ROW = 1
EVERYTHING = Acceptance(torch.inf, torch.inf)
KNEE = len(OPENPOSE_25) + GT_24.index("left_knee")


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body()


def batch_of(body: Body) -> Batch:
    torch.manual_seed(3)
    return exemplar_of(body, people(3, torch.float32))


def keypoints(value: float, column: int, rows: slice | int) -> Callable[[Batch], Batch]:
    def spoil(batch: Batch) -> Batch:
        points = batch.keypoints_2d.clone()
        points[BAD_ROW, rows, column] = value
        return replace(batch, keypoints_2d=points)

    return spoil


def box(name: str, value: float) -> Callable[[Batch], Batch]:
    def spoil(batch: Batch) -> Batch:
        field = getattr(batch.box, name).clone()
        field[BAD_ROW] = value
        return replace(batch, box=replace(batch.box, **{name: field}))

    return spoil


def single_joint(batch: Batch) -> Batch:
    points = batch.keypoints_2d.clone()
    points[BAD_ROW, :, 2] = 0
    points[BAD_ROW, KNEE, 2] = 1
    return replace(batch, keypoints_2d=points)


def nan_image(batch: Batch) -> Batch:
    image = batch.image.clone()
    image[BAD_ROW, 0, 0, 0] = torch.nan
    return replace(batch, image=image)


CASES = {
    "nan keypoint": (keypoints(torch.nan, 0, KNEE), BAD_INPUT),
    "infinite keypoint": (keypoints(torch.inf, 1, KNEE), BAD_INPUT),
    "all keypoints nan": (keypoints(torch.nan, 0, slice(None)), BAD_INPUT),
    "nan confidence": (keypoints(torch.nan, 2, KNEE), BAD_INPUT),
    "negative confidence": (keypoints(-1.0, 2, KNEE), BAD_INPUT),
    "no confidence": (keypoints(0.0, 2, slice(None)), NOTHING_TO_FIT),
    "a single joint": (single_joint, NOTHING_TO_FIT),
    "box without extent": (box("size", 0.0), BAD_INPUT),
    "box of negative size": (box("size", -3.0), BAD_INPUT),
    "nan box": (box("centre", torch.nan), BAD_INPUT),
    "infinite box": (box("size", torch.inf), BAD_INPUT),
    "nan image": (nan_image, BAD_INPUT),
}


def eft(body: Body, batch: Batch, chunk: int) -> Fits:
    torch.manual_seed(1)
    net = ToyConvNet().eval()
    config = EftConfig(learning_rate=1e-3, iterations=3, acceptance=EVERYTHING)
    return fit_exemplars(net, body, batch, config, history=True, chunk_size=chunk)


def dual(body: Body, batch: Batch, chunk: int) -> Fits:
    torch.manual_seed(1)
    net, auxiliary = ToyConvNet().eval(), ToyConvNet().eval()
    config = replace(DualConfig.released(), adam_iterations=2, acceptance=EVERYTHING)
    return fit_dual(net, auxiliary, body, batch, config, history=True, chunk_size=chunk)


@cache
def undisturbed(fit: Callable[..., Fits], chunk: int) -> Fits:
    body = load_open_body()
    return fit(body, batch_of(body), chunk)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fit", [eft, dual])
@pytest.mark.parametrize("chunk", [1, 3])
def test_a_broken_exemplar_has_a_status_and_harms_nobody(
    body: Body, case: str, fit: Callable[..., Fits], chunk: int
) -> None:
    spoil, status = CASES[case]
    good, bad = undisturbed(fit, chunk), fit(body, spoil(batch_of(body)), chunk)
    assert good.status == (OK, OK, OK)
    assert bad.status == (OK, status, OK)
    assert int(bad.trace.updates[BAD_ROW]) == 0
    others = [0, 2]
    for name, value in vars(bad.trace.iterates.prediction).items():
        assert bool(torch.isfinite(value).all()), name
        assert torch.equal(value[others], vars(good.trace.iterates.prediction)[name][others])
    evaluation = bad.trace.iterates.evaluation
    assert bool(torch.isfinite(evaluation.loss).all())
    assert torch.equal(evaluation.loss[others], good.trace.iterates.evaluation.loss[others])


def test_a_missing_keypoint_may_hold_anything(body: Body) -> None:
    """Zero confidence says that the coordinates mean nothing: NaN there is not broken."""
    batch = batch_of(body)
    absent = batch.keypoints_2d.clone()
    absent[BAD_ROW, KNEE] = 0
    wild = absent.clone()
    wild[BAD_ROW, KNEE, :2] = torch.nan
    first, second = (eft(body, replace(batch, keypoints_2d=k), 3) for k in (absent, wild))
    assert second.status == (OK, OK, OK)
    assert torch.equal(first.after.prediction.betas, second.after.prediction.betas)


def test_broken_3d_joints_are_broken_input(body: Body) -> None:
    batch = batch_of(body)
    joints = torch.ones(3, len(GT_24), 4)
    whole = replace(batch, joints_3d=joints)
    assert checked(whole)[1].tolist() == [False, False, False]
    spoilt = joints.clone()
    spoilt[BAD_ROW, 4, 1] = torch.inf
    clean, broken = checked(replace(batch, joints_3d=spoilt))
    assert broken.tolist() == [False, True, False]
    assert clean.joints_3d is not None
    assert bool(torch.isfinite(clean.joints_3d).all())
    spoilt[BAD_ROW, 4, 3] = 0
    assert checked(replace(batch, joints_3d=spoilt))[1].tolist() == [False, False, False]


def test_extreme_fits_are_rejected(body: Body) -> None:
    batch = batch_of(body)
    net = ToyConvNet().eval()
    with torch.no_grad():
        net.head.out.bias[-4] = 7.0  # a beta
    config = EftConfig(learning_rate=1e-3, iterations=1)
    assert fit_exemplars(net, body, batch, config).status == ("rejected",) * 3
    lenient = replace(config, acceptance=Acceptance(9.0, 1e9))
    assert fit_exemplars(net, body, batch, lenient).status == (OK,) * 3
    strict = replace(config, acceptance=Acceptance(9.0, 1e-9))
    assert fit_exemplars(net, body, batch, strict).status == ("rejected",) * 3


def test_keypoints_that_a_network_is_shown_are_as_clean_as_the_fits(body: Body) -> None:
    """Those that are missing may be anything, also there."""
    batch = keypoints(torch.nan, 0, slice(None))(batch_of(body))
    missing = batch.keypoints_2d.clone()
    missing[0, :3] = missing.new_tensor([torch.nan, torch.inf, 0.0])
    clean, broken = checked(replace(batch, keypoints_2d=missing).with_keypoints_shown())
    assert broken.tolist() == [False, True, False]
    assert clean.box.keypoints is not None
    assert torch.equal(clean.box.keypoints, clean.keypoints_2d)
    assert torch.isfinite(clean.box.keypoints).all()
