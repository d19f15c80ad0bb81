"""What knowing a person's age, gender or height is worth: bodies drawn from `anny`, fitted.

People of known age, gender and height are drawn from anny (others than the open body's population),
posed, dressed, photographed by the drawing program and fitted with the built-in keypoints, told
nothing, or some of it. Compared at rest: height, and the mesh vertex by vertex; and the distance
from the camera, whose focal length is given. Run from the repository root, with the cache of
`scripts.export_open_body`:

    python -m benchmarks.shape --output benchmarks/results/shape.json
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.common import write_results
from exemplar.bodies import Body
from exemplar.bodies.open_body import open_body_arrays
from exemplar.bodies.shape_prior import height_at_rest
from exemplar.metrics import mpjpe
from exemplar.results import PersonFit
from exemplar.scene import FitOptions, Fitter
from exemplar.skeletons import SMPL_24
from exemplar.synth.config import PoseConfig, SynthConfig
from exemplar.synth.faces import face_marks
from exemplar.synth.garments import draw_outfit
from exemplar.synth.poses import draw_pose, turn
from exemplar.synth.regions import body_regions
from exemplar.synth.render import new_canvas, render_person
from exemplar.synth.subjects import fabric_noise, keypoints_of, pose_body
from exemplar.synth.surfaces import dress
from exemplar.synth.views import Crop
from scripts import anny_bodies
from scripts.export_open_body import load_correspondence
from scripts.extend_open_body import t_posed

AGES = (2, 5, 8, 12, 20, 40, 70)

TOLD: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "age": ("age",),
    "height": ("height",),
    "height, gender": ("height", "gender"),
    "age, gender, height": ("age", "gender", "height"),
}

SIDE, FOCAL = 512, 500.0
"""Of the picture, px."""

CHILD = 12
"""Oldest age that counts as a child's."""

_UP = np.array([0.0, -1.0, 0.0])
_LEVEL = turn("x", np.pi)
_POSES = PoseConfig(families={"everyday": 0.7, "standing": 0.3}, betas_std=0.0)
_COLUMNS = ("height_mm", "vertices_mm", "mpjpe_mm", "distance_percent", "px")


@dataclass(frozen=True)
class Config:
    """Settings."""

    people: int = 3
    """Of each age and gender."""
    seed: int = 11
    """Of the people and their pictures."""
    regressor: str = "large"
    """Regressor fitted."""
    cache_dir: Path = Path(tempfile.gettempdir()) / "open_body_cache"
    """The export's cache."""
    output: Path | None = None
    """JSON file to write."""


@dataclass(frozen=True)
class Drawn:
    """Somebody and their picture."""

    known: dict[str, float | str]
    """Age (years), gender, and height (metres)."""
    body: Body
    """The open body with their own mesh at rest; its betas are 0."""
    image: np.ndarray
    keypoints: np.ndarray
    """(49, 3) in the camera's frame, metres."""
    place: np.ndarray
    """(3,) of the pelvis there."""


