"""From people in the cameras' pictures of a moment to what a fit of their views takes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from exemplar.data.crops import batch_of, crop_person, framing_of, person_box
from exemplar.fitting.views import Views
from exemplar.geometry.crops import Box, image_to_crop
from exemplar.geometry.rigs import LensCamera
from exemplar.geometry.rotations import rotation_about_z, rotation_from_z
from exemplar.scene.association import Person, Pictures
from exemplar.skeletons import OPENPOSE_25


def views_of(
    person: Person, pictures: Pictures, cameras: Sequence[LensCamera], regressor: nn.Module
) -> Views:
    """The views of somebody at one moment, of the cameras that see them.

    The world is in metres. Keypoints that the views contradict have confidence 0.
    """
    rows = np.flatnonzero(person.seen).tolist()
    crops, turns = [], []
    for row in rows:
        camera = cameras[row]
        points = torch.from_numpy(person.points[row]).float()
        box = person_box(points, framing_of(regressor))
        box = replace(
            box,
            focal=torch.tensor(camera.focal),
            principal_point=torch.from_numpy(camera.intrinsics[:2, 2]),
        )
        straight = camera.straight(person.points[row, :, :2])
        kept = person.points[row, :, 2:] * person.supports[row, :, None]
        given = torch.from_numpy(np.where(kept > 0, np.column_stack((straight, kept)), 0.0))
        crop = crop_person(
            pictures[row],
            points,
            box,
            getattr(regressor, "resolution"),  # noqa: B009 - a Module attribute
            getattr(regressor, "width", None),
        )
        in_crop = torch.cat((image_to_crop(given[:, :2], box), given[:, 2:]), dim=1)
        crops.append(replace(crop, keypoints_2d=in_crop.float()))
        turns.append(_crop_to_world(box, camera))
    batch = batch_of(crops)
    joints = torch.from_numpy(_joints_3d(person)).float()
    chosen = [cameras[row] for row in rows]
    return Views(
        replace(batch, joints_3d=joints.expand(len(rows), -1, -1)),
        len(rows),
        torch.stack(turns).float(),
        _stacked([camera.rotation for camera in chosen]),
        _stacked([camera.translation for camera in chosen]),
        _stacked([camera.intrinsics for camera in chosen]),
    )


def joined(views: Sequence[Views]) -> Views:
    """Several people's or moments' views, of as many cameras each, as one."""
    first = views[0]
    batches = [each.batch for each in views]
    boxes = [vars(batch.box) for batch in batches]
    known = [name for name, value in boxes[0].items() if value is not None]
    box = Box(**{name: torch.cat([each[name] for each in boxes]) for name in known})
    joints = [batch.joints_3d for batch in batches if batch.joints_3d is not None]
    batch = replace(
        batches[0],
        image=torch.cat([batch.image for batch in batches]),
        box=box,
        keypoints_2d=torch.cat([batch.keypoints_2d for batch in batches]),
        joints_3d=torch.cat(joints),
    )
    numbers = ("crop_to_world", "rotation", "translation", "intrinsics")
    columns = (torch.cat([getattr(each, name) for each in views]) for name in numbers)
    return Views(batch, first.count, *columns)


def _crop_to_world(box: Box, camera: LensCamera) -> torch.Tensor:
    """From a crop's frame to the world's axes.

    A network takes a crop to be seen along its camera's axis; it was seen along the ray through
    its centre.
    """
    ray = torch.from_numpy(camera.rotation @ camera.directions(box.centre.numpy()))
    turned = rotation_about_z(box.angle.double())
    return torch.from_numpy(camera.rotation.T) @ rotation_from_z(ray) @ turned


def _joints_3d(person: Person) -> Float[np.ndarray, "24 4"]:
    """Triangulated joints, and the mean confidence of the keypoints behind them: less as far as
    views contradict them."""
    count, seen = person.supports.sum(0), (person.points[..., 2] > 0).sum(0)
    sure = (person.points[..., 2] * person.supports).sum(0) / count.clip(1)
    sure *= (count - 1).clip(0) / (seen - 1).clip(1)
    known = np.all(np.isfinite(person.joints), axis=1)
    joints = np.where(known[:, None], np.column_stack((person.joints, sure)), 0.0)
    return joints[len(OPENPOSE_25) :]


def _stacked(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays)).float()
