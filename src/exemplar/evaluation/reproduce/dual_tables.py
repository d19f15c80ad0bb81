"""The tables and figures of the dual networks paper."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import numpy as np
import torch

from exemplar.bodies import load_body
from exemplar.data.crops import batch_of
from exemplar.evaluation import charts
from exemplar.evaluation.config import KeypointSource, Method, MethodConfig
from exemplar.evaluation.methods import Methods
from exemplar.evaluation.open_sets import open_set
from exemplar.evaluation.records import body_columns, shown_of
from exemplar.evaluation.reproduce.eft_training import stand_ins
from exemplar.evaluation.reproduce.figures import save_chart
from exemplar.evaluation.reproduce.findings import Cell, Claim, Finding, Numbers, claim, untested
from exemplar.evaluation.reproduce.workbench import Network, Run, Workbench, paired
from exemplar.evaluation.tables import by_update
from exemplar.files.image_files import image_within, read_image, write_image
from exemplar.regressors.checkpoints import load_regressor
from exemplar.regressors.prediction import Prediction
from exemplar.render.review_picture import person_view, with_sample_body
from exemplar.samples import BodyTruth
from exemplar.training.adaptation import InnerConfig
from exemplar.training.augment import frame_of
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.recipes import recipe_named
from exemplar.training.sources import SourceConfig, load_people
from exemplar.training.trainee import Trainee
from exemplar.training.validation import ValidationPeople, evaluated

STEPS = (0, 1, 3, 7, 14)
"""Test-time steps that are reported."""


def _inner(teacher: Literal["none", "auxiliary"]) -> InnerConfig:
    inner = recipe_named("exemplar", "default").inner
    assert inner is not None
    return replace(inner, teacher=teacher)


ROWS: Mapping[str, InnerConfig | None] = {
    "neither": None,
    "exemplar step": _inner("none"),
    "exemplar step + auxiliary": _inner("auxiliary"),
}
"""Rows of Table 3: what each training iteration has inside."""


_Errors = dict[str, list[float]]
"""Means of people by score: a value for each of `STEPS`."""


def network(bench: Workbench, row: str, seed: int) -> Network:
    """A network of Table 3: of all people of the wild, lifted by SMPLify."""
    everybody = bench.lifted("smplify", bench.scale.wild)
    name = {"neither": "smplify", "exemplar step": "inner"}.get(row, "inner-auxiliary")
    return bench.network(name, [everybody], inner=ROWS[row], seed=seed)


def table_3(bench: Workbench) -> Finding:
    """Exemplar step in training and auxiliary network, one after the other."""
    scale = bench.scale
    trained = {(r, s): network(bench, r, s) for r in ROWS for s in scale.seeds}

    def made() -> dict[str, list[_Errors]]:
        return {row: [_steps(bench, row, trained[row, s]) for s in scale.seeds] for row in ROWS}

    found = bench.kept("dual-table-3.json", "test-time steps", made)
    means = {
        (row, score): np.mean([run[score] for run in runs], axis=0)
        for row, runs in found.items()
        for score in ("mpjpe", "pa_mpjpe")
    }
    paper = {"neither": (84.6, 54.2), "exemplar step": (78.5, 49.9)}
    rows = tuple(
        (
            row,
            *(float(x) for x in means[row, "mpjpe"]),
            *(float(x) for x in means[row, "pa_mpjpe"]),
            *paper.get(row, (76.7, 49.5)),
        )
        for row in ROWS
    )
    steps = [f"{kind} {n}" for kind in ("MPJPE", "PA") for n in STEPS]
    return Finding(
        "dual-table-3",
        "Dual networks, Table 3",
        stand_ins(bench) + f"People are lifted by SMPLify; {len(scale.seeds)} seeds, "
        f"{scale.tested} people of `wild`, annotators' keypoints; test-time steps are those of "
        "training (gradient descent on the head), up to 14. The paper: COCO, tested on 3DPW.",
        (
            Numbers(
                "Errors after some test-time steps, mm",
                ("in each training iteration", *steps, "3DPW MPJPE", "PA"),
                rows,
            ),
        ),
        (
            _improves(
                "the exemplar step in training improves what test-time steps give",
                found["neither"],
                found["exemplar step"],
            ),
            _improves(
                "the auxiliary network improves it further",
                found["exemplar step"],
                found["exemplar step + auxiliary"],
            ),
        ),
    )


def _improves(text: str, before: Sequence[_Errors], after: Sequence[_Errors]) -> Claim:
    """Whether both errors after all steps are lower with every seed."""
    told, shows = [], True
    for score, name in (("mpjpe", "MPJPE"), ("pa_mpjpe", "PA")):
        one, other = (np.array([run[score][-1] for run in runs]) for runs in (before, after))
        shows = shows and bool((other < one).all())
        by_seed = ", ".join(f"{x:+.1f}" for x in other - one)
        told.append(f"{name} {one.mean():.1f} to {other.mean():.1f} mm (by seed {by_seed})")
    return claim(text, shows, ", ".join(told))


def _steps(bench: Workbench, row: str, trained: Network) -> _Errors:
    """Mean errors after `STEPS`."""
    inner = ROWS[row]
    main, _ = load_regressor(trained.weights)
    second = None if trained.auxiliary is None else Trainee(load_regressor(trained.auxiliary)[0])
    default = recipe_named("supervised", "default")
    step = (
        TrainingStep(Trainee(main), load_body(), default.loss, inner if second else None, second)
        .to(bench.device)
        .eval()
    )
    total = bench.scale.tested
    files = open_set("wild", bench.open_folder, total, workers=bench.workers)
    source = load_people(SourceConfig("wild", files.annotations, files.images))
    people = ValidationPeople(source, frame_of(main), limit=total)
    test = inner or _inner("none")
    values = evaluated(step, people, STEPS, test, device=torch.device(bench.device))
    return {
        score: [float(values[count][score].nanmean()) for count in STEPS]
        for score in ("mpjpe", "pa_mpjpe", "px")
    }


def _dual_run(bench: Workbench, where: str, keypoints: KeypointSource) -> Run:
    """14 test-time steps of the network that was trained for them."""
    ours = network(bench, "exemplar step + auxiliary", bench.scale.seeds[0])
    return bench.run(
        f"dual-{where}-{keypoints}", where, ("none", "dual"), bench.scale.tested,
        regressor=str(ours.weights), auxiliary=str(ours.auxiliary), keypoints=keypoints, stop=False,
    )  # fmt: skip


def _eft_run(bench: Workbench, where: str, keypoints: KeypointSource) -> Run:
    plain = network(bench, "neither", bench.scale.seeds[0])
    return bench.run(
        f"dual-eft-{where}-{keypoints}", where, ("none", "eft"), bench.scale.fitted,
        regressor=str(plain.weights), keypoints=keypoints, eft="paper", iterations=14, stop=False,
    )  # fmt: skip


def table_2(bench: Workbench) -> Finding:
    """Where 2D keypoints come from."""
    runs = {source: _dual_run(bench, "wild", source) for source in ("detected", "true")}
    scores = ("mpjpe", "pa_mpjpe", "pve")
    paper = {"detected": (73.3, 44.3, 90.3), "true": (68.9, 39.6, 85.5)}
    first = runs["true"].methods["none"]
    rows: list[tuple[Cell, ...]] = [
        ("none: before any step", *(first[x] for x in scores), None, None, None),
        *(
            (source, *(run.methods["dual"][x] for x in scores), *paper[source])
            for source, run in runs.items()
        ),
    ]
    gain = paired(
        runs["detected"].by_person("dual", "mpjpe"), runs["true"].by_person("dual", "mpjpe")
    )
    return Finding(
        "dual-table-2",
        "Dual networks, Tables 1 and 2",
        stand_ins(bench) + f"The network of Table 3 with its auxiliary one, {bench.scale.tested} "
        "people of `wild`; keypoints drawn as a detector's stand for OpenPose's.",
        (
            Numbers(
                "Errors after 14 test-time steps, mm",
                ("2D keypoints", "MPJPE", "PA", "PVE", "HMR on 3DPW: MPJPE", "PA", "PVE"),
                tuple(rows),
            ),
        ),
        (
            claim(
                "true 2D keypoints are better than detected ones",
                gain.clear,
                f"MPJPE with true ones lower by {gain}",
            ),
            untested(
                "a stronger regressor (CLIFF, HRNet-W48) gives better results",
                "needs networks of that size trained for the open body: a GPU, and `exemplar train "
                "exemplar --regressor cliff`",
            ),
            untested(
                "the comparison with other methods on 3DPW and Human3.6M (Table 1, Fig. 4)",
                "needs licensed data and their weights: `exemplar eval --released dual` is for it",
            ),
        ),
    )


def figure_5(bench: Workbench) -> Finding:
    """Errors over test-time steps, ours and EFT."""
    ours, eft = _dual_run(bench, "wild", "detected"), _eft_run(bench, "wild", "detected")
    few = {row["number"] for row in eft.rows}
    curves = {
        "dual networks": by_update(
            [row for row in ours.rows if row["method"] == "dual" and row["number"] in few]
        ),
        "EFT": by_update([row for row in eft.rows if row["method"] == "eft"]),
    }
    pictures, rows = [], []
    for score in ("mpjpe", "pa_mpjpe", "px"):
        series = {name: (f"m{2 - i}", c[score]) for i, (name, c) in enumerate(curves.items())}
        chart = f"dual-fig-5-{score}.svg"
        unit = "px" if score == "px" else "mm"
        picture = charts.curves(series, unit=f"{score}, {unit}", label=f"{score} over steps")
        save_chart(picture, bench.results / chart, {name: key for name, (key, _) in series.items()})
        pictures.append(chart)
        rows += [
            (f"{name}: {score}", *(float(x) for x in c[score].mean(0)[list(STEPS)]))
            for name, c in curves.items()
        ]
    means = {name: c["mpjpe"].mean(0) for name, c in curves.items()}
    aligned = {name: c["pa_mpjpe"].mean(0) for name, c in curves.items()}
    falls = all(bool((np.diff(x["dual networks"]) < 0).all()) for x in (means, aligned))
    turns = all(0 < x["EFT"].argmin() < len(x["EFT"]) - 1 for x in (means, aligned))
    better, better_pa = (
        paired(eft.by_person("eft", score), ours.by_person("dual", score))
        for score in ("mpjpe", "pa_mpjpe")
    )
    return Finding(
        "dual-fig-5",
        "Dual networks, Fig. 5",
        stand_ins(bench) + "EFT as printed (Adam 1e-6, all weights) on the plain network, ours on "
        f"the network trained for it; {len(few)} people of `wild`, a drawn detector's keypoints.",
        (
            Numbers(
                "Mean errors after some steps: mpjpe and pa_mpjpe in mm, px in px of a 224 crop",
                ("", *map(str, STEPS)),
                tuple(rows),
            ),
        ),
        (
            claim(
                "with dual networks errors fall at every step",
                falls,
                _courses(means["dual networks"], aligned["dual networks"]),
            ),
            claim(
                "EFT gets better at first and then worse",
                turns,
                _courses(means["EFT"], aligned["EFT"]),
            ),
            claim(
                "dual networks end better than EFT",
                better.clear and better_pa.clear,
                f"MPJPE {means['dual networks'][-1]:.1f} against {means['EFT'][-1]:.1f} mm, lower "
                f"by {better}; PA {aligned['dual networks'][-1]:.1f} against "
                f"{aligned['EFT'][-1]:.1f} mm, lower by {better_pa}",
            ),
        ),
        tuple(pictures),
    )


def _courses(mpjpe: np.ndarray, pa_mpjpe: np.ndarray) -> str:
    return "; ".join(
        f"{name} {values[0]:.1f} to {values[-1]:.1f} mm, lowest at step {values.argmin()}"
        for name, values in (("MPJPE", mpjpe), ("PA", pa_mpjpe))
    )


def figure_7(bench: Workbench) -> Finding:
    """People unlike those of training."""
    ours, eft = _dual_run(bench, "odd", "true"), _eft_run(bench, "odd", "true")
    few = _of_all(ours, eft)
    found = {
        score: (
            _mean(ours.by_person("none", score), few),
            _mean(ours.by_person("dual", score), few),
            _mean(eft.by_person("none", score), few),
            _mean(eft.by_person("eft", score), few),
        )
        for score in ("mpjpe", "pa_mpjpe")
    }
    gain = paired(eft.by_person("eft", "pa_mpjpe"), ours.by_person("dual", "pa_mpjpe"))
    rows = tuple((score, *values) for score, values in found.items())
    return Finding(
        "dual-fig-7",
        "Dual networks, Fig. 7",
        stand_ins(bench) + "The open set `odd` (acrobatic, inverted, lying) stands for "
        f"LSP-Extended; true 2D keypoints, {len(few)} people, 14 steps.",
        (
            Numbers(
                "Errors, mm",
                ("", "ours before", "after", "plain network before", "after EFT"),
                rows,
            ),
        ),
        (
            claim(
                "dual networks adapt to such people better than EFT",
                gain.clear,
                f"PA-MPJPE after the steps lower than EFT's by {gain}; from where each began "
                f"{found['pa_mpjpe'][1] - found['pa_mpjpe'][0]:+.1f} and "
                f"{found['pa_mpjpe'][3] - found['pa_mpjpe'][2]:+.1f} mm",
            ),
        ),
    )


def _of_all(ours: Run, eft: Run) -> set[int]:
    """The people who have all scores in both runs."""
    made: tuple[tuple[Run, tuple[Method, ...]], ...] = (
        (ours, ("none", "dual")),
        (eft, ("none", "eft")),
    )
    scores = (
        run.by_person(method, score)
        for run, methods in made
        for method in methods
        for score in ("mpjpe", "pa_mpjpe")
    )
    return set.intersection(*map(set, scores))


def _mean(values: Mapping[int, float], of: Set[int]) -> float:
    return float(np.mean([values[who] for who in of]))


def figure_6(bench: Workbench) -> Finding:
    """Bodies after some test-time steps, drawn."""
    ours = network(bench, "exemplar step + auxiliary", bench.scale.seeds[0])
    name = "dual-fig-6.jpg"
    run = _dual_run(bench, "wild", "true")
    curve = run.methods["dual"]["by_update"]["px"]
    if not (bench.results / name).exists():
        with bench.timed("stepwise pictures"):
            write_image(_strips(bench, ours), bench.results / name)
    return Finding(
        "dual-fig-6",
        "Dual networks, Fig. 6",
        f"Four people of `wild`, the network of Table 3, true 2D keypoints; after {STEPS} steps.",
        (),
        (
            claim(
                "the mesh deforms step by step towards the person",
                all(curve[b] < curve[a] for a, b in pairwise(STEPS)),
                f"2D error {', '.join(f'{curve[step]:.1f}' for step in STEPS)} px, mean of "
                f"{run.methods['dual']['people']} people",
            ),
        ),
        (name,),
    )


SHOWN = 4
"""People of Fig. 6."""


def _strips(bench: Workbench, ours: Network) -> np.ndarray:
    """A row a person, a column a number of steps."""
    tools = Methods(
        MethodConfig(regressor=str(ours.weights), auxiliary=str(ours.auxiliary), stop=False),
        bench.device,
    )
    ready, images = bench.open_wild(tools, SHOWN, "true")
    samples = [one.sample for one in ready]
    batch = batch_of([one.person for one in ready if one.person is not None], tools.device)
    shown = shown_of(samples, ready, batch)
    answers = tools.answers("dual", batch)["dual"]
    assert answers.iterates is not None
    rows = []
    for i, sample in enumerate(samples):
        view = person_view(sample, read_image(image_within(images, sample.image)), 224)
        panels = [view.photo]
        for step in STEPS:
            found = Prediction(*(x[:, step] for x in vars(answers.iterates).values()))
            turned = found.turned_back(shown.box)
            columns = body_columns(turned, turned.camera, shown, i)
            pose = np.array(columns["pose"]).reshape(-1, 3, 3)
            truth = BodyTruth(pose, np.array(columns["betas"]), np.array(columns["weak_camera"]))
            panels.append(
                with_sample_body(view.photo, replace(sample, body=truth), tools.body, view)
            )
        rows.append(np.concatenate(panels, axis=1))
    return np.concatenate(rows, axis=0)