def people_of(config: Config) -> Iterator[Drawn]:
    """Everybody, one by one: each age and gender before the next of any."""
    rng = np.random.default_rng(config.seed)
    age = np.tile(np.repeat(np.array(AGES, float), 2), config.people)
    gender = np.tile([0.0, 1.0], len(age) // 2)
    model = anny_bodies.load_anny(config.cache_dir)
    drawn = anny_bodies.phenotypes_of(model, age, gender, rng)
    mirror = open_body_mirror()
    people = t_posed(model, age, gender, drawn, load_correspondence(config.cache_dir), mirror)
    for i, (vertices, joints) in enumerate(zip(people.vertices, people.joints, strict=True)):
        body = Body(
            replace(
                open_body_arrays(),
                v_template=torch.from_numpy(vertices).float(),
                joints_template=torch.from_numpy(joints).float(),
            ),
            name="drawn",
        )
        known = {
            "age": float(age[i]),
            "gender": "female" if gender[i] else "male",
            "height": round(float(np.ptp(vertices[:, 1])), 2),
        }
        yield photographed(body, known, np.random.default_rng([config.seed, i]))


def open_body_mirror() -> np.ndarray:
    """(V,) mirror image of each vertex of the open body."""
    from exemplar.assets import asset_path

    with asset_path("open_body.npz") as path, np.load(path) as file:
        return file["mirror"].astype(int)


def photographed(body: Body, known: dict[str, float | str], rng: np.random.Generator) -> Drawn:
    """A picture of somebody, who stands about as large in it whatever their height."""
    height, none = float(known["height"]), np.zeros(body.num_betas)
    regions = body_regions(body)
    pose = draw_pose(rng, body.joints_template.double().numpy(), _POSES).body_pose
    orient = _LEVEL @ turn("y", rng.normal(0, 0.7))
    keypoints = keypoints_of(body, orient, pose, none)
    away = height * rng.uniform(1.5, 2.3)
    place = np.array([0.05 * away * rng.normal(), 0.55 * height - keypoints[:, 1].max(), away])
    outfit = draw_outfit(rng, regions)
    mesh = dress(pose_body(body, orient, pose, none, place), outfit, regions, fabric_noise())
    config = SynthConfig(image_size=SIDE, antialias=1, poses=_POSES)
    calm = replace(config.scene, occluder=0.0, blur=0.0, low_resolution=0.0, grey=0.0)
    config = replace(config, scene=calm)
    crop = Crop(np.eye(3), FOCAL, np.array([SIDE, SIDE]) / 2, np.zeros((0, 3)))
    picture = render_person(
        rng, mesh, None, face_marks(rng, outfit, regions.marks), regions.marks.neck_y,
        crop, _UP, config, fabric_noise(), new_canvas(config),
    )  # fmt: skip
    pelvis = body.joints_template[SMPL_24.index("pelvis")].numpy()
    return Drawn(known, body, picture.image, keypoints + place, orient @ pelvis + place)


def errors_of(person: PersonFit, fitter: Fitter, drawn: Drawn) -> tuple[float, ...]:
    """A row of `_COLUMNS`."""
    after, truth = person.after, drawn.body.v_template
    betas = torch.from_numpy(after.betas).float()
    rest = fitter.body.at_rest(betas)
    height = float(height_at_rest(fitter.body, betas))
    root = SMPL_24.index("pelvis")
    joints, true_joints = (
        torch.from_numpy(points - points.mean(0))[None].float()
        for points in (after.joints_3d, drawn.keypoints)
    )
    return (
        1000 * abs(height - float(np.ptp(truth[:, 1].numpy()))),
        1000 * float((rest - truth).norm(dim=-1).mean()),
        float(mpjpe(joints, true_joints)),
        100 * abs(after.kinematic_joints[root, 2] / drawn.place[2] - 1),
        after.error_px,
    )


def main(config: Config) -> None:
    """Draw, fit, compare; print and write what there is after each round of ages and genders."""
    torch.set_num_threads(1)
    rows: dict[str, dict[int, list[tuple[float, ...]]]] = {name: {} for name in TOLD}
    missed = 0
    for number, drawn in enumerate(people_of(config), start=1):
        for name, told in TOLD.items():
            options = FitOptions(
                person="largest", focal=FOCAL, **{key: drawn.known[key] for key in told}
            )
            fitter = Fitter(config.regressor, options)
            try:
                (person,) = fitter.fit(drawn.image).people
            except ValueError:
                missed += name == "nothing"
                continue
            age = int(drawn.known["age"])
            rows[name].setdefault(age, []).append(errors_of(person, fitter, drawn))
            print(drawn.known, name, np.round(rows[name][age][-1], 1), flush=True)
        if number % (2 * len(AGES)) == 0:
            results = {"people": sum(map(len, rows["nothing"].values())), "not_found": missed}
            results |= {name: summary(found) for name, found in rows.items()}
            show(results)
            write_results(config.output, config, results)


def summary(by_age: dict[int, list[tuple[float, ...]]]) -> dict[str, dict[str, float]]:
    """Means by age, of children and of adults."""
    groups = {str(age): found for age, found in by_age.items()}
    groups["children"] = [row for age, found in by_age.items() if age <= CHILD for row in found]
    groups["adults"] = [row for age, found in by_age.items() if age > CHILD for row in found]
    return {
        group: dict(zip(_COLUMNS, np.mean(found, 0).round(2).tolist(), strict=True))
        for group, found in groups.items()
        if found
    }


def show(results: dict[str, Any]) -> None:
    """Print the table."""
    table = Table("told", "who", *_COLUMNS)
    for name in TOLD:
        for group, values in results[name].items():
            table.add_row(name, group, *(f"{values[column]:.1f}" for column in _COLUMNS))
    Console(width=120).print(table)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
