"""`exemplar doctor`: what can be asked."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DoctorCommand:
    """Check this installation: versions, device, shipped files, extras, and one small fit.

    Ends with an error if something that every command needs is broken. Extras are told of, and may
    be missing.

    For example:
        exemplar doctor
        exemplar doctor --device cuda
    """

    device: str = "auto"
    """Torch device of the small fit: cpu, cuda, mps, or auto (CUDA, else MPS, else the CPU)."""
