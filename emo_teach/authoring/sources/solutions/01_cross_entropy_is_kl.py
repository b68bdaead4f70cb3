# %% [markdown]
# # Solutions to lesson 01

# %% tags=["exercise:01.1"]
def cross_entropy(tau, p):
    """Cross-entropy in nats of label tau (n,) and model p (n,)."""
    there = tau > 0
    return -np.sum(tau[there] * np.log(p[there]))

# %% tags=["exercise:01.2"]
def smooth(target, n, epsilon):
    """Smoothed label (n,) for the index `target`."""
    return (1 - epsilon) * np.eye(n)[target] + epsilon / n

# %% tags=["exercise:01.3"]
def gradient(tau, z, temperature):
    """Gradient (n,) of CE(tau, softmax(z / temperature)) with respect to z (n,)."""
    return (softmax(z / temperature) - tau) / temperature
