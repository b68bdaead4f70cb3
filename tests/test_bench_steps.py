"""The measurement of whole training steps: every method trains the same model, and the table tells ratios to cross-entropy."""

import torch

from emo_teach.bench import steps


def test_every_method_is_measured_and_moves_the_model(monkeypatch):
    monkeypatch.setattr(steps, "_fresh", lambda size, name: 100.0 if name == steps.BASE else 50.0)
    found = steps.measure([steps.Size("tiny", 2, 9)], repeats=1)
    assert set(found["tiny"]) == set(steps.METHODS)
    assert all(seconds > 0 for seconds, _ in found["tiny"].values())
    lines = steps.table(found).splitlines()
    assert len(lines) == 1 + len(steps.METHODS)
    assert lines[1].split()[-1] == "1.00" and lines[4].split()[-1] == "0.50"


def test_methods_with_one_objective_take_the_same_step():
    """On logits or fused, a step is the same step: gradients of cross-entropy and of EMO agree between the two heads."""
    prepared, batch = steps._prepare(steps.Size("tiny", 2, 9), list(steps.METHODS), torch.device("cpu"))
    model = next(
        cell.cell_contents for cell in prepared["MLE, logits"].__closure__ if hasattr(cell.cell_contents, "model")
    ).model
    found = {}
    for name in steps.METHODS:
        model.load_state_dict(steps._model("tiny").state_dict())
        prepared[name](batch(1))()
        found[name] = model.transformer.wte.weight.grad.clone()
    moved = (found["EMO, fused, int8 cost"] - found["EMO, fused"]).norm() / found["EMO, fused"].norm()
    assert 1e-6 < moved < 1e-2  # the cost's rounding, which is told as about 1e-3
    for objective in ("MLE", "EMO"):
        torch.testing.assert_close(found[f"{objective}, logits"], found[f"{objective}, fused"], rtol=1e-3, atol=1e-6)
    assert not torch.allclose(found["MLE, fused"], found["EMO, fused"], rtol=1e-2)


def test_memory_is_measured_in_a_process_of_its_own():
    peak = steps._fresh(steps.SIZES[0], "EMO, fused")
    assert peak is None or 0 < peak < 4000
