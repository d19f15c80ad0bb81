"""What the annotation files in COCO's style share: `images`, `annotations` and `categories`.

The format is https://cocodataset.org/#format-data. An annotation is one person: `keypoints` is a
flat list of x, y, v for the joints that its category names, and v is 0 for joints that nobody
labelled; `bbox` is x, y, width, height in px; `iscrowd` marks groups of people.

Confidence is 1 for a labelled joint, seen or hidden (v > 0), and 0 otherwise, as in the programs of
SPIN and EFT; where v is a fraction below 1, it is a detector's score and the confidence. Points at
(0, 0), and those with null or NaN, are missing. Images and people may have numbers or texts as ids.
The box is 1.2 times the larger side of `bbox`. Pixels are counted as in the files,
from 0. People come in the order of the file's annotations.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.records import (
    box_of_xywh,
    image_path,
    joints49,
    known_points,
    limbs_known,
    numbers,
    sample_or_problem,
    size_of,
)
from exemplar.samples import Sample
from exemplar.skeletons import LIMBS_12, our_names

KEYS = frozenset({"images", "annotations", "categories"})
"""Top-level keys of such a file."""

SUBSETS: Mapping[str, int] = {"part": len(LIMBS_12), "all": 6}
"""EFT's subsets of COCO: of the 12 limb joints, how many a person has at least."""

Make = Callable[[Mapping[str, Any], Mapping[str, Any]], Sample | None]
"""An annotation and its image to a sample; None for people that the set's rule leaves out."""


@dataclass(frozen=True)
class PeopleFile:
    """What a file says, looked up by number."""

    annotations: Sequence[Any]
    """As they are in the file, good or broken."""
    images: Mapping[str, Mapping[str, Any]]
    """Images by their number, as text: some tools write it so in one of the two places."""
    category: int | str | None
    """The category whose joints are asked for; None takes all."""

    def image_name(self, annotation: Any) -> str:
        """The image of an annotation, "" if it cannot be told."""
        with contextlib.suppress(KeyError, TypeError):
            return str(self.images[str(annotation["image_id"])]["file_name"])
        return ""


def number_of(annotation: Any) -> int | None:
    """The annotation's own number, if it has one."""
    number = annotation.get("id") if isinstance(annotation, dict) else None
    return number if isinstance(number, int) else None


def joint_names(names: object) -> tuple[str, ...]:
    """The joints that a file lists, by our names; () if it is not a list of names."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return ()
    return our_names(names)


def annotated_joints(contents: Contents) -> tuple[str, ...]:
    """Joints of the first category that has any, by our names; () for other files."""
    with contextlib.suppress(OSError):
        if contents.json_keys() >= KEYS:
            return next((joints for _, joints in categories_of(contents.json) if joints), ())
    return ()


def annotations_have(contents: Contents, test: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Whether one of the first annotations passes the test."""
    annotations = contents.json["annotations"]
    first = annotations[:100] if isinstance(annotations, list) else []
    return any(isinstance(annotation, dict) and test(annotation) for annotation in first)


def read_people(
    contents: Contents,
    joints: tuple[str, ...] | None,
    make: Make,
    *,
    title: str,
    image_folder: str = "",
) -> Iterator[Sample]:
    """The people of a file whose category has exactly these joints, None for all; crowds are left
    out.

    ValueError at once, in one line, if the file is not of this format.
    """
    return _samples(_people_file(contents, joints, title), make, image_folder)


def person(
    annotation: Mapping[str, Any],
    image: Mapping[str, Any],
    points: Float[np.ndarray, "k 3"],
    joints: Sequence[str],
    *,
    min_keypoints: int,
    image_folder: str,
) -> Sample | None:
    """A sample from an annotation's points, or None if too few of its 12 limb joints are known."""
    keypoints = joints49(joints, points)
    if limbs_known(keypoints) < min_keypoints:
        return None
    centre, scale = box_of_xywh(numbers(annotation["bbox"], (4,), "bbox").tolist())
    return Sample(
        image=image_path(image_folder, image["file_name"]),
        box_centre=centre,
        box_scale=scale,
        keypoints_2d=keypoints,
        annotation_id=number_of(annotation),
        image_size=size_of(image.get("width"), image.get("height")),
    )


