"""Regressors by name or file: .safetensors of this project, and published torch checkpoints."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from exemplar.assets import asset_path, load_asset_state
from exemplar.bodies import Body, load_body
from exemplar.files.reading_files import reading
from exemplar.geometry.cameras import CameraModel
from exemplar.regressors.blazepose import BlazePoseTrunk, Size
from exemplar.regressors.cliff import Cliff, CliffHrnet
from exemplar.regressors.hmr import RECT, SQUARE, Hmr
from exemplar.regressors.lifter import Lifter
from exemplar.regressors.names import DEFAULT_REGRESSOR
from exemplar.regressors.published_files import (
    COUNTER,
    START,
    SUFFIXES,
    Faults,
    Part,
    faults,
    own_names,
    read_published,
    some,
    with_start,
)

_SHIPPED: Mapping[str, str] = {
    "mobile": "mobile.safetensors",
    "large": "large.safetensors",
}
"""Files of the regressors that ship; large reads landmarks by the heavy trunk."""

_VERSION_1 = "mobile"
"""What files of the default regressor's first version say that they are of."""

LIFTERS: Mapping[str, Size] = {"lifter": "full", "lifter_heavy": "heavy"}
"""Trunks of networks that leave them as their authors trained them: a shipped file has the rest."""

_TRUNK = "reader.trunk."
"""What the names of such a trunk's tensors begin with."""

TRUNK_FILES: Mapping[Size, str] = {
    "full": "pose_trunk.safetensors",
    "heavy": "pose_trunk_heavy.safetensors",
}
"""The shipped landmark networks."""

DUAL_MAIN_ITERATIONS = 10
"""Corrections of the dual-network authors' main networks, in training and in their tests."""

AUX_ITERATIONS = 3
"""Corrections of every other published network."""

SQUARE_STEP = 5e-6
"""Adam's step of EFT's program."""

RECT_STEP = 1e-5
"""Adam's step of the dual-network authors' program at test time."""


@dataclass(frozen=True)
class RegressorInfo:
    """What a checkpoint says about itself besides its weights."""

    architecture: str
    """Name of the network, one of `ARCHITECTURES`."""
    body: str
    """Body whose parameters it predicts: "open", or "smpl" for a file that the user has."""
    learning_rate: float
    """EFT's Adam step for these weights, chosen on validation data."""
    adapt: str = "all"
    """Which weights EFT moves, likewise (`EftConfig.adapt`)."""
    notes: str = ""
    """How it was made."""
    n_iter: int | None = None
    """Corrections of the iterative head, for networks that let one choose."""
    camera_model: CameraModel | None = None
    """What its camera numbers mean; None is the architecture's own."""
    given_rate: float | None = None
    """EFT's step of the network's second head, for people who are given with 2D keypoints; None
    where there is none."""

    def step(self, *, shown: bool) -> float:
        """EFT's step for people whose keypoints are shown to the network, or are not."""
        return self.given_rate if shown and self.given_rate is not None else self.learning_rate

    def shared(self) -> tuple[str, float]:
        """What moves, and EFT's step, where several exemplars share one copy of the weights: where
        one moves a layer they move the part that it is in, with half the step."""
        part, _, layer = self.adapt.partition(".")
        return (part, self.learning_rate / 2) if layer else (self.adapt, self.learning_rate)


def _rounds(info: RegressorInfo, default: int) -> int:
    return default if info.n_iter is None else info.n_iter


def _hmr(info: RegressorInfo, size: tuple[int, int]) -> nn.Module:
    camera_model = info.camera_model or "crop_perspective"
    return Hmr(n_iter=_rounds(info, AUX_ITERATIONS), size=size, camera_model=camera_model)


