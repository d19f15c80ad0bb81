"""The exemplar step inside the training of the lifter's head."""

import pytest
import torch

from exemplar.bodies import load_open_body
from exemplar.regressors.lifter import LifterConfig, LifterHead
from scripts.lifter.inner import Inner, annotated, stepped
from scripts.lifter.losses import NO_BOX, terms_of
from scripts.lifter.noise import guessed
from scripts.lifter.people import simulated
from scripts.lifter.poses import PosePool, families

BODY = load_open_body()


@pytest.fixture(scope="module")
def people():
    pool = PosePool([families(20, 0, BODY)], [1.0])
    noise = guessed(torch.ones(4, 33), torch.zeros(4, 33))
    return simulated(12, pool, noise, BODY, torch.Generator().manual_seed(0))


def head_of(seed: int) -> LifterHead:
    torch.manual_seed(seed)
    head = LifterHead(LifterConfig(hidden=32, blocks=1))
    torch.nn.init.normal_(head.leave.weight, std=0.02)
    return head


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_a_step_of_no_size_changes_nothing(people):
    head = head_of(0).eval()
    found = stepped(head, BODY, people, Inner(0.0), generator())
    assert torch.allclose(found.body_pose, head(people.landmarks, NO_BOX).body_pose, atol=1e-6)


@pytest.mark.parametrize("teacher", [None, 1])
def test_a_step_brings_each_person_nearer_to_the_annotation(people, teacher):
    head = head_of(0).eval()
    auxiliary = None if teacher is None else head_of(teacher).eval()
    target = annotated(people, generator())
    before = terms_of(BODY, head(people.landmarks, NO_BOX), target)["points"]
    found = stepped(head, BODY, people, Inner(1e-4, auxiliary), generator())
    after = terms_of(BODY, found, target)["points"]
    assert float((after < before).float().mean()) > 0.8


def test_the_outer_loss_reaches_the_head_but_not_the_auxiliary(people):
    head, auxiliary = head_of(0).train(), head_of(1).eval()
    found = stepped(head, BODY, people, Inner(1e-4, auxiliary), generator())
    terms_of(BODY, found, people)["joints"].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())
    assert all(p.grad is None for p in auxiliary.parameters())


def test_annotators_see_limbs_only_and_miss_some(people):
    seen = annotated(people, generator()).points[..., 2]
    assert 0 < int((seen > 0).sum()) < 12 * len(people)
