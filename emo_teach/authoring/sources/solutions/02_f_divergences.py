# %% [markdown]
# # Solutions to lesson 02

# %% tags=["exercise:02.1"]
def one_hot_loss(f, p_t):
    """One-hot loss of the f-divergence with generator f at target probability p_t in (0, 1]."""
    wrong_tokens = (1 - p_t) * f(0.0) if p_t < 1 else 0.0
    return p_t * f(1 / p_t) + wrong_tokens

# %% tags=["exercise:02.2"]
def tv_gradient(target, z):
    """Gradient (n,) of 1 - p_t with respect to the logits z (n,), for the index `target`."""
    p = softmax(z)
    return p[target] * (p - np.eye(len(z))[target])

# %% tags=["exercise:02.3"]
def family_pull(p_t, gamma):
    """Derivative of the family's loss with respect to the target's logit, for p_t in (0, 1] and gamma in [0, 1]."""
    return -p_t * (1 - p_t) / (gamma + (1 - gamma) * p_t)
