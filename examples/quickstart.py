# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Quickstart
#
# Fit a body to the photo that ships with `exemplar`, look at it, and take numbers from it. Put your
# own photo's path in place of the demo's.

# %%
import numpy as np
from PIL import Image

import exemplar
from exemplar.assets import asset_path
from exemplar.export import write_glb
from exemplar.render.overlay import overlay_picture
from exemplar.skeletons import SMPL_49

with asset_path("demo.jpg") as path:
    photo = np.asarray(Image.open(path))
Image.fromarray(photo)

# %% [markdown]
# ## Fit
#
# `stop_px=0` makes all 20 updates. Without it the fit stops where the built-in keypoints are no
# more exact than the body.

# %%
options = exemplar.FitOptions(stop_px=0.0)
result = exemplar.fit(photo, options=options)
for number, person in enumerate(result.people):
    before, after = person.before.error_px, person.after.error_px
    print(f"person {number}: {person.status}, {before:.1f} px -> {after:.1f} px")

# %% [markdown]
# The errors are in px of a square crop of the person that is 224 px wide. This is the guess and the
# fit, in the photo and from the side:

# %%
Image.fromarray(overlay_picture(result)).resize((1600, 467))

# %% [markdown]
# ## Numbers
#
# Joints are in metres in the camera's frame: x right, y down, z into the picture. Ask for a joint
# by name.

# %%
body = result.people[0].after
for name in ("left_wrist", "right_wrist", "left_ankle", "right_ankle"):
    x, y, z = body.joints_3d[SMPL_49.index(name)]
    print(f"{name:12s} {x:6.2f} {y:6.2f} {z:6.2f} m")

# %% [markdown]
# How the error fell, update by update:

# %%
print([round(float(step.error_px), 1) for step in result.people[0].steps])

# %% [markdown]
# ## Keypoints of your own
#
# An array of x, y (px) and confidence for each joint will do; here the 49 that were found. The fit
# goes to 2 px.

# %%
points = result.people[0].keypoints_2d
again = exemplar.fit(photo, points[None])
print(again.people[0].status, f"{again.people[0].after.error_px:.1f} px")

# %% [markdown]
# ## A file for Blender

# %%
write_glb(result, "body.glb")
