"""Which objective to fine-tune with: all of them, tuned alike, in the world whose truth is known.

A small GPT-2 learns domain A and is then fine-tuned on domain B: with few texts, with many, and with a model that is too small for the grammar. Each
objective gets the same number of trials on a development set, judged by perplexity; the best setting runs with five seeds of pretraining, data and
order. Every result stands beside cross-entropy sampled at the temperature that gives it the same entropy: what is left of a gain is no sharpening.
"""

from dataclasses import dataclass

from . import measures, starts
from .runner import Stage
from .starts import BLOCK

BATCH, STEPS = 16, 300
SEEDS = range(5)
DEV_SEED, TEST_SEED, SAMPLES_SEED = 10_000, 20_000, 30_000  # far from the training texts' seeds
RATES = (5e-5, 2e-4, 8e-4, 3.2e-3)
FINE_RATES = (
    5e-5,
    1e-4,
    2e-4,
    4e-4,
    8e-4,
    1.6e-3,
    3.2e-3,
)  # for objectives without a setting: nearly as many trials, over the same range


@dataclass(frozen=True)
class Regime:
    """Layers and width of the model, and texts of domain B to learn from."""

    layers: int
    width: int
    texts: int

    @property
    def size(self):
        """Name of the model's size."""
        return f"{self.layers}x{self.width}"


REGIMES = {"few texts": Regime(2, 64, 128), "many texts": Regime(2, 64, 4096), "small model": Regime(1, 12, 4096)}

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
METRICS = (
    "perplexity", "emo", "entropy", "forward_kl", "reverse_kl", "tv", "js", "emd_classes", "emd_cosine", "on_target", "on_synonyms",
    "oracle_perplexity", "distinct_2", "repetition_4", "self_bleu", "mauve",
)  # fmt: skip
MATCHED = "ce matched to "
UNTOUCHED = "untouched"  # the pretrained model as it is


def trials(name):
    """The settings that an objective is tried with: (learning rate, name of the setting).

    Returns 7 or 8 pairs. Raises KeyError for an unknown name.
    """
    settings = OBJECTIVES[name]
    return [(rate, setting) for setting, _ in settings for rate in (FINE_RATES if len(settings) == 1 else RATES)]


def _pretraining_jobs(rows):
    sizes = {regime.size: regime for regime in REGIMES.values()}
    return [{"layers": r.layers, "width": r.width, "seed": seed} for r in sizes.values() for seed in SEEDS]


def _pretrain(job, work):
    starts.pretrain(work, job["layers"], job["width"], job["seed"])
    return []


def _trained(work, regime, seed, name, rate, setting):
    """A model fine-tuned on domain B, and its cost embedding: the pretrained head's directions."""
    from .. import finetune, losses
    from ..world import World

    regime = REGIMES[regime]
    model = starts.load(starts.folder(work, regime.layers, regime.width, seed))
    head = starts.head(model, seed if name.endswith(" shuffled") else None)
    texts = World(shift=1.0).sample(regime.texts, BLOCK, seed=[2, seed])
    finetune.finetune(
        model, texts, objective=name.removesuffix(" shuffled"), options=dict(OBJECTIVES[name])[setting], cost=losses.CostEmbedding(head),
        steps=STEPS, batch_size=BATCH, lr=rate, seed=seed,
    )  # fmt: skip
    return model


def _tuning_jobs(rows):
    settings = [(name, rate, setting) for name in OBJECTIVES for rate, setting in trials(name)]
    return [
        {"regime": regime, "objective": name, "lr": rate, "setting": setting}
        for regime in REGIMES
        for name, rate, setting in settings
    ]


def _tune(job, work):
    """One trial: perplexity on the development texts of domain B."""
    from ..measure import reading
    from ..world import World

    model = _trained(work, job["regime"], 0, job["objective"], job["lr"], job["setting"])
    return [job | {"perplexity": reading.perplexity(model, World(shift=1.0).sample(500, BLOCK, seed=DEV_SEED))}]


def best(rows):
    """The setting of each objective in each regime with the lowest perplexity on the development texts.

    Returns {(regime, objective): row}.
    """
    found = {}
    for row in rows:
        key = row["regime"], row["objective"]
        if key not in found or row["perplexity"] < found[key]["perplexity"]:
            found[key] = row
    return found


def _main_jobs(rows):
    chosen = best(rows["objectives_tuning"])
    jobs = []
    for (regime, name), row in chosen.items():
        plain = chosen[regime, "ce"]
        job = {
            "regime": regime,
            "cell": name,
            "lr": row["lr"],
            "setting": row["setting"],
            "ce_lr": plain["lr"],
            "rows": 1 + (name != "ce"),
        }
        jobs += [job | {"seed": seed} for seed in SEEDS]
    plain = {"cell": UNTOUCHED, "lr": 0.0, "setting": "", "rows": 1}
    return jobs + [plain | {"regime": regime, "seed": seed} for regime in REGIMES for seed in SEEDS]


