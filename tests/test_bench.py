"""The bench on tiny sizes: what it counts, prints and writes, and what it refuses. No times are asserted."""

import csv
import io
import subprocess
import sys

import numpy as np
import pytest

import emo_teach.__main__ as command_line
from emo_teach import bench
from emo_teach.bench import emd, report, rows
from emo_teach.bench.rows import Case, Plan, Row

TINY = Plan(
    sizes=(Case(6, 50, 4), Case(12, 50, 4)),
    repeats=2,
    base=Case(8, 50, 4),
    growth=(("N", (4, 8)), ("V", (20, 50)), ("d", (4, 8))),
    points=(4, 8),
    most_points=4,
    probe=16,
)


@pytest.fixture
def tiny(monkeypatch):
    """The command line with the tiny plan behind it, and memory measured in this process's stead by numbers."""
    monkeypatch.setattr(bench, "Plan", type("Tiny", (), {"__new__": lambda cls: TINY, "quick": lambda: TINY}))
    if torch_is_here():
        from emo_teach.bench import memory, steps

        monkeypatch.setattr(
            memory, "fresh_process", lambda name, case: 2.0 * case.N if "fused" in name else 4.0 * case.N
        )
        monkeypatch.setattr(steps, "SIZES", (steps.Size("tiny", 2, 9),))
        monkeypatch.setattr(steps, "_fresh", lambda size, name: 3.0)


def torch_is_here():
    import importlib.util

    return importlib.util.find_spec("torch") is not None


needs_torch = pytest.mark.skipif(not torch_is_here(), reason="needs torch")


# What is measured


@needs_torch
def test_methods_agree_on_one_batch():
    import torch

    from emo_teach.bench import methods

    case = Case(9, 50, 4, "Zipf")
    weight = methods.head(case, torch.device("cpu"))
    given = methods.batch(case, torch.device("cpu"), seed=3)
    found = {}
    for name in methods.METHODS if methods.available()[1] else methods.available()[0]:
        value = methods.ready(name, weight)(given)()
        found[name] = float(value.detach()), weight.grad.clone()
    for first, second in (("CE plain", "CE fused"), ("EMO plain", "EMO fused")):
        # float32 sums of 50 terms in another order
        assert found[first][0] == pytest.approx(found[second][0], rel=1e-5)
        torch.testing.assert_close(found[first][1], found[second][1], rtol=1e-4, atol=1e-6)


@needs_torch
def test_the_package_counts_the_same_tokens():
    """It shifts labels itself; its value is mode 1 with the weight cut off at 3, on just the tokens given."""
    pytest.importorskip("emo")
    import torch
    from torch.nn import functional

    from emo_teach.bench import methods
    from emo_teach.losses import CostEmbedding, objective

    case = Case(9, 50, 4)
    weight = methods.head(case, torch.device("cpu"))
    hidden, labels = methods.batch(case, torch.device("cpu"), seed=3)
    theirs = methods.ready(methods.PACKAGE, weight)((hidden, labels))()
    ours = objective(methods.EMO, CostEmbedding(weight.detach()), clip=3.0)(functional.linear(hidden, weight), labels)
    assert float(theirs.detach()) == pytest.approx(float(ours.detach()), rel=1e-5)  # float32


@needs_torch
def test_batches_are_fresh_repeatable_and_drawn_as_said():
    import torch

    from emo_teach.bench import methods

    cpu, case = torch.device("cpu"), Case(4000, 50, 3)
    hidden, labels = methods.batch(case, cpu, seed=1)
    again, other = methods.batch(case, cpu, seed=1), methods.batch(case, cpu, seed=2)
    assert torch.equal(hidden, again[0]) and torch.equal(labels, again[1])
    assert not torch.equal(hidden, other[0]) and not torch.equal(labels, other[1])
    uniform = torch.bincount(labels, minlength=50) / case.N
    zipf = torch.bincount(methods.batch(case._replace(targets="Zipf"), cpu, seed=1)[1], minlength=50) / case.N
    harmonic = (1 / np.arange(1, 51)).sum()
    # 5 standard deviations of a count of 4,000 draws
    assert np.allclose(uniform, 1 / 50, atol=5 * np.sqrt(0.02 / case.N))
    assert np.allclose(zipf, 1 / np.arange(1, 51) / harmonic, atol=5 * np.sqrt(0.25 / case.N))


@needs_torch
def test_counted_products():
    from emo_teach.bench import methods

    case = Case(512, 50257, 768)
    assert {name: methods.products(name, case, 256) for name in methods.METHODS} == {
        "CE plain": 3,
        "CE fused": 3,
        "EMO plain": 3.5,
        "EMO fused": 3.5,
        "EMO fused, int8 cost": 3.5,
        "emoloss": 6,
    }
    with pytest.raises(KeyError):
        methods.products("nonsense", case, 1)


