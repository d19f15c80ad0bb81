"""People of one photo stand beside each other, and the picture stays as it is."""

from dataclasses import replace

import numpy as np
import pytest

from exemplar.bodies import load_open_body
from exemplar.motion import motions_of, vertices_at
from exemplar.results import REJECTED, FitResult
from exemplar.scene.together import HAND_WIDTH, overlaps_among, resized, stand_together
from exemplar.skeletons import SMPL_49
from tests.fixtures.made_results import made_result

BODY = load_open_body()


def people_at(*centres: tuple[float, float]) -> FitResult:
    """People whose feet are not seen, so that no floor tells their size."""
    made = made_result(np.zeros((400, 600, 3), np.uint8), centres, 300.0, steps=2)
    people = [replace(one, keypoints_2d=one.keypoints_2d.copy()) for one in made.people]
    feet = [
        i for i, name in enumerate(SMPL_49) if "ankle" in name or "heel" in name or "toe" in name
    ]
    for person in people:
        person.keypoints_2d[feet, 2] = 0.0
    return replace(made, people=tuple(people))


def placed(result: FitResult) -> FitResult:
    principal_point = np.asarray(result.principal_point)
    together = stand_together(result.people, BODY, result.focal, principal_point)
    return replace(result, people=together.people, overlaps=together.overlaps)


def test_bodies_in_one_place_come_apart_and_are_seen_as_before() -> None:
    alone = people_at((300.0, 200.0), (310.0, 200.0))
    assert overlaps_among(alone.people, BODY)[0].depth > HAND_WIDTH
    result = placed(alone)
    assert overlaps_among(result.people, BODY) == result.overlaps == ()
    factors = [person.size_factor for person in result.people]
    # one comes nearer by as much as the other goes away, and no more than needed
    assert np.prod(factors) == pytest.approx(1.0)
    assert 1.0 < max(factors) < 1.05
    for before, after in zip(alone.people, result.people, strict=True):
        assert after.after.error_px - before.after.error_px < 0.5
        for old, new in zip(before.steps, after.steps, strict=True):
            assert np.abs(new.joints_2d - old.joints_2d).max() < 1.0
            assert np.abs(result.reprojected(new.joints_3d) - new.joints_2d).mean() < 1.0
            depths = new.joints_3d[:, 2].mean() / old.joints_3d[:, 2].mean()
            assert (depths > 1) == (after.size_factor > 1)


def test_people_who_stand_apart_stay_as_they_are() -> None:
    alone = people_at((150.0, 200.0), (450.0, 200.0))
    result = placed(alone)
    assert result.people == alone.people
    assert result.overlaps == ()


def test_somebody_who_is_not_believed_is_in_nobody_s_way() -> None:
    alone = people_at((300.0, 200.0), (310.0, 200.0))
    wrong = replace(alone, people=(replace(alone.people[0], status=REJECTED), alone.people[1]))
    assert placed(wrong).people == wrong.people


def test_three_in_one_place_come_apart_or_it_is_said() -> None:
    result = placed(people_at((300.0, 200.0), (305.0, 200.0), (310.0, 200.0)))
    assert overlaps_among(result.people, BODY) == result.overlaps
    assert max((overlap.depth for overlap in result.overlaps), default=0.0) < 0.15


def test_a_resized_body_says_what_its_numbers_say() -> None:
    """Files keep betas, pose and translation: they must give the mesh that is beside them."""
    alone = people_at((300.0, 200.0))
    person = resized(alone.people[0], BODY, 0.9, alone.focal, np.asarray(alone.principal_point))
    for old, new in zip(alone.people[0].steps, person.steps, strict=True):
        depths = new.joints_3d[:, 2].mean() / old.joints_3d[:, 2].mean()
        assert depths == pytest.approx(0.9, rel=0.02)
    (motion,) = motions_of(replace(alone, people=(person,)))
    assert np.abs(vertices_at(motion, BODY, 0) - person.after.vertices).max() < 1e-4
