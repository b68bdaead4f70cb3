"""Samples side by side (lesson 07): what fine-tuned models say after a prompt, beside a world that knows the truth."""

import html
from typing import NamedTuple

import numpy as np
from matplotlib.markers import MarkerStyle
from matplotlib.textpath import TextPath
from scipy.special import log_softmax

from .. import inputs
from ..measure import oracle
from ..pictures import COLOURS, STYLE, TRUTH, drawing, look
from ..world import small_models
from . import widget

PROMPTS = (
    "every glad chef", "these young pupils quickly", "this officer chases the", "one singer plays that",
    "several sailors repair another small boat",
)  # fmt: skip
IMPROBABLE = 1e-3  # a word that the truth gives less than this after what stands before it is marked
MAX_MODELS, WORDS, TEXTS, LENGTH = 4, 10, 2, 12  # models, bars, continuations of each, words of a continuation
SIGN = "✗"
BAR = [(-1.0, -0.5), (1.0, -0.5), (1.0, 0.5), (-1.0, 0.5)]  # the truth's sign, as a marker
NUMBERS = {"entropy": "entropy", "forward_kl": "forward\nKL", "reverse_kl": "reverse\nKL"}
NUMBERS |= {"improbable": f"on {SIGN}\nwords"}


class Data(NamedTuple):
    """One prompt and setting: the likeliest words; by name, truth first, probabilities, numbers and continuations.

    `shares`: name -> (10,); `numbers`: name -> {entropy, forward_kl, reverse_kl in nats, improbable: mass on marked
    words}; `texts`: name -> 2 lists of (word, whether the truth finds it improbable there).
    """

    prompt: str
    temperature: float
    seed: int
    words: tuple
    shares: dict
    numbers: dict
    texts: dict


def numbers(log_p, truth):
    """Entropy, both divergences from the truth, and the mass on words that the truth finds improbable, as a dict."""
    return {
        "entropy": float(-(np.exp(log_p) * log_p).sum()),
        "forward_kl": float(oracle.forward_kl(log_p, truth)),
        "reverse_kl": float(oracle.reverse_kl(log_p, truth)),
        "improbable": float(np.exp(log_p)[truth < IMPROBABLE].sum()),
    }


def uniforms(seed, count, length):
    """The numbers in [0, 1), (count, length), from which `measure.reading.sample` draws its words."""
    import torch

    return torch.rand(count, length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).numpy()


def continue_world(world, ids, uniform):
    """Continuations (n, L + length) drawn from the world itself, as from models: by inverse distribution function."""
    texts = np.repeat(ids[None], len(uniform), axis=0)
    for drawn in uniform.T:
        cumulated = np.cumsum(world.next_word(texts)[:, -1], axis=-1)
        texts = np.column_stack([texts, (cumulated <= (drawn * cumulated[:, -1])[:, None]).sum(-1)])
    return texts


def _model_axes(axes, words, names):
    """Bars of the truth and one marker per model and word, all empty; returns both."""
    rows = np.arange(WORDS)
    bars = axes.barh(rows, np.zeros(WORDS), 0.8, color=look(TRUTH).colour, alpha=0.75, label=TRUTH)
    marks = {}
    for k, name in enumerate(names):
        line = look(name).line | {"ls": "", "ms": 6, "mec": "white", "mew": 0.5, "clip_on": False}
        (marks[name],) = axes.plot(np.zeros(WORDS), rows + 0.8 * ((k + 0.5) / len(names) - 0.5), label=name, **line)
    axes.set(xlim=(0, 1), ylim=(WORDS - 0.5, -0.5), xlabel="probability of the next word")
    axes.set_yticks(rows, words)
    axes.tick_params(axis="y", length=0)
    return bars, marks


def _sign(axes, x, y, name, size):
    """What stands for the truth, a piece of a bar, or for a model, its marker: as in the chart."""
    if name == TRUTH:
        mark = {"marker": BAR, "ms": 1.6 * size, "alpha": 0.75, "mew": 0}
    else:
        mark = {"marker": look(name).marker, "ms": size, "mec": "white", "mew": 0.6}
    axes.plot(x, y, color=look(name).colour, clip_on=False, **mark)


