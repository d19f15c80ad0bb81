"""Lift a 2D data set to 3D pseudo ground truth, and look at what came of it.

python examples/05_lift_a_dataset.py person_keypoints_val2017.json val2017 lifted
(pip install '.[data]' for the packages that read and write data sets)

Stop it whenever you like; the same command goes on. `exemplar data review lifted` opens a page on
which fits can be accepted or rejected by hand.
"""

import sys

import exemplar

annotations, images, output = sys.argv[1:4]
outcomes = exemplar.lift_dataset(annotations, images, output)
print(", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()))
for sample in exemplar.read_dataset(f"{output}/eft.json"):
    assert sample.body is not None
    print(sample.image, sample.annotation_id, "betas", sample.body.betas.round(2)[:3])
