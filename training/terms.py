"""The projection of the TF-IDF vectors: singular directions of the training synopses beside directions that were
fitted to the targets (ridge), which for training films come from the other folds.

    python3 training/terms.py
"""
import os

import numpy as np
from scipy.sparse.linalg import svds
from sklearn.linear_model import Ridge

import safetensors_io
from dataset import CACHE, Films, folds, sparse_terms

DIRECTIONS = 38
ALPHA = {"rating": 4.0, "revenue": 4.0, "votes": 4.0}


def quantise(projection):
    """int8 with a scale a column: what the bundle holds."""
    scale = np.abs(projection).max(axis=0) / 127
    return np.clip(np.round(projection / scale), -127, 127).astype(np.int8), scale.astype(np.float32)


def main(name="synopsis", suffix="", train=None):
    films = Films()
    train = films.train if train is None else train(films)
    matrix, idf, terms = sparse_terms(name)
    _, _, vt = svds(matrix[train].astype(np.float64), k=DIRECTIONS, random_state=0)
    vt = vt[::-1] * np.sign(vt[::-1].sum(axis=1, keepdims=True))
    targets = {
        "rating": (films.rating, train),
        "revenue": (films.log_revenue, train & films.revenue_known),
    }
    fold = folds(len(films.ids), 10, 7)
    columns, held = [], []
    for target, (y, rows) in targets.items():
        fit = lambda mask: Ridge(alpha=ALPHA[target]).fit(matrix[mask], y[mask]).coef_
        full = fit(rows)
        columns.append(full)
        own = matrix @ full
        for k in range(10):
            inside = train & (fold == k)
            own[inside] = matrix[inside] @ fit(rows & (fold != k))
        held.append(own)
    projection, scale = quantise(np.stack([*vt, *columns], axis=1))
    dense = (matrix @ projection.astype(np.float32)) * scale
    dense[:, DIRECTIONS:] = np.where(train[:, None], np.stack(held, axis=1), dense[:, DIRECTIONS:])
    out = {"dense": dense.astype(np.float32), "projection": projection, "scale": scale, "idf": idf}
    safetensors_io.write(os.path.join(CACHE, f"{name}-dense{suffix}.safetensors"), out)
    print(f"{name}{suffix}: {projection.shape[0]} terms -> {projection.shape[1]}")
    for column, target in enumerate(targets):
        y, rows = targets[target]
        judged = films.valid & (films.revenue_known if target == "revenue" else True)
        print(f"  {target}: correlation on valid {np.corrcoef(dense[judged, DIRECTIONS + column], y[judged])[0, 1]:.4f}")


if __name__ == "__main__":
    main()
    # the split by time uses the same vocabulary of words (no label in it) with directions fitted up to 2010
    main(suffix="-2010", train=lambda films: films.year <= 2010)
