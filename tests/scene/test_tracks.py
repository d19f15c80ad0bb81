"""Tracks: who is who through crossings, gaps and strangers."""

import numpy as np
import pytest

from exemplar.scene.sightings import COLOUR_BINS, Sighting
from exemplar.scene.tracks import LONGEST_GAP, tracks_of
from exemplar.skeletons import BLAZEPOSE_33

pytest.importorskip("scipy")

RED, BLUE = (np.eye(COLOUR_BINS**3)[i] for i in (48, 3))


def sighting(x: float, colour: np.ndarray, seed: int) -> Sighting:
    """Somebody 100 px high, whose middle is at x, with noise of 1 px."""
    shape = np.random.default_rng(0).uniform(-1, 1, (len(BLAZEPOSE_33), 2)) * (15, 50)
    noise = np.random.default_rng(seed).normal(0, 1, shape.shape)
    points = shape + noise + np.array([x, 100.0])
    keypoints = np.column_stack((points, np.full(len(points), 0.9))).astype(np.float32)
    return Sighting(keypoints, 0.9, colour, np.zeros(4))


def crossing(
    count: int, hidden: range
) -> tuple[list[list[Sighting]], list[list[str]], list[float]]:
    """Red walks to the right, blue to the left; blue is hidden for some frames. Who comes first in
    a frame's list changes from frame to frame."""
    frames, names = [], []
    for t in range(count):
        people = [("red", sighting(50 + 4.0 * t, RED, 2 * t))]
        if t not in hidden:
            people.append(("blue", sighting(50 + 4.0 * (count - t), BLUE, 2 * t + 1)))
        people = people[::-1] if t % 3 else people
        frames.append([person for _, person in people])
        names.append([name for name, _ in people])
    return frames, names, [t / 30 for t in range(count)]


@pytest.mark.parametrize("hidden", [range(0), range(25, 36)])
def test_people_who_cross_keep_their_tracks(hidden: range) -> None:
    frames, names, times = crossing(60, hidden)
    tracks = tracks_of(frames, times)
    assert len(tracks) == 2
    for track, name in zip(tracks, ("red", "blue"), strict=True):
        assert {names[t][row] for t, row in track.rows.items()} == {name}
    assert len(tracks[0].rows) == 60
    assert len(tracks[1].rows) == 60 - len(hidden)


def test_a_long_gap_ends_a_track() -> None:
    frames = [[sighting(100, RED, t)] if t < 20 or t > 80 else [] for t in range(120)]
    tracks = tracks_of(frames, [t / 30 for t in range(120)])
    assert LONGEST_GAP < 61 / 30
    assert [len(track.rows) for track in tracks] == [39, 20]


def test_what_is_seen_for_a_moment_is_nobody() -> None:
    frames = [[sighting(100, RED, t)] for t in range(60)]
    frames[30].append(sighting(500, BLUE, 1))
    assert len(tracks_of(frames, [t / 30 for t in range(60)])) == 1


def test_a_clip_of_one_frame_has_its_people() -> None:
    tracks = tracks_of([[sighting(100, RED, 0), sighting(400, BLUE, 1)]], [0.0])
    assert sorted(track.rows[0] for track in tracks) == [0, 1]


def test_nobody_has_no_track() -> None:
    assert tracks_of([[], [], []], [0.0, 0.1, 0.2]) == []
