"""Samples side by side (lesson 07): what fine-tuned models say after a prompt, beside the world whose law is known."""

import html
from dataclasses import dataclass

import numpy as np
from matplotlib.textpath import TextPath

from .. import inputs, pictures
from ..pictures import TRUTH
from . import widget
from .language import Explorer, log_softmax, named, small_models

PROMPTS = (
    "every glad chef",
    "these young pupils quickly",
    "this officer chases the",
    "one singer plays that",
    "several sailors repair another old boat",
)
IMPROBABLE = 1e-3  # a word that the truth gives less than this after what stands before it is marked
MOST, WORDS, TEXTS, LENGTH = 4, 10, 2, 12  # models, bars, continuations of each, words of a continuation
SIGN = "✗"
NUMBERS = {
    "entropy": "entropy",
    "forward_kl": "KL from\ntruth",
    "reverse_kl": "KL to\ntruth",
    "improbable": f"on {SIGN}\nwords",
}


@dataclass(frozen=True)
class Data:
    """One prompt and setting: the likeliest words, and by name (the truth first) their probabilities, four numbers and the continuations.

    `laws`: name -> (10,); `numbers`: name -> {entropy, forward_kl, reverse_kl in nats, improbable: mass on marked words};
    `texts`: name -> 2 lists of (word, whether the truth finds it improbable there).
    """

    prompt: str
    temperature: float
    seed: int
    words: tuple
    laws: dict
    numbers: dict
    texts: dict


def numbers(log_p, truth):
    """A law's entropy, its divergences from the truth and to it, and its mass on words that the truth finds improbable.

    Formula: A3. Returns a dict.
    """
    p, log_truth = np.exp(log_p), np.log(truth)
    return {
        "entropy": float(-(p * log_p).sum()),
        "forward_kl": float((truth * (log_truth - log_p)).sum()),
        "reverse_kl": float((p * (log_p - log_truth)).sum()),
        "improbable": float(p[truth < IMPROBABLE].sum()),
    }


def uniforms(seed, count, length):
    """The numbers in [0, 1) from which `measure.reading.sample` draws its words: the truth's continuations are drawn from them too.

    Returns (count, length).
    """
    import torch

    return torch.rand(count, length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).numpy()


def continue_world(world, ids, uniform):
    """Continuations drawn from the world's own law.

    Formula: inverse distribution function, word by word. Returns (n, L + length). Raises ValueError as `World.states`.
    """
    state = np.repeat(world.states(ids)[-1], len(uniform))
    texts = np.empty((len(uniform), len(ids) + uniform.shape[1]), dtype=np.int64)
    texts[:, : len(ids)] = ids
    for step, drawn in enumerate(uniform.T):
        cumulated = np.cumsum(world.law[state], axis=-1)
        texts[:, len(ids) + step] = (cumulated <= (drawn * cumulated[:, -1])[:, None]).sum(-1)
        state = world.move[state, texts[:, len(ids) + step]]
    return texts


class Samples(Explorer):
    """The explorer for up to four models of one world: prompt, temperature and seed; the truth stands beside them as it is.

    `models`: dictionary of name -> causal language model over the world's vocabulary; `prompts` are texts in the world's words.
    """

    def __init__(self, models, world, prompts=PROMPTS):
        self.world, self.models = world, named("models", models, MOST)
        if isinstance(prompts, str) or not prompts:
            raise ValueError(f"prompts = {prompts!r} must be a sequence of texts")
        self.ids = {prompt: world.encode(prompt) for prompt in prompts}
        for name, model in self.models.items():
            size = model.get_input_embeddings().weight.shape[0]
            if size != world.size:
                raise ValueError(f"models[{name!r}] knows {size} words, this world has {world.size}")
        if world.noise == 0:
            raise ValueError("world.noise = 0: the truth calls words impossible, and the KL to it is infinite")
        self._known = {}
        self.CONTROLS = (
            widget.Choice("prompt", "prompt", next(iter(self.ids)), tuple(self.ids)),
            widget.Slider("temperature", "temperature of the models", 1.0, 0.2, 2.0, 0.05),
            widget.Slider("seed", "seed of the samples", 0, 0, 98, 1),
        )

    def _laws(self, prompt):
        """Truth, the models' log-probabilities at temperature 1 and the words shown: they depend on the prompt alone."""
        if prompt not in self._known:
            from ..measure import reading

            ids = self.ids[prompt]
            logs = {name: reading.next_token_log_probs(model, ids[None])[0, -1] for name, model in self.models.items()}
            truth = self.world.next_word(ids)[-1]
            most = np.max([truth, *map(np.exp, logs.values())], axis=0)
            likeliest = np.sort(np.argsort(-most, kind="stable")[:WORDS])
            self._known[prompt] = truth, logs, likeliest[np.argsort(-truth[likeliest], kind="stable")]
        return self._known[prompt]

    def compute(self, prompt, temperature, seed):
        """Laws, numbers and continuations for one setting; temperature changes the models, not the truth."""
        if prompt not in self.ids:
            raise ValueError(f"prompt = {prompt!r} must be one of {', '.join(self.ids)}")
        temperature, seed = inputs.number("temperature", temperature, low=0, open_low=True), _seed(seed)
        truth, logs, shown = self._laws(prompt)
        laws = {TRUTH: np.log(truth)} | {name: log_softmax(law / temperature) for name, law in logs.items()}
        return Data(
            prompt,
            temperature,
            seed,
            tuple(self.world.vocabulary[k] for k in shown),
            {name: np.exp(law[shown]) for name, law in laws.items()},
            {name: numbers(law, truth) for name, law in laws.items()},
            self._texts(self.ids[prompt], temperature, seed),
        )

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
        before = self.world.next_word(text[:-1])[begun - 1 :]
        return [
            (self.world.vocabulary[k], bool(law[k] < IMPROBABLE)) for k, law in zip(text[begun:], before, strict=True)
        ]

    def draw(self, data):
        """The picture, with the continuations as text below it."""
        return SamplesPicture(data)

    def panel(self):
        """Static small multiples: the first prompt at three temperatures, one continuation of each below: (figure, alt text)."""
        return _panel([self.compute(next(iter(self.ids)), temperature, 0) for temperature in (0.5, 1.0, 1.5)])


