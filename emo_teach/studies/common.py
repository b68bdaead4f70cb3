"""What the studies share: models to start from, training, the one list of metrics, and the judge."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import transport
from ..measure import oracle, reading
from ..world import World, small_gpt2
from .runner import Stage

BLOCK = 33  # the first of 33 words is the start word: 32 are predicted
BATCH = 16  # texts in a step of fine-tuning
SETTINGS = {"steps": 1500, "batch_size": 32, "lr": 3e-3}  # of pretraining
MATCHED = "ce matched to "  # and an objective: cross-entropy sampled at the temperature that gives it the same entropy


def _folder(work, layers, width, seed, synonyms, topics):
    world = "" if (synonyms, topics) == (3, 6) else f"-{synonyms}x{topics}"
    return Path(work) / f"gpt2-{layers}x{width}{world}-{seed}"


def pretrain(work, layers, width, seed, synonyms=3, topics=6):
    """Train a small GPT-2 on fresh texts of domain A and keep it; do nothing if it is there already."""
    from .. import finetune

    place = _folder(work, layers, width, seed, synonyms, topics)
    if (place / "config.json").exists():
        return
    world = World(synonyms=synonyms, topics=topics)
    model = small_gpt2(world.size, layers, width, seed)
    texts = world.sample(SETTINGS["steps"] * SETTINGS["batch_size"], BLOCK, seed=[1, seed])
    finetune.finetune(model, texts, objective="ce", seed=seed, precision="fp32", **SETTINGS)
    half = place.with_name(place.name + ".half")
    model.save_pretrained(half)
    half.rename(place)


def _pretrain_job(job, work):
    pretrain(work, **job)
    return []


def pretraining(models, seeds):
    """The first stage of a study that fine-tunes; `models` are arguments of `pretrain` without the seed."""
    return Stage("pretraining", (), (), lambda rows: grid(models, seed=seeds), _pretrain_job)


def start(work, layers, width, seed, synonyms=3, topics=6):
    """The model that `pretrain` kept."""
    return load(_folder(work, layers, width, seed, synonyms, topics))


def grid(jobs=({},), **values):
    """Every job (a dict) with every combination of the values; the last varies fastest."""
    combinations = itertools.product(*values.values())
    return [job | dict(zip(values, each, strict=True)) for job, each in itertools.product(jobs, combinations)]


def load(place):
    """A GPT-2 from a folder."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    return transformers.GPT2LMHeadModel.from_pretrained(place)


def head(model, shuffle=None):
    """A copy (V, d) of a model's head; with a seed `shuffle` in random order, so that only who is near whom is lost."""
    import torch

    rows = model.get_output_embeddings().weight.detach().clone()
    if shuffle is None:
        return rows
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(shuffle))]


@dataclass(frozen=True)
class Cell:
    """Words in a class, layers and width of the model, and texts of domain B."""

    synonyms: int = 3
    layers: int = 2
    width: int = 64
    texts: int = 4096

    @property
    def world(self):
        """Domain B."""
        return World(synonyms=self.synonyms, shift=1.0)

    def start(self, work, seed):
        """The model that has learned domain A."""
        return start(work, self.layers, self.width, seed, self.synonyms)

    def fine_tuned(self, work, seed, name, options, rate, steps):
        """That model fine-tuned on domain B. The cost is that of its head as it was, shuffled if the name says so."""
        from .. import finetune, losses

        model, plain = self.start(work, seed), name.removesuffix(" shuffled")
        cost = losses.CostEmbedding(head(model, None if plain == name else seed))
        texts = self.world.sample(self.texts, BLOCK, seed=[2, seed])
        settings = {"steps": steps, "batch_size": BATCH, "lr": rate, "seed": seed, "precision": "fp32"}
        finetune.finetune(model, texts, objective=plain, options=options, cost=cost, **settings)
        return model


