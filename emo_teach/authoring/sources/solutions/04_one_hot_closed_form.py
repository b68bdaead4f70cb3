# %% [markdown]
# # Solutions to lesson 04

# %% tags=["exercise:04.1"]
def one_hot_emd(p, cost, target):
    """Cost of moving all of p (n,) to the index `target`; cost (n, n) need not be symmetric."""
    return p @ cost[:, target]

# %% tags=["exercise:04.2"]
def product_bound(p, tau, cost):
    """The bound (m,) for m pairs at once: p (m, n), tau (m, n), cost (n, n)."""
    return ((p @ cost) * tau).sum(axis=1)

# %% tags=["exercise:04.3"]
def medoid(tau, cost):
    """Index of the token with the smallest mean cost to labels drawn from tau (n,); the first one if several tie."""
    return np.argmin(cost @ tau)
