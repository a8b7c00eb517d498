"""What the head has to beat, on the same features and splits: mean, ridge, gradient boosting; and, with the head, the
split by time (fitted up to 2010, judged from 2013).

    python3 training/baselines.py

Writes training/results/baselines.json. Baselines are fitted on the training films; the boosting's number of trees and
the ridge's strength are chosen on the valid films.
"""
import json
import os

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from dataset import ROOT, Films, cached_json
from fitting import KEEP, Features, Scaler, Task
from metrics import classification, regression
from train_head import MODALITIES, Judge, evaluate, fit_merged


def matrices(films, features, names):
    """Training rows carry metadata of their foldings' tables; posters that are missing are the mean."""
    fit, columns = features.train, []
    for name in names:
        if name == "metadata":
            full = features.values[name].copy()
            full[fit] = features.foldings[0][fit]
            columns.append(full)
            continue
        present = features.present[name]
        scaler = Scaler(features.values[name][fit & present], min(KEEP[name] or 64, 48))
        reduced = scaler(features.values[name]).numpy() if scaler.directions is not None else features.values[name]
        columns.append(np.where(present[:, None], reduced, reduced[fit & present].mean(axis=0)))
    return np.concatenate(columns, axis=1)


TREES, STRENGTHS = (200, 100, 300, 450), (1000, 10, 100, 10000)  # the first where nothing is there to choose by


def boosted(x, y, fit, choose, rows):
    best = None
    for count in TREES if choose is not None else TREES[:1]:
        model = HistGradientBoostingRegressor(
            max_iter=count, learning_rate=0.05, max_leaf_nodes=16, l2_regularization=5.0, random_state=0
        ).fit(x[fit], y[fit])
        error = 0 if choose is None else np.mean((model.predict(x[choose]) - y[choose]) ** 2)
        if best is None or error < best[0]:
            best = (error, model)
    return best[1].predict(x[rows])


def ridged(x, y, fit, choose, rows):
    scaler = StandardScaler().fit(x[fit])
    z, best = scaler.transform(x), None
    for strength in STRENGTHS if choose is not None else STRENGTHS[:1]:
        model = Ridge(alpha=strength).fit(z[fit], y[fit])
        error = 0 if choose is None else np.mean((model.predict(z[choose]) - y[choose]) ** 2)
        if best is None or error < best[0]:
            best = (error, model)
    return best[1].predict(z[rows])


def judged(predicted, films, rows, cut=6.1):
    probability = 1 / (1 + np.exp(-(predicted - cut) * 3))  # rank and side only: no claim of calibration
    scores = classification(probability, films.well[rows])
    return {**regression(predicted, films.rating[rows]), **{key: scores[key] for key in ("accuracy", "macroF1", "auc")}}


def compare(films, features, fit, choose, rows):
    rating, dollars = films.rating.astype(float), films.log_revenue.astype(float)
    money = lambda mask: None if mask is None else mask & films.revenue_known
    earned = rows & films.revenue_judged
    out = {"mean": judged(np.full(rows.sum(), rating[fit].mean()), films, rows)}
    for tag, names in (("metadata", ["metadata"]), ("all", MODALITIES)):
        x = matrices(films, features, names)
        for kind, method in (("ridge", ridged), ("gradient boosting", boosted)):
            entry = judged(method(x, rating, fit, choose, rows), films, rows)
            entry["boxOffice"] = regression(method(x, dollars, money(fit), money(choose), earned), dollars[earned])
            out[f"{kind}, {tag}"] = entry
            print(tag, kind, round(entry["r2"], 4), round(entry["boxOffice"]["r2"], 4), flush=True)
    return out


def main():
    films = Films()
    report = {"random split": compare(films, Features(films), films.train, films.valid, films.test)}
    # the split by time: all settings, temperatures and interval widths stay those of the random split
    features, late = Features(films, "-2010"), films.year >= 2013
    report["split by time"] = compare(films, features, features.train, None, late)
    task = Task(films, features, MODALITIES)
    judge = Judge(task, features, fit_merged(task))
    calibration = cached_json("head")["calibration"]
    head = evaluate(judge, films, late, calibration)
    head["metadata alone"] = evaluate(judge, films, late, calibration, ["metadata"])
    head["without metadata"] = evaluate(judge, films, late, calibration, [n for n in MODALITIES if n != "metadata"])
    report["split by time"]["head"] = head
    path = os.path.join(ROOT, "training", "results", "baselines.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    print(json.dumps(report["split by time"]["head"], indent=1))


if __name__ == "__main__":
    main()
