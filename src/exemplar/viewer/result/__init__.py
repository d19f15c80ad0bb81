"""The page of a fitted photo or clip: bodies in 3D before the photo, over iterations or time."""
