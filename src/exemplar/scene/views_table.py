"""Bodies of several cameras as truth for single views: what `exemplar train` reads."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exemplar.bodies import Body
from exemplar.data.convert import write_rows
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.data.records import box_of_points
from exemplar.environment import code_version
from exemplar.files.image_files import write_image
from exemplar.motion import rotmats_of, turned
from exemplar.results import OK
from exemplar.samples import BodyTruth, Sample
from exemplar.scene.association import Pictures
from exemplar.scene.views import ClipOfViews, keypoints_of
from exemplar.skeletons import OPENPOSE_25

TABLE = "people.parquet"


def write_training(found: ClipOfViews, body: Body, folder: Path, regressor: str) -> Path:
    """Write the frames with trusted bodies as `images/CAMERA/FRAME.jpg`, and a table of everybody
    whom a camera sees in them, with the body in that camera's frame; the table's path."""
    path = folder / TABLE
    made = {"cameras": [camera.name for camera in found.world.cameras], "regressor": regressor}
    write_rows(_rows(found, body, folder / "images", regressor), path, to="table", made=made)
    return path


def _rows(found: ClipOfViews, body: Body, images: Path, regressor: str) -> Iterator[PseudoTruth]:
    trusted = [
        k
        for k in range(len(found.clip.moments))
        if any(motion.status[k] == OK for motion in found.motions)
    ]
    joints = [keypoints_of(motion, body) for motion in found.motions]
    for k, pictures in found.clip.pictures(trusted):
        names = _written(found, k, pictures, images)
        for number, motion in enumerate(found.motions):
            if motion.status[k] != OK or k not in found.people[number]:
                continue
            for view in np.flatnonzero(found.people[number][k].seen).tolist():
                height, width = pictures[view].shape[:2]
                sample = _sample(found, body, number, k, view, joints[number][k])
                yield PseudoTruth(
                    Sample(image=names[view], image_size=(width, height), **sample),
                    status=OK,
                    regressor=regressor,
                    body_model=body.name,
                    recipe="views",
                    version=code_version(),
                )


def _written(found: ClipOfViews, moment: int, pictures: Pictures, images: Path) -> list[str]:
    """The names of the frames of a moment, which are written."""
    names = []
    for view, picture in enumerate(pictures):
        frame = found.clip.moments[moment].frames[view]
        name = f"{found.world.cameras[view].name}/{frame:06d}.jpg"
        write_image(picture, images / name)
        names.append(name)
    return names


def _sample(
    found: ClipOfViews, body: Body, number: int, moment: int, view: int, joints: np.ndarray
) -> dict:
    """What a `Sample` says of one person in one camera, but for the image."""
    camera, motion = found.world.cameras[view], found.motions[number]
    person = found.people[number][moment]
    points = person.points[view] * np.where(person.supports[view, :, None], 1.0, (1.0, 1.0, 0.0))
    centre, scale = box_of_points(person.points[view])
    orient, translation = turned(motion, body, camera.rotation)
    pose = np.concatenate((orient[moment][None], rotmats_of(motion)[moment, 1:]))
    known = body.available("smpl49").numpy()[len(OPENPOSE_25) :, None]
    in_camera = camera.in_camera(joints)[len(OPENPOSE_25) :]
    return {
        "box_centre": centre,
        "box_scale": scale,
        "keypoints_2d": points,
        "joints_3d": np.where(known > 0, np.hstack((in_camera, known)), 0.0),
        "subject": f"person{number}",
        "body": BodyTruth(pose, motion.betas, translation=translation[moment] + camera.translation),
        "intrinsics": camera.intrinsics,
    }
