"""Rows of lesson 04: A5, A6, A7, D2."""

import numpy as np

from .. import costs, divergences, transport
from . import exact, instances, references
from .core import Row, register
from .instances import one_hot

SOLVERS = "HiGHS keeps its constraints to 1e-10"
ROUNDING = "sums of at most 200 products"

register(
    Row(
        label="A5",
        name="one-coupling",
        statement=r"\tau = \mathrm{onehot}_t \Rightarrow C[p,\tau] = \sum_i p_i c_{it}",
        kind="identity",
        code=(transport.one_hot_emd, transport.emd),
        reference="LP by HiGHS",
        instances=instances.cost_cases,
        ours=lambda c: np.array(
            [transport.one_hot_emd(c.p, c.cost, c.target), transport.emd(c.p, c.label, c.cost).value]
        ),
        independent=lambda c: np.full(2, references.linear_program(c.p, c.label, c.cost)[0]),
        wrong=lambda c: np.full(2, transport.one_hot_emd(c.p, c.cost.T, c.target)),
        mistake="reads the target's row of the cost, not its column",
        tolerance=1e-9,
        why=SOLVERS,
    )
)


def _stay_put(c):
    """Product plan of what is left after min(p, tau) has stayed, without dividing by the mass that is left."""
    stay = np.minimum(c.p, c.tau)
    return (c.p - stay) @ c.cost @ (c.tau - stay)


