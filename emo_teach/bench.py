"""What the losses cost on this machine: time and memory of a last layer, of training steps, and of exact transport.

Methods take turns on the same fresh batches, so that a slow spell of the machine hits all of them, and ratios come from
one run. Peaks of memory are measured in a process of their own, `python -m emo_teach.bench METHOD N V d KIND`. torch is
loaded only by what needs it.
"""

import csv as csv_module
import importlib.util
import io
import json
import math
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import costs, transport
from .files import need, write_whole

EMO, PACKAGE = "emo-mode-1", "emoloss"  # the published objective; its package on PyPI, imported as `emo`
METHODS = {  # name: (objective, head, how the cost embedding is kept), and the fill of a bar, the dash of a line
    "CE plain": ("ce", "logits", None, "", ":"),
    "CE fused": ("ce", "fused", None, "////", "-"),
    "torch's CE": ("ce", "torch", None, "\\\\\\\\", "-."),
    "torch's CE, tuned": ("ce", "torch", None, "xxxx", "--"),
    "EMO plain": (EMO, "logits", "float32", "", ":"),
    "EMO fused": (EMO, "fused", "float32", "////", "-"),
    "EMO fused, int8 cost": (EMO, "fused", "int8", "....", "-."),
    PACKAGE: (EMO, "package", None, "xx", "--"),
}
TORCH = ("torch's CE", "torch's CE, tuned")  # linear_cross_entropy of torch: its default, and the fastest chunk
TORCH_CHUNKS = (64, 128, 256, 512, 1024)  # tokens at a time, tried on one batch each
BASE, PROBE, POT, HIGHS = "CE plain", "one large product", "exact EMD, POT", "exact EMD, HiGHS"
TARGETS = ("uniform", "Zipf")  # how labels are drawn
LENGTHS = {"tiny": 33, "gpt2": 128}  # models of training steps, and the tokens of a text
COLUMNS = ("method", "N", "V", "d", "targets", "device", "seconds", "ratio_to_ce", "peak_mib", "peak_ratio_to_ce")


class Case(NamedTuple):
    """N tokens, a vocabulary of V, hidden states of d numbers, and how targets are drawn or which model is trained."""

    N: int
    V: int
    d: int
    kind: str = "uniform"

    def __str__(self):
        return f"N={self.N} V={self.V} d={self.d} {self.kind}"


class Row(NamedTuple):
    """One method on one case: seconds, MiB, ratios to plain cross-entropy; `limit`: what the counted products take."""

    method: str
    case: Case
    seconds: float
    ratio: float | None = None
    limit: float | None = None
    peak: float | None = None
    peak_ratio: float | None = None


class Plan(NamedTuple):
    """Sizes and repeats of one run."""

    sizes: tuple = (Case(512, 50257, 768), Case(2048, 50257, 768), Case(512, 49152, 576))  # GPT-2's; SmolLM2-135M's
    repeats: int = 5
    base: Case = Case(512, 4096, 384)  # growth is measured around it, one size at a time
    growth: tuple = (("N", (256, 512, 1024, 2048)), ("V", (2048, 4096, 8192, 16384)), ("d", (96, 192, 384, 768)))
    steps: tuple = (Case(1056, 269, 64, "tiny"), Case(512, 50257, 768, "gpt2"))  # 0.1 and 124 million parameters
    points: tuple = (64, 128, 256, 512, 1024, 2048)  # sizes of the exact problems
    max_points: int = 512  # up to which the general linear program is solved too
    probe: int = 2048  # side of the matrix product from which the machine's speed is read


FULL = Plan()
QUICK = Plan(FULL.sizes[:1], 3, growth=(), steps=FULL.steps[:1], points=FULL.points[:4], max_points=256)


