"""What the tests of lifting share."""

from tests.lift.toy import photographs

__all__ = ["photographs"]