def _seed(seed):
    value = inputs.number("seed", seed, low=0)
    if value != int(value):
        raise ValueError(f"seed = {seed!r} must be a whole number")
    return int(value)


def _law_axes(axes, words, names):
    """Bars of the truth and one marker per model and word, all empty; returns both."""
    rows = np.arange(WORDS)
    bars = axes.barh(rows, np.zeros(WORDS), 0.8, color=pictures.look(TRUTH).colour, alpha=0.75, label=TRUTH)
    marks = {}
    for k, name in enumerate(names):
        look, place = pictures.look(name), rows + 0.8 * ((k + 0.5) / len(names) - 0.5)
        (marks[name],) = axes.plot(
            np.zeros(WORDS),
            place,
            look.marker,
            color=look.colour,
            ms=6,
            mec="white",
            mew=0.5,
            label=name,
            clip_on=False,
        )
    axes.set(xlim=(0, 1), ylim=(WORDS - 0.5, -0.5), xlabel="probability of the next word")
    axes.set_yticks(rows, words)
    axes.tick_params(axis="y", length=0)
    return bars, marks


class SamplesPicture(widget.Picture):
    """Left: the law of the next word, truth as bars, models as markers. Right: their numbers. Below, as text: continuations."""

    size = (9.0, 3.7)

    def build(self):
        self.words, self.bars = None, None
        self.law, self.table = self.figure.subplots(1, 2, width_ratios=[0.85, 1])
        self.table.axis("off")
        self.table.set(xlim=(0, 1), ylim=(0, 1))

    def _begin(self, data):
        """What depends on the models' names, once."""
        bars, marks = _law_axes(self.law, data.words, list(data.laws)[1:])
        self.bars, self.marks = (
            [self.live(bar) for bar in bars],
            {name: self.live(line) for name, line in marks.items()},
        )
        self.law.set_title(" \n ")
        self.numbers, columns = {}, dict(zip(NUMBERS, (0.52, 0.68, 0.84, 1.0), strict=True))
        for key, label in NUMBERS.items():
            self.table.text(columns[key], 0.98, label, ha="right", va="top", fontsize=9.5)
        for k, name in enumerate(data.laws):
            y, look = 0.78 - 0.15 * k, pictures.look(name)
            self.table.plot(
                [0.02], [y], "s" if name == TRUTH else look.marker, color=look.colour, ms=9, mec="white", mew=0.6
            )
            self.table.text(0.06, y, name, va="center", fontsize=9.5)
            for key, x in columns.items():
                self.numbers[name, key] = self.live(self.table.text(x, y, "", ha="right", va="center", fontsize=9.5))
        self.table.text(
            0, 0.0, f"{SIGN}: the truth gives it less than {IMPROBABLE:g}. Entropy, KL in nats.", fontsize=9
        )
        self.law.set_yticks(range(WORDS), ["m" * 8] * WORDS)  # room for the longest words
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")
        above = {"transform": self.law.transAxes, "fontsize": pictures.STYLE["axes.titlesize"], "va": "bottom"}
        self.headline = self.live(self.law.text(0, 1.02, "", **above))

    def update(self, data):
        if self.bars is None:
            self._begin(data)
        if data.words != self.words:
            self.words = data.words
            self.law.set_yticks(range(WORDS), data.words)
            self.stale()
        for bar, width in zip(self.bars, data.laws[TRUTH], strict=True):
            bar.set_width(width)
        for name, line in self.marks.items():
            line.set_xdata(data.laws[name])
        for (name, key), text in self.numbers.items():
            text.set_text(_shown(key, data.numbers[name][key]))
        self.headline.set_text(f"“{data.prompt} …”\nmodels at temperature {data.temperature:.2f}")

    def alt(self, data):
        return _said(data)

    def to_html(self):
        return super().to_html() + _page(self.data)