def main(only=None, quick=False, csv=None, plot=None):
    """Measure, print the tables, and write the files asked for; returns the exit status.

    Raises, before anything is measured, ValueError for a file that cannot be written, and ModuleNotFoundError where
    losses are asked for without torch.
    """
    csv, plot = _writable("--csv", csv), _writable("--plot", plot, (".png", ".svg"))
    plan, found = QUICK if quick else FULL, {}  # title -> rows

    def show(title, rows):
        found[title] = rows
        print(f"{title}:\n{table(rows)}\n{fits(title, rows)}", flush=True)

    if only != "emd":
        need("torch")  # --only emd does without
        print(machine(plan), flush=True)
    if only in (None, "loss"):
        show("losses", measure([c._replace(kind=kind) for c in plan.sizes for kind in TARGETS], plan, peaks=True))
        cases = {axis: [plan.base._replace(**{axis: size}) for size in sizes] for axis, sizes in plan.growth}
        grown = measure(dict.fromkeys(case for several in cases.values() for case in several), plan)
        for axis, several in cases.items():
            show(f"growth in {axis}", [row for case in several for row in grown if row.case == case])
    if only in (None, "step"):
        show("training steps", measure(plan.steps, plan, peaks=True))
    if only in (None, "emd"):
        show("exact EMD", exact_transport(plan))
    if csv:
        write_whole(csv, csv_text(found))
    if plot:
        write_whole(plot, draw(found, plot.suffix[1:].lower()))
        print(f"picture: {alt(found)}")
    return 0


def _writable(option, path, endings=()):
    """The absolute path, once it is clear that a file can be written there; None stays None."""
    if path is None:
        return None
    try:
        full = Path(path).resolve()
        if endings and full.suffix.lower() not in endings:
            raise ValueError(f"{option} {path}: the name must end in {' or '.join(endings)}")
        if full.exists() and not full.is_file():
            raise ValueError(f"{option} {path}: there is something that is no plain file")
        tempfile.TemporaryFile(dir=full.parent).close()
    except OSError as err:
        raise ValueError(f"{option} {path}: cannot be written ({err.strerror})") from None
    return full


# ---- what is measured


def device():
    """CUDA where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def machine(plan):
    """One line that says on what it is measured."""
    import torch

    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = re.findall(r"^model name\s*: (.*)$", info, re.MULTILINE)
    name = torch.cuda.get_device_name() if device().type == "cuda" else [*names, platform.machine()][0]
    version = f"torch {torch.__version__}, {torch.get_num_threads()} thread(s), float32"
    return f"device: {device().type} ({name}); {version}; median of {plan.repeats} repeats, a fresh batch each\n"


def prepare(case):
    """What methods share: a head (V, d), with logits of variance 1 on `batch`, and None; or a model and its AdamW."""
    import torch

    if case.kind not in LENGTHS:
        generator = torch.Generator(device()).manual_seed(0)
        weight = torch.empty(case.V, case.d, device=device()).normal_(generator=generator)
        return weight.div_(math.sqrt(case.d)).requires_grad_(), None  # in place: no copy in the memory's baseline
    import transformers

    from .world import model_folder

    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    if case.kind == "tiny":
        model = transformers.GPT2LMHeadModel.from_pretrained(model_folder())
    else:
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config())  # random weights cost as much
    model = model.train().to(device())
    return model, torch.optim.AdamW(model.parameters(), lr=1e-5)


def batch(case, seed):
    """Hidden states (N, d) and labels (N,), for "Zipf" with probabilities proportional to 1/(k + 1); or texts twice."""
    import torch

    generator = torch.Generator(device()).manual_seed(seed)
    if case.kind in LENGTHS:
        shape = (case.N // LENGTHS[case.kind], LENGTHS[case.kind])
        return (torch.randint(case.V, shape, generator=generator, device=device()),) * 2
    weights = 1.0 / np.arange(1, case.V + 1) if case.kind == "Zipf" else np.ones(case.V)
    labels = np.random.default_rng(seed).choice(case.V, size=case.N, p=weights / weights.sum())
    hidden = torch.empty(case.N, case.d, device=device()).normal_(generator=generator)
    return hidden, torch.from_numpy(labels).to(hidden.device)


def ready(name, given, optimizer=None, chunk=256):
    """The step to be timed, a function of a batch: loss and gradients; of a model, also AdamW's update.

    `chunk` is how many tokens torch's tuned head takes at a time.
    """
    import torch
    from torch.nn.functional import cross_entropy, linear, pad

    from .losses import CostEmbedding, fused_loss, objective

    goal, head, kept, *_ = METHODS[name]
    layer = isinstance(given, torch.Tensor)
    weight, parameters = (given, [given]) if layer else (given.get_output_embeddings().weight, list(given.parameters()))
    frozen = weight.detach().clone() if head == "package" else None  # the package does not detach
    if head != "package":
        goal = objective(goal, kept and CostEmbedding(weight.detach(), getattr(torch, kept)))

    def layer_loss(hidden, labels):
        if head == "torch":
            options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=chunk if name == TORCH[1] else None)
            return torch.nn.functional.linear_cross_entropy(hidden, weight, labels, options=options)
        if head == "fused":
            return fused_loss(hidden, weight, labels, goal)
        if head == "package":  # it shifts labels: one more position before labels and after hidden states, one sequence
            from emo import EMOLoss

            logits = linear(pad(hidden, (0, 0, 0, 1)), weight)
            return EMOLoss(logits.unsqueeze(0), pad(labels, (1, 0)).unsqueeze(0), frozen)
        logits = linear(hidden, weight)
        return cross_entropy(logits, labels) if name == BASE else goal(logits, labels)

    if layer:
        loss = layer_loss
    else:
        from .finetune import WithObjective

        wrapper = WithObjective(given, goal, head)
        loss = lambda ids, labels: wrapper(ids, labels).loss  # noqa: E731

    def step(batch):
        inputs, labels = batch
        inputs = inputs.clone().requires_grad_() if layer else inputs
        for parameter in parameters:
            parameter.grad = None
        value = loss(inputs, labels)
        value.backward()
        if optimizer:
            optimizer.step()
        return value

    return step


def tuned(given, batch, clock):
    """The fastest of `TORCH_CHUNKS` for torch's head on this batch, after one step to warm up."""
    steps = {chunk: ready(TORCH[1], given, chunk=chunk) for chunk in TORCH_CHUNKS}
    seconds = interleaved(steps, lambda turn: batch, 1, clock)
    return min(seconds, key=seconds.get)


