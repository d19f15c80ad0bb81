"""From several cameras' footage to bodies that move in one world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from exemplar.bodies import Body, BodyParams
from exemplar.data.footage import Footage
from exemplar.environment import code_version, one_torch_thread
from exemplar.fitting.views import Views, ViewsConfig, fit_views
from exemplar.geometry.rigs import LensCamera, misses
from exemplar.motion import MISSING, Motion, steady
from exemplar.regressors.checkpoints import body_for, load_regressor
from exemplar.results import OK, REJECTED
from exemplar.scene.association import Person, person_of
from exemplar.scene.kept import Arrays, Kept, Shapes
from exemplar.scene.moments import Clip, Report, lags_between, moments_of
from exemplar.scene.tracks3d import tracked
from exemplar.scene.view_crops import joined, views_of
from exemplar.scene.view_people import Found, PeopleFinder
from exemplar.scene.views_options import ViewsOptions
from exemplar.scene.world import UNITS, named_up, parsed_unit, turn_to_y, unit_of, up_of
from exemplar.skeletons import GT_24, LIMBS_12, OPENPOSE_25, SMPL_24, SMPL_49

SHAPE_MOMENTS = 8
"""A person's shape is the mean of so many moments', the surest of all."""

TOGETHER = 8
"""Bodies that are fitted side by side."""

WORST_PX = 20.0
"""Bodies with a larger mean 2D error are not believed, px of a 224 crop."""

LEAST_SURE = 0.15
"""Bodies of keypoints that are less sure (`sureness`) are not believed."""

LONGEST_CARRIED = 0.5
"""So long a gap is closed from the moments around it, seconds."""

LEAST_AGREEMENT = 0.5
"""Part of the moments with people in two or more pictures in which two must agree on somebody."""

POOR = 0.03
"""Keypoints whose median distance from triangulated joints is a larger part of a person than this
are told of: with good cameras it is 0.02."""

LEAST_OF_CAMERA = 0.25
"""A camera that sees what the others see in a smaller part of the moments is named."""


@dataclass(frozen=True)
class World:
    """Where the cameras stand, metres and y up, and how that was told."""

    cameras: tuple[LensCamera, ...]
    unit: str
    up: tuple[float, ...]
    """In the calibration's axes."""


@dataclass(frozen=True)
class ClipOfViews:
    """Fitted footage of several cameras."""

    clip: Clip
    world: World
    people: tuple[Mapping[int, Person], ...]
    """Each person's keypoints and joints, by the number of the moment."""
    motions: tuple[Motion, ...]
    """Each person's body, in the world."""
    warnings: tuple[str, ...]
    """What a user should know, a line each."""


def job_of(options: ViewsOptions, footage: Sequence[Footage], calibration: Path) -> str:
    """What tells a job from others: settings, files and version."""
    files = [calibration, *(one.path for one in footage)]
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return f"{code_version()}\n{options}\n{[one.fps for one in footage]}\n{stats}\n"


_OF_BODY: Shapes = {
    "global_orient": (3, 3), "body_pose": (23, 3, 3), "betas": (-1,), "translation": (3,),
    "error_px": (),
}  # fmt: skip


