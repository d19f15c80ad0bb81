"""What the tests of lifting share."""

from tests.lift.toy import photographs, undisturbed

__all__ = ["photographs", "undisturbed"]
