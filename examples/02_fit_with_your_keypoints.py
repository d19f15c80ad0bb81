"""Fit one person to 2D keypoints that you have, and look at every iteration.

python examples/02_fit_with_your_keypoints.py photo.jpg openpose.json
"""

import sys

from exemplar import FitOptions, Fitter

fitter = Fitter(options=FitOptions(person="largest", iterations=30))
person = fitter.fit(sys.argv[1], sys.argv[2]).people[0]
for step, body in enumerate(person.steps):
    print(f"iteration {step:2d}: {body.error_px:5.1f} px")
