"""Data sets: readers and writers, pseudo ground truth, and what samples are made into."""