ARCHITECTURES: Mapping[str, Callable[[RegressorInfo], nn.Module]] = {
    "lifter": lambda info: Lifter("full", two_heads=info.given_rate is not None),
    "lifter_heavy": lambda info: Lifter("heavy", two_heads=info.given_rate is not None),
    "hmr": lambda info: _hmr(info, SQUARE),
    "hmr_rect": lambda info: _hmr(info, RECT),
    "cliff": lambda info: Cliff(n_iter=_rounds(info, AUX_ITERATIONS)),
    "cliff_hrnet": lambda info: CliffHrnet("main", n_iter=_rounds(info, DUAL_MAIN_ITERATIONS)),
    "cliff_hrnet_aux": lambda info: CliffHrnet("aux", n_iter=_rounds(info, AUX_ITERATIONS)),
}
"""Networks by name: heads on the landmarks of either trunk; HMR on 224x224 and on 256x192 crops;
CLIFF on ResNet-50 and on HRNet-W48 (main and auxiliary variant)."""

_PUBLISHED = ("hmr", "cliff", "cliff_hrnet", "cliff_hrnet_aux")
"""Networks that a torch checkpoint is looked through for. HMR on 256x192 crops has the same tensors
as on square ones: it is taken for the dual-network authors' files."""


def load_regressor(
    name: str | Path = DEFAULT_REGRESSOR,
    *,
    architecture: str | None = None,
    part: Part = "main",
    n_iter: int | None = None,
    camera_model: CameraModel | None = None,
    mean_params: str | Path | None = None,
) -> tuple[nn.Module, RegressorInfo]:
    """A regressor in eval mode, by shipped name or by checkpoint path.

    Besides this project's .safetensors files, the torch checkpoints of SPIN, EFT, CLIFF and the
    dual networks load (.pt, .pth), wherever in the file their tensors lie and whatever stands
    before their names; the options are for those. `architecture` is one of
    `ARCHITECTURES`, told from the tensors unless given; `part` picks the dual networks' main or
    auxiliary network; `n_iter` is the number of corrections, `camera_model` what the network was
    trained with, where its authors' differ from yours; `mean_params` is `smpl_mean_params.npz`,
    for files without the head's start.

    Raises FileNotFoundError if there is none; ValueError naming the missing, unexpected or
    mis-shaped tensors if the file does not fit its architecture.
    """
    shipped = _SHIPPED.get(str(name))
    path = Path(name)
    if shipped is None and not path.is_file():
        known = ", ".join(_SHIPPED)
        raise FileNotFoundError(
            f"no regressor {str(name)!r}: expected {known} or a checkpoint file"
        )
    with reading(path, "a regressor's checkpoint"):
        return _read(name, shipped, architecture, part, n_iter, camera_model, mean_params)


def _read(
    name: str | Path,
    shipped: str | None,
    architecture: str | None,
    part: Part,
    n_iter: int | None,
    camera_model: CameraModel | None,
    mean_params: str | Path | None,
) -> tuple[nn.Module, RegressorInfo]:
    path = Path(name)
    if shipped is None and path.suffix.lower() in SUFFIXES:
        info, state = _published(path, architecture, part)
        info = replace(
            info,
            n_iter=info.n_iter if n_iter is None else n_iter,
            camera_model=info.camera_model if camera_model is None else camera_model,
        )
        return _fill(info, with_start(state, mean_params, str(path)), str(path)), info
    options = (architecture, n_iter, camera_model, mean_params)
    if part != "main" or any(option is not None for option in options):
        raise ValueError(
            f"{name}: the options are for torch checkpoints ({', '.join(sorted(SUFFIXES))})"
        )
    if shipped is not None:
        with asset_path(shipped) as asset:
            return _load(asset)
    return _load(path)


def load_trunk(size: Size = "full") -> BlazePoseTrunk:
    """A shipped landmark network, in eval mode and frozen."""
    model = BlazePoseTrunk(size)
    load_strictly(model, load_asset_state(TRUNK_FILES[size]), TRUNK_FILES[size])
    return model.eval().requires_grad_(False)


def save_regressor(module: nn.Module, info: RegressorInfo, path: Path) -> None:
    """Write a checkpoint, weights in half precision."""
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in module.state_dict().items()
    }
    save_file(state, path, metadata={"exemplar": json.dumps(asdict(info))})