@needs_torch
def test_the_count_is_what_torch_multiplies():
    """Operations counted by torch while they run (its counter does not see the products into given memory of the fused ones)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from emo_teach.bench import methods

    case = Case(64, 40, 32)
    weight = methods.head(case, torch.device("cpu"))
    given = methods.batch(case, torch.device("cpu"), seed=0)
    one = 2 * case.N * case.V * case.d
    for name in set(methods.available()[0]) - {"CE fused", "EMO fused", "EMO fused, int8 cost"}:
        step = methods.ready(name, weight)(given)
        with FlopCounterMode(display=False) as counter:
            step()
        expected = methods.products(name, case, given[1].unique().numel())
        # the package's padding is one more token in three of its six products
        assert counter.get_total_flops() / one == pytest.approx(expected, rel=1 / case.N), name


def test_interleaved_draws_a_batch_a_round_and_takes_turns():
    pytest.importorskip("torch")
    from emo_teach.bench import timing

    calls, seconds = [], iter(range(1, 100))
    prepared = {name: lambda batch, name=name: lambda: calls.append((batch, name)) for name in "abc"}

    def clock(call):
        call()
        return next(seconds)

    medians = timing.interleaved(prepared, lambda turn: turn, 3, clock)
    assert [batch for batch, _ in calls] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert ["".join(name for _, name in calls[k : k + 3]) for k in range(0, 12, 3)] == ["abc", "bca", "cab", "abc"]
    assert medians == {"a": 8, "b": 9, "c": 7}  # a: 6, 8, 10; b: 4, 9, 11; c: 5, 7, 12


@needs_torch
def test_a_fresh_process_measures_its_peak():
    from emo_teach.bench import memory

    # a head of 8 MiB, and its gradient takes as much (less a few pages); an interpreter with torch, not to be counted, over 100
    peak = memory.fresh_process("CE fused", Case(8, 8192, 256))
    assert peak is None or 7 <= peak < 100


@needs_torch
def test_a_process_that_dies_for_want_of_memory_is_a_line_and_another_fault_an_error():
    from emo_teach.bench import memory

    ended = subprocess.CompletedProcess([], -9, "", "")
    assert "killed" in memory._why(ended)
    full = subprocess.CompletedProcess(
        [], 1, "", "Traceback\nRuntimeError: DefaultCPUAllocator: can't allocate memory: you tried ..."
    )
    assert memory._why(full).startswith("out of memory")
    with pytest.raises(RuntimeError, match="status 1: NameError: x"):
        memory._why(subprocess.CompletedProcess([], 1, "", "NameError: x"))


def test_exact_problems_are_solved_alike_by_both():
    found = emd.measure(TINY)
    assert [(s.solver, s.n) for s in found] == [("POT", 4), ("HiGHS", 4), ("POT", 8)]
    assert all(s.seconds > 0 and s.difference <= 1e-12 for s in found)  # values near 1, in float64


def test_exponent_of_a_power():
    assert rows.exponent([2, 4, 8], [5 * 2**1.5, 5 * 4**1.5, 5 * 8**1.5]) == pytest.approx(1.5, abs=1e-12)


def test_ratios_are_to_plain_cross_entropy():
    case = Case(1, 2, 3)
    made = [
        Row("CE plain", case, "cpu", 2.0, peak_mib=8.0),
        Row("EMO fused", case, "cpu", 3.0, peak_mib=2.0),
        Row("x", case, "cpu", 1.0),
    ]
    assert [(r.ratio_to_ce, r.peak_ratio_to_ce) for r in rows.with_ratios(made)] == [(1, 1), (1.5, 0.25), (0.5, None)]
    assert rows.with_ratios(made[1:]) == made[1:]


# The command


@needs_torch
def test_whole_run_on_tiny_sizes(tiny, tmp_path, capsys):
    from emo_teach.bench import methods

    names, version = methods.available()
    assert command_line.main(["bench", "--csv", str(tmp_path / "b.csv"), "--plot", str(tmp_path / "b.png")]) == 0
    printed = capsys.readouterr()
    for words in (
        "device: ",
        "thread",
        "torch ",
        "growth in V",
        "exponent",
        "training step of",
        "exact EMD",
        "growth of peak memory",
        "picture: ",
    ):
        assert words in printed.out
    assert "measuring N=12 V=50 d=4, Zipf targets" in printed.err
    table = list(csv.DictReader(io.StringIO((tmp_path / "b.csv").read_text())))
    assert tuple(table[0]) == bench.report.COLUMNS
    assert ",".join(bench.report.COLUMNS) == "method,N,V,d,targets,device,seconds,ratio_to_ce,peak_mib,peak_ratio_to_ce"
    first = [row for row in table if (row["N"], row["V"], row["d"], row["targets"]) == ("6", "50", "4", "uniform")]
    assert [row["method"].split(" 0")[0] for row in first] == names
    assert [row["peak_ratio_to_ce"] for row in first] == ["1" if "fused" not in name else "0.5" for name in names]
    seconds = {row["method"]: float(row["seconds"]) for row in first}
    for row in first:
        assert float(row["ratio_to_ce"]) == pytest.approx(
            seconds[row["method"]] / seconds["CE plain"], rel=1e-4
        )  # six digits are written
    assert {row["targets"] for row in table} == {"uniform", "Zipf", "dense"}
    assert (
        len(table) == len(names) * 4 + (len(names) - 1) * 4 + 3
    )  # two sizes twice; base, one more for each axis; POT twice and HiGHS once
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.csv", "b.png"]
    assert version is None or f"emoloss {version}" in printed.out


@needs_torch
def test_the_package_is_missed_aloud_and_so_is_memory(tiny, monkeypatch, capsys):
    from emo_teach.bench import memory, methods

    without = [name for name in methods.METHODS if name != methods.PACKAGE]
    monkeypatch.setattr(methods, "available", lambda: (without, None))
    monkeypatch.setattr(
        memory, "fresh_process", lambda name, case: "out of memory (so it says)" if name == "EMO plain" else None
    )
    assert command_line.main(["bench", "--only", "loss", "--quick"]) == 0
    out = capsys.readouterr().out
    assert "emoloss is not installed: its rows are left out" in out
    assert "EMO plain at N=6 V=50 d=4, uniform targets: left out, out of memory (so it says)" in out
    assert "exact EMD" not in out


def test_only_emd_needs_no_torch(tmp_path):
    """In an interpreter that does not find torch."""
    code = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, *rest):\n"
        "        return None if name == 'torch' else super().find_spec(name, *rest)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = Without\n"
        "from emo_teach import __main__, bench\n"
        "from emo_teach.bench.rows import Plan\n"
        "bench.Plan = lambda: Plan(points=(4, 6), most_points=4, repeats=1)\n"
        f"assert __main__.main(['bench', '--only', 'emd', '--csv', {str(tmp_path / 'e.csv')!r}, '--plot', {str(tmp_path / 'e.svg')!r}]) == 0\n"
        "sys.exit(__main__.main(['bench', '--only', 'loss']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2, ended.stderr
    assert "torch is not installed" in ended.stderr and "Traceback" not in ended.stderr
    assert (tmp_path / "e.csv").read_text().splitlines()[1].startswith('"exact EMD, POT",1,4,,dense,cpu,')
    assert "<svg" in (tmp_path / "e.svg").read_text()


@pytest.mark.parametrize("arguments", [["--onyl", "emd"], ["--only", "nonsense"], ["--csv"], ["more"]])
def test_a_request_without_sense_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as refused:
        command_line.main(["bench", *arguments])
    assert refused.value.code == 2


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("--csv", "nowhere/b.csv", "No such file"),
        ("--csv", "", "no plain file"),
        ("--csv", "file/b.csv", "Not a directory"),
        ("--plot", "nowhere/b.png", "No such file"),
        ("--plot", "b.jpeg", "must end in .png or .svg"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_measuring(option, name, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(emd, "measure", lambda plan: pytest.fail("measured"))
    assert command_line.main(["bench", "--only", "emd", option, f"{tmp_path}/{name}"]) == 2
    err = capsys.readouterr().err
    assert option in err and words in err and err.count("\n") == 1


def test_a_device_file_is_left_alone():
    with pytest.raises(ValueError, match="no plain file"):
        report.writable("--csv", "/dev/null")


def test_plans_hold_what_is_asked_for():
    assert [tuple(case)[:3] for case in Plan().sizes] == [(512, 50257, 768), (2048, 50257, 768), (512, 49152, 576)]
    assert (
        {case.targets for case in Plan().cases()} == {"uniform", "Zipf"}
        and len(Plan().cases()) == 6
        and Plan().repeats >= 5
    )
    quick = Plan.quick()
    assert [tuple(case)[:3] for case in quick.sizes] == [(512, 50257, 768)] and quick.repeats == 3 and not quick.growth
    assert [case.V for case in Plan().growth_cases()["V"]] == [2048, 4096, 8192, 16384]