class ViewsFitter:
    """A loaded regressor and body, ready to fit footage of calibrated cameras."""

    def __init__(self, options: ViewsOptions | None = None) -> None:
        self.options = options or ViewsOptions()
        self.regressor, info = load_regressor(self.options.regressor)
        self.body: Body = body_for(info, self.options.body)
        config = ViewsConfig.of(info)
        if self.options.iterations is not None:
            eft = replace(config.eft, iterations=self.options.iterations)
            config = replace(config, eft=eft)
        self.config = config

    def fit(
        self,
        cameras: Sequence[LensCamera],
        footage: Sequence[Footage],
        *,
        work: Path | None = None,
        report: Report = lambda what, done, count: None,
    ) -> ClipOfViews:
        """Bodies of everybody whom at least two cameras see.

        `cameras` and `footage` go together. What is done is kept in the folder `work`, so that a
        run that was stopped goes on. ValueError, in one line, if nobody is found or the cameras do
        not see one world.
        """
        with one_torch_thread():
            sized = [c.of_size(*f.size) for c, f in zip(cameras, footage, strict=True)]
            lags = lags_between(sized, footage, self.options, work, report)
            clip = Clip(tuple(footage), moments_of(footage, self.options, lags), lags)
            found = self._found(sized, clip, work, report)
            warnings = checked(found, sized)
            if len(found) < len(clip.moments):
                warnings.append(
                    f"a video ends before its time: {len(found)} of {len(clip.moments)} moments"
                )
                clip = replace(clip, moments=clip.moments[: len(found)])
            world = world_of([p for each in found for p in each.people], sized, self.options)
            everybody = [
                [person_of(p.points, world.cameras) for p in each.people] for each in found
            ]
            times = [moment.time for moment in clip.moments]
            people = tracked(everybody, times)[: self.options.people]
            if not people:
                raise ValueError("nobody is seen by two cameras for long enough")
            bodies = self._bodies(people, world, clip, work, report)
        fps = footage[0].fps / self.options.every
        motions = tuple(
            carried(motion_of(person, own, times, fps, self.body.name))
            for person, own in zip(people, bodies, strict=True)
        )
        return ClipOfViews(clip, world, tuple(people), motions, tuple(warnings))

    def _found(
        self,
        cameras: Sequence[LensCamera],
        clip: Clip,
        work: Path | None,
        report: Report,
    ) -> list[Found]:
        """Everybody at each moment, in the calibration's world."""
        finder = PeopleFinder(cameras)
        kept = Kept(work, "people")
        total = len(clip.moments)
        shapes: Shapes = {
            "points": (-1, len(cameras), len(SMPL_49), 3), "counts": (len(cameras),), "gap": (),
        }  # fmt: skip
        done = {k: kept.read(k, shapes) for k in range(total)}
        missing = [k for k in done if done[k] is None]
        report("finding people", total - len(missing), total)
        for i, (k, pictures) in enumerate(clip.pictures(missing), start=1):
            found = finder.find(pictures)
            points = [person.points for person in found.people]
            arrays = {
                "points": np.reshape(points, (-1, len(cameras), len(SMPL_49), 3)),
                "counts": np.array(found.counts),
                "gap": np.array(found.gap),
            }
            kept.write(k, arrays)
            done[k] = arrays
            report("finding people", total - len(missing) + i, total)
        return [
            Found(
                tuple(person_of(points, cameras) for points in arrays["points"]),
                tuple(arrays["counts"].tolist()),
                float(arrays["gap"]),
            )
            for arrays in done.values()
            if arrays is not None
        ]

    def _bodies(
        self,
        people: Sequence[Mapping[int, Person]],
        world: World,
        clip: Clip,
        work: Path | None,
        report: Report,
    ) -> list[dict[int, Arrays]]:
        """Each person's body by moment, of one shape."""
        surest = [surest_moments(person) for person in people]
        first = self._fitted(people, surest, None, world, clip, Kept(work, "shape"), report)
        shapes = [np.mean([one["betas"] for one in each.values()], axis=0) for each in first]
        rest = [list(person) for person in people]
        return self._fitted(people, rest, shapes, world, clip, Kept(work, "body"), report)

    def _fitted(
        self,
        people: Sequence[Mapping[int, Person]],
        wanted: Sequence[Sequence[int]],
        shapes: Sequence[Float[np.ndarray, " shapes"]] | None,
        world: World,
        clip: Clip,
        kept: Kept,
        report: Report,
    ) -> list[dict[int, Arrays]]:
        """Bodies of each person at the wanted moments."""
        what = "finding shapes" if shapes is None else "fitting bodies"
        out: list[dict[int, Arrays]] = [{} for _ in people]
        asked = sorted({k for own in wanted for k in own})
        for k in asked:
            numbers = [number for number, own in enumerate(wanted) if k in own]
            arrays = kept.read(
                k, {f"{name}_{n}": shape for n in numbers for name, shape in _OF_BODY.items()}
            )
            if arrays is not None:
                for number in numbers:
                    out[number][k] = {name: arrays[f"{name}_{number}"] for name in _OF_BODY}
        missing = [
            k for k in asked if any(k in w and k not in o for w, o in zip(wanted, out, strict=True))
        ]
        report(what, len(asked) - len(missing), len(asked))
        waiting: list[tuple[int, int, Views]] = []
        for i, (k, pictures) in enumerate(clip.pictures(missing), start=1):
            for number, own in enumerate(wanted):
                if k in own:
                    person = people[number][k]
                    views = views_of(person, pictures, world.cameras, self.regressor)
                    waiting.append((number, k, views))
            if len(waiting) >= TOGETHER or i == len(missing):
                self._fit_waiting(waiting, shapes, out)
                for now in sorted({k for _, k, _ in waiting}):
                    kept.write(
                        now,
                        {
                            f"{name}_{number}": own[now][name]
                            for number, own in enumerate(out)
                            if now in own
                            for name in _OF_BODY
                        },
                    )
                waiting = []
                report(what, len(asked) - len(missing) + i, len(asked))
        return out

    def _fit_waiting(
        self,
        waiting: Sequence[tuple[int, int, Views]],
        shapes: Sequence[Float[np.ndarray, " shapes"]] | None,
        out: Sequence[dict[int, Arrays]],
    ) -> None:
        """Fit bodies of (person, moment, views), those of as many views together."""
        for count in sorted({views.count for _, _, views in waiting}):
            own = [each for each in waiting if each[2].count == count]
            betas = None
            if shapes is not None:
                betas = torch.from_numpy(np.stack([shapes[number] for number, _, _ in own])).float()
            fit = fit_views(
                self.regressor, self.body, joined([v for _, _, v in own]), self.config, betas=betas
            )
            columns = {
                "global_orient": fit.params.global_orient,
                "body_pose": fit.params.body_pose,
                "betas": fit.params.betas,
                "translation": fit.params.transl,
                "error_px": fit.error_px.mean(1),
            }
            for row, (number, k, _) in enumerate(own):
                out[number][k] = {
                    name: value[row].double().numpy()
                    for name, value in columns.items()
                    if value is not None
                }