def _fill(bars, marks, data):
    """Bring `_model_axes` to the data."""
    for bar, width in zip(bars, data.shares[TRUTH], strict=True):
        bar.set_width(width)
    for name, line in marks.items():
        line.set_xdata(data.shares[name])


class SamplesPicture(widget.Picture):
    """Left: the next word, truth as bars, models as markers. Right: their numbers. Below, as text: continuations."""

    size = (9.0, 3.7)

    def build(self):
        left, self.table = self.figure.subplots(1, 2, width_ratios=[0.85, 1])
        self.left, self.words = left, None
        bars, marks = _model_axes(left, self.data.words, list(self.data.shares)[1:])
        self.bars = [self.live(bar) for bar in bars]
        self.marks = {name: self.live(line) for name, line in marks.items()}
        self._build_table()
        left.set_title(" \n ")
        left.set_yticks(range(WORDS), ["m" * 8] * WORDS)  # room for the longest words
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")
        above = {"transform": left.transAxes, "fontsize": STYLE["axes.titlesize"], "va": "bottom"}
        self.headline = self.live_text(left, 0, 1.02, **above)

    def _build_table(self):
        self.table.axis("off")
        self.table.set(xlim=(0, 1), ylim=(0, 1))
        self.cells, columns = {}, dict(zip(NUMBERS, (0.52, 0.68, 0.84, 1.0), strict=True))
        for key, x in columns.items():
            self.table.text(x, 0.87, NUMBERS[key], ha="right", va="bottom", fontsize=9.5)
        for k, name in enumerate(self.data.shares):
            y = 0.78 - 0.15 * k
            _sign(self.table, 0.02, y, name, 9)
            self.table.text(0.06, y, name, va="center", fontsize=9.5)
            for key, x in columns.items():
                self.cells[name, key] = self.live_text(self.table, x, y, ha="right", va="center", fontsize=9.5)
        key = f"{SIGN}: the truth gives it less than {IMPROBABLE:g}. Entropy, KL in nats."
        self.table.text(0, 0.0, key, fontsize=9)

    def update(self, data):
        if data.words != self.words:
            self.words = data.words
            self.left.set_yticks(range(WORDS), data.words)
            self.stale()
        _fill(self.bars, self.marks, data)
        for (name, key), text in self.cells.items():
            text.set_text(_short(key, data.numbers[name][key]))
        self.headline.set_text(f"“{data.prompt} …”\nmodels at temperature {data.temperature:.2f}")

    def alt(self, data):
        return _in_words(data)

    def numbers(self, data):
        names, rows = list(data.numbers), [(f"after “{data.prompt}”", *data.numbers)]
        for key, label in NUMBERS.items():
            rows.append((label.replace("\n", " "), *(_short(key, data.numbers[name][key]) for name in names)))
        shares = np.transpose(list(data.shares.values()))
        return rows + [(f"p({word})", *(f"{x:.3f}" for x in row)) for word, row in zip(data.words, shares, strict=True)]

    def to_img(self):
        return super().to_img() + _page(self.data)


def _short(key, value):
    """One of `NUMBERS` as it is printed."""
    return f"{100 * value:.1f} %" if key == "improbable" else f"{value + 0.0:.3f}".replace("-0.000", "0.000")


def _in_words(data):
    """The likeliest word under the truth and under the model that is farthest from it."""
    kls = {name: found["forward_kl"] for name, found in data.numbers.items()}
    far = max(kls, key=kls.get)
    word, truth, model = data.words[0], data.shares[TRUTH][0], data.shares[far][0]
    said = f"truth {truth:.3f}, {far} {model:.3f}, the farthest from it (forward KL {kls[far]:.3f})"
    return f"“{data.prompt} {word}” at T = {data.temperature:.2f}: {said}."


