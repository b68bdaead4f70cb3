"""Can EMO train a model from nothing? Small GPT-2s with random weights learn domain A, watched against the truth.

Compared are CE, EMO alone with three embeddings for its cost, mixtures of the two, a schedule from CE to EMO, transforms of EMO that are unbounded
where the farthest token has all probability (the rule of archives/9098), and the debiased score. Each gets three learning rates, judged on
development texts by total variation from the truth, which no objective here trains on; the best runs with five seeds, measured at nine steps on
the way.
"""

import math

from . import measures, starts
from .runner import Stage
from .starts import BLOCK

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
METRICS = (
    "perplexity", "forward_kl", "reverse_kl", "tv", "js", "entropy", "emd_classes", "on_target", "on_synonyms",
    "pull", "pull_ce", "force", "force_ce", "hopeless", "pull_hopeless", "pull_hopeless_ce",
)  # fmt: skip


def embedding(table, world, seed=0):
    """The vectors that a cost is made of: the pretrained head's, of counts in a corpus of domain A, or random ones.

    Formula: A8 makes a cost of them. Raises KeyError for another name.
    """
    import numpy as np

    from ..world import model_folder
    from ..world.vectors import neighbours, ppmi_vectors

    return {
        "pretrained": lambda: starts.head(starts.load(model_folder())).double().numpy(),
        "ppmi": lambda: ppmi_vectors(neighbours(world.sample(20_000, BLOCK, seed=CORPUS_SEED), world.size), WIDTH),
        "random": lambda: np.random.default_rng([7, seed]).normal(size=(world.size, WIDTH)),
    }[table]()


def make_loss(name, world, seed=0):
    """A function of (logits (N, V), labels (N,), progress in [0, 1]) that gives the losses (N,).

    Formula: `losses.objective`'s, `losses.transformed`'s, or (1 - s) CE + s EMO for progress s. Raises KeyError for an
    unknown name.
    """
    import torch

    from .. import losses

    kind, weight, table = OBJECTIVES[name]
    cost = (
        None
        if table is None
        else losses.CostEmbedding(torch.tensor(embedding(table, world, seed), dtype=torch.float32))
    )
    if kind in losses.TRANSFORMS:
        return lambda z, t, s: losses.transformed(z, cost.rows(t).T, kind)
    if kind == "schedule":
        ce, emo = losses.objective("ce"), losses.objective("emo", cost)
        return lambda z, t, s: (1 - s) * ce(z, t, reduction="none") + s * emo(z, t, reduction="none")
    goal = losses.objective(kind, cost, **({} if weight is None else {"weight": weight}))
    return lambda z, t, s: goal(z, t, reduction="none")


def train(loss, world, rate, seed, steps=STEPS, watch=None, until=None):
    """A GPT-2 from random weights: AdamW, learning rate falling linearly to 0, fresh texts at every step. `watch(step, model)` is called on the way.

    With `until`, it stops there, on the way to `steps`. Formula: the loss's mean over words. Shape: returns the model. Units: none.
    Raises nothing of its own. Source: this project.
    """
    import torch

    from ..world import small_gpt2

    model = small_gpt2(world.size, seed=seed)
    texts = torch.from_numpy(world.sample(steps * BATCH, BLOCK, seed=[3, seed])).split(BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    until = steps if until is None else until
    for step, batch in enumerate(texts[:until]):
        if watch and step in WATCHED:
            watch(step, model)
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        logits = model(batch).logits[:, :-1].flatten(0, 1)
        loss(logits, batch[:, 1:].flatten(), step / steps).mean().backward()
        optimizer.step()
    if watch and until in WATCHED:
        watch(until, model)
    return model.eval()


class Judge:
    """Measures a model against the truth at every prefix of held-out texts, and the pulls of a loss on its logits."""

    def __init__(self, world, count, seed):
        self.world, self.texts = world, world.sample(count, BLOCK, seed=seed)
        self.truth = world.next_word(self.texts)[:, :-1]

    def distances(self, model):
        """The metrics of the table that need no loss."""
        from ..measure import reading

        log_p = reading.next_token_log_probs(model, self.texts[:, :-1])
        return measures.distances(log_p, self.truth, self.texts[:, 1:], self.world.classes)

    def pulls(self, model, loss, progress):
        """The pull on the target's logit, `-dloss/dz_t`, and the force, the norm of `dloss/dz`: means over words, beside CE's.

        `hopeless` is the share of words with p_t below 0.001; `pull_hopeless` the mean pull on those (0 where there is none).
        """
        import torch

        with torch.no_grad():
            logits = model(torch.from_numpy(self.texts)).logits[:, :-1].flatten(0, 1)
        labels = torch.from_numpy(self.texts[:, 1:].copy()).flatten()
        hopeless = logits.log_softmax(-1).gather(1, labels[:, None])[:, 0] < math.log(1e-3)
        found = {"hopeless": float(hopeless.double().mean())}
        for suffix, function in (
            ("", loss),
            ("_ce", lambda z, t, s: torch.nn.functional.cross_entropy(z, t, reduction="none")),
        ):
            z = logits.clone().requires_grad_()
            slope = torch.autograd.grad(function(z, labels, progress).sum(), z)[0].double()
            pull = -slope.gather(1, labels[:, None])[:, 0]
            found |= {f"pull{suffix}": float(pull.mean()), f"force{suffix}": float(slope.norm(dim=1).mean())}
            found[f"pull_hopeless{suffix}"] = float(pull[hopeless].mean()) if hopeless.any() else 0.0
        return found


def _tuning_jobs(rows):
    return [{"objective": name, "lr": rate} for name in OBJECTIVES for rate in RATES]


def _tune(job, work):
    from ..world import World

    world = World()
    model = train(make_loss(job["objective"], world), world, job["lr"], seed=1000)
    found = Judge(world, 200, DEV_SEED).distances(model)
    return [job | {"tv": found["tv"], "perplexity": found["perplexity"]}]


def best(rows):
    """The learning rate of each objective with the least total variation on the development texts.

    Returns a dictionary of rates.
    """
    found = {}
    for row in sorted(rows, key=lambda row: row["tv"] if row["tv"] == row["tv"] else math.inf):
        found.setdefault(row["objective"], row["lr"])
    return found


def _main_jobs(rows):
    rates = best(rows["scratch_tuning"])
    return [
        {"objective": name, "lr": rates[name], "seed": seed, "rows": len(WATCHED)}
        for name in OBJECTIVES
        for seed in SEEDS
    ]


def _run(job, work):
    return run_job(job)


def run_job(job, until=None):
    """One model, measured at every watched step, up to `until` where given: rows of the table.

    Returns a list of dicts. Raises KeyError for an unknown objective.
    """
    from ..world import World

    world = World()
    loss, judge, rows = make_loss(job["objective"], world, job["seed"]), Judge(world, 100, TEST_SEED), []

    def watch(step, model):
        model.eval()
        found = judge.distances(model) | judge.pulls(model, loss, step / STEPS)
        rows.append({key: job[key] for key in ("objective", "seed", "lr")} | {"step": step} | found)
        model.train()

    train(loss, world, job["lr"], job["seed"], watch=watch, until=until)
    return rows


STAGES = (
    Stage(
        "tuning", "scratch_tuning", ("objective", "lr", "tv", "perplexity"), ("objective", "lr"), _tuning_jobs, _tune
    ),
    Stage("scratch", "scratch", ("objective", "seed", "lr", "step", *METRICS), ("objective", "seed"), _main_jobs, _run),
)
