"""Where training starts: shipped weights, fresh heads, random networks, published backbones."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from exemplar.assets import load_asset_state
from exemplar.fitting.weights import parts_of
from exemplar.geometry.crops import Box
from exemplar.regressors.checkpoints import load_regressor
from exemplar.regressors.lifter import Lifter
from exemplar.training.starting import load_backbone, starting_regressor
from tests.training.toy import ToyNetwork
from tests.training.toy_run import add_toy, save_toy


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    add_toy(monkeypatch)


def same(first: nn.Module, second: nn.Module) -> bool:
    """Whether two networks have the same tensors."""
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def changed(first: nn.Module, second: nn.Module) -> list[int]:
    """Which parts of two networks have other weights."""
    pairs = zip(parts_of(first), parts_of(second), strict=True)
    return [i for i, (ours, theirs) in enumerate(pairs) if not same(ours, theirs)]


def test_a_shipped_network_and_a_file_start_as_they_are(tmp_path: Path) -> None:
    found, info = starting_regressor("mobile", seed=1)
    shipped, wanted = load_regressor("mobile")
    assert same(found.get_submodule("reader"), shipped.get_submodule("reader"))
    assert same(found.get_submodule("head"), shipped.get_submodule("head"))
    assert info == replace(wanted, given_rate=None)
    path = save_toy(tmp_path / "toy.safetensors", seed=5, body="smpl")
    found, info = starting_regressor(str(path))
    assert (info.architecture, info.body) == ("toy", "smpl")
    # files have half precision
    wanted_state = {n: t.half().float() for n, t in ToyNetwork(5).state_dict().items()}
    assert all(torch.equal(t.float(), wanted_state[n]) for n, t in found.state_dict().items())
    assert not found.training


def test_a_fresh_head_changes_the_last_part_alone_as_the_seed_says(tmp_path: Path) -> None:
    path = str(save_toy(tmp_path / "toy.safetensors", seed=5))
    old, _ = starting_regressor(path)
    torch.manual_seed(1)
    fresh, _ = starting_regressor(path, seed=3, fresh_head=True)
    torch.manual_seed(2)
    again, _ = starting_regressor(path, seed=3, fresh_head=True)
    other, _ = starting_regressor(path, seed=4, fresh_head=True)
    assert changed(old, fresh) == [2]
    assert same(fresh, again)
    assert changed(fresh, other) == [2]


def test_a_fresh_head_of_the_default_network_keeps_where_it_starts() -> None:
    old, info = starting_regressor("mobile")
    fresh, found = starting_regressor("mobile", fresh_head=True)
    assert found == info
    assert changed(old, fresh) == [len(parts_of(old)) - 1]
    buffers = dict(old.named_buffers())
    assert all(torch.equal(buffers[name], value) for name, value in fresh.named_buffers())


def test_a_head_that_training_leaves_behind_is_left_out() -> None:
    """It would answer for people who are given with keypoints as if nothing had been learnt."""
    shipped, told = load_regressor("mobile")
    found, info = starting_regressor("mobile")
    assert isinstance(shipped, Lifter)
    assert isinstance(found, Lifter)
    assert (shipped.given_head is None, found.given_head) == (False, None)
    assert info == replace(told, given_rate=None)


def test_blazepose_has_the_assets_trunk_and_a_fresh_head() -> None:
    found, info = starting_regressor("blazepose", seed=0)
    assert isinstance(found, Lifter)
    asset = load_asset_state("pose_trunk.safetensors")
    trunk = found.reader.trunk.state_dict()
    assert all(torch.equal(trunk[name], value.float()) for name, value in asset.items())
    shipped, wanted = load_regressor("mobile")
    assert isinstance(shipped, Lifter)
    assert (info.architecture, info.body, info.adapt) == (
        wanted.architecture, wanted.body, wanted.adapt,
    )  # fmt: skip
    assert info.notes == ""
    assert found.head.config == shipped.head.config
    ours, theirs = dict(found.head.named_parameters()), dict(shipped.head.named_parameters())
    assert not any(torch.equal(ours[name], theirs[name]) for name in ours)
    again, _ = starting_regressor("blazepose", seed=0)
    other, _ = starting_regressor("blazepose", seed=1)
    assert same(found, again)
    assert same(found.reader, other.get_submodule("reader"))
    assert not same(found, other)


def test_the_default_networks_fresh_head_answers_with_a_person_who_stands() -> None:
    found, _ = starting_regressor("blazepose", seed=0)
    box = Box(torch.zeros(1, 2), torch.ones(1), torch.zeros(1))
    person = found(torch.rand(1, 3, 256, 256), box)
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    # float32 rotations from six numbers
    assert torch.allclose(person.global_orient[0], upright, atol=1e-6)
    assert torch.allclose(person.body_pose, torch.eye(3).expand(1, 23, 3, 3), atol=1e-6)
    assert person.camera[0, 0] > 0


def test_an_architecture_is_random_as_the_seed_says_and_leaves_torchs_generator_alone() -> None:
    state = torch.get_rng_state()
    first, info = starting_regressor("toy", seed=7)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(9)
    again, _ = starting_regressor("toy", seed=7)
    other, _ = starting_regressor("toy", seed=8)
    assert same(first, again)
    assert not same(first, other)
    assert (info.architecture, info.body) == ("toy", "open")
    assert starting_regressor("toy", body="smpl")[1].body == "smpl"


def test_an_unknown_name_is_told_those_that_there_are() -> None:
    known = r"no regressor 'hmmr'.*blazepose, lifter, lifter_heavy, hmr,"
    with pytest.raises(FileNotFoundError, match=known):
        starting_regressor("hmmr")


Wrap = Callable[[Mapping[str, Tensor]], object]
FILES: dict[str, Wrap] = {
    "bare": lambda state: dict(state),
    "module.": lambda state: {f"module.{n}": t for n, t in state.items()},
    "backbone.": lambda state: {f"backbone.{n}": t for n, t in state.items()},
    "any prefix": lambda state: {f"net.trunk.{n}": t for n, t in state.items()},
    "under state_dict": lambda state: {"state_dict": dict(state), "epoch": 3},
    "all of it": lambda state: {
        "state_dict": {f"module.backbone.{n}": t for n, t in state.items()}
    },
    "with a classifier": lambda state: {**state, "fc.weight": torch.ones(10, 5)},
}


def backbone() -> dict[str, Tensor]:
    """A toy's tensors before its head."""
    state = ToyNetwork(11).state_dict()
    return {name: value for name, value in state.items() if not name.startswith("head.")}