def _panel(several):
    """The next word at several temperatures side by side, one continuation of each below."""
    names = list(several[0].shares)
    rows = [("model, temperature", *(label.replace("\n", " ") for label in NUMBERS.values()))]
    with drawing(9.0, 5.9) as figure:
        grid = figure.add_gridspec(2, len(several), height_ratios=[1, 1.15])
        for k, data in enumerate(several):
            axes = figure.add_subplot(grid[0, k])
            bars, marks = _model_axes(axes, data.words if k == 0 else [""] * WORDS, names[1:])
            _fill(bars, marks, data)
            axes.set_title(f"temperature {data.temperature:g}")
            for name in names[1:]:
                found = data.numbers[name]
                rows.append((f"{name}, {data.temperature:g}", *(_short(key, found[key]) for key in NUMBERS)))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", fontsize=9, ncols=len(names))
        _write(figure.add_subplot(grid[1, :]), several)
    odd = (100 * max(data.numbers[name]["improbable"] for name in names) for data in (several[0], several[-1]))
    cold, warm = (f"{share:.1f} % at T = {data.temperature:g}" for share, data in zip(odd, several[::2], strict=True))
    seen = f"After “{data.prompt}” warmer models say more that the truth finds improbable"
    return figure, f"{seen}: at most {cold}, {warm}.", rows


def _write(axes, several):
    """The first continuations, one line each, marked words with sign and ground."""
    first, models = several[0], list(several[0].shares)[1:]
    lines = [("truth itself", TRUTH, first.texts[TRUTH][0])]
    lines += [(f"{name}, T {data.temperature:g}", name, data.texts[name][0]) for name in models for data in several]
    axes.axis("off")
    axes.set(xlim=(0, 9), ylim=(len(lines), 0))
    key = f"({SIGN}: the truth gives the word less than {IMPROBABLE:g})"
    axes.set_title(f"“{first.prompt} …” goes on {key}", fontsize=9.5)
    ground = {"facecolor": COLOURS["wrong ground"], "edgecolor": COLOURS["wrong"], "lw": 0.6, "pad": 1}
    line = {"textcoords": "offset points", "fontsize": 8, "va": "center"}
    for row, (label, name, text) in enumerate(lines):
        y, x = row + 0.5, 155.0
        _sign(axes, 0.07, y, name, 6)
        axes.text(0.2, y, label, fontsize=8, va="center")
        for word, odd in text:
            word = SIGN + word if odd else word
            axes.annotate(word, (0, y), (x, 0), bbox=ground if odd else None, **line)
            x += TextPath((0, 0), word, size=8).get_extents().width + 5


# Of the text below the picture. Marked words have ground and ink of their own: they read on light and dark pages alike.
MARK = (
    f"background:{COLOURS['wrong ground']};color:{COLOURS['ink']};"
    f"text-decoration:underline wavy {COLOURS['wrong']};border-radius:2px;padding:0 2px"
)
CELL = "text-align:left;vertical-align:top;padding:3px 8px"


def _svg(name):
    """The sign of `_sign` for a line of text."""
    colour, _, marker, _ = look(name)
    mark = MarkerStyle(BAR if name == TRUTH else marker)
    path = mark.get_path().transformed(mark.get_transform()).to_polygons()[0]
    points = " ".join(f"{7 + 12 * x:.1f},{7 - 12 * y:.1f}" for x, y in path)
    shape = f'<polygon points="{points}" fill="{colour}" stroke="white" stroke-width="0.6"/>'
    return f'<svg width="14" height="14" aria-hidden="true" style="margin-right:6px">{shape}</svg>'


def _page(data):
    """The continuations in HTML; marked words have a sign and an underline too."""
    rows = []
    for name, texts in data.texts.items():
        lines = (
            " ".join(f'<mark style="{MARK}">{SIGN}{word}</mark>' if odd else html.escape(word) for word, odd in text)
            for text in texts
        )
        label = f"{_svg(name)}{html.escape('truth itself' if name == TRUTH else name)}"
        head = f'<th scope="row" style="{CELL};white-space:nowrap">{label}</th>'
        rows.append(f'<tr>{head}<td style="{CELL}">{"<br>".join(lines)}</td></tr>')
    caption = f"“{html.escape(data.prompt)} …” goes on, seed {data.seed}, all from the same random numbers:"
    above = f'<caption style="caption-side:top;text-align:left;padding:3px 0">{caption}</caption>'
    return f'<table style="max-width:900px;line-height:1.5">{above}<tbody>{"".join(rows)}</tbody></table>'