def plain_person(joints: tuple[str, ...], min_keypoints: int, image_folder: str) -> Make:
    """What makes a sample of an annotation that has no more than its keypoints."""

    def make(annotation: Mapping[str, Any], image: Mapping[str, Any]) -> Sample | None:
        points = labelled(annotation["keypoints"], len(joints), "keypoints")
        return person(
            annotation,
            image,
            points,
            joints,
            min_keypoints=min_keypoints,
            image_folder=image_folder,
        )

    return make


def labelled(
    values: object, count: int, what: str, *, scored: bool = True
) -> Float[np.ndarray, "k 3"]:
    """A flat list of x, y, v for `count` joints as x, y, confidence; 0 for the missing.

    `scored`: whether a fraction as v is a confidence; else it is a labelled joint's, too.
    """
    if isinstance(values, list):
        values = [float("nan") if value is None else value for value in values]
    points = numbers(values, (3 * count,), what, finite=False).reshape(count, 3)
    known = points[:, 2].clip(0.0, 1.0) if scored else points[:, 2] > 0
    return known_points(np.column_stack([points[:, :2], known]))


def minimum_of(subset: str, min_keypoints: int | None) -> int:
    """How many limb joints a person of the subset has, or `min_keypoints` if that is given."""
    if subset not in SUBSETS:
        raise ValueError(f"expected a subset of {', '.join(SUBSETS)}, got {subset!r}")
    return SUBSETS[subset] if min_keypoints is None else checked_minimum(min_keypoints)


def checked_minimum(min_keypoints: int, most: int = len(LIMBS_12)) -> int:
    """`min_keypoints` if it is a number of joints that a person can have; else ValueError."""
    if not 0 <= min_keypoints <= most:
        raise ValueError(f"expected min_keypoints from 0 to {most}, got {min_keypoints}")
    return min_keypoints


def categories_of(parsed: Mapping[str, Any]) -> Iterator[tuple[int | str, tuple[str, ...]]]:
    """Id and joints of each category."""
    categories = parsed["categories"]
    for category in categories if isinstance(categories, list) else []:
        if isinstance(category, dict) and isinstance(category.get("id"), int | str):
            yield category["id"], joint_names(category.get("keypoints"))


def _people_file(contents: Contents, joints: tuple[str, ...] | None, title: str) -> PeopleFile:
    wrong = f"{contents.path} is not {title}: expected"
    if contents.path.is_dir():
        raise ValueError(f"{wrong} a JSON file, got a folder")
    parsed = contents.json
    if not isinstance(parsed, dict) or not parsed.keys() >= KEYS:
        got = sorted(parsed)[:6] if isinstance(parsed, dict) else f"a {type(parsed).__name__}"
        raise ValueError(f"{wrong} the keys {sorted(KEYS)}, got {got}")
    if not isinstance(parsed["annotations"], list) or not isinstance(parsed["images"], list):
        raise ValueError(f"{wrong} lists of images and annotations")
    images = _images_by_number(parsed["images"])
    if joints is None:
        return PeopleFile(parsed["annotations"], images, None)
    found = dict(categories_of(parsed))
    category = next((number for number, names in found.items() if names == joints), None)
    if category is None:
        got = ", ".join(next((names for names in found.values() if names), ())) or "none"
        raise ValueError(f"{wrong} a category with the joints {', '.join(joints)}; got {got}")
    return PeopleFile(parsed["annotations"], images, category)


def _images_by_number(images: list[Any]) -> Mapping[str, Mapping[str, Any]]:
    """The images that have an id; the others are nobody's."""
    good = (each for each in images if isinstance(each, dict))
    return {str(each["id"]): each for each in good if isinstance(each.get("id"), int | str)}


def _samples(file: PeopleFile, make: Make, image_folder: str) -> Iterator[Sample]:
    for annotation in file.annotations:
        name = file.image_name(annotation)
        yield from sample_or_problem(
            partial(_sample, file, annotation, make),
            image=image_path(image_folder, name) if name else "",
            annotation_id=number_of(annotation),
        )


def _sample(file: PeopleFile, annotation: Any, make: Make) -> Sample | None:
    if not isinstance(annotation, dict):
        raise ValueError(f"expected an annotation with keys, got {str(annotation)[:60]}")
    if annotation.get("iscrowd"):
        return None
    category = str(annotation.get("category_id", file.category))
    if file.category is not None and category != str(file.category):
        return None
    image = file.images.get(str(annotation["image_id"]))
    if image is None:
        raise ValueError(f"the file has no image {str(annotation['image_id'])[:60]}")
    return make(annotation, image)
