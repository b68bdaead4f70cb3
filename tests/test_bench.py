"""The bench on tiny sizes: what it counts, prints and writes, and what it refuses. No times are asserted."""

import csv
import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import emo_teach.__main__ as command_line
from emo_teach import bench
from emo_teach.bench import METHODS, Case, Plan
from emo_teach.losses import CostEmbedding, objective

LAYER, MODEL = Case(8, 8192, 256), Case(66, 269, 64, "tiny")
SIZES, GROWTH = (Case(6, 50, 4), Case(12, 50, 4)), (("N", (4, 8)), ("V", (20, 50)))
TINY = Plan(SIZES, 1, Case(8, 50, 4), GROWTH, steps=(MODEL,), points=(4, 8), max_points=4, probe=16)


def hide(module, monkeypatch):
    """Make a module look as if it were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == module else find(name, *rest))


@pytest.fixture
def tiny(monkeypatch):
    """The command line with the tiny plan behind it, and peaks of memory that are made up."""
    for name in ("FULL", "QUICK"):
        monkeypatch.setattr(bench, name, TINY)
    monkeypatch.setattr(bench, "fresh_process", lambda name, case: (2.0 if "fused" in name else 4.0) * case.N)


@pytest.mark.parametrize("case", [Case(9, 50, 4, "Zipf"), MODEL])
def test_methods_with_one_objective_take_the_same_step(case):
    """Of a last layer and of a whole model: plain and fused heads agree in value and in the head's gradient."""
    found = {}
    alone = (bench.PACKAGE, *(bench.TORCH if case == MODEL else ()))  # torch's head does not train models here
    for name in [name for name in METHODS if name not in alone]:
        given, optimizer = bench.prepare(case)
        weight = given if optimizer is None else given.get_output_embeddings().weight
        before = weight.detach().clone()
        value = bench.ready(name, given, optimizer)(bench.batch(case, seed=3))
        assert torch.equal(before, weight) == (optimizer is None)  # a training step moves the model
        found[name] = float(value.detach()), weight.grad.clone()
    pairs = [("CE plain", "CE fused"), ("EMO plain", "EMO fused")]
    for plain, fused in pairs + [("CE plain", name) for name in bench.TORCH if name in found]:
        (one, a), (other, b) = found[plain], found[fused]
        assert one == pytest.approx(other, rel=1e-5)  # float32 sums in another order
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)
    rounded, exact = found["EMO fused, int8 cost"][1], found["EMO fused"][1]
    assert 1e-6 < (rounded - exact).norm() / exact.norm() < 3e-2
    assert not torch.allclose(found["CE fused"][1], exact, rtol=1e-2)


def test_the_package_counts_the_same_tokens():
    """It shifts labels itself; its value is mode 1 with the weight cut off at 3, on just the tokens given."""
    case = Case(9, 50, 4)
    weight, _ = bench.prepare(case)
    hidden, labels = bench.batch(case, seed=3)
    theirs = bench.ready(bench.PACKAGE, weight)((hidden, labels))
    ours = objective(bench.EMO, CostEmbedding(weight.detach()), clip=3.0)(hidden @ weight.T, labels)
    assert float(theirs.detach()) == pytest.approx(float(ours.detach()), rel=1e-5)  # float32


def test_batches_are_fresh_repeatable_and_drawn_as_described():
    case, harmonic = Case(4000, 50, 3), (1 / np.arange(1, 51)).sum()
    (hidden, labels), again, other = (bench.batch(case, seed) for seed in (1, 1, 2))
    assert torch.equal(hidden, again[0]) and torch.equal(labels, again[1])
    assert not torch.equal(hidden, other[0]) and not torch.equal(labels, other[1])
    zipf = torch.bincount(bench.batch(case._replace(kind="Zipf"), seed=1)[1], minlength=50) / case.N
    # 5 standard deviations of a count of 4,000 draws
    assert np.allclose(torch.bincount(labels, minlength=50) / case.N, 1 / 50, atol=5 * np.sqrt(0.02 / case.N))
    assert np.allclose(zipf, 1 / np.arange(1, 51) / harmonic, atol=5 * np.sqrt(0.25 / case.N))


