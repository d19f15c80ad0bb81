"""Fit the same people by EFT, by EFT with the guard and by SMPLify, and compare with the truth.

python examples/04_recipes.py
"""

import torch

from exemplar import EftConfig, SmplifyConfig, fit_exemplars, fit_smplify, load_body, load_regressor
from exemplar.bodies import BodyParams
from exemplar.geometry.crops import Box
from exemplar.metrics import pa_mpjpe
from exemplar.samples import Batch
from exemplar.synth import draw_samples

PEOPLE = 3

regressor, info = load_regressor()
body = load_body(info.body)

# Synthetic people: crops, keypoints and bodies are known exactly.
drawn = draw_samples(PEOPLE, seed=3, body=body)
side = drawn.images.shape[1]
keypoints = torch.from_numpy(drawn.keypoints_2d).float()
keypoints[..., :2] = keypoints[..., :2] / (side / 2) - 1  # px to crop units
half, sides = torch.full((PEOPLE, 2), side / 2), torch.full((PEOPLE,), float(side))
batch = Batch(
    image=torch.from_numpy(drawn.images).permute(0, 3, 1, 2).float() / 255,
    box=Box(half, sides, torch.zeros(PEOPLE)),
    keypoints_2d=keypoints,
)
truth = BodyParams(
    torch.from_numpy(drawn.global_orient).float(),
    torch.from_numpy(drawn.body_pose).float(),
    torch.from_numpy(drawn.betas).float(),
)

config = EftConfig(learning_rate=info.learning_rate)
eft = fit_exemplars(regressor, body, batch, config)
guarded = fit_exemplars(regressor, body, batch, config, guard=True)
smplify = fit_smplify(eft.before.prediction, keypoints, body, SmplifyConfig())
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