def checked(found: Sequence[Found], cameras: Sequence[LensCamera]) -> list[str]:
    """What to say of how well cameras agree; ValueError if they do not."""
    several = [each for each in found if sum(count > 0 for count in each.counts) > 1]
    agreed = [each for each in several if each.people]
    if not several:
        raise ValueError("in no moment are people found in two cameras' pictures")
    if len(agreed) < LEAST_AGREEMENT * len(several):
        gap = np.median([each.gap for each in several if not each.people])
        raise ValueError(
            f"the cameras do not see one world: people in their pictures agree in {len(agreed)} of"
            f" {len(several)} moments, else they are {gap:.0f} px apart in the median; is the"
            " calibration of these cameras, in this order?"
        )
    warnings = []
    error = float(np.median([person.error for each in agreed for person in each.people]))
    if error > POOR:
        warnings.append(
            f"keypoints are {100 * error:.1f} % of a person's height off the points that they are"
            " triangulated to: were the cameras moved, or do they show different times?"
        )
    for number, camera in enumerate(cameras):
        shown = [each for each in agreed if each.counts[number] > 0]
        seen = [each for each in shown if any(p.seen[number] for p in each.people)]
        if len(seen) < LEAST_OF_CAMERA * len(shown):
            warnings.append(
                f"camera {camera.name} agrees with the others in {len(seen)} of {len(shown)}"
                " moments in which it shows people: is its calibration right?"
            )
    apart = groups_apart(agreed, len(cameras))
    if len(apart) > 1:
        names = [" and ".join(cameras[number].name for number in group) for group in apart]
        warnings.append(
            f"{names[0]} see nobody whom {' or '.join(names[1:])} see: are their calibrations in"
            " the right order?"
        )
    return warnings


def groups_apart(found: Sequence[Found], count: int) -> list[list[int]]:
    """Sets of two cameras or more that see people in common, but nobody with another set: two who
    were exchanged may agree on somebody who is not there."""
    groups = [{number} for number in range(count)]
    for each in found:
        for person in each.people:
            own = set(np.flatnonzero(person.seen).tolist())
            met = [group for group in groups if group & own]
            groups = [group for group in groups if not group & own] + [set().union(*met)]
    return sorted(sorted(group) for group in groups if len(group) > 1)


def world_of(
    people: Sequence[Person], cameras: Sequence[LensCamera], options: ViewsOptions
) -> World:
    """The cameras in a world of metres and y up."""
    if options.unit == "auto":
        unit, metres = unit_of(people)
        metres = UNITS[unit]
    else:
        unit, metres = options.unit, parsed_unit(options.unit)
    up = up_of(people, cameras) if options.up == "auto" else named_up(options.up)
    turn = turn_to_y(up)
    moved = tuple(camera.in_world(turn, metres) for camera in cameras)
    return World(moved, unit, tuple(up.tolist()))


def surest_moments(person: Mapping[int, Person]) -> list[int]:
    """The moments that tell a person's shape: seen by most cameras, with the least error."""
    order = sorted(person, key=lambda k: (-person[k].seen.sum(), person[k].error))
    return sorted(order[:SHAPE_MOMENTS])


