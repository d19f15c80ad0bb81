"""Where training starts: shipped or saved weights, published backbones, or fresh networks."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from exemplar.bodies import OPEN_BODY
from exemplar.fitting.weights import parts_of
from exemplar.regressors.checkpoints import (
    ARCHITECTURES,
    RegressorInfo,
    load_regressor,
)
from exemplar.regressors.lifter import Lifter, LifterHead
from exemplar.regressors.published_files import own_names, read_published

BLAZEPOSE = "blazepose"
"""Name of the default network as it was before this project trained it: BlazePose's trunk, a fresh
head."""

_STEP = 1e-5
"""EFT's step that is stored with fresh networks, until somebody measures a better one."""


def starting_regressor(
    name: str,
    *,
    seed: int = 0,
    fresh_head: bool = False,
    backbone: Path | None = None,
    body: str = OPEN_BODY,
) -> tuple[nn.Module, RegressorInfo]:
    """A network to train, in eval mode.

    `name`: a shipped regressor, a checkpoint, `blazepose`, or an architecture, whose weights are
    then random. `fresh_head` draws the weights of the last part anew. `backbone` is a torch file of
    an image or pose network whose tensors take the place of those of the same names. `body` is
    what an architecture is going to be trained for (`RegressorInfo.body`). Everything random comes
    from `seed`. ValueError or FileNotFoundError, in one line.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        regressor, info = _named(name, body)
        if fresh_head:
            _refresh(regressor, info)
    if backbone is not None:
        load_backbone(regressor, backbone)
    return regressor.eval(), info


def _named(name: str, body: str) -> tuple[nn.Module, RegressorInfo]:
    if name == BLAZEPOSE:
        made, info = load_regressor("mobile")
        assert isinstance(made, Lifter)
        made.head = LifterHead(made.head.config)
        made.given_head = None
        return made, RegressorInfo(info.architecture, info.body, info.learning_rate, info.adapt)
    if name in ARCHITECTURES:
        info = RegressorInfo(name, body, _STEP)
        return ARCHITECTURES[name](info), info
    try:
        made, info = load_regressor(name)
    except FileNotFoundError as error:
        known = ", ".join([BLAZEPOSE, *ARCHITECTURES])
        raise FileNotFoundError(f"{error}; to start afresh, one of {known}") from error
    if isinstance(made, Lifter):
        # training moves one head: another that it leaves behind would answer for it
        made.given_head, info = None, replace(info, given_rate=None)
    return made, info


def _refresh(regressor: nn.Module, info: RegressorInfo) -> None:
    """The weights of the last part as they would be in a new network."""
    anew = parts_of(ARCHITECTURES[info.architecture](info))[-1]
    with torch.no_grad():
        for old, new in zip(parts_of(regressor)[-1].parameters(), anew.parameters(), strict=True):
            old.copy_(new)


def load_backbone(regressor: nn.Module, path: Path) -> tuple[int, int]:
    """Tensors of a published backbone into a regressor, in place; how many of how many.

    Tensors of other names, such as a classifier's, are left alone, and what the file lacks stays as
    it is. ValueError in one line if it has less than half of the backbone, or other shapes;
    FileNotFoundError if there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no backbone at {path}")
    last = {id(t) for t in parts_of(regressor)[-1].state_dict(keep_vars=True).values()}
    wanted = {
        name.removeprefix("backbone.").removeprefix("encoder."): tensor
        for name, tensor in regressor.state_dict(keep_vars=True).items()
        if id(tensor) not in last and not name.startswith("normalise.")
    }
    states = [own_names(state, wanted)[0] for state in read_published(path).states.values()]
    state = max(states, key=lambda state: len(wanted.keys() & state.keys()))
    found = [name for name in wanted if name in state]
    misshaped = [name for name in found if state[name].shape != wanted[name].shape]
    if 2 * len(found) < len(wanted) or misshaped:
        what = f"{misshaped[0]} has another shape" if misshaped else "names are others"
        raise ValueError(
            f"{path} is no backbone of {type(regressor).__name__}: {what} "
            f"({len(found)} of {len(wanted)} tensors found)"
        )
    with torch.no_grad():
        for name in found:
            wanted[name].copy_(state[name])
    return len(found), len(wanted)