def products(name, case, distinct):
    """Products of N x V x d that a method's formulas need, with `distinct` different targets in a batch.

    Logits and the gradients of hidden states and head are 3; a row of costs per distinct target adds U/N; the package
    averages the embedding under the one-hot label, under the model, and takes the latter's gradient: 3 more.
    """
    goal, head, *_ = METHODS[name]
    return 6 if head == "package" else 3 + (goal == EMO) * distinct / case.N


# ---- time


def interleaved(steps, batch, repeats, clock):
    """Median seconds of each method over rounds that draw one batch and start with another method; round 0 warms up."""
    seconds, names = {name: [] for name in steps}, list(steps)
    for turn in range(repeats + 1):
        given, first = batch(turn), turn % len(names)
        for name in names[first:] + names[:first]:
            begun = clock()
            steps[name](given)
            seconds[name].append(clock() - begun)
    return {name: statistics.median(taken[1:]) for name, taken in seconds.items()}


def measure(cases, plan, peaks=False):
    """Rows of all methods on all cases; progress goes to the error stream, so that tables can be piped away."""
    import torch
    from torch.utils import benchmark

    missing = importlib.util.find_spec("emo") is None
    old = not hasattr(torch.nn, "LinearCrossEntropyOptions")
    if missing and cases:
        print(f"{PACKAGE} is not installed: left out (pip install --no-deps {PACKAGE}==0.0.3)")
    if old and cases:
        print(f"torch {torch.__version__} has no chunked linear_cross_entropy: left out (torch 2.13 has it)")
    a, b, out = torch.randn(3, plan.probe, plan.probe, device=device())
    rows = []
    for case in cases:
        print(f"measuring {case}", file=sys.stderr, flush=True)
        absent = {PACKAGE: missing, **dict.fromkeys(TORCH, old)}  # none of these knows how to train a model
        names = [name for name in METHODS if name not in absent or not (absent[name] or case.kind in LENGTHS)]
        with_peaks = peaks and case.kind != "tiny"  # memory comes in pieces too large to compare models as small
        peaked = [name for name in names if with_peaks and name != TORCH[1]]  # which is tuned only below
        peak = dict.fromkeys(names) | {name: fresh_process(name, case) for name in peaked}
        for name in [name for name in names if isinstance(peak[name], str)]:
            print(f"{name} at {case}: left out, {peak[name]}")
            names.remove(name)
        given, optimizer = prepare(case)
        chunk = tuned(given, batch(case, 0), benchmark.timer) if TORCH[1] in names else None
        steps = {name: ready(name, given, optimizer, chunk) for name in names}
        steps[PROBE] = lambda _: torch.mm(a, b, out=out)
        seconds = interleaved(steps, lambda seed, case=case: batch(case, seed), plan.repeats, benchmark.timer)
        per_product = seconds.pop(PROBE) / plan.probe**3 * case.N * case.V * case.d
        distinct = statistics.mean(batch(case, seed)[1].unique().numel() for seed in range(1, plan.repeats + 1))
        for name, taken in seconds.items():
            limit = products(name, case, distinct) * per_product if optimizer is None else None
            ratio = peak[name] / peak[BASE] if peak[name] is not None and peak.get(BASE) else None
            rows.append(Row(name, case, taken, taken / seconds[BASE], limit, peak[name], ratio))
        if chunk is not None:
            ratios = [f"{seconds['CE fused'] / seconds[name]:.2f}" for name in TORCH]
            print(f"{case}: CE fused takes {ratios[0]} of torch's CE, {ratios[1]} of it with {chunk} tokens at a time")
    return rows