def _shown(key, value):
    return f"{100 * value:.1f} %" if key == "improbable" else f"{value + 0.0:.3f}".replace("-0.000", "0.000")


def _measured(found):
    return (
        f"entropy {found['entropy']:.3f}, KL from the truth {found['forward_kl']:.3f}, to it {found['reverse_kl']:.3f} nats, "
        f"{100 * found['improbable']:.1f} % on improbable words"
    )


def _said(data):
    words = ", ".join(f"{word} {value:.3f}" for word, value in zip(data.words[:3], data.laws[TRUTH], strict=False))
    parts = []
    for name, found in list(data.numbers.items())[1:]:
        first = ", ".join(f"{word} {value:.3f}" for word, value in zip(data.words[:3], data.laws[name], strict=False))
        parts.append(f"{name}: {first}; {_measured(found)}")
    own = data.numbers[TRUTH]
    return (
        f"Next word after “{data.prompt}”, models at temperature {data.temperature:.2f}. Truth: {words}; entropy {own['entropy']:.3f} nats. "
        + ". ".join(parts)
        + "."
    )


# Colours of their own for marked words, so that they read on light and dark pages alike.
MARK = "background:#FBE0CF;color:#222222;text-decoration:underline wavy #B34700;border-radius:2px;padding:0 2px"
SWATCH = "display:inline-block;width:10px;height:10px;border:1px solid #999999;margin-right:6px"
CELL = "text-align:left;vertical-align:top;padding:3px 8px"


def _page(data):
    """The continuations as a table of text: marked words have a sign, an underline and a ground of their own."""
    rows = []
    for name, texts in data.texts.items():
        said = "<br>".join(
            " ".join(f'<mark style="{MARK}">{SIGN}{word}</mark>' if odd else html.escape(word) for word, odd in text)
            for text in texts
        )
        label = html.escape("truth itself" if name == TRUTH else name)
        swatch = f'<span style="{SWATCH};background:{pictures.look(name).colour}"></span>'
        rows.append(
            f'<tr><th scope="row" style="{CELL};white-space:nowrap">{swatch}{label}</th><td style="{CELL}">{said}</td></tr>'
        )
    caption = f"“{html.escape(data.prompt)} …” goes on, seed {data.seed}, all from the same random numbers:"
    return (
        f'<table style="max-width:900px;line-height:1.5"><caption style="caption-side:top;text-align:left;padding:3px 0">{caption}</caption>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _panel(several):
    """Laws at several temperatures side by side, one continuation of each below."""
    figure, names = pictures.new_figure(9.0, 5.9), list(several[0].laws)
    said = []
    with pictures.rc_context(pictures.STYLE):
        grid = figure.add_gridspec(2, len(several), height_ratios=[1, 1.15])
        for k, data in enumerate(several):
            axes = figure.add_subplot(grid[0, k])
            bars, marks = _law_axes(axes, data.words if k == 0 else [""] * WORDS, names[1:])
            for bar, width in zip(bars, data.laws[TRUTH], strict=True):
                bar.set_width(width)
            for name, line in marks.items():
                line.set_xdata(data.laws[name])
            axes.set_title(f"temperature {data.temperature:g}")
            measured = "; ".join(f"{name}: {_measured(data.numbers[name])}" for name in names[1:])
            said.append(f" Temperature {data.temperature:g}: {measured}.")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", fontsize=9, ncols=len(names))
        _write(figure.add_subplot(grid[1, :]), several)
    words = ", ".join(f"{word} {value:.3f}" for word, value in zip(data.words[:3], data.laws[TRUTH], strict=False))
    return figure, f"Next word after “{data.prompt}”. Truth: {words}." + "".join(said)


def _write(axes, several):
    """The first continuations, one line each, marked words with sign and ground."""
    axes.axis("off")
    lines = [("truth itself", TRUTH, several[0].texts[TRUTH][0])]
    lines += [
        (f"{name}, T {data.temperature:g}", name, data.texts[name][0])
        for name in list(several[0].laws)[1:]
        for data in several
    ]
    axes.set(xlim=(0, 9), ylim=(len(lines), 0))
    axes.set_title(
        f"“{several[0].prompt} …” goes on ({SIGN}: the truth gives the word less than {IMPROBABLE:g})", fontsize=9.5
    )
    for row, (label, name, text) in enumerate(lines):
        axes.plot([0.03], [row + 0.5], "s", color=pictures.look(name).colour, ms=5)
        axes.text(0.12, row + 0.5, label, fontsize=8, va="center")
        x = 155.0
        for word, odd in text:
            word = SIGN + word if odd else word
            mark = {"facecolor": "#FBE0CF", "edgecolor": "#B34700", "lw": 0.6, "pad": 1} if odd else None
            axes.annotate(word, (0, row + 0.5), (x, 0), textcoords="offset points", fontsize=8, va="center", bbox=mark)
            x += TextPath((0, 0), word, size=8).get_extents().width + 5


def demo():
    """The explorer over the committed small model and a sharper copy of it, for tests and measurements.

    Returns `Samples`. Raises ValueError where the data is missing.
    """
    world, models = small_models()
    return Samples(models, world)