def _compare(job, work):
    """One objective with one seed on the test texts, and cross-entropy at the temperature that gives it the same entropy."""
    from ..measure import oracle

    name, judge = job["cell"], _Judge(work, job)
    if name == UNTOUCHED:
        regime = REGIMES[job["regime"]]
        model = starts.load(starts.folder(work, regime.layers, regime.width, job["seed"]))
    else:
        model = _trained(work, job["regime"], job["seed"], name, job["lr"], job["setting"])
    common = {key: job[key] for key in ("regime", "seed", "cell", "lr", "setting")}
    rows = [common | {"objective": name, "temperature": 1.0} | judge.measure(model)]
    if name not in ("ce", UNTOUCHED):
        plain = _trained(work, job["regime"], job["seed"], "ce", job["ce_lr"], "")
        temperature = oracle.matched_temperature(judge.log_probs(plain), rows[0]["entropy"], low=1e-3)
        rows.append(
            common | {"objective": MATCHED + name, "temperature": temperature} | judge.measure(plain, temperature)
        )
    return rows


class _Judge:
    """The truth and the yardsticks of one job, and a model's metrics against them."""

    def __init__(self, work, job):
        from .. import world

        regime = REGIMES[job["regime"]]
        self.world = world.World(shift=1.0)
        self.texts = self.world.sample(200, BLOCK, seed=TEST_SEED)
        self.truth = self.world.next_word(self.texts)[:, :-1]
        self.seed = job["seed"]
        head = starts.head(starts.load(starts.folder(work, regime.layers, regime.width, self.seed))).double().numpy()
        self.unit = head / ((head**2).sum(1, keepdims=True)) ** 0.5
        self.reader = starts.load(world.model_folder())  # the one frozen model whose features MAUVE sees

    def log_probs(self, model, temperature=1.0):
        """Log-probabilities (n, L, V) of all but the first word of the test texts."""
        from ..measure import reading

        return reading.next_token_log_probs(model, self.texts[:, :-1], temperature=temperature)

    def measure(self, model, temperature=1.0):
        """All metrics: against the truth at every prefix, and of samples."""
        import numpy as np

        from ..measure import oracle, reading

        log_p, following = self.log_probs(model, temperature), self.texts[:, 1:]
        some = slice(None, None, 100)  # every hundredth prefix: a linear program each
        p, truth = np.exp(log_p).reshape(-1, log_p.shape[-1])[some], self.truth.reshape(-1, log_p.shape[-1])[some]
        return (
            measures.distances(log_p, self.truth, following, self.world.classes)
            | {
                "emo": reading.emo(log_p, following, self.unit),
                "emd_cosine": float(oracle.exact_emd(p, truth, np.clip(1 - self.unit @ self.unit.T, 0, None)).mean()),
            }
            | self._of_samples(model, temperature)
        )

    def _of_samples(self, model, temperature):
        import numpy as np

        from ..measure import mauve, oracle, reading, text

        count = 512
        said = reading.sample(
            model,
            np.zeros((count, 1), dtype=np.int64),
            BLOCK - 1,
            temperature=temperature,
            seed=SAMPLES_SEED + self.seed,
        )
        law = self.world.next_word(said)[:, :-1]
        truth = self.world.sample(count, BLOCK, seed=SAMPLES_SEED + self.seed)
        features = [reading.features(self.reader, texts) for texts in (said, truth)]
        words = said[:, 1:]
        return {
            "oracle_perplexity": oracle.oracle_perplexity(np.log(np.take_along_axis(law, words[..., None], -1))),
            "distinct_2": text.distinct_n(words, 2),
            "repetition_4": text.repetition(words, 4),
            "self_bleu": text.self_bleu(words, size=100),
            "mauve": float(np.mean([mauve.mauve(*features, k=32, seed=k) for k in range(3)])),
        }


STAGES = (
    Stage("pretraining", "", (), (), _pretraining_jobs, _pretrain),
    Stage("tuning", "objectives_tuning", ("regime", "objective", "lr", "setting", "perplexity"), ("regime", "objective", "lr", "setting"),
          _tuning_jobs, _tune),
    Stage("comparison", "objectives", ("regime", "objective", "seed", "cell", "lr", "setting", "temperature", *METRICS),
          ("regime", "cell", "seed"), _main_jobs, _compare),
)  # fmt: skip
