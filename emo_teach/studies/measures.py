"""What every study measures of a model, against the truth at every prefix of held-out texts."""

import math

import numpy as np

from .. import transport


def distances(log_p, truth, following, classes):
    """Perplexity, entropy, distances to the truth and where probability goes, each a mean over all prefixes.

    Returns a dictionary of floats. Raises ValueError as `measure.oracle`.
    """
    from ..measure import oracle

    size = log_p.shape[-1]
    said = np.take_along_axis(log_p, following[..., None], -1)
    p, flat_truth = np.exp(log_p).reshape(-1, size), truth.reshape(-1, size)
    shares = oracle.where_mass_goes(p, following.ravel(), classes)
    return {
        "perplexity": math.exp(min(-said.mean(), 700.0)),
        "entropy": oracle.mean_entropy(log_p),
        "forward_kl": float(oracle.forward_kl(log_p, truth).mean()),
        "reverse_kl": float(oracle.reverse_kl(log_p, truth).mean()),
        "tv": float(oracle.total_variation(log_p, truth).mean()),
        "js": float(oracle.js(log_p, truth).mean()),
        "emd_classes": float(transport.class_emd(p, flat_truth, classes, within=0.1).mean()),
        "on_target": float(shares.target.mean()),
        "on_synonyms": float(shares.synonyms.mean()),
    }
