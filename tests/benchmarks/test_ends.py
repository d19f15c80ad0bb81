"""Where ends lie, on people whose distances are known."""

import numpy as np

from benchmarks.ends import KINDS, judged, rows_of, table_of
from exemplar.geometry.crops import EFT_CROP
from exemplar.skeletons import GT_24, LIMBS_12


def people() -> np.ndarray:
    """One annotated person, 100 px high."""
    person = np.zeros((len(GT_24), 3))
    rows = [GT_24.index(name) for name in LIMBS_12]
    person[rows, :2] = np.random.default_rng(0).uniform(0, 100, (len(rows), 2))
    person[rows, 2] = 1
    return person


def test_distances_are_px_of_a_224_crop_and_everybody_has_the_nearest_fit() -> None:
    person = people()
    joints = np.repeat(person[None, None], len(KINDS), axis=1)
    joints[0, 3, :, 0] += 2.0
    far = joints + np.array([500.0, 0.0, 0.0])
    sizes = np.array([EFT_CROP / 2.0, EFT_CROP / 2.0])
    (off,) = judged([person], np.concatenate((far, joints)), sizes, fewest=8)
    ankles = rows_of("coco", "ankles")
    np.testing.assert_allclose(off[2, ankles], 0.0)
    np.testing.assert_allclose(off[3, ankles], 4.0)
    assert np.isnan(off[:, GT_24.index("nose")]).all()
    table = table_of("coco", off[None])
    assert table["ankles"]["worse"] == 1.0
    assert not list(judged([person], far, sizes[:1], fewest=8))