register(
    Row(
        label="A6",
        name="product-bound",
        statement=r"C[p,\tau] \le \sum_{ij} p_i \tau_j c_{ij}",
        kind="bound",
        code=(transport.product_bound,),
        reference="LP by HiGHS",
        instances=instances.cost_cases,
        ours=lambda c: transport.product_bound(c.p, c.tau, c.cost),
        independent=lambda c: references.linear_program(c.p, c.tau, c.cost)[0],
        sense=">=",
        wrong=_stay_put,
        mistake="lets min(p, tau) stay and forgets to divide the rest's product by its mass",
        tolerance=1e-10,
        why=SOLVERS,
    )
)
register(
    Row(
        label="A6",
        name="product-sum",
        statement=r"p^\top C \tau = \sum_{ij} p_i \tau_j c_{ij} = \mathbb E_{t \sim \tau} \sum_i p_i c_{it}",
        kind="identity",
        code=(transport.product_bound, transport.one_hot_emd),
        reference="sum in exact fractions",
        instances=instances.cost_cases,
        ours=lambda c: np.array(
            [
                transport.product_bound(c.p, c.tau, c.cost),
                sum(t * transport.one_hot_emd(c.p, c.cost, k) for k, t in enumerate(c.tau)),
            ]
        ),
        independent=lambda c: np.full(2, exact.bilinear(c.p, c.cost, c.tau)),
        wrong=lambda c: np.full(2, transport.product_bound(c.tau, c.p, c.cost)),
        mistake="swaps p and tau",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _zero_one(n):
    return np.array([[float(i != j) for j in range(n)] for i in range(n)])


register(
    Row(
        label="A7",
        name="smooth-accuracy",
        statement=r"c_{ij} = 1 - \delta_{ij},\ \tau = \mathrm{onehot}_t \Rightarrow C = 1 - p_t",
        kind="identity",
        code=(transport.one_hot_emd, costs.zero_one),
        reference="LP by HiGHS",
        instances=lambda: instances.cost_cases(per_pair=1),
        ours=lambda c: np.array([transport.one_hot_emd(c.p, costs.zero_one(c.p.size), c.target), 1 - c.p[c.target]]),
        independent=lambda c: np.full(2, references.linear_program(c.p, c.label, _zero_one(c.p.size))[0]),
        wrong=lambda c: np.full(2, np.abs(c.p - c.label).sum()),
        mistake="takes the L1 distance, which is twice as long",
        tolerance=1e-9,
        why=SOLVERS,
    )
)
register(
    Row(
        label="A7",
        name="soft-label-gives-tv",
        statement=r"c_{ij} = 1 - \delta_{ij} \Rightarrow C[p,\tau] = \mathrm{TV}(p,\tau)",
        kind="identity",
        code=(divergences.total_variation,),
        reference="LP by HiGHS",
        instances=lambda: instances.cost_cases(per_pair=1),
        ours=lambda c: divergences.total_variation(c.p, c.tau),
        independent=lambda c: references.linear_program(c.p, c.tau, _zero_one(c.p.size))[0],
        wrong=lambda c: 1 - c.p @ c.tau,
        mistake="takes the product bound 1 - <p, tau> for the distance",
        tolerance=1e-9,
        why=SOLVERS,
    )
)


def _mixtures():
    """(first, second, weight, tau, cost)."""
    rng = np.random.default_rng(instances.SEED)
    for c in instances.cost_cases():
        yield c.p, instances.spread(rng, c.p.size), rng.uniform(), c.tau, c.cost


register(
    Row(
        label="D2",
        name="linear-in-p",
        statement=r"(\lambda p + (1-\lambda) q)^\top C \tau = \lambda\, p^\top C \tau + (1-\lambda)\, q^\top C \tau",
        kind="identity",
        code=(transport.product_bound,),
        reference="sum in exact fractions",
        instances=_mixtures,
        ours=lambda c: transport.product_bound(c[2] * c[0] + (1 - c[2]) * c[1], c[3], c[4]),
        independent=lambda c: c[2] * exact.bilinear(c[0], c[4], c[3]) + (1 - c[2]) * exact.bilinear(c[1], c[4], c[3]),
        wrong=lambda c: transport.emd(c[2] * c[0] + (1 - c[2]) * c[1], c[3], c[4]).value,
        mistake="makes the claim of the exact distance, which is convex and not linear",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _medoid_of_support(c):
    held = np.flatnonzero(c.tau)
    return held[np.argmin((c.cost @ c.tau)[held])]


register(
    Row(
        label="D2",
        name="minimum-at-the-medoid",
        statement=r"\min_p p^\top C \tau = \min_i \sum_j c_{ij} \tau_j, \text{ at a vertex}",
        kind="identity",
        code=(transport.medoid, transport.product_bound),
        reference="LP over the simplex",
        instances=instances.cost_cases,
        ours=lambda c: transport.product_bound(one_hot(c.p.size, transport.medoid(c.tau, c.cost)), c.tau, c.cost),
        independent=lambda c: references.simplex_minimum(
            [exact.bilinear(row, c.cost, c.tau) for row in np.eye(c.p.size)]
        ),
        wrong=lambda c: transport.product_bound(one_hot(c.p.size, _medoid_of_support(c)), c.tau, c.cost),
        mistake="searches the label's support only, not the whole vocabulary",
        tolerance=1e-9,
        why=SOLVERS,
    )
)
register(
    Row(
        label="D2",
        name="mode-under-0/1-cost",
        statement=r"c_{ij} = 1 - \delta_{ij} \Rightarrow \arg\min_i \sum_j c_{ij}\tau_j = \arg\max_i \tau_i",
        kind="identity",
        code=(transport.medoid, costs.zero_one),
        reference="largest entry in Python",
        instances=instances.token_cases,
        ours=lambda c: c.tau[transport.medoid(c.tau, costs.zero_one(c.tau.size))],
        independent=lambda c: max(c.tau.tolist()),
        wrong=lambda c: c.tau[transport.medoid(c.tau, costs.ordinal(c.tau.size))],
        mistake="takes the median (the medoid under |i - j|) for the mode",
        tolerance=1e-12,
        why="1 - tau_i is rounded before it is compared, so entries 1e-16 apart may tie",
    )
)


def _improper():
    """Labels that are spread out, among them one of 50 tokens in 16 dimensions."""
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(50, 16))
    tau, p = rng.dirichlet(np.ones(50)), rng.dirichlet(np.ones(50))
    yield instances.Case("50 tokens", p, tau, costs.cosine(embedding), embedding, 0)
    yield from (c for c in instances.token_cases() if c.name == "fan")


def _rivals(c):
    """The label itself, then models that might score better: the vertices and mixtures of the label with them."""
    corners = np.eye(c.tau.size)
    return np.concatenate([c.tau[None], corners, 0.9 * c.tau + 0.1 * corners])


def _advantage(scores):
    return scores[0] - scores[1:].min()


register(
    Row(
        label="D2",
        name="not-proper",
        statement=r"\exists\, \tau, q:\ q^\top C \tau < \tau^\top C \tau: \text{ EMO alone is not a proper scoring rule}",
        kind="witness",
        code=(transport.product_bound,),
        reference="sums in exact fractions",
        instances=_improper,
        ours=lambda c: _advantage(transport.product_bound(_rivals(c), c.tau, c.cost)),
        independent=lambda c: (
            exact.bilinear(c.tau, c.cost, c.tau) - min(exact.bilinear(q, c.cost, c.tau) for q in np.eye(c.tau.size))
        ),
        wrong=lambda c: _advantage(divergences.cross_entropy(c.tau, _rivals(c))),
        mistake="makes the same claim of cross-entropy, which is proper",
        tolerance=1e-12,
        why=ROUNDING,
        threshold=0.05,
    )
)
