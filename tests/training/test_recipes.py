"""The recipes have the papers' and their programs' numbers."""

import pytest

from exemplar.fitting.body_loss import BodyLossConfig
from exemplar.training.recipes import RECIPES, Recipe, recipe_named

TERMS = ("keypoints_2d", "joints_3d", "vertices", "pose", "betas")
"""Terms that all programs have."""


def terms(loss: BodyLossConfig) -> tuple[float, ...]:
    return tuple(getattr(loss, name) for name in TERMS)


def rates(recipe: Recipe) -> tuple[float, float | None]:
    return recipe.loop.learning_rate, recipe.auxiliary_rate


PLAIN_ADAM = ("adam", 0.0, "constant", None, None, None)
"""Optimiser, weight decay, schedule, warm-up, clipping, averaging of both papers' programs."""


@pytest.mark.parametrize("kind", RECIPES)
def test_the_papers_recipes_are_adam_at_a_constant_rate(kind: str) -> None:
    for name, recipe in RECIPES[kind].items():  # pyright: ignore[reportArgumentType]
        loop = recipe.loop
        found = (
            *(loop.optimiser, loop.weight_decay, loop.schedule),
            *(loop.warm_up, loop.clip_norm, loop.ema),
        )
        assert (found == PLAIN_ADAM) == (name != "default")


@pytest.mark.parametrize(("name", "batch", "crops"), [("spin", 64, 0.0), ("eft", 256, 0.3)])
def test_spin_and_eft(name: str, batch: int, crops: float) -> None:
    recipe = recipe_named("supervised", name)
    assert recipe.inner is None
    assert rates(recipe) == (5e-5, None)
    assert recipe.batch_size == batch
    assert recipe.batch_norm == "train"
    # 60 * [0 * Lshape + 5 * L2D + 5 * L3D + Lpose + .001 * Lbeta + Lcam]
    assert terms(recipe.loss) == (5.0, 5.0, 0.0, 1.0, 1e-3)
    assert (recipe.loss.camera, recipe.loss.scale) == (1.0, 60.0)
    assert recipe.augmentation.extreme_crop == crops


def test_eft_trains_for_200_000_steps() -> None:
    assert recipe_named("supervised", "eft").loop.steps == 200_000


def test_the_printed_exemplar_recipe() -> None:
    recipe = recipe_named("exemplar", "paper")
    assert rates(recipe) == (1e-4, None)
    assert recipe.batch_size == 40
    assert terms(recipe.loss) == (5.0, 5.0, 0.5, 1.0, 1e-3)
    assert (recipe.loss.vertex_norm, recipe.loss.camera, recipe.loss.scale) == ("l2", 0.0, 1.0)
    inner = recipe.inner
    assert inner is not None
    assert (inner.steps, inner.learning_rate, inner.adapt) == (1, 1e-5, "all")
    assert (inner.group_size, inner.second_order, inner.train_auxiliary) == (1, True, True)
    assert (inner.teacher, inner.pseudo_for) == ("auxiliary", "all")
    assert inner.loss == recipe.loss


def test_the_released_exemplar_recipe() -> None:
    recipe = recipe_named("exemplar", "released")
    assert rates(recipe) == (1e-4, 1e-6)
    assert (recipe.batch_size, recipe.batch_norm, recipe.passes) == (30, "train", 2)
    assert terms(recipe.loss) == (5.0, 5.0, 0.5, 1.0, 1e-3)
    assert (recipe.loss.vertex_norm, recipe.loss.camera, recipe.loss.scale) == ("l1", 1.0, 60.0)
    inner = recipe.inner
    assert inner is not None
    assert (inner.steps, inner.learning_rate, inner.adapt) == (1, 1e-5, "head")
    # one copy for the batch; first order by the README's --first_order
    assert (inner.group_size, inner.second_order) == (0, False)
    assert (inner.teacher, inner.pseudo_for) == ("auxiliary", "annotated")
    # the same terms, but not times 60
    assert terms(inner.loss) == terms(recipe.loss)
    assert (inner.loss.vertex_norm, inner.loss.camera, inner.loss.scale) == ("l1", 1.0, 1.0)


@pytest.mark.parametrize("name", ["paper", "released"])
def test_without_the_inner_step_the_rest_is_the_same(name: str) -> None:
    plain, inner = recipe_named("supervised", name), recipe_named("exemplar", name)
    assert plain.inner is None
    assert plain.loss == inner.loss
    assert plain.loop == inner.loop
    assert plain.augmentation == inner.augmentation
    assert plain.batch_size == inner.batch_size


@pytest.mark.parametrize("name", ["spin", "eft", "paper", "released"])
def test_all_programs_share_spins_augmentation(name: str) -> None:
    augmentation = recipe_named("supervised", name).augmentation
    assert (augmentation.flip, augmentation.channel_noise, augmentation.scale) == (0.5, 0.4, 0.25)
    assert (augmentation.rotation, augmentation.rotation_share) == (30.0, 0.4)
    assert augmentation.occlusion == 0.0


def test_each_kind_has_a_default_that_scores_without_test_time_steps() -> None:
    for recipes in RECIPES.values():
        assert all(recipe.check_steps[0] == 0 for recipe in recipes.values())
        assert "default" in recipes


def test_an_unknown_recipe_is_refused_by_those_of_its_kind() -> None:
    with pytest.raises(ValueError, match="unknown preset 'eft' of exemplar training: expected def"):
        recipe_named("exemplar", "eft")