class Samples:
    """The explorer for up to four models of one world, `models` by name; the truth stands beside them as it is."""

    draw = SamplesPicture  # with the continuations as text below it

    def __init__(self, models, world, prompts=PROMPTS):
        self.world, self.models = world, widget.named("models", models, MAX_MODELS)
        if isinstance(prompts, str) or not prompts:
            raise ValueError(f"prompts = {prompts!r} must be a sequence of texts")
        self.ids = {prompt: world.encode(prompt) for prompt in prompts}
        for name, model in self.models.items():
            if (size := model.get_input_embeddings().weight.shape[0]) != world.size:
                raise ValueError(f"models[{name!r}] knows {size} words, this world has {world.size}")
        if world.noise == 0:
            raise ValueError("world.noise = 0: the truth calls words impossible, and the KL to it is infinite")
        self._known = {}
        self.CONTROLS = (
            widget.Choice("prompt", "prompt", next(iter(self.ids)), tuple(self.ids)),
            widget.Slider("temperature", "temperature of the models", 1.0, 0.2, 2.0, 0.05),
            widget.Slider("seed", "seed of the samples", 0, 0, 98, 1),
        )
        self.explorer = widget.explorer(self.compute, self.draw, self.CONTROLS)

    def _after(self, prompt):
        """Truth, models' log-probabilities at temperature 1 and words shown: they depend on the prompt alone."""
        if prompt not in self._known:
            from ..measure import reading

            ids = self.ids[prompt]
            logs = {name: reading.next_token_log_probs(model, ids[None])[0, -1] for name, model in self.models.items()}
            truth = self.world.next_word(ids)[-1]
            highest = np.max([truth, *map(np.exp, logs.values())], axis=0)
            likeliest = np.sort(np.argsort(-highest, kind="stable")[:WORDS])
            self._known[prompt] = truth, logs, likeliest[np.argsort(-truth[likeliest], kind="stable")]
        return self._known[prompt]

    def compute(self, prompt, temperature, seed):
        """Numbers and continuations for one setting; temperature changes the models, not the truth."""
        self.CONTROLS[0].check(prompt)
        temperature = inputs.number("temperature", temperature, low=0, open_low=True)
        if (seed := inputs.number("seed", seed, low=0)) != int(seed):
            raise ValueError(f"seed = {seed!r} must be a whole number")
        truth, logs, shown = self._after(prompt)
        log_p = {TRUTH: np.log(truth)}
        log_p |= {name: log_softmax(each / temperature, axis=-1) for name, each in logs.items()}
        words = tuple(self.world.vocabulary[k] for k in shown)
        shares = {name: np.exp(each[shown]) for name, each in log_p.items()}
        found = {name: numbers(each, truth) for name, each in log_p.items()}
        texts = self._texts(self.ids[prompt], temperature, int(seed))
        return Data(prompt, temperature, int(seed), words, shares, found, texts)

    def _texts(self, ids, temperature, seed):
        """Continuations of the truth and of every model, from the same uniform numbers."""
        import torch

        from ..measure import reading

        found = {TRUTH: continue_world(self.world, ids, uniforms(seed, TEXTS, LENGTH))}
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # two sentences are too little work to share out: handing it over costs more
        try:
            for name, model in self.models.items():
                found[name] = reading.sample(model, np.repeat(ids[None], TEXTS, axis=0), LENGTH, temperature, seed)
        finally:
            torch.set_num_threads(threads)
        return {name: [self._marked(text, len(ids)) for text in texts] for name, texts in found.items()}

    def _marked(self, text, begun):
        truths = self.world.next_word(text[:-1])[begun - 1 :]
        pairs = zip(text[begun:], truths, strict=True)
        return [(self.world.vocabulary[k], bool(truth[k] < IMPROBABLE)) for k, truth in pairs]

    def panel(self):
        """Static small multiples, (figure, alt, numbers): the first prompt at three temperatures, continued."""
        return _panel([self.compute(next(iter(self.ids)), temperature, 0) for temperature in (0.5, 1.0, 1.5)])


def demo():
    """The explorer over the committed small model and a sharper copy of it, for tests and measurements."""
    world, models = small_models()
    return Samples(models, world)