def descend(model, texts, labels, loss, rate, steps, batch_size, watch=None, watched=(), until=None):
    """Train with AdamW; the learning rate falls linearly to 0 at `steps`. With `until`, stop at that step.

    `loss(logits (N, V), labels, progress)` gives one loss for each word after the first of a text; `watch(step, model)`
    is called at the steps `watched`. Returns the model, which is changed.
    """
    import torch

    def look(step):
        if watch and step in watched:
            model.eval()
            watch(step, model)
            model.train()

    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    until = steps if until is None else until
    batches = zip(torch.from_numpy(texts).split(batch_size), torch.from_numpy(labels).split(batch_size), strict=True)
    for step, (ids, target) in enumerate(itertools.islice(batches, until)):
        look(step)
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        loss(model(ids).logits[:, :-1].flatten(0, 1), target.flatten(0, 1), step / steps).mean().backward()
        optimizer.step()
    look(until)
    return model.eval()


def best(rows, key, metric):
    """The row with the lowest value of a metric for each combination of values in the columns `key`: {values: row}."""
    found = {}
    for row in rows:
        place = tuple(row[name] for name in key)
        if place not in found or row[metric] < found[place][metric] or math.isnan(found[place][metric]):
            found[place] = row
    return found


class Metric(NamedTuple):
    """What a column of the tables holds."""

    label: str  # in tables and pictures
    better: int  # -1: the lower the better, 1: the higher the better, 0: neither
    studies: tuple  # whose tables have it
    measure: Callable = None  # of log-probabilities (n, L, V) and their judge; None: the study's own judge computes it


def _at(log_p, words):
    """Log-probabilities (n, L) of one word after each prefix."""
    return np.take_along_axis(log_p, words[..., None], -1)[..., 0]


def _shares(log_p, judge):
    size = log_p.shape[-1]
    return oracle.where_mass_goes(np.exp(log_p).reshape(-1, size), judge.following.ravel(), judge.classes)


def _on(near, log_p, judge):
    """Mean probability on the words that `near` (V, V) marks for each following word."""
    return (np.exp(log_p) * near[judge.following]).sum(-1).mean()


def _class_emd(log_p, judge):
    return transport.class_emd(np.exp(log_p), judge.truth, judge.classes, within=0.1).mean()


def _exact_emd(log_p, judge):
    pair = (each.reshape(-1, log_p.shape[-1])[:: judge.every] for each in (np.exp(log_p), judge.truth))
    return oracle.exact_emd(*pair, judge.cost).mean()


def _split_kl(part, reverse):
    return lambda p, j: oracle.split_kl(p, j.truth, j.classes, reverse)[part].mean()


