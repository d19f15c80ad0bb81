"""People and bodies made up, as matching sees them."""

from dataclasses import replace

import numpy as np

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.results import OK
from exemplar.samples import BodyTruth, Sample
from exemplar.viewer.compare.people import ComparedPerson

SAMPLE = Sample(
    image="a.jpg",
    box_centre=np.array([100.0, 80.0]),
    box_scale=0.5,
    keypoints_2d=np.zeros((49, 3)),
    annotation_id=1,
)


def made_body(first_beta: float) -> BodyTruth:
    """A body that only its first beta tells from others."""
    betas = np.zeros(10)
    betas[0] = first_beta
    return BodyTruth(np.tile(np.eye(3), (24, 1, 1)), betas, np.array([0.9, 0.0, 0.0]))


def made_row(
    image: str, annotation_id: int | None, beta: float | None, status: str = OK, **changes: object
) -> PseudoTruth:
    """A row with the body of this beta, or none."""
    body = None if beta is None else made_body(beta)
    sample = replace(SAMPLE, image=image, annotation_id=annotation_id, body=body, **changes)
    return PseudoTruth(sample, status)


def made_people(count: int) -> list[ComparedPerson]:
    """People whose bodies' names begin with "a" and "b", either of them first in the alphabet."""
    return [
        ComparedPerson(f"{i}.jpg", i, "", (f"{i % 2}a{i}", f"{1 - i % 2}b{i}"))
        for i in range(count)
    ]
