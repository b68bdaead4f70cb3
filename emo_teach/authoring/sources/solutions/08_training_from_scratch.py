# %% [markdown]
# # Solutions to lesson 08

# %% tags=["exercise:08.1"]
def escape(p, c):
    """Times (CE, EMO) of gradient flow from p_t = p up to one half, for two tokens and cost c."""
    o = p / (1 - p)  # s = log o; the antiderivatives are s + e^s and e^s - e^(-s) + 2 s
    return 0.5 * (1 - o - np.log(o)), (1 / o - o - 2 * np.log(o)) / (2 * c)

# %% tags=["exercise:08.2"]
def unbounded(p, cost):
    """-M log(1 - L/M) for a model p (V,) and costs (V,) to the target, M the largest of them."""
    M = cost.max()
    return -M * np.log(p @ (M - cost) / M)

# %% tags=["exercise:08.3"]
def information(counts):
    """Positive pointwise mutual information (V, V), in nats, of symmetric counts (V, V)."""
    n, each = counts.sum(), counts.sum(axis=1)
    return np.log(np.maximum(counts * n / np.outer(each, each), 1))