def test_the_counted_products_are_what_torch_multiplies():
    """Operations counted by torch while they run (its counter does not see the products inside the fused ones)."""
    wanted = {name: 3.5 if name.startswith("EMO") else 3 for name in METHODS} | {bench.PACKAGE: 6}
    assert {name: bench.products(name, Case(512, 50257, 768), 256) for name in METHODS} == wanted
    case = Case(64, 40, 32)
    weight, given = bench.prepare(case)[0], bench.batch(case, seed=0)
    for name in ("CE plain", "EMO plain", bench.PACKAGE):
        step = bench.ready(name, weight)
        with FlopCounterMode(display=False) as counter:
            step(given)
        right = bench.products(name, case, given[1].unique().numel())
        found = counter.get_total_flops() / (2 * case.N * case.V * case.d)
        assert found == pytest.approx(right, rel=1 / case.N), name  # the package's padding is one more token


def test_interleaved_draws_a_batch_a_round_and_takes_turns():
    calls, clock = [], iter(np.cumsum([0, *[x for k in range(1, 20) for x in (k, 0)]]))
    steps = {name: lambda batch, name=name: calls.append((batch, name)) for name in "abc"}
    medians = bench.interleaved(steps, lambda turn: turn, 3, lambda: next(clock))
    assert [batch for batch, _ in calls] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert ["".join(name for _, name in calls[k : k + 3]) for k in range(0, 12, 3)] == ["abc", "bca", "cab", "abc"]
    assert medians == {"a": 8, "b": 9, "c": 7}  # a: 6, 8, 10; b: 4, 9, 11; c: 5, 7, 12


@pytest.mark.parametrize("case", [LAYER, MODEL])
@pytest.mark.slow
def test_a_fresh_process_measures_its_peak(case):
    # a head of 8 MiB, and its gradient takes as much (less a few pages); an interpreter with torch would be over 100
    peak = bench.fresh_process("CE fused", case)
    assert peak is None or (7 if case.kind == "uniform" else 0) <= peak < 100


@pytest.mark.parametrize("case", [LAYER, MODEL])
def test_peaks_where_the_system_does_not_tell(case, monkeypatch):
    assert bench.peak("CE fused", case) >= 0
    monkeypatch.setattr(bench.Path, "exists", lambda self: False)
    assert bench._memory(most=True) > 2**20  # the C library's account
    monkeypatch.setattr(bench, "_memory", lambda most: None)
    assert bench.peak("CE fused", case) is None


def test_a_process_without_memory_is_a_line_and_another_fault_an_error():
    assert "killed" in bench._why(subprocess.CompletedProcess([], -9, "", ""))
    full = "Traceback\nRuntimeError: DefaultCPUAllocator: can't allocate memory: you tried ..."
    assert bench._why(subprocess.CompletedProcess([], 1, "", full)).startswith("out of memory")
    with pytest.raises(RuntimeError, match="status 1: NameError: x"):
        bench._why(subprocess.CompletedProcess([], 1, "", "NameError: x"))


def test_whole_run_on_tiny_sizes(tiny, tmp_path, capsys):
    assert command_line.main(["bench", "--csv", str(tmp_path / "b.csv"), "--plot", str(tmp_path / "b.png")]) == 0
    printed = capsys.readouterr()
    titles = ("growth in V:", "exponents", "training steps:", "exact EMD:", "picture: losses")
    assert all(words in printed.out for words in ("device: ", "torch ", *titles))
    assert "measuring N=12 V=50 d=4 Zipf" in printed.err
    table = list(csv.DictReader((tmp_path / "b.csv").read_text().splitlines()))
    assert ",".join(table[0]) == "method,N,V,d,targets,device,seconds,ratio_to_ce,peak_mib,peak_ratio_to_ce"
    kinds = [*["uniform", "Zipf"] * 2, *["uniform"] * 3]  # two sizes twice; the base, and one more for each axis
    assert [row["targets"] for row in table] == [k for k in kinds for _ in METHODS] + ["tiny"] * 5 + ["dense"] * 3
    first = table[: len(METHODS)]
    assert [row["method"] for row in first] == list(METHODS)
    peaks = {name: "0.5" if "fused" in name else "1" for name in METHODS} | {bench.TORCH[1]: ""}
    assert [row["peak_ratio_to_ce"] for row in first] == list(peaks.values())
    for row in first:  # six digits are written
        right = float(row["seconds"]) / float(first[0]["seconds"])
        assert float(row["ratio_to_ce"]) == pytest.approx(right, rel=1e-4)
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.csv", "b.png"]


