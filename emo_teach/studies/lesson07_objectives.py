"""Which objective to fine-tune with: all of them, tuned alike, in the world whose truth is known.

A small GPT-2 learns domain A and is then fine-tuned on domain B: with few texts, with many, and with a model that is
too small for the grammar. Each objective gets the same number of trials on a development set, judged by perplexity; the
best setting runs with five seeds of pretraining, data and order. Every result stands beside cross-entropy sampled at
the temperature that gives it the same entropy: what is left of a gain is no sharpening.
"""

import functools

import numpy as np

from .. import costs
from ..measure import mauve, oracle, reading, text
from ..world import model_folder
from . import common
from .common import BLOCK, Cell
from .runner import Stage

STEPS = 300
SEEDS = range(5)
DEV_SEED, TEST_SEED, SAMPLES_SEED = 10_000, 20_000, 30_000  # far from the training texts' seeds
SAMPLES = 512
RATES = (5e-5, 2e-4, 8e-4, 3.2e-3)
# for objectives without a setting: nearly as many trials, over the same range
FINE_RATES = (5e-5, 1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3)
REGIMES = {"few texts": Cell(texts=128), "many texts": Cell(), "small model": Cell(layers=1, width=12)}

# objective: settings that are tried beside the learning rate, as (name, options)
_DETACH = (("", {}), ("detach_target", {"detach_target": True}))
_WEIGHTS = (("weight=0.3", {"weight": 0.3}), ("weight=1", {"weight": 1.0}))
OBJECTIVES = {
    "ce": (("", {}),),
    "tailr": (("gamma=1e-7", {"gamma": 1e-7}), ("gamma=0.1", {"gamma": 0.1})),
    "mixce": (("eta=0.5", {"eta": 0.5}), ("eta=0.9", {"eta": 0.9})),
    "smoothing": (("epsilon=0.02", {"epsilon": 0.02}), ("epsilon=0.1", {"epsilon": 0.1})),
    "accuracy": (("", {}),),
    "emo-mode-1": _DETACH,
    "emo-mode-1 shuffled": _DETACH,
    "emo-mode-2": _DETACH,
    "ce+emo": _WEIGHTS,
    "emo": (("", {}),),
    "ce+debiased": _WEIGHTS,
    "debiased": (("", {}),),
}
UNTOUCHED = "untouched"  # the pretrained model as it is


def trials(name):
    """The 7 or 8 settings that an objective is tried with: (learning rate, name of the setting)."""
    settings = OBJECTIVES[name]
    return [(rate, setting) for setting, _ in settings for rate in (FINE_RATES if len(settings) == 1 else RATES)]


def _trained(work, job, seed, name, rate, setting):
    return REGIMES[job["regime"]].fine_tuned(work, seed, name, dict(OBJECTIVES[name])[setting], rate, STEPS)


def _tuning_jobs(rows):
    tried = [{"objective": name, "lr": rate, "setting": text} for name in OBJECTIVES for rate, text in trials(name)]
    return [{"regime": regime} | trial for regime in REGIMES for trial in tried]


def _tune(job, work):
    """One trial: perplexity on the development texts of domain B."""
    model = _trained(work, job, 0, job["objective"], job["lr"], job["setting"])
    texts = REGIMES[job["regime"]].world.sample(500, BLOCK, seed=DEV_SEED)
    return [job | {"perplexity": reading.perplexity(model, texts)}]


# {(regime, objective): row of the setting with the lowest perplexity on the development texts}
best = functools.partial(common.best, key=("regime", "objective"), metric="perplexity")


def _main_jobs(rows):
    chosen, jobs = best(rows["objectives_tuning"]), []
    for (regime, name), row in chosen.items():
        job = {"regime": regime, "cell": name, "lr": row["lr"], "setting": row["setting"]}
        jobs.append(job | {"ce_lr": chosen[regime, "ce"]["lr"], "rows": 1 + (name != "ce")})
    jobs += [{"regime": regime, "cell": UNTOUCHED, "lr": 0.0, "setting": "", "rows": 1} for regime in REGIMES]
    return common.grid(jobs, seed=SEEDS)


def _compare(job, work):
    """One objective with one seed on the test texts, and cross-entropy at the same entropy."""
    name, seed, judge = job["cell"], job["seed"], _Judge(work, job)
    settings = {key: job[key] for key in ("regime", "seed", "cell", "lr", "setting")}
    if name == UNTOUCHED:
        return common.compared(judge, settings, name, REGIMES[job["regime"]].start(work, seed))
    model = _trained(work, job, seed, name, job["lr"], job["setting"])
    plain = None if name == "ce" else _trained(work, job, seed, "ce", job["ce_lr"], "")
    return common.compared(judge, settings, name, model, plain)


class _Judge(common.Judge):
    """The judge of one job; it has the cost of the pretrained head, and measures samples too."""

    study = "objectives"
    every = 100  # prefixes for each linear program

    def __init__(self, work, job):
        cell, self.seed = REGIMES[job["regime"]], SAMPLES_SEED + job["seed"]
        super().__init__(cell.world, 200, TEST_SEED)
        self.head = common.head(cell.start(work, job["seed"])).double().numpy()
        self.cost = costs.cosine(self.head)
        self.reader = common.load(model_folder())  # the one frozen model whose features MAUVE sees

    def measure(self, model, temperature=1.0):
        """All metrics."""
        prompts = np.zeros((SAMPLES, 1), dtype=np.int64)
        sampled = reading.sample(model, prompts, BLOCK - 1, temperature=temperature, seed=self.seed)
        words, probabilities = sampled[:, 1:], self.world.next_word(sampled)[:, :-1]
        log_truth = np.log(np.take_along_axis(probabilities, words[..., None], -1))
        true_texts = self.world.sample(SAMPLES, BLOCK, seed=self.seed)
        features = [reading.features(self.reader, texts) for texts in (sampled, true_texts)]
        return super().measure(model, temperature) | {
            "oracle_perplexity": oracle.oracle_perplexity(log_truth),
            "distinct_2": text.distinct_n(words, 2),
            "repetition_4": text.repetition(words, 4),
            "self_bleu": text.self_bleu(words, size=100),
            "mauve": float(np.mean([mauve.mauve(*features, k=32, seed=k) for k in range(3)])),
        }


_TUNED = ("regime", "objective", "lr", "setting")
_MEASURED = (*_TUNED[1:], "temperature", *common.metrics("objectives"))
STAGES = (
    common.pretraining([{"layers": 2, "width": 64}, {"layers": 1, "width": 12}], SEEDS),
    Stage("objectives_tuning", _TUNED, ("perplexity",), _tuning_jobs, _tune),
    Stage("objectives", ("regime", "cell", "seed"), _MEASURED, _main_jobs, _compare),
)