def motion_of(
    person: Mapping[int, Person],
    bodies: Mapping[int, Arrays],
    times: Sequence[float],
    fps: float,
    body: str,
) -> Motion:
    """A person's bodies as a motion in the world; moments without one are missing."""
    count = len(times)
    shape = next(iter(bodies.values()))["betas"]
    eye = np.eye(3)
    arrays = {
        "global_orient": np.tile(eye, (count, 1, 1)),
        "body_pose": np.tile(eye, (count, len(SMPL_24) - 1, 1, 1)),
        "translation": np.zeros((count, 3)),
    }
    status, confidence = [MISSING] * count, np.zeros(count)
    for k, own in bodies.items():
        for name, array in arrays.items():
            array[k] = own[name]
        confidence[k] = sureness(person[k])
        good = own["error_px"] < WORST_PX and confidence[k] > LEAST_SURE
        status[k] = OK if good else REJECTED
    return Motion(
        times=np.asarray(times, np.float64),
        fps=fps,
        betas=shape,
        status=tuple(status),
        confidence=confidence,
        frame="world",
        body=body,
        **arrays,
    )


def carried(motion: Motion) -> Motion:
    """The motion with doubtful and missing moments made of those before and after them.

    Doubtful is what is rejected, or less than half as sure as the person's moments are in the
    median. Gaps of more than `LONGEST_CARRIED` seconds, and moments before the first sure one or
    after the last, stay as they are. What is carried has status OK and keeps its confidence.
    """
    known = np.array([status == OK for status in motion.status])
    if not known.any():
        return motion
    sure = known & (motion.confidence >= 0.5 * np.median(motion.confidence[known]))
    places = np.flatnonzero(sure)
    rows = np.arange(len(sure))
    after = places[np.searchsorted(places, rows).clip(max=len(places) - 1)]
    before = places[(np.searchsorted(places, rows, side="right") - 1).clip(0)]
    within = (before < rows) & (rows < after)
    short = motion.times[after] - motion.times[before] <= LONGEST_CARRIED + 2 / motion.fps
    moved = ~sure & within & short
    if not moved.any():
        return motion
    status = tuple(s if own else MISSING for s, own in zip(motion.status, sure, strict=True))
    between = steady(replace(motion, status=status))

    def mixed(name: str) -> np.ndarray:
        old, new = getattr(motion, name), getattr(between, name)
        return np.where(moved.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    return replace(
        motion,
        global_orient=mixed("global_orient"),
        body_pose=mixed("body_pose"),
        translation=mixed("translation"),
        status=tuple(OK if own else s for s, own in zip(motion.status, moved, strict=True)),
    )


def sureness(person: Person) -> float:
    """Mean confidence of the keypoints that agree, over all that the cameras could have, 0..1."""
    joints = person.points[:, len(OPENPOSE_25) :, 2] * person.supports[:, len(OPENPOSE_25) :]
    limbs = joints[:, [GT_24.index(name) for name in LIMBS_12]]
    return float(np.sort(limbs, axis=0)[-2:].mean())


def errors_px(clip: ClipOfViews, body: Body) -> Float[np.ndarray, "people moments views"]:
    """Mean distance of each body's limb joints from the keypoints that agree, image px; NaN where
    a camera does not see the person."""
    rows = [SMPL_49.index(name, len(OPENPOSE_25)) for name in LIMBS_12]
    cameras = clip.world.cameras
    out = np.full((len(clip.people), len(clip.clip.moments), len(cameras)), np.nan)
    for number, (person, motion) in enumerate(zip(clip.people, clip.motions, strict=True)):
        joints = keypoints_of(motion, body)
        for k, seen in person.items():
            points = np.where(seen.supports[..., None], seen.points, 0.0)[:, rows]
            gaps = misses(joints[k, rows], points, cameras)
            known = np.isfinite(gaps).any(1)
            out[number, k, known] = np.nanmean(gaps[known], axis=1)
    return out


@torch.no_grad()
def keypoints_of(motion: Motion, body: Body) -> Float[np.ndarray, "t 49 3"]:
    """The 49 joints of each frame, metres in the motion's frame."""
    arrays = (motion.global_orient, motion.body_pose, motion.translation)
    orient, pose, translation = (torch.from_numpy(x).to(body.v_template) for x in arrays)
    betas = torch.from_numpy(motion.betas).to(body.v_template).expand(len(orient), -1)
    return body.keypoints(BodyParams(orient, pose, betas, translation), "smpl49").double().numpy()