def exact_transport(plan):
    """POT's network simplex and a general linear program by HiGHS on the same fresh problems, in turn."""
    from .verify import references

    def problem(n, seed):
        rng = np.random.default_rng(seed)
        return *rng.dirichlet(np.ones(n), 2), costs.cosine(rng.normal(size=(n, 16)))

    rows = []
    for n in plan.points:
        fast, general = [], []
        steps = {POT: lambda given, found=fast: found.append(transport.emd(*given).value)}
        if n <= plan.max_points:
            steps[HIGHS] = lambda given, found=general: found.append(references.linear_program(*given)[0])
        seconds = interleaved(steps, lambda seed, n=n: problem(n, seed), plan.repeats, time.perf_counter)
        if not np.allclose(fast[: len(general)], general, rtol=0, atol=1e-8):
            raise RuntimeError(f"POT and HiGHS differ on a problem of {n} points: {fast}, {general}")
        rows += [Row(name, Case(1, n, "", "dense"), taken) for name, taken in seconds.items()]
    return rows


# ---- memory


def fresh_process(name, case):
    """Peak extra memory (MiB) of a method in a new process; None where the system does not tell; or why it failed."""
    ended = subprocess.run([sys.executable, "-m", __name__, name, *map(str, case)], capture_output=True, text=True)
    return json.loads(ended.stdout.splitlines()[-1]) if ended.returncode == 0 else _why(ended)


def _why(ended):
    if ended.returncode == -9:
        return "killed by the system, most likely because memory ran out"
    last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
    if "memory" in last.lower():  # MemoryError, torch's "can't allocate memory" and "CUDA out of memory"
        return f"out of memory ({last[:100]})"
    raise RuntimeError(f"the process that measures memory ended with status {ended.returncode}: {last}")


def peak(name, case):
    """Most memory in use over two steps, less what was in use with head or model alone, in MiB; or None."""
    small = Case(66, 269, 64, "tiny") if case.kind in LENGTHS else Case(2, 8, 4)
    ready(name, *prepare(small))(batch(small, 0))  # libraries load and make their buffers at first use
    given, batches = prepare(case), [batch(case, seed) for seed in (1, 2)]
    before = _memory(most=False)
    step = ready(name, *given)
    for each in batches[: 1 + (case.kind in LENGTHS)]:  # in the second step AdamW's state lies beside the gradients
        step(each)
    return None if before is None else (_memory(most=True) - before) / 2**20


def _memory(most):
    """Bytes in use now, or the most so far; None where the system does not tell."""
    import torch

    if device().type == "cuda":
        if not most:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated() if most else torch.cuda.memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # it starts anew with the program, which ru_maxrss on Linux does not
        return 1024 * int(re.search(rf"{'VmHWM' if most else 'VmRSS'}:\s*(\d+)", status.read_text())[1])
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# ---- what is shown


def table(rows):
    """Rows as aligned text; "limit" is what the counted products alone would take."""
    lines = [("method", *Case._fields, "seconds", "x CE", "limit s", "peak MiB", "x CE")]
    forms = (".3g", ".2f", ".3g", ".0f", ".2f")
    for method, case, *numbers in rows:
        shown = ("-" if x is None else format(x, form) for x, form in zip(numbers, forms, strict=True))
        lines.append((method, *map(str, case), *shown))
    width = max(len(line[0]) for line in lines)
    return "".join(f"{line[0]:{width}}{''.join(f'{word:>10}' for word in line[1:])}\n" for line in lines)


def exponents(title, rows):
    """{method: (sizes, seconds, exponent k)} of the power law `size ** k` that fits the seconds best."""
    axis, found = title[-1] if "growth" in title else "V", {}
    for row in rows if title.startswith(("growth", "exact")) else ():
        found.setdefault(row.method, []).append((getattr(row.case, axis), row.seconds))
    curves = {method: np.transpose(points) for method, points in found.items() if len(points) > 1}
    return {name: (*curve, float(np.polyfit(*np.log(curve), 1)[0])) for name, curve in curves.items()}


