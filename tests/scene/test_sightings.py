"""Following people from frame to frame, with made readings in place of the networks'."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from exemplar.detect.landmarks import DetectedPerson, Reading, box_of
from exemplar.detect.pose_finder import square
from exemplar.geometry.crops import Box
from exemplar.scene import sightings
from exemplar.scene.sightings import REREAD, Sighting, median_gap, sightings_in, with_fresh
from exemplar.skeletons import BLAZEPOSE_33

PIXELS = np.zeros((400, 600, 3), np.uint8)


def body(x: float, y: float = 200.0, height: float = 200.0) -> np.ndarray:
    """Landmarks (33, 3) of somebody upright, all seen."""
    spots = np.random.default_rng(0).uniform(-0.2, 0.2, (len(BLAZEPOSE_33), 2))
    for i, name in enumerate(BLAZEPOSE_33):
        level = {"shoulder": -0.3, "hip": 0.0, "knee": 0.25, "ankle": 0.45, "heel": 0.48}
        spots[i, 1] = level.get(name.rpartition("_")[2], -0.45 if "eye" in name else spots[i, 1])
    return np.column_stack((spots * height + (x, y), np.full(len(spots), 0.9)))


def sighting(keypoints: np.ndarray) -> Sighting:
    box = box_of(keypoints)
    assert box is not None
    crop = np.array([*box.centre.tolist(), float(box.size), float(box.angle)])
    # the picture is black
    return Sighting(keypoints.astype(np.float32), 0.9, np.eye(64)[0], crop)


@pytest.fixture
def see(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Sets what is read in each crop and found in the picture; gives the number of looks."""

    def set_up(read: Callable[[Box], Reading], found: list[np.ndarray]) -> list[int]:
        looks = [0]

        def find(pixels: np.ndarray) -> list[DetectedPerson]:
            looks[0] += 1
            return [DetectedPerson(k, 0.9, square(0.0, 0.0, 100.0)) for k in found]

        monkeypatch.setattr(sightings, "read_landmarks", lambda p, boxes: [read(b) for b in boxes])
        monkeypatch.setattr(sightings, "find_people", find)
        return looks

    return set_up


def test_who_is_followed_needs_no_look(see: Callable[..., list[int]]) -> None:
    looks = see(lambda box: Reading(body(205), 0.9, box), [])
    (person,) = sightings_in(PIXELS, [sighting(body(200))], look=False)
    assert looks == [0]
    assert person.keypoints[0, 0] == pytest.approx(body(205)[0, 0], abs=1e-3)


@pytest.mark.parametrize(
    ("presence", "x"), [(0.1, 205.0), (0.9, 420.0), (0.9, 700.0)], ids=["gone", "far", "outside"]
)
def test_who_is_lost_is_looked_for(
    see: Callable[..., list[int]], presence: float, x: float
) -> None:
    looks = see(lambda box: Reading(body(x), presence, box), [body(240)])
    (person,) = sightings_in(PIXELS, [sighting(body(200))], look=False)
    assert looks == [1]
    assert person.keypoints[0, 0] == pytest.approx(body(240)[0, 0], abs=1e-3)


def test_two_who_are_read_as_one_are_one(see: Callable[..., list[int]]) -> None:
    see(lambda box: Reading(body(205), 0.9, box), [])
    before = [sighting(body(230)), sighting(body(204))]
    assert len(sightings_in(PIXELS, before, look=False)) == 1


def test_a_reading_that_slides_onto_somebody_else_is_not_followed(
    see: Callable[..., list[int]],
) -> None:
    looks = see(lambda box: Reading(body(205), 0.9, box), [])
    other_colours = np.eye(64)[0]
    before = replace(sighting(body(200)), colour=other_colours * 0.5 + np.eye(64)[63] * 0.5)
    assert sightings_in(PIXELS, [before], look=False) == []
    assert looks == [1]


def test_a_look_adds_strangers_alone(see: Callable[..., list[int]]) -> None:
    see(lambda box: Reading(body(205), 0.9, box), [body(210), body(450)])
    people = sightings_in(PIXELS, [sighting(body(200))], look=True)
    assert [round(float(p.keypoints[0, 0] - body(0)[0, 0])) for p in people] == [205, 450]


def test_the_crop_of_somebody_cut_off_keeps_to_what_is_seen(
    see: Callable[..., list[int]],
) -> None:
    # hips at the picture's lower edge; legs below it are guesses that shrink with each reading
    whole = body(300, y=395, height=400)
    feet = [
        i for i, name in enumerate(BLAZEPOSE_33) if name.split("_")[-1] in ("knee", "ankle", "heel")
    ]
    whole[feet, 2] = 0.1
    first = sighting(whole)

    def read(box: Box) -> Reading:
        guess = whole.copy()
        guess[feet, 1] = 395 + 0.3 * float(box.size) / 2
        return Reading(guess, 0.9, box)

    see(read, [])
    people = [first]
    for _ in range(10):
        people = sightings_in(PIXELS, people, look=False)
    np.testing.assert_allclose(people[0].crop, first.crop, rtol=1e-4, atol=1e-4)


def test_who_stands_close_behind_somebody_who_is_followed_is_found() -> None:
    woman, man = sighting(body(200)), sighting(body(220, height=260))
    # so near that without the woman's own reading they would be taken for one
    assert median_gap(woman, man) < REREAD
    found = with_fresh([woman], [sighting(body(201)), man])
    assert found == [woman, man]


def test_one_who_is_read_otherwise_is_not_two() -> None:
    turned = body(200)
    turned[:, 0] = 400 - turned[:, 0]
    turned[:, 1] = 400 - turned[:, 1]
    wrong, right = sighting(turned), sighting(body(200))
    assert median_gap(wrong, right) > REREAD
    assert with_fresh([wrong], [right]) == [right]
    # in other clothes it is somebody else, in front or behind
    other = replace(right, colour=np.eye(64)[1])
    assert with_fresh([wrong], [other]) == [wrong, other]
