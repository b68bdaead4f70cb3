"""The table of formulas: every row holds and rejects its wrong version, and the machinery can fail."""

import dataclasses
import html
import subprocess
import sys

import numpy as np
import pytest

from emo_teach import __main__ as command_line
from emo_teach import divergences, transport, verify
from emo_teach.verify import core, instances, lesson08, references

IDS = [f"{row.label} {row.name}" for row in verify.ROWS]
OF_OBJECTIVES = [row for row in verify.ROWS if row.ours.__module__.endswith("lesson06_losses")]


@pytest.fixture
def registered():
    """A registry that forgets what the test adds."""
    before = list(verify.ROWS)
    yield verify.register
    verify.ROWS[:] = before


def simple(**changes):
    """A small row: addition."""
    texts = dict(label="A1", name="addition", statement="a + b", lesson="01", reference="by hand", mistake="subtracts")
    sides = dict(ours=lambda c: c[0] + c[1], independent=sum, wrong=lambda c: c[0] - c[1])
    return verify.Row(**texts | sides | dict(instances=lambda: [(1.0, 2.0), (0.0, -1.0)]) | changes)


@pytest.mark.parametrize("row", verify.ROWS, ids=IDS)
def test_row_holds_and_rejects_its_wrong_version(row):
    (outcome,) = verify.verify([row])
    assert not outcome.trouble, outcome.trouble
    assert outcome.passed, f"figure {outcome.figure}, extra {outcome.extra}, tolerance {row.tolerance}"
    assert outcome.mutant_rejected, f"the wrong version ({row.mistake}) passes with figure {outcome.mutant}"
    assert outcome.instances >= 1


@pytest.mark.parametrize("row", verify.ROWS, ids=IDS)
def test_row_is_described(row):
    assert all(text.strip() for text in (row.statement, row.reference, row.mistake))
    assert len(row.name) <= 32 and row.name == row.name.strip() and " " not in row.name
    assert row.lesson == ("06" if row in OF_OBJECTIVES else verify.LESSON_OF[row.label])
    assert row.lesson in {"01", "02", "03", "04", "05", "06", "08", "09"}
    assert row.statement.count("{") == row.statement.count("}") and "$" not in row.statement


def test_every_label_has_a_row_and_names_are_unique():
    assert {row.label for row in verify.ROWS} == set(verify.LESSON_OF)
    assert len(set(IDS)) == len(IDS) >= 112
    order = [(row.label[0], int(row.label[1:])) for row in verify.ROWS]
    assert order == sorted(order)
    for letter, least in (("A", 9), ("D", 18)):  # without a gap
        numbers = {number for first, number in order if first == letter}
        assert numbers == set(range(1, max(least, *numbers) + 1))


def test_hard_instances_are_among_the_cases():
    pairs = {name: (p, tau) for name, p, tau in instances.pairs()}
    assert {p.size for p, _ in pairs.values()} >= {1, 2, 200}
    assert any((p == 0).any() and p.max() < 1 for p, _ in pairs.values())
    assert all(any(pair[k].max() == 1 and pair[k].size > 2 for pair in pairs.values()) for k in (0, 1))
    assert any(p.size > 1 and (p == tau).all() for p, tau in pairs.values())
    assert any((p * tau).sum() == 0 for p, tau in pairs.values())
    assert any(0 < p[p > 0].min() < 1e-11 for p, _ in pairs.values())
    kinds = {case.name.rsplit(", ", 1)[-1] for case in instances.cost_cases()}
    assert kinds >= set(instances.EMBEDDINGS) | set(instances.COSTS)


def test_table_and_report_show_every_row_with_its_statement(capsys):
    outcomes = verify.verify(lesson="01")
    head, *lines, close = verify.table(outcomes).splitlines()
    assert all(word in head for word in ("label", "name", "kind", "reference", "figure", "verdict", "mutant"))
    for outcome, line, statement in zip(outcomes, lines[::2], lines[1::2], strict=True):
        assert "ok" in line and "rejected" in line and statement.strip() == outcome.row.statement
    assert close == f"{len(outcomes)} of {len(outcomes)} rows hold and reject their wrong version."
    verify.show("01")
    shown = capsys.readouterr().out
    assert verify.table(outcomes) in shown and all(o.row.mistake in shown for o in outcomes)
    page = verify.Report(tuple(outcomes))._repr_html_()
    assert all(f">${html.escape(o.row.statement)}$</td>" in page for o in outcomes)
    assert page.count("<tr>") == 1 + 2 * len(outcomes) and 'role="region"' in page and "<caption>" in page
    assert page.count('<th scope="col"') == 6 and page.count('<th scope="row"') == len(outcomes)
    rows = [simple(sense="<="), simple(threshold=0.5, instances=lambda: [(1.0, 2.0)]), simple(ours=lambda c: 0.0)]
    page = verify.Report(tuple(verify.verify(rows)))._repr_html_()
    assert "holds, and is reached" in page and "exists, margin 3.00" in page and "FAILS" in page


