"""The page on which people say which of two bodies fits a photo better, and what they said."""
