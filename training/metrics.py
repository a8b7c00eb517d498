"""Measures, each with a bootstrap interval where asked for."""
import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import f1_score, roc_auc_score


def regression(prediction, truth):
    error = prediction - truth
    return {
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
        "r2": float(1 - (error**2).sum() / ((truth - truth.mean()) ** 2).sum()),
        "spearman": float(spearmanr(prediction, truth)[0]) if np.std(prediction) > 1e-9 else 0.0,
    }


def classification(probability, truth):
    said = probability >= 0.5
    clipped = np.clip(probability, 1e-7, 1 - 1e-7)
    return {
        "accuracy": float((said == truth).mean()),
        "macroF1": float(f1_score(truth, said, average="macro")),
        "auc": float(roc_auc_score(truth, probability)) if 0 < truth.mean() < 1 else float("nan"),
        "logLoss": float(-(truth * np.log(clipped) + (1 - truth) * np.log(1 - clipped)).mean()),
        "brier": float(((probability - truth) ** 2).mean()),
    }


def bootstrap(measure, prediction, truth, seed=0, draws=1000):
    """95 % percentile interval of every number that `measure` gives."""
    random = np.random.default_rng(seed)
    samples = []
    for _ in range(draws):
        index = random.integers(0, len(truth), len(truth))
        samples.append(measure(prediction[index], truth[index]))
    return {
        key: [float(v) for v in np.percentile([sample[key] for sample in samples], [2.5, 97.5])] for key in samples[0]
    }


def ece(probability, truth, bins=10):
    """Expected calibration error over equal-width bins."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    return float(
        sum(
            abs(probability[which == b].mean() - truth[which == b].mean()) * (which == b).mean()
            for b in range(bins)
            if (which == b).any()
        )
    )
