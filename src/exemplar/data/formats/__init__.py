"""Data sets: a reader a file, and which of them a file is for."""
