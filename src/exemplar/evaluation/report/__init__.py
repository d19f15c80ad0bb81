"""The page of an evaluation run."""
