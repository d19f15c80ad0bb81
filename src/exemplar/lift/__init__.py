"""Lifting: a 2D data set to pseudo ground truth, as a job that may be stopped at any moment."""