_O, _S, _Q, _L = "objectives", "scratch", "questions", "soft_labels"
_ALL = (_O, _S, _Q, _L)
# Columns, labels and the better side follow from this table; a new column needs its study to be run again.
# p: log-probabilities, j: their judge.
METRICS = {
    "perplexity": Metric("perplexity", -1, _ALL, lambda p, j: math.exp(min(-_at(p, j.following).mean(), 700.0))),
    "entropy": Metric("entropy", 0, _ALL, lambda p, j: oracle.mean_entropy(p)),
    "forward_kl": Metric("forward KL", -1, _ALL, lambda p, j: oracle.forward_kl(p, j.truth).mean()),
    "reverse_kl": Metric("reverse KL", -1, _ALL, lambda p, j: oracle.reverse_kl(p, j.truth).mean()),
    "tv": Metric("TV", -1, _ALL, lambda p, j: oracle.total_variation(p, j.truth).mean()),
    "js": Metric("JS", -1, _ALL, lambda p, j: oracle.js(p, j.truth).mean()),
    "emd_classes": Metric("EMD, true classes", -1, _ALL, _class_emd),
    "on_target": Metric("on the target", 0, _ALL, lambda p, j: _shares(p, j).target.mean()),
    "on_synonyms": Metric("on synonyms", 0, _ALL, lambda p, j: _shares(p, j).synonyms.mean()),
    "emo": Metric("EMO", -1, (_O,), lambda p, j: reading.emo(p, j.following, j.head)),
    "emd_cosine": Metric("EMD, cosine", -1, (_O, _L), _exact_emd),
    "oracle_perplexity": Metric("oracle perplexity", 0, (_O,)),
    "distinct_2": Metric("distinct 2-grams", 0, (_O,)),
    "repetition_4": Metric("repeated 4-grams", 0, (_O,)),
    "self_bleu": Metric("self-BLEU", 0, (_O,)),
    "mauve": Metric("MAUVE", 1, (_O,)),
    "on_near": Metric("on near words", 0, (_Q,), lambda p, j: _on(j.near, p, j)),
    "on_shuffled": Metric("on words near by the shuffled head", 0, (_Q,), lambda p, j: _on(j.near_shuffled, p, j)),
    "kl_between": Metric("forward KL between classes", 0, (_Q,), _split_kl(0, False)),
    "kl_inside": Metric("forward KL inside classes", 0, (_Q,), _split_kl(1, False)),
    "reverse_kl_between": Metric("reverse KL between classes", 0, (_Q,), _split_kl(0, True)),
    "reverse_kl_inside": Metric("reverse KL inside classes", 0, (_Q,), _split_kl(1, True)),
    "on_medoid": Metric("on the medoid", 0, (_L,), lambda p, j: np.exp(_at(p, j.medoids)).mean()),
    "top_is_medoid": Metric("medoid on top", 0, (_L,), lambda p, j: (p.argmax(-1) == j.medoids).mean()),
    "pull": Metric("pull", 0, (_S,)),
    "pull_ce": Metric("pull of CE", 0, (_S,)),
    "force": Metric("force", 0, (_S,)),
    "force_ce": Metric("force of CE", 0, (_S,)),
    "hopeless": Metric("share of words with p < 0.001", 0, (_S,)),
    "pull_hopeless": Metric("pull on words with p < 0.001", 0, (_S,)),
    "pull_hopeless_ce": Metric("pull of CE on words with p < 0.001", 0, (_S,)),
}


def metrics(study):
    """Names of the metrics in the tables of a study."""
    return tuple(name for name, metric in METRICS.items() if study in metric.studies)


class Judge:
    """The truth after every prefix of held-out texts, and the metrics of a model against it.

    The judge of a study has its name and more, for the metrics that only this study has: `head` (V, d), `cost` (V, V),
    `every` (which prefixes get a linear program), `medoids` (n, L), `near` and `near_shuffled` (V, V).
    """

    study = None

    def __init__(self, world, count, seed, block=BLOCK):
        self.names = [name for name in metrics(self.study) if METRICS[name].measure]
        self.world, self.classes, self.texts = world, world.classes, world.sample(count, block, seed=seed)
        self.truth, self.following = world.next_word(self.texts)[:, :-1], self.texts[:, 1:]

    def log_probs(self, model, temperature=1.0):
        """Log-probabilities (n, L, V) of all words but the first."""
        return reading.next_token_log_probs(model, self.texts[:, :-1], temperature=temperature)

    def measure(self, model, temperature=1.0):
        """All metrics of a model that need no more than its log-probabilities, each a mean over all prefixes."""
        log_p = self.log_probs(model, temperature)
        return {name: float(METRICS[name].measure(log_p, self)) for name in self.names}


def compared(judge, settings, name, model, plain=None):
    """The row of one objective and, given cross-entropy's model, that of it at the temperature of the same entropy."""
    row = settings | {"objective": name, "temperature": 1.0} | judge.measure(model)
    if plain is None:
        return [row]
    temperature = oracle.matched_temperature(judge.log_probs(plain), row["entropy"], low=1e-3)
    cooled = {"objective": MATCHED + name, "temperature": temperature}
    return [row, settings | cooled | judge.measure(plain, temperature)]