def fits(title, rows):
    """One line of fitted exponents, or nothing."""
    found = ", ".join(f"{method} {k:.2f}" for method, (_, _, k) in exponents(title, rows).items())
    return found and f"seconds grow by the exponents {found}\n"


def csv_text(found):
    """Every measurement once, as CSV; exact transport has N = 1 problem and V = its points."""
    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in dict.fromkeys(row for rows in found.values() for row in rows):
        where = "cpu" if row.case.kind == "dense" else device().type
        numbers = (row.seconds, row.ratio, row.peak, row.peak_ratio)
        writer.writerow([row.method, *row.case, where, *("" if x is None else f"{x:.6g}" for x in numbers)])
    return out.getvalue()


def draw(found, form):
    """The picture as the bytes of a file, with its alt text as description: bars of ratios, and lines of growth."""
    from . import pictures

    panels = [(title, quantity) for title in ("losses", "training steps") for quantity in ("ratio", "peak_ratio")]
    panels = [(title, x) for title, x in panels if any(getattr(row, x) for row in found.get(title, ()))]
    panels += [(title, None) for title, rows in found.items() if exponents(title, rows)]
    height, buffer = -(-len(panels) // 2), io.BytesIO()
    figure = pictures.new_figure(11.5, 4.0 * height)
    with pictures.rc_context(pictures.STYLE):
        places = figure.subplots(height, 2, squeeze=False).flat
        for (title, quantity), axes in zip(panels, places, strict=False):
            _bars(axes, title, quantity, found[title]) if quantity else _lines(axes, title, found[title])
        for axes in places[len(panels) :]:
            axes.remove()
        figure.savefig(buffer, format=form, dpi=pictures.STATIC_DENSITY, metadata={"Description": alt(found)})
    return buffer.getvalue()


def _lines(axes, title, rows):
    curves = exponents(title, rows)
    for method, (sizes, seconds, _) in curves.items():
        colour, _, dash = _look(method)
        axes.loglog(sizes, seconds, dash, marker="o", ms=3, color=colour, label=method)
    ticks = max((sizes for sizes, *_ in curves.values()), key=len)
    axes.set_xticks(ticks, [f"{size:.0f}" for size in ticks])
    axes.minorticks_off()
    axes.set(title=title, xlabel=title[-1] if "growth" in title else "points n", ylabel="seconds")
    axes.legend(fontsize=8)


def _look(method):
    """Colour of the loss as in the lessons, fill of a bar and dash of a line."""
    from . import pictures

    fill, dash = METHODS[method][3:] if method in METHODS else ("", "--" if method == HIGHS else "-")
    return pictures.COLOURS["ce" if method.startswith("CE") else "emd"], fill, dash


def _bars(axes, title, quantity, rows):
    cases, methods = list(dict.fromkeys(r.case for r in rows)), list(dict.fromkeys(r.method for r in rows))
    for k, method in enumerate(methods):
        colour, fill, _ = _look(method)
        heights = {r.case: getattr(r, quantity) or 0.0 for r in rows if r.method == method}
        places = np.arange(len(cases)) + (k - (len(methods) - 1) / 2) * 0.84 / len(methods)
        style = {"facecolor": "white", "edgecolor": colour, "hatch": fill, "label": method}
        axes.bar(places, [heights.get(case, 0.0) for case in cases], 0.75 / len(methods), **style)
    axes.set_xticks(range(len(cases)), [str(case).replace(" ", "\n") for case in cases], fontsize=8)
    what = "time" if quantity == "ratio" else "peak extra memory"
    axes.set(title=f"{title}: {what}", ylabel="multiple of plain cross-entropy's")
    axes.legend(fontsize=7)


def alt(found):
    """What the picture shows, in words, with its numbers."""
    parts = []
    for title, rows in found.items():
        ratios = ", ".join(f"{r.method} {r.ratio:.2f} ({r.peak_ratio or math.nan:.2f})" for r in rows if r.ratio)
        if title in ("losses", "training steps"):
            parts.append(f"{title}: time (and peak memory) as multiples of plain cross-entropy's: {ratios}.")
        elif exponents(title, rows):
            parts.append(f"{title}: {fits(title, rows).strip()}.")
    return " ".join(parts)


if __name__ == "__main__":
    method, *size, kind = sys.argv[1:]
    print(json.dumps(peak(method, Case(*map(int, size), kind))))
