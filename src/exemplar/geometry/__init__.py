"""Pure tensor geometry: rotations, cameras, alignment, crops."""
