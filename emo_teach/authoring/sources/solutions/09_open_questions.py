# %% [markdown]
# # Solutions to lesson 09

# %% tags=["exercise:09.1"]
def split(tau, p, classes):
    """KL(tau || p) as (between classes, inside classes); tau and p (V,), classes (V,) integers."""
    between = inside = 0.0
    for c in np.unique(classes):
        t, q = tau[classes == c], p[classes == c]
        T, P = t.sum(), q.sum()
        if T > 0:
            t, q = t[t > 0], q[t > 0]
            between += T * np.log(T / P)
            inside += (t * np.log((t / T) / (q / P))).sum()
    return between, inside

# %% tags=["exercise:09.3"]
def gradient(p, tau, cost):
    """Gradient (n,) of EMD(p, tau) with respect to the logits behind p."""
    u = transport.emd(p, tau, cost).u
    return p * (u - p @ u)

# %% tags=["exercise:09.2"]
def trend(gains, x):
    """Mean slope of gains (5 seeds, m) per doubling of x (m,), and half of its 95 % interval."""
    slopes = np.polyfit(np.log2(x), gains.T, 1)[0]
    return slopes.mean(), 2.78 * slopes.std(ddof=1) / np.sqrt(len(slopes))
