"""Polarity of reviews, English and Chinese: linear scorers on the encoders' vectors, calibrated on the valid rows.
Reported beside the forecast for reviews that a user hands in; no input to it.

    python3 training/sentiment.py
"""
import json
import os

import numpy as np
import scipy.sparse as sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score

import safetensors_io
from chinese import read_comments
from dataset import CACHE, DATA, cached, sparse_terms


def quantise(projection):
    """int8 with a scale a column: what the bundle holds."""
    scale = np.abs(projection).max(axis=0) / 127
    return np.clip(np.round(projection / scale), -127, 127).astype(np.int8), scale.astype(np.float32)


def fit_temperature(logit, truth):
    grid = np.exp(np.linspace(np.log(0.4), np.log(3), 261))
    loss = lambda t: np.mean(np.logaddexp(0, logit / t) - truth * logit / t)
    return float(min(grid, key=loss))


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


def read(name):
    with open(os.path.join(DATA, "reviews", f"{name}.tsv"), encoding="utf-8") as file:
        head, *lines = (line.rstrip("\n").split("\t") for line in file)
    return [dict(zip(head, line)) for line in lines]


def measures(logit, truth, temperature):
    probability = 1 / (1 + np.exp(-logit / temperature))
    return {
        "rows": int(len(truth)),
        "accuracy": round(float(accuracy_score(truth, logit > 0)), 4),
        "auc": round(float(roc_auc_score(truth, logit)), 4),
        "ece": round(ece(probability, truth), 4),
        "majority": round(float(max(truth.mean(), 1 - truth.mean())), 4),
    }


def english():
    imdb, rt = read("imdb_reviews"), read("rt_polarity")
    rows = imdb + rt
    split = np.array([row["split"] for row in rows])
    truth = np.array([row["label"] == "positive" for row in rows]).astype(float)
    source = np.array(["imdb"] * len(imdb) + ["rt"] * len(rt))
    vectors = cached("reviews-vectors")["values"]
    terms, idf, vocabulary = sparse_terms("reviews")
    x = sparse.hstack([sparse.csr_matrix(vectors) * 2.0, terms]).tocsr()
    train, valid, test = (split == part for part in ("train", "valid", "test"))
    best = None
    for strength in (1.0, 3.0, 10.0):
        model = LogisticRegression(C=strength, max_iter=400).fit(x[train], truth[train])
        score = np.mean([model.score(x[valid & (source == s)], truth[valid & (source == s)]) for s in ("imdb", "rt")])
        print(f"en C={strength}: valid {score:.4f}")
        if best is None or score > best[0]:
            best = (score, model, strength)
    _, model, strength = best
    coefficient = model.coef_[0]
    width = vectors.shape[1]
    projection, scale = quantise(coefficient[width:, None])
    weight = np.concatenate([coefficient[:width] * 2.0, [1.0]]).astype(np.float32)
    bias = model.intercept_.astype(np.float32)
    logit = vectors @ weight[:width] + (terms @ projection.astype(np.float32))[:, 0] * scale[0] + bias[0]
    temperature = fit_temperature(logit[valid], truth[valid])
    judged = {}
    for name in ("imdb", "rt"):
        for part, mask in (("valid", valid), ("test", test)):
            chosen = mask & (source == name)
            judged[f"{name} {part}"] = measures(logit[chosen], truth[chosen], temperature)
    tensors = {
        "tfidf.reviews.idf": idf,
        "tfidf.reviews.projection": projection,
        "tfidf.reviews.scale": scale,
        "sentiment.en.weight": weight,
        "sentiment.en.bias": bias,
    }
    return tensors, {
        "features": ["text-en", "reviews"],
        "temperature": round(temperature, 4),
        "trainedOn": f"{int(train.sum())} English reviews: imdb_reviews (films of the training split) and rt_polarity",
        "metrics": {**judged, "config": {"C": strength}},
    }, vocabulary


def chinese():
    rows = read_comments()
    split = np.array([row["split"] for row in rows])
    label = np.array([row["label"] for row in rows])
    truth = (label == "positive").astype(float)
    decided = label != "neutral"
    vectors = cached("douban")["embeddings"]
    train, valid, test = ((split == part) & decided for part in ("train", "valid", "test"))
    best = None
    for strength in (0.003, 0.03, 0.3):
        model = LogisticRegression(C=strength, max_iter=400).fit(vectors[train], truth[train])
        score = model.score(vectors[valid], truth[valid])
        print(f"zh C={strength}: valid {score:.4f}")
        if best is None or score > best[0]:
            best = (score, model, strength)
    _, model, strength = best
    weight, bias = model.coef_[0].astype(np.float32), model.intercept_.astype(np.float32)
    logit = vectors @ weight + bias[0]
    temperature = fit_temperature(logit[valid], truth[valid])
    judged = {f"douban {part}": measures(logit[m], truth[m], temperature) for part, m in (("valid", valid), ("test", test))}
    return {"sentiment.zh.weight": weight, "sentiment.zh.bias": bias}, {
        "features": ["text-zh"],
        "temperature": round(temperature, 4),
        "trainedOn": f"{int(train.sum())} Chinese comments from Douban (4-5 stars against 1-2), films also seen in training",
        "metrics": {**judged, "config": {"C": strength}},
    }


def main():
    english_tensors, en, vocabulary = english()
    chinese_tensors, zh = chinese()
    safetensors_io.write(os.path.join(CACHE, "sentiment.safetensors"), {**english_tensors, **chinese_tensors})
    with open(os.path.join(CACHE, "sentiment.json"), "w", encoding="utf-8") as file:
        json.dump({"sentiment": {"en": en, "zh": zh}, "vocabulary": vocabulary}, file, ensure_ascii=False)
    print(json.dumps({"en": en["metrics"], "zh": zh["metrics"]}, indent=1))


if __name__ == "__main__":
    main()