@pytest.mark.parametrize("kind", FILES)
def test_a_backbone_is_found_however_it_was_saved(kind: str, tmp_path: Path) -> None:
    torch.save(FILES[kind](backbone()), tmp_path / "backbone.pth")
    found, _ = starting_regressor("toy", seed=2, backbone=tmp_path / "backbone.pth")
    plain, _ = starting_regressor("toy", seed=2)
    state = found.state_dict()
    assert all(torch.equal(state[name], value) for name, value in backbone().items())
    assert changed(plain, found) == [0, 1]


def test_the_head_of_a_whole_network_is_left_alone(tmp_path: Path) -> None:
    torch.save(ToyNetwork(11).state_dict(), tmp_path / "whole.pth")
    found, _ = starting_regressor("toy", seed=2, backbone=tmp_path / "whole.pth")
    assert changed(starting_regressor("toy", seed=2)[0], found) == [0, 1]


def test_what_a_file_lacks_stays_and_how_much_was_found_is_told(tmp_path: Path) -> None:
    some = {name: value for name, value in backbone().items() if "num_batches" not in name}
    torch.save(some, tmp_path / "backbone.pth")
    network = ToyNetwork(0)
    assert load_backbone(network, tmp_path / "backbone.pth") == (len(some), len(some) + 1)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:400])


BAD: dict[str, tuple[Wrap, Callable[[Path], None], type[Exception], str]] = {
    "too few": (lambda s: dict(list(s.items())[:2]), lambda p: None, ValueError, "2 of 9 tensors"),
    "other names": (
        lambda s: {n.replace(".", "_"): t for n, t in s.items()},
        lambda path: None,
        ValueError,
        "names are others",
    ),
    "other shapes": (
        lambda s: {**s, "stem.0.weight": torch.zeros(4, 3, 5, 5)},
        lambda path: None,
        ValueError,
        "stem.0.weight has another shape",
    ),
    "cut short": (lambda s: dict(s), cut, ValueError, "cannot be read"),
    "no tensors": (lambda s: {"names": list(s)}, lambda path: None, ValueError, "no state dict"),
    "missing": (lambda s: dict(s), Path.unlink, FileNotFoundError, "no backbone at"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_backbone_is_one_line_and_changes_nothing(
    kind: str, tmp_path: Path
) -> None:
    wrap, damage, error, reason = BAD[kind]
    path = tmp_path / "backbone.pth"
    torch.save(wrap(backbone()), path)
    damage(path)
    network = ToyNetwork(0)
    with pytest.raises(error, match=reason) as caught:
        load_backbone(network, path)
    assert "\n" not in str(caught.value)
    assert "backbone.pth" in str(caught.value)
    assert same(network, ToyNetwork(0))


def test_resnets_of_image_and_pose_programs_fill_hmrs_backbone(tmp_path: Path) -> None:
    donor, _ = starting_regressor("hmr", seed=1)
    last = {id(t) for t in parts_of(donor)[-1].state_dict(keep_vars=True).values()}
    state = {n: t for n, t in donor.state_dict(keep_vars=True).items() if id(t) not in last}
    state = {n: t.detach() for n, t in state.items() if not n.startswith("normalise.")}
    named = {f"backbone.{n.removeprefix('backbone.')}": t for n, t in state.items()}
    torch.save({"state_dict": named}, tmp_path / "pose.pth")
    network, info = starting_regressor("hmr", seed=2)
    found, wanted = load_backbone(network, tmp_path / "pose.pth")
    assert found == wanted == len(state)
    assert info.architecture == "hmr"
