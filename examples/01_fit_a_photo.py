"""Fit the people of a photo and print where their left wrists are.

python examples/01_fit_a_photo.py photo.jpg
"""

import sys

import exemplar
from exemplar.skeletons import SMPL_49

result = exemplar.fit(sys.argv[1])
for number, person in enumerate(result.people):
    wrist = person.after.joints_3d[SMPL_49.index("left_wrist")]
    print(f"person {number}: {person.before.error_px:.1f} -> {person.after.error_px:.1f} px")
    print(f"  left wrist at {wrist.round(3)} m in the camera frame")