def _load(path: Path) -> tuple[nn.Module, RegressorInfo]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors checkpoint: {error}") from error
    try:
        info = RegressorInfo(**json.loads(metadata["exemplar"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not name a known architecture: {error}") from error
    if info.architecture == _VERSION_1:
        raise ValueError(
            f"{path} was written by version 1 of the default regressor, whose network is not part "
            "of exemplar any more: train again from --regressor mobile"
        )
    if info.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ValueError(
            f"{path} does not name a known architecture: got {info.architecture!r}, "
            f"expected one of {known}"
        )
    if info.architecture in LIFTERS and not any(name.startswith(_TRUNK) for name in state):
        trunk = load_asset_state(TRUNK_FILES[LIFTERS[info.architecture]])
        state |= {_TRUNK + name: value for name, value in trunk.items()}
    return _fill(info, state, str(path)), info


def _fill(info: RegressorInfo, state: dict[str, Tensor], source: str) -> nn.Module:
    """The network that `info` describes, with the weights of `state`, in eval mode."""
    module = ARCHITECTURES[info.architecture](info)
    has = getattr(module, "camera_model", None)
    if info.camera_model not in (None, has):
        raise ValueError(
            f"{source}: {info.architecture} has the camera model {has}, not {info.camera_model}"
        )
    load_strictly(module, state, source)
    return module.eval()


def _published(
    path: Path, architecture: str | None, part: Part
) -> tuple[RegressorInfo, dict[str, Tensor]]:
    """The network that a torch checkpoint holds, and its weights under the network's names."""
    if architecture not in (None, *ARCHITECTURES):
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"{path}: no architecture {architecture!r}, expected one of {known}")
    file = read_published(path, part)
    names = _PUBLISHED if architecture is None else (architecture,)
    fits = [_fit(name, place, state) for place, state in file.states.items() for name in names]
    best = min(fits, key=lambda fit: len(fit.faults))
    if best.faults:
        where = f"{path} ({best.place})" if best.place else str(path)
        raise ValueError(
            f"{where} does not fit the network {best.architecture}"
            f"{'' if architecture else ', of those known the closest'}: {best.faults}"
        )
    dual_main = file.dual and part == "main"
    same_tensors = architecture is None and best.architecture == "hmr"
    found = "hmr_rect" if file.dual and same_tensors else best.architecture
    left_out = f"; left out: {some(best.others)}" if best.others else ""
    info = RegressorInfo(
        architecture=found,
        body="smpl",
        learning_rate=SQUARE_STEP if found == "hmr" else RECT_STEP,
        n_iter=DUAL_MAIN_ITERATIONS if dual_main or found == "cliff_hrnet" else AUX_ITERATIONS,
        notes=f"{part} network of {path.name}{left_out}",
    )
    return info, best.state


@dataclass(frozen=True)
class _Fit:
    """A state dict beside an architecture."""

    architecture: str
    place: str
    """Where the state dict lies in the file."""
    state: dict[str, Tensor]
    """Under the network's own names."""
    others: list[str]
    """What does not belong to the network's modules."""
    faults: Faults


def _fit(architecture: str, place: str, state: Mapping[str, Tensor]) -> _Fit:
    wanted = _empty(architecture)
    found, others = own_names(state, wanted)
    needed = {name: tensor for name, tensor in wanted.items() if name not in START or name in found}
    return _Fit(architecture, place, found, others, faults(found, needed))


@cache
def _empty(architecture: str) -> dict[str, Tensor]:
    """Names and shapes of a network's tensors, without memory for them."""
    with torch.device("meta"):
        return ARCHITECTURES[architecture](RegressorInfo(architecture, "smpl", 0.0)).state_dict()


def load_strictly(module: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state dict in which every tensor must be found, expected and of the right shape."""
    wanted = module.state_dict()
    wrong = faults(state, wanted)
    if wrong:
        raise ValueError(f"{source} does not fit the network: {wrong}")
    counters = {key: value for key, value in wanted.items() if key.endswith(COUNTER)}
    module.load_state_dict(
        {key: value.to(torch.float32) for key, value in (counters | state).items()}
    )


def body_for(info: RegressorInfo, chosen: str | None = None) -> Body:
    """The body that a regressor's parameters are for, or the `chosen` one ("open" or a file).

    ValueError if the regressor needs a file that only the user can have.
    """
    if chosen is None and info.body == "smpl":
        raise ValueError(
            f"{info.architecture} predicts SMPL bodies: give your own SMPL file with --body"
        )
    return load_body(chosen or info.body)
