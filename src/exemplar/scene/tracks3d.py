"""People of several moments, told apart by where they are in the world."""

from collections.abc import Sequence

import numpy as np

from exemplar.scene.association import Person

FASTEST = 6.0
"""People move no faster than this, metres a second."""

REACH = 0.4
"""Joints of one person are at most this far apart in successive moments, besides, metres."""

LEAST_SHARE = 0.1
"""Whoever is seen in a smaller part of the moments than this is taken for a mistake."""

LONGEST_GAP = 1.0
"""Somebody who was away for longer is somebody new, seconds."""


def tracked(moments: Sequence[Sequence[Person]], times: Sequence[float]) -> list[dict[int, Person]]:
    """Each person's moments, those who are seen most first. The world is in metres.

    The nearest pair of somebody known and somebody found is taken first.
    """
    tracks: list[dict[int, Person]] = []
    for now, people in enumerate(moments):
        pairs = []
        for t, track in enumerate(tracks):
            last = max(track)
            passed = times[now] - times[last]
            if passed > LONGEST_GAP and now - last > 1:
                continue
            for p, person in enumerate(people):
                away = distance(track[last], person)
                if away < REACH + FASTEST * passed:
                    pairs.append((away, t, p))
        known: set[int] = set()
        found: set[int] = set()
        for _, t, p in sorted(pairs):
            if t not in known and p not in found:
                tracks[t][now] = people[p]
                known.add(t)
                found.add(p)
        tracks += [{now: person} for p, person in enumerate(people) if p not in found]
    least = LEAST_SHARE * len(moments)
    return sorted((track for track in tracks if len(track) >= least), key=lambda t: -len(t))


def distance(a: Person, b: Person) -> float:
    """Median distance of the joints that both have, metres; infinity without any."""
    apart = np.linalg.norm(a.joints - b.joints, axis=1)
    return float(np.nanmedian(apart)) if np.isfinite(apart).any() else np.inf
