"""exemplar: 3D human bodies from photos, by fine-tuning a regressor on one exemplar."""
