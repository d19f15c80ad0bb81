"""From a clip to bodies that move: who is where, the fits, the camera and the world."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from exemplar.bodies import Body
from exemplar.bodies.shape_prior import shape_prior
from exemplar.counting import numbers_of_people
from exemplar.data.crops import CroppedPerson, batch_of, crop_person, framing_of, person_box
from exemplar.environment import one_torch_thread, usable_device
from exemplar.files.video_files import VideoFrame, read_frames, read_info
from exemplar.fitting.clip import ClipConfig
from exemplar.fitting.exemplar import EftConfig
from exemplar.fitting.weights import frozen_outputs, moving_names
from exemplar.geometry.cameras import CameraModel
from exemplar.motion import Motion
from exemplar.regressors.checkpoints import DEFAULT_REGRESSOR, body_for, load_regressor
from exemplar.scene.clip_files import BLOCK, Block, ClipJob
from exemplar.scene.clip_options import ClipOptions
from exemplar.scene.clip_people import ClipCamera, ClipPerson, PersonFrames, fit_person
from exemplar.scene.clip_world import World, world_of
from exemplar.scene.options import DETECTED_STOP_PX
from exemplar.scene.people import framing_joints, has_extent, landmark_joints
from exemplar.scene.placing import focal_from
from exemplar.scene.sightings import Sighting, sightings_in
from exemplar.scene.tracks import Track, assignment, tracks_of
from exemplar.scene.traits import for_people

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much (0: not known)."""


@dataclass(frozen=True)
class ClipResult:
    """A fitted clip."""

    people: tuple[ClipPerson, ...]
    """Who is in it, who is seen most first; their motions are in the camera's frame."""
    world: World | None
    """The world that the camera stands in; None if it moves, or nobody is there."""
    motions: tuple[Motion, ...]
    """The people in the world, or in the camera's frame if there is none."""
    numbers: tuple[int, ...]
    """Of the frames in the file."""
    focal_source: str
    """Where the focal length is from, in words."""
    faces: np.ndarray
    """Triangles of every body's mesh."""


