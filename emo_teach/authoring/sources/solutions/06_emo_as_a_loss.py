# %% [markdown]
# # Solutions to lesson 06

# %% tags=["exercise:06.1"]
def emo(p, embedding, target):
    """EMO, a float, of the model p (V,) for one target: average first, embedding (V, d)."""
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    return 1 - (p @ unit) @ unit[target]

# %% tags=["exercise:06.2"]
def gradient(p, embedding, target):
    """Gradient (V,) of EMO with respect to the logits behind p (V,); embedding (V, d)."""
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    cosine = unit @ unit[target]
    return p * (p @ cosine - cosine)  # (1 - cosine_j) - L, with L = 1 - <m_p, ê_t>

# %% tags=["exercise:06.3"]
def weight(logits, cost, target):
    """CE/L for logits (V,) and costs to the target (V,), whose own entry may hold rounding noise; 0 where L is 0."""
    others = np.delete(logits, target)
    top = max(others.max(), logits[target])
    wrong, right = np.exp(others - top), np.exp(logits[target] - top)
    loss = wrong @ np.delete(cost, target) / (wrong.sum() + right)
    sure = logits[target] >= others.max()
    ce = np.log1p(wrong.sum() / right) if sure else np.log(wrong.sum() + right) + top - logits[target]
    return ce / loss if loss > 0 else 0.0