def test_a_missing_package_and_missing_memory_are_reported(tiny, monkeypatch, capsys):
    hide("emo", monkeypatch)
    monkeypatch.setattr(bench, "fresh_process", lambda name, case: "out of memory" if name == "EMO plain" else None)
    assert command_line.main(["bench", "--only", "loss", "--quick"]) == 0
    out = capsys.readouterr().out
    assert "emoloss is not installed: left out" in out
    assert "EMO plain at N=6 V=50 d=4 uniform: left out, out of memory" in out and "exact EMD" not in out
    assert re.search(
        r"N=6 V=50 d=4 uniform: CE fused takes \d+\.\d\d of torch's CE, \d+\.\d\d of it with \d+ tokens", out
    )


def test_a_torch_without_a_chunked_head_is_a_line(tiny, monkeypatch, capsys):
    monkeypatch.delattr(torch.nn, "LinearCrossEntropyOptions")
    assert command_line.main(["bench", "--only", "loss", "--quick"]) == 0
    out = capsys.readouterr().out
    assert "has no chunked linear_cross_entropy: left out" in out and "torch's CE" not in out and "CE fused" in out


def test_the_fastest_chunk_is_taken(monkeypatch):
    """A clock that is told how long each chunk takes: the first steps warm up and do not count."""
    taken = iter([9.0, 9.0, 9.0, 9.0, 9.0, 3.0, 1.0, 5.0, 4.0, 2.0])  # the second round begins with the second chunk
    ticks = iter(np.cumsum([x for step in taken for x in (0.0, step)]))
    case = Case(6, 50, 4)
    weight, _ = bench.prepare(case)
    assert bench.tuned(weight, bench.batch(case, 0), lambda: next(ticks)) == bench.TORCH_CHUNKS[2]


def test_only_emd_needs_no_torch(monkeypatch, tmp_path, capsys):
    hide("torch", monkeypatch)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(bench, "FULL", TINY)
    out, picture = tmp_path / "e.csv", tmp_path / "e.svg"
    assert command_line.main(["bench", "--only", "emd", "--csv", str(out), "--plot", str(picture)]) == 0
    assert out.read_text().splitlines()[1].startswith('"exact EMD, POT",1,4,,dense,cpu,')
    assert "<svg" in picture.read_text() and "torch" not in sys.modules
    assert command_line.main(["bench", "--only", "loss"]) == 2 and "torch is not installed" in capsys.readouterr().err


def test_solvers_that_disagree_are_an_error(monkeypatch):
    monkeypatch.setattr("emo_teach.verify.references.linear_program", lambda *problem: (1.0, None))
    with pytest.raises(RuntimeError, match="differ on a problem of 4 points"):
        bench.exact_transport(TINY)


@pytest.mark.parametrize("arguments", ["--onyl emd", "--only nonsense", "--csv", "more"])
def test_a_request_that_makes_no_sense_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        command_line.main(["bench", *arguments.split()])


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("--csv", "nowhere/b.csv", "No such file"),
        ("--csv", "", "no plain file"),
        ("--csv", "/dev/null", "no plain file"),
        ("--csv", "file/b.csv", "Not a directory"),
        ("--plot", "nowhere/b.png", "No such file"),
        ("--plot", "b.jpeg", "must end in .png or .svg"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_measuring(option, name, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(bench, "exact_transport", lambda plan: pytest.fail("measured"))
    assert command_line.main(["bench", "--only", "emd", option, str(tmp_path / name) if name[:1] != "/" else name]) == 2
    err = capsys.readouterr().err
    assert option in err and words in err and err.count("\n") == 1


def test_plans_hold_what_is_asked_for():
    full, quick = bench.FULL, bench.QUICK
    assert [case[:3] for case in full.sizes] == [(512, 50257, 768), (2048, 50257, 768), (512, 49152, 576)]
    assert full.repeats >= 5 and dict(full.growth)["V"] == (2048, 4096, 8192, 16384)
    assert quick.sizes == full.sizes[:1] and quick.repeats == 3 and not quick.growth