class ClipFitter:
    """A loaded regressor and body, ready to fit clips one after another."""

    def __init__(
        self, regressor: str | Path = DEFAULT_REGRESSOR, options: ClipOptions | None = None
    ):
        self.options = options or ClipOptions()
        self.device = usable_device(self.options.device)
        module, self.info = load_regressor(regressor)
        self.regressor: nn.Module = module.to(self.device)
        self.regressor_name = str(regressor)
        self.resolution = int(getattr(module, "resolution"))  # noqa: B009 - a Module attribute
        self.camera_model: CameraModel = getattr(module, "camera_model", "weak")
        self.body: Body = body_for(self.info, self.options.body)
        self.adapt, self.step = self.info.shared()
        self.moving = moving_names(self.regressor, self.adapt)
        for known in filter(None, self.options.traits):
            shape_prior(self.body, known)  # what cannot be is told before hours of work

    @property
    def config(self) -> ClipConfig:
        """How a person's frames are fitted."""
        options = self.options
        eft = EftConfig(
            learning_rate=self.step,
            adapt=self.adapt,
            stop_px=DETECTED_STOP_PX if options.stop_px is None else options.stop_px,
        )
        if options.iterations is not None:
            eft = replace(eft, iterations=options.iterations)
        return ClipConfig(eft, options.window)

    def fit(
        self, clip: str | Path, folder: str | Path, progress: Progress = lambda what, n, of: None
    ) -> ClipResult:
        """Fit the people of a video.

        What is done is kept in `folder`, and a job that was stopped goes on from there: with the
        same result, to the bit. Warns (UserWarning) of a file that breaks off. FileNotFoundError,
        OSError or ValueError, in one line, for bad input, such as a clip without a person.
        """
        assignment()  # what is missing is told before hours of work, not after
        with one_torch_thread():
            return self._fit(Path(clip), Path(folder), progress)

    def _fit(self, clip: Path, folder: Path, progress: Progress) -> ClipResult:
        info = read_info(clip)
        size = (info.height, info.width)
        focal, source = focal_from(
            info.focal_35mm, "the file", *size, self.camera_model, self.options.focal
        )
        camera = ClipCamera(focal, (info.width, info.height), source)
        job = ClipJob(folder, clip, self._settings())
        self._watch(clip, job, camera, info.frames, progress)

        blocks = [job.load(number) for number in range(job.blocks())]
        times = np.concatenate([block.times for block in blocks])
        frames = [people for block in blocks for people in block.people]
        tracks = self._chosen(tracks_of(frames, times.tolist()), clip)
        traits = for_people(self.options.traits, len(tracks))
        people = []
        for i, track in enumerate(tracks):
            progress("fitting", i, len(tracks))
            seen = self._frames_of(track, blocks, times, camera)
            people.append(
                fit_person(
                    self.regressor, self.body, seen, times, camera, self.config, self.options,
                    traits[i],
                )
            )  # fmt: skip
        progress("fitting", len(tracks), len(tracks))
        most = max(len(person.motion.betas) for person in people)
        people = [_with_betas(person, most) for person in people]
        motions = tuple(person.motion for person in people)
        world = None if self.options.moving else world_of(motions, self.body)
        return ClipResult(
            people=tuple(people),
            world=world,
            motions=motions if world is None else world.motions(motions, self.body),
            numbers=tuple(int(n) for block in blocks for n in block.numbers),
            focal_source=source,
            faces=self.body.faces.numpy(),
        )

    def _settings(self) -> dict[str, object]:
        """What the blocks depend on; the camera is none of it."""
        options = self.options
        return {
            "regressor": self.regressor_name,
            "selection": [str(value) for value in vars(options.selection).values()],
            "look_every": options.look_every,
            "device": self.device.type,
        }

    def _watch(
        self, clip: Path, job: ClipJob, camera: ClipCamera, frames: int, progress: Progress
    ) -> None:
        """Find and read everybody in every frame, block by block."""
        done = job.blocks()
        before: list[Sighting] = []
        if done:
            last = job.load(done - 1)
            if len(last.numbers) < BLOCK:
                return
            before = list(last.people[-1])
        expected = self._expected(frames)
        chosen = islice(read_frames(clip, self.options.selection), done * BLOCK, None)
        for number, some in enumerate(_batched(chosen, BLOCK), start=done):
            people, crops = [], []
            for i, frame in enumerate(some):
                at = number * BLOCK + i
                progress("reading", at, expected)
                found = sightings_in(
                    frame.pixels,
                    before,
                    look=at % self.options.look_every == 0,
                )
                before = [p for p in found if has_extent(landmark_joints(p.keypoints, camera.size))]
                people.append(before)
                crops += [self._crop(frame.pixels, person, camera) for person in before]
            job.save(number, self._block(some, people, crops))
            progress("reading", number * BLOCK + len(some), expected)

    def _expected(self, frames: int) -> int:
        """How many frames there will be, 0 if that is not known."""
        selection = self.options.selection
        whole = selection.start == 0 and np.isinf(selection.end) and selection.fps is None
        return -(-frames // selection.every) if whole else 0

    def _crop(self, pixels: np.ndarray, person: Sighting, camera: ClipCamera) -> CroppedPerson:
        joints = torch.from_numpy(landmark_joints(person.keypoints, camera.size)).float()
        # hips below the picture's edge still say where the crop belongs; without them it would
        # jump as they come and go
        known = framing_joints(landmark_joints(person.keypoints), person.keypoints)
        box = camera.seeing(person_box(torch.from_numpy(known).float(), framing_of(self.regressor)))
        width = getattr(self.regressor, "width", None)
        return crop_person(pixels, joints, box, self.resolution, width)

    def _block(
        self,
        frames: Sequence[VideoFrame],
        people: Sequence[Sequence[Sighting]],
        crops: Sequence[CroppedPerson],
    ) -> Block:
        boxes, inputs = np.zeros((0, 4), np.float32), list[np.ndarray]()
        if crops:
            batch = batch_of(crops, self.device)
            box = batch.box
            boxes = torch.cat((box.centre, box.size[:, None], box.angle[:, None]), 1).cpu().numpy()
            made = frozen_outputs(self.regressor, batch.image, self.moving)
            if made is batch.image:
                inputs = [np.stack([crop.crop for crop in crops])]
            else:
                inputs = [x.cpu().numpy() for x in (made if isinstance(made, tuple) else (made,))]
        numbers = np.array([frame.number for frame in frames])
        return Block(numbers, np.array([frame.time for frame in frames]), people, boxes, inputs)

    def _chosen(self, tracks: Sequence[Track], clip: Path) -> Sequence[Track]:
        if not tracks:
            raise ValueError(f"no person found in {clip}")
        person = self.options.person
        if person == "all":
            return tracks
        if person == "largest":
            return [max(tracks, key=Track.mean_extent)]
        if int(person) >= len(tracks):
            raise ValueError(
                f"--person {person}: expected all, largest, or {numbers_of_people(len(tracks))}"
            )
        return [tracks[int(person)]]

    def _frames_of(
        self, track: Track, blocks: Sequence[Block], times: np.ndarray, camera: ClipCamera
    ) -> PersonFrames:
        """Everything that was kept of one person."""
        rows, boxes, joints, scores = [], [], [], []
        parts: list[list[np.ndarray]] = []
        first = 0
        for block in blocks:
            starts = block.first_rows
            for i, people in enumerate(block.people):
                row = track.rows.get(first + i)
                if row is None:
                    continue
                at = int(starts[i]) + row
                rows.append(first + i)
                boxes.append(block.boxes[at])
                joints.append(landmark_joints(people[row].keypoints, camera.size))
                scores.append(people[row].score)
                parts.append([array[at] for array in block.inputs])
            first += len(block.numbers)
        inputs = [
            torch.from_numpy(np.stack(arrays)).to(self.device)
            for arrays in zip(*parts, strict=True)
        ]
        return PersonFrames(
            rows=np.array(rows),
            times=times[rows],
            box=camera.boxes(np.stack(boxes), self.device),
            inputs=tuple(inputs) if len(inputs) > 1 else inputs[0],
            keypoints_2d=np.stack(joints),
            scores=np.array(scores),
        )


def _with_betas(person: ClipPerson, count: int) -> ClipPerson:
    """The person with so many betas, as everybody in a clip has."""
    betas = person.motion.betas
    betas = np.pad(betas, (0, count - len(betas)))
    return replace(person, motion=replace(person.motion, betas=betas))


def _batched(frames: Iterator[VideoFrame], count: int) -> Iterator[list[VideoFrame]]:
    while some := list(islice(frames, count)):
        yield some