def test_nothing_is_printed_and_no_warning_is_raised(capfd, recwarn):
    verify.verify(lesson="02")
    verify.verify([row for row in verify.ROWS if row.label in ("A1", "D5")])
    assert capfd.readouterr() == ("", "") and not recwarn.list


@pytest.mark.parametrize(
    "broken",
    [
        simple(ours=lambda c: c[0] + c[1] + 1e-6),
        simple(ours=lambda c: np.nan),
        simple(ours=lambda c: np.array([c[0] + c[1]] * 2)),  # another shape must not be broadcast into agreement
        simple(ours=lambda c: 1 / 0),
        simple(instances=lambda: []),
        simple(sense="<=", ours=lambda c: sum(c) + 1e-6),
        simple(sense=">=", ours=lambda c: sum(c) - 1e-6),
        simple(sense="<=", ours=lambda c: np.nan),
        simple(threshold=0.5, wrong=lambda c: 0.0),  # the second margin is -1
        simple(threshold=0.5, instances=lambda: [(1.0, 2.0)], independent=lambda c: 2.9, wrong=lambda c: 0.0),
    ],
)
def test_a_broken_row_fails(broken, registered, capsys):
    (outcome,) = verify.verify([broken])
    assert not outcome.passed
    registered(broken)
    assert command_line.main(["verify", "--label", "A1"]) == 1
    assert "FAILS" in capsys.readouterr().out


@pytest.mark.parametrize(
    "blind",
    [
        simple(wrong=lambda c: c[1] + c[0]),
        simple(wrong=lambda c: 1 / 0),  # a mutant that does not run proves nothing
        simple(sense="<=", wrong=lambda c: sum(c) - 1),
        simple(threshold=0.5, instances=lambda: [(1.0, 2.0)], wrong=lambda c: 0.6),
    ],
)
def test_a_row_whose_mutant_survives_fails(blind, registered, capsys):
    registered(blind)
    assert not verify.verify([blind])[0].mutant_rejected
    assert command_line.main(["verify", "--label", "A1"]) == 1
    assert "SURVIVES" in capsys.readouterr().out


def test_a_fault_in_the_code_under_test_is_seen(monkeypatch):
    rows = verify.select(label="A9")
    right = transport.emo
    monkeypatch.setattr(transport, "emo", lambda *a: right(*a) * (1 + 1e-6))
    assert not verify.verify(rows)[0].passed


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"pull": lambda p, q: -0.5 * p}, {"one-hot-gradient", "logit-gradient"}),
        ({"at_zero": 1.0}, {"f-divergence", "one-hot-sees-p_t-alone", "one-hot-gradient"}),
    ],
)
def test_a_new_generator_is_verified_with_its_gradient(change, seen, monkeypatch):
    new = dataclasses.replace(divergences.GENERATORS["KL"], name="new", **change)
    monkeypatch.setitem(divergences.GENERATORS, "new", new)
    rows = [row for row in verify.select("D10", "02") if row.name in seen]
    assert {outcome.row.name for outcome in verify.verify(rows) if not outcome.passed} == seen


@pytest.mark.parametrize(
    ("field", "value"), [("label", "Z9"), ("sense", "<"), ("tolerance", 0.001), ("threshold", -1.0)]
)
def test_rows_that_make_no_sense_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} = {value!r}"):
        simple(**{field: value})


def test_a_row_is_registered_once(registered):
    row = registered(simple())
    (outcome,) = verify.verify([row])
    assert row in verify.ROWS and verify.ROWS[0].label == "A1" and outcome.passed and outcome.figure == 0
    with pytest.raises(ValueError, match="A1 'addition'"):
        registered(dataclasses.replace(row, tolerance=0.0))


def test_unknown_requests_are_refused_in_one_line(capsys):
    requests = (
        (["--lesson", "42"], "'42'"),
        (["--label", "D99"], "'D99'"),
        (["--label", "A1", "--lesson", "03"], "'A1'"),
    )
    for arguments, word in requests:
        assert command_line.main(["verify", *arguments]) == 2
        captured = capsys.readouterr()
        assert word in captured.err and captured.err.count("\n") == 1 and not captured.out
    for call in (verify.verify, verify.show):
        with pytest.raises(ValueError, match="'42'"):
            call(lesson="42")


def run(code, without="nothing"):
    """The outcome of `code` in an interpreter where warnings are errors and one library cannot be imported."""
    code = f"import sys; sys.modules[{without!r}] = None; from emo_teach import verify, __main__\n{code}"
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)


