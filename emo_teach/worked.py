"""The worked example of all lessons: three tokens, numbers small enough for paper, and the lines of its table."""

import numpy as np

from . import costs, divergences, transport

TOKENS = ("Monday", "Tuesday", "banana")
EMBEDDING = np.array([[2.0, 0.0], [4.0, 3.0], [0.0, 3.0]])  # of lengths 2, 5, 3: unit vectors (1, 0), (.8, .6), (0, 1)
P = np.array([0.5, 0.3, 0.2])  # the model
TARGET = 0  # the label is Monday ...
TAU = np.array([0.6, 0.4, 0.0])  # ... or, where it is soft, Monday and Tuesday
COST = costs.cosine(EMBEDDING).round(12)  # 0.2 between the days, 1 and 0.4 to banana
for _array in (EMBEDDING, P, TAU, COST):
    _array.setflags(write=False)


def _cosine_of_mean():
    mean = transport.mean_direction(P, EMBEDDING)
    return mean @ costs.unit_rows(EMBEDDING)[TARGET] / np.linalg.norm(mean)


def _weight():
    return divergences.log_loss(P, TARGET) / transport.emo(P, EMBEDDING, TARGET)


def _step(of_ce, of_emo):
    """The model after one step of gradient descent on the logits, at rate 1, along a mix of both gradients."""
    gradient = of_ce * (P - np.eye(3)[TARGET]) + of_emo * transport.one_hot_logit_gradient(P, COST, TARGET)
    weights = P * np.exp(-gradient)
    return weights / weights.sum()


def _emo_gradient():
    return transport.one_hot_logit_gradient(P, COST, TARGET)[TARGET]


def _split():
    """KL divergence between {days} and {banana}, and inside the days: the chain rule."""
    between = divergences.kl(*([x[0] + x[1], x[2]] for x in (TAU, P)))
    return between, divergences.kl(TAU, P) - between


LINES = (
    ("01", "A1", "log loss of Monday", lambda: divergences.log_loss(P, TARGET)),
    ("01", "A2", "cross-entropy CE(tau, p)", lambda: divergences.cross_entropy(TAU, P)),
    ("01", "A3", "entropy H(tau)", lambda: divergences.entropy(TAU)),
    ("01", "A3", "KL(tau, p) = CE - H", lambda: divergences.kl(TAU, P)),
    ("02", "D10", "total variation, label Monday", lambda: divergences.one_hot_loss("total variation", P[TARGET])),
    ("02", "D10", "Jensen-Shannon, label Monday", lambda: divergences.one_hot_loss("Jensen-Shannon", P[TARGET])),
    ("02", "D10", "Pearson chi2, label Monday", lambda: divergences.one_hot_loss("Pearson chi2", P[TARGET])),
    ("03", "A4", "EMD(p, tau), cosine cost", lambda: transport.emd(P, TAU, COST).value),
    ("03", "D8", "EMD(p, tau), 0/1 cost = TV", lambda: transport.emd(P, TAU, costs.zero_one(3)).value),
    ("04", "A5", "one-hot EMD to Monday", lambda: transport.one_hot_emd(P, COST, TARGET)),
    ("04", "A6", "product bound p' C tau", lambda: transport.product_bound(P, TAU, COST)),
    ("04", "A7", "0/1 cost: 1 - p_t", lambda: transport.one_hot_emd(P, costs.zero_one(3), TARGET)),
    ("04", "D2", "product bound at p = tau", lambda: transport.product_bound(TAU, TAU, COST)),
    ("04", "D2", "product bound at its best corner", lambda: (COST @ TAU).min()),
    ("05", "D3", "Jensen bound ½|m_p - m_tau|²", lambda: transport.jensen_bound(P, TAU, EMBEDDING)),
    ("05", "A9", "EMO, label Monday", lambda: transport.emo(P, EMBEDDING, TARGET)),
    ("06", "D1", "EMO's gradient, Monday's logit", _emo_gradient),
    ("06", "D5", "the wrong version, 1 - cos", lambda: 1 - _cosine_of_mean()),
    ("06", "D7", "mode 1's weight CE/L", _weight),
    (
        "06",
        "D7",
        "mode 1's value",
        lambda: 0.5 * (divergences.log_loss(P, TARGET) + _weight() * transport.emo(P, EMBEDDING, TARGET)),
    ),
    ("06", "D9", "debiased EMO, label Monday", lambda: transport.debiased(P, np.eye(3)[TARGET], COST)),
    ("07", "A1", "p(Monday) after a step of CE", lambda: _step(1, 0)[0]),
    ("07", "D1", "p(Monday) after a step of EMO", lambda: _step(0, 1)[0]),
    ("07", "D7", "p(Monday) after a step of mode 1", lambda: _step(0.5, 0.5 * _weight())[0]),
    ("07", "A1", "p(Tuesday) after a step of CE", lambda: _step(1, 0)[1]),
    ("07", "D1", "p(Tuesday) after a step of EMO", lambda: _step(0, 1)[1]),
    ("07", "D7", "p(Tuesday) after that of mode 1", lambda: _step(0.5, 0.5 * _weight())[1]),
    ("08", "D13", "from p_t = 0.01 to half: by CE", lambda: transport.escape_times(0.01, COST[2, TARGET])[0]),
    ("08", "D13", "from p_t = 0.01 to half: by EMO", lambda: transport.escape_times(0.01, COST[2, TARGET])[1]),
    ("08", "D14", "-M log(1 - L/M), M = 1", lambda: -np.log(P @ (1 - COST[:, TARGET]))),
    ("08", "D14", "its gradient, Monday's logit", lambda: _emo_gradient() / (P @ (1 - COST[:, TARGET]))),
    ("09", "D16", "KL between {days} and {banana}", lambda: _split()[0]),
    ("09", "D16", "KL inside the days", lambda: _split()[1]),
    (
        "09",
        "D17",
        "EMD's gradient, banana's logit",
        lambda: P[2] * (transport.emd(P, TAU, COST).u @ (np.eye(3)[2] - P)),
    ),
)


def table(upto):
    """Print the worked example's numbers of all lessons up to `upto` ("01" ... "09"); ValueError for an unknown one."""
    lessons = sorted({lesson for lesson, *_ in LINES})
    if upto not in lessons:
        raise ValueError(f"upto = {upto!r} must be one of {', '.join(lessons)}")
    print(f"p = {P}, tau = {TAU}, target = {TOKENS[TARGET]}")
    for lesson, label, name, value in LINES:
        if lesson <= upto:
            print(f"  {lesson}  {label:4} {name:32} {float(value()):8.4f}")
