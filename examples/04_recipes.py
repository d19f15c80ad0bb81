"""Fit the same people by EFT, by EFT with the guard and by SMPLify, and compare with the truth.

python examples/04_recipes.py
"""

import torch

from exemplar import EftConfig, SmplifyConfig, fit_exemplars, fit_smplify, load_body, load_regressor
from exemplar.bodies import BodyParams
from exemplar.data.crops import batch_of, crop_person, framing_of, person_box
from exemplar.metrics import pa_mpjpe
from exemplar.synth import draw_samples

PEOPLE = 3

regressor, info = load_regressor()
body = load_body(info.body)

# Synthetic people: pictures, keypoints and bodies are known exactly.
drawn = draw_samples(PEOPLE, seed=3, body=body)
keypoints = torch.from_numpy(drawn.keypoints_2d).float()
batch = batch_of(  # each person cropped as the regressor wants it
    [
        crop_person(image, points, person_box(points, framing_of(regressor)), regressor.resolution)
        for image, points in zip(drawn.images, keypoints, strict=True)
    ]
)
truth = BodyParams(
    torch.from_numpy(drawn.global_orient).float(),
    torch.from_numpy(drawn.body_pose).float(),
    torch.from_numpy(drawn.betas).float(),
)

config = EftConfig(learning_rate=info.learning_rate, adapt=info.adapt)
eft = fit_exemplars(regressor, body, batch, config)
guarded = fit_exemplars(regressor, body, batch, config, guard=True)
smplify = fit_smplify(eft.before.prediction, batch.keypoints_2d, body, SmplifyConfig())
results = {
    "regressor": eft.before,
    "EFT": eft.after,
    "EFT + guard": guarded.after,
    "SMPLify": smplify.after,
}
wanted = body.keypoints(truth, "h36m17")
for name, found in results.items():
    error = pa_mpjpe(body.keypoints(found.prediction.body_params(), "h36m17"), wanted)
    pixels = found.evaluation.error_px
    print(f"{name:12s} PA-MPJPE {float(error.mean()):6.1f} mm   2D {float(pixels.mean()):5.1f} px")
print("status", eft.status, guarded.status, smplify.status)
