# %% [markdown]
# # Solutions to lesson 05

# %% tags=["exercise:05.1"]
def cosine_cost(embedding):
    """Cosine cost (V, V) of an embedding (V, d)."""
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    return 1 - unit @ unit.T

# %% tags=["exercise:05.2"]
def lower_bound(p, tau, embedding):
    """Half the squared distance of the mean directions of p (V,) and tau (V,), for an embedding (V, d)."""
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    return 0.5 * np.sum(((p - tau) @ unit) ** 2)

# %% tags=["exercise:05.3"]
def triangle_excess(cost):
    """Largest cost[i, k] - (cost[i, j] + cost[j, k]) of a cost (n, n), a float."""
    detour = cost[:, :, None] + cost[None, :, :]  # by way of the middle index
    return np.max(cost[:, None, :] - detour)
