"""Can EMO train a model from nothing? Small GPT-2s with random weights learn domain A, watched against the truth.

Compared are CE, EMO alone with three embeddings for its cost, mixtures of the two, a schedule from CE to EMO,
transforms of EMO that are unbounded where the farthest token has all probability (the rule of archives/9098), and the
debiased score. Each gets three learning rates, judged on development texts by total variation from the truth, which no
objective here trains on; the best runs with five seeds, measured at nine steps on the way.
"""

import functools
import math

import numpy as np

from ..world import World, model_folder, small_gpt2
from ..world.vectors import neighbours, ppmi_vectors
from . import common
from .common import BLOCK
from .runner import Stage

BATCH, STEPS = 32, 1500
WATCHED = (0, 25, 50, 100, 200, 400, 700, 1100, 1500)
SEEDS = range(5)
RATES = (1e-3, 3e-3, 1e-2)
DEV_SEED, TEST_SEED, CORPUS_SEED = 40_000, 50_000, 60_000
WIDTH = 64

# objective: (kind, weight of EMO where it has one, embedding of the cost)
OBJECTIVES = {
    "ce": ("ce", None, None),
    "accuracy": ("accuracy", None, None),
    **{f"emo, {table} cost": ("emo", None, table) for table in ("pretrained", "ppmi", "random")},
    **{f"debiased, {table} cost": ("debiased", None, table) for table in ("pretrained", "ppmi", "random")},
    **{f"ce + {weight:g} emo": ("ce+emo", weight, "pretrained") for weight in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)},
    "ce to emo": ("schedule", None, "pretrained"),
    "emo-mode-1": ("emo-mode-1", None, "pretrained"),
    "ce + debiased": ("ce+debiased", 1.0, "pretrained"),
    "-log(1 - x)": ("log", None, "pretrained"),
    "x/(1 - x)": ("odds", None, "pretrained"),
    "atanh x": ("atanh", None, "pretrained"),
}


def embedding(table, world, seed=0):
    """The vectors that a cost is made of: the pretrained head's, of counts in a corpus of domain A, or random ones."""
    return {
        "pretrained": lambda: common.head(common.load(model_folder())).double().numpy(),
        "ppmi": lambda: ppmi_vectors(neighbours(world.sample(20_000, BLOCK, seed=CORPUS_SEED), world.size), WIDTH),
        "random": lambda: np.random.default_rng([7, seed]).normal(size=(world.size, WIDTH)),
    }[table]()


def make_loss(name, world, seed=0):
    """A function of (logits (N, V), labels (N,), progress in [0, 1]) that gives the losses (N,).

    Formula: `losses.objective`'s, `losses.transformed`'s, or (1 - s) CE + s EMO for progress s.
    """
    import torch

    from .. import losses

    (kind, weight, table), cost = OBJECTIVES[name], None
    if table is not None:
        cost = losses.CostEmbedding(torch.tensor(embedding(table, world, seed), dtype=torch.float32))
    if kind in losses.TRANSFORMS:
        return lambda z, t, s: losses.transformed(z, cost.rows(t).T, kind)
    if kind == "schedule":
        ce, emo = losses.objective("ce"), losses.objective("emo", cost)
        return lambda z, t, s: (1 - s) * ce(z, t, reduction="none") + s * emo(z, t, reduction="none")
    goal = losses.objective(kind, cost, **({} if weight is None else {"weight": weight}))
    return lambda z, t, s: goal(z, t, reduction="none")


def train(loss, world, rate, seed, watch=None, until=None):
    """A GPT-2 from random weights, with fresh texts at every step of `common.descend`."""
    texts = world.sample(STEPS * BATCH, BLOCK, seed=[3, seed])
    model = small_gpt2(world.size, seed=seed)
    return common.descend(model, texts, texts[:, 1:], loss, rate, STEPS, BATCH, watch, WATCHED, until)


class Judge(common.Judge):
    """Measures a model against the truth at every prefix of held-out texts, and the pulls of a loss on its logits."""

    study = "scratch"

    def pulls(self, model, loss, progress):
        """Means over words of the pull `-dloss/dz_t` on the target's logit and of the force, the norm of `dloss/dz`.

        `hopeless` is the share of words with p_t below 0.001; `pull_hopeless` the mean pull on those (0 if there are
        none). The suffix `_ce` stands for cross-entropy on the same model.
        """
        import torch

        with torch.no_grad():
            logits = model(torch.from_numpy(self.texts)).logits[:, :-1].flatten(0, 1)
        labels = torch.from_numpy(self.texts[:, 1:].copy()).flatten()
        hopeless = logits.log_softmax(-1).gather(1, labels[:, None])[:, 0] < math.log(1e-3)
        found = {"hopeless": float(hopeless.double().mean())}
        ce = lambda z, t, s: torch.nn.functional.cross_entropy(z, t, reduction="none")  # noqa: E731
        for suffix, function in (("", loss), ("_ce", ce)):
            z = logits.clone().requires_grad_()
            slope = torch.autograd.grad(function(z, labels, progress).sum(), z)[0].double()
            pull = -slope.gather(1, labels[:, None])[:, 0]
            found |= {f"pull{suffix}": float(pull.mean()), f"force{suffix}": float(slope.norm(dim=1).mean())}
            found[f"pull_hopeless{suffix}"] = float(pull[hopeless].mean()) if hopeless.any() else 0.0
        return found


def _tune(job, work):
    world = World()
    model = train(make_loss(job["objective"], world), world, job["lr"], seed=1000)
    found = Judge(world, 200, DEV_SEED).measure(model)
    return [job | {"tv": found["tv"], "perplexity": found["perplexity"]}]


# {(objective,): row of the learning rate with the least total variation on the development texts}
best = functools.partial(common.best, key=("objective",), metric="tv")


def _main_jobs(rows):
    chosen, jobs = best(rows["scratch_tuning"]), common.grid(objective=OBJECTIVES, seed=SEEDS)
    return [job | {"lr": chosen[job["objective"],]["lr"], "rows": len(WATCHED)} for job in jobs]


def _run(job, work):
    """One model, measured at every watched step."""
    world, rows = World(), []
    loss, judge = make_loss(job["objective"], world, job["seed"]), Judge(world, 100, TEST_SEED)

    def watch(step, model):
        found = judge.measure(model) | judge.pulls(model, loss, step / STEPS)
        rows.append({key: job[key] for key in ("objective", "seed", "lr")} | {"step": step} | found)

    train(loss, world, job["lr"], job["seed"], watch)
    return rows


_TRIALS = common.grid(objective=OBJECTIVES, lr=RATES)
STAGES = (
    Stage("scratch_tuning", ("objective", "lr"), ("tv", "perplexity"), lambda rows: _TRIALS, _tune),
    Stage("scratch", ("objective", "seed"), ("lr", "step", *common.metrics("scratch")), _main_jobs, _run),
)
