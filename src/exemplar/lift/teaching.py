"""A teacher's part in lifting: it holds annotations against what it sees, and says how deep."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from exemplar.data.crops import CroppedPerson, batch_of
from exemplar.fitting.teachers import Taught, Teacher, teach
from exemplar.lift.prepare import Prepared
from exemplar.lift.teacher_check import TeacherCheck, compare
from exemplar.results import REJECTED
from exemplar.skeletons import GT_24, OPENPOSE_25

BLOCK = 32
"""People whom a GPU shows the teacher together; a CPU shows each alone, so that nobody's last bits
depend on company."""


@dataclass(frozen=True)
class Teaching:
    """A teacher, and when it contradicts."""

    teacher: Teacher
    """What it sees in crops."""
    device: torch.device
    """Where it lives."""
    workers: int
    """Threads that ask it."""
    check: TeacherCheck = field(default_factory=TeacherCheck)
    """When an annotation is not believed."""

    def __call__(self, people: Sequence[Prepared]) -> list[Prepared]:
        """The people with the teacher's 3D joints where they have none, without keypoints that it
        takes for wrong clicks; whose annotation it contradicts has nothing to fit any more."""
        block = 1 if self.device.type == "cpu" else BLOCK
        shown = [(one, one.person) for one in people if one.person is not None]
        blocks = [shown[i : i + block] for i in range(0, len(shown), block)]

        def taught(block: Sequence[tuple[Prepared, CroppedPerson]]) -> list[Prepared]:
            found = self._ask([person for _, person in block])
            return [
                self._judged(one, person, joints, points)
                for (one, person), joints, points in zip(block, *found, strict=True)
            ]

        with ThreadPoolExecutor(self.workers) as pool:
            done = {one.number: one for some in pool.map(taught, blocks) for one in some}
        return [done.get(one.number, one) for one in people]

    def _ask(self, people: Sequence[CroppedPerson]) -> Taught:
        taught = teach(self.teacher, batch_of(people, self.device).image)
        return Taught(taught.joints_3d.cpu(), taught.points.cpu())

    def _judged(
        self, one: Prepared, person: CroppedPerson, joints_3d: Tensor, points: Tensor
    ) -> Prepared:
        """One person by what the teacher sees: `Taught`'s rows."""
        annotated = person.keypoints_2d[len(OPENPOSE_25) :].float()
        verdict = compare(annotated, points, joints_3d[:, -1], self.check)
        if verdict.reason:
            return replace(one, person=None, status=REJECTED, message=verdict.reason)
        keypoints = person.keypoints_2d.clone()
        for name in verdict.wrong_clicks:
            keypoints[len(OPENPOSE_25) + GT_24.index(name), -1] = 0.0
        own = person.joints_3d
        person = replace(
            person, keypoints_2d=keypoints, joints_3d=joints_3d if own is None else own
        )
        note = f"wrong click: {', '.join(verdict.wrong_clicks)}" if verdict.wrong_clicks else ""
        return replace(one, person=person, message=note)
