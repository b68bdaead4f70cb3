import numpy as np


def constraints_kron(p, tau):
    n = len(p)
    eye, ones = np.eye(n), np.ones(n)
    return np.vstack([np.kron(eye, ones), np.kron(ones, eye)]), np.concatenate([p, tau])


def constraints_loop(p, tau):
    n = len(p)
    matrix = [[0] * (n * n) for _ in range(2 * n)]
    for cell in range(n * n):
        matrix[cell // n][cell] = 1
        matrix[n + cell % n][cell] = 1
    return matrix, [*p, *tau]


def constraints_columns_first(p, tau):
    matrix, right = constraints_kron(p, tau)
    return np.roll(matrix, len(p), axis=0), right


def constraints_one_off(p, tau):
    matrix, right = constraints_kron(p, tau)
    return np.vstack([matrix[:-1], matrix[:1]]), right


def slack_of(u, v, cost):
    return cost - u[:, None] - v[None, :]


def by_slackness(plan, u, v, cost):
    slack = slack_of(u, v, cost)
    return bool((slack > -1e-9).all() and np.abs(plan * slack).max() < 1e-9)


def by_gap(plan, u, v, cost):
    bill = plan.sum(1) @ u + plan.sum(0) @ v
    return slack_of(u, v, cost).min() > -1e-9 and abs((plan * cost).sum() - bill) < 1e-9


def tight_exactly_where_used(plan, u, v, cost):
    slack = slack_of(u, v, cost)
    return bool((slack > -1e-9).all() and ((np.abs(slack) < 1e-9) == (plan > 1e-12)).all())


def any_cell_tight(plan, u, v, cost):
    slack = slack_of(u, v, cost)
    return bool((slack > -1e-9).all() and (np.abs(slack[plan > 0]) < 1e-9).any())


def value_is_p_dot_u(plan, u, v, cost):
    return bool(slack_of(u, v, cost).min() > -1e-9 and abs((plan * cost).sum() - plan.sum(1) @ u) < 1e-9)


RIGHT = {
    "03.1": [constraints_kron, constraints_loop],
    "03.2": [by_slackness, by_gap],
    "03.3": [
        lambda p, tau: np.abs(np.cumsum(p - tau)).sum(),
        lambda p, tau: sum(abs(sum(p[: k + 1]) - sum(tau[: k + 1])) for k in range(len(p) - 1)),
    ],
}
WRONG = [
    ("03.1", constraints_columns_first, "column sums come first"),
    ("03.1", constraints_one_off, "column"),
    ("03.1", lambda p, tau: [part[:-1] for part in constraints_kron(p, tau)], "all 2n"),
    ("03.1", lambda p, tau: constraints_kron(np.ones(3), np.ones(3)), "any n"),
    ("03.1", lambda p, tau: (constraints_kron(p, tau)[0], np.concatenate([tau, p])), "wrong order"),
    ("03.1", lambda p, tau: constraints_kron(p, tau)[0], "two things"),
    ("03.2", lambda plan, u, v, cost: bool((np.abs(slack_of(u, v, cost)[plan > 0]) < 1e-9).all()), "feasibility"),
    ("03.2", any_cell_tight, "loose"),
    ("03.2", tight_exactly_where_used, "not in use"),
    ("03.2", value_is_p_dot_u, "shifted"),
    ("03.2", lambda plan, u, v, cost: slack_of(u, v, cost) > -1e-9, "True or False"),
    ("03.3", lambda p, tau: np.abs(p - tau).sum() / 2, "total variation"),
    ("03.3", lambda p, tau: (np.cumsum(p) - np.cumsum(tau)).sum(), "absolute value"),
    ("03.3", lambda p, tau: abs((np.cumsum(p) - np.cumsum(tau)).sum()), "absolute value"),
    ("03.3", lambda p, tau: np.abs(np.cumsum(p) - np.cumsum(tau)).max(), "largest"),
    ("03.3", lambda p, tau: np.abs(np.cumsum(p) - np.cumsum(tau)), "shape"),
]
