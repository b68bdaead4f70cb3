# %% [markdown]
# # Solutions to lesson 03

# %% tags=["exercise:03.1"]
def marginal_constraints(p, tau):
    """A_eq (2n, n * n) and b_eq (2n,) with A_eq @ plan.ravel() = b_eq, for p (n,) and tau (n,)."""
    n = len(p)
    A_eq = np.zeros((2 * n, n * n))
    for i in range(n):
        for j in range(n):
            A_eq[i, i * n + j] = 1  # cell (i, j) leaves pile i
            A_eq[n + j, i * n + j] = 1  # and arrives in hole j
    return A_eq, np.concatenate([p, tau])

# %% tags=["exercise:03.2"]
def proves_optimal(plan, u, v, cost):
    """True if potentials u (n,), v (n,) prove that plan (n, n) is optimal for cost (n, n)."""
    slack = cost - u[:, None] - v
    return bool((slack >= -1e-9).all() and (slack[plan > 1e-9] <= 1e-9).all())

# %% tags=["exercise:03.3"]
def ordered_emd(p, tau):
    """Earth mover's distance of p (n,) and tau (n,) under the cost |i - j|, a float."""
    return np.abs(np.cumsum(p) - np.cumsum(tau)).sum()