def command(*arguments, without="nothing"):
    """The same for the command line."""
    return run(f"sys.exit(__main__.main({['verify', *arguments]!r}))", without)


def test_every_torch_objective_has_a_row(monkeypatch):
    from emo_teach import losses
    from emo_teach.losses import objectives

    asked, honest = set(), objectives.objective
    monkeypatch.setattr(objectives, "objective", lambda name, *a, **k: asked.add(name) or honest(name, *a, **k))
    for row in OF_OBJECTIVES:
        row.ours(next(iter(row.instances())))
    assert asked == set(losses.NAMES) and tuple(lesson08.PSI) == losses.TRANSFORMS


def test_rows_whose_library_is_missing_are_left_out():
    done = command("--lesson", "06", "--label", "D9", without="torch")
    assert (done.returncode, done.stderr) == (0, "") and "D9     brier" in done.stdout
    assert done.stdout.splitlines()[-2:] == [
        "5 of 5 rows hold and reject their wrong version.",
        "Left out, as torch is not installed (pip install torch): D9 torch-debiased, D9 torch-ce-plus-debiased.",
    ]
    done = command("--label", "A2", "--lesson", "01", without="mpmath")
    assert done.returncode == 2 and "pip install mpmath" in done.stdout.splitlines()[-1]
    assert done.stderr.startswith("python -m emo_teach verify: this needs mpmath") and done.stderr.count("\n") == 1
    done = command("--lesson", "06", "--label", "D5", without="torch")
    assert (done.returncode, done.stderr) == (0, "") and "D5" in done.stdout and "Left out" not in done.stdout
    page = verify.Report((core.Outcome(simple(), 2, np.nan, None, np.nan, False, False, "", "torch"),))._repr_html_()
    assert "subtracts: left out" in page and "(pip install torch): A1 addition." in page


def test_torch_is_loaded_only_for_its_own_rows():
    calls = ("lesson='01'", "lesson='03'", "verify.select('D5')", "verify.select('D7')[:1]")
    loaded = "print('torch' in sys.modules, 'emo_teach.losses' in sys.modules)"
    done = run("\n".join(f"verify.verify({call}); {loaded}" for call in calls))
    assert done.stdout.split() == ["False"] * 6 + ["True"] * 2


def test_a_fault_in_an_objective_is_seen(monkeypatch):
    from emo_teach.losses import objectives

    rows = [row for row in OF_OBJECTIVES if row.label in ("A9", "D1", "D7") and row.name != "fused-head"]
    honest = objectives._transport_terms
    wrong = lambda *a: {key: x * (1 + 1e-6) for key, x in honest(*a).items()}
    monkeypatch.setattr(objectives, "_transport_terms", wrong)
    seen = {o.row.name for o in verify.verify(rows) if not o.passed}
    blind = {"mode-1-equals-cross-entropy", "mode-1-gradient"}  # mode 1 does not feel the scale of L
    assert seen == {row.name for row in rows} - blind


def test_references_on_cases_done_by_hand():
    value, plan = references.linear_program([0.5, 0.5], [1.0, 0.0], [[0.0, 9.0], [3.0, 0.0]])
    assert value == pytest.approx(1.5) and plan == pytest.approx(np.array([[0.5, 0.0], [0.5, 0.0]]))
    assert references.linear_program([1.0], [1.0], [[2.5]])[0] == 2.5
    assert references.minimise([3.0, -1.0, 2.0], A_eq=np.ones((1, 3)), b_eq=[1.0]).fun == pytest.approx(-1)
    assert references.lipschitz_dual([1.0, 0.0], [0.0, 1.0], [[0, 2], [2, 0]]) == pytest.approx(2)
    halves = np.array([0.5, 0.5, 0.0])
    assert references.cross_entropy(halves, halves) == pytest.approx(np.log(2), abs=1e-16)
    assert references.cosine([[1.0, 0.0], [0.0, 3.0], [-2.0, 0.0]]).tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    assert references.f_divergence(divergences.GENERATORS["Pearson chi2"], [1.0, 0.0], [0.25, 0.75]) == 3.0
    with pytest.raises(RuntimeError, match="HiGHS"):
        references.linear_program([2.0, -1.0], [0.5, 0.5], np.zeros((2, 2)))


def test_errors_are_relative_above_one_and_infinities_agree():
    assert core._excess(np.inf, np.inf) == 0 and abs(core._excess(-np.inf, np.inf)) == np.inf
    assert 0 < core._excess(1e12 + 1, 1e12) < 1e-11 and core._excess(np.nan, np.nan) == np.inf
    assert abs(core._excess(3.0, np.inf)) == np.inf
