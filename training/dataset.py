"""The films, their targets and their cached features. Python reads targets only here, inputs only as exported by TypeScript."""
import csv
import json
import os

import numpy as np
import scipy.sparse as sparse

import safetensors_io

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.environ.get("CINEFUSE_DATA", os.path.join(ROOT, "..", "shared", "data", "movies"))
CACHE = os.environ.get("CINEFUSE_TRAIN_CACHE", os.path.join(ROOT, ".cache", "training"))
WELL_RECEIVED = 6.1  # rating at or above it: the median of the training films


class Films:
    def __init__(self):
        with open(os.path.join(DATA, "movies.csv"), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.ids = [row["movie_id"] for row in rows]
        self.split = np.array([row["split"] for row in rows])
        self.year = np.array([int(row["year"]) for row in rows])
        self.genres = [row["genres"].split("|") for row in rows]
        self.language = np.array([row["original_language"] for row in rows])
        self.votes = np.array([float(row["rating_count"]) for row in rows])  # weights only, never an input
        self.rating = np.array([float(row["rating"]) for row in rows], np.float32)
        self.well = (self.rating >= WELL_RECEIVED).astype(np.float32)
        revenue = np.array([float(row["revenue"]) for row in rows])
        budget = np.array([float(row["budget"]) for row in rows])
        self.revenue_known = revenue > 1000
        # the data's own baseline judges box office where budget and revenue are both plausible
        self.revenue_judged = (revenue > 1000) & (budget > 1000)
        self.budget_known = budget > 1000
        self.log_revenue = np.log10(np.maximum(revenue, 1)).astype(np.float32)
        self.train, self.valid, self.test = (self.split == name for name in ("train", "valid", "test"))


def cached(name):
    return safetensors_io.read(os.path.join(CACHE, name + ".safetensors"))


def cached_json(name):
    with open(os.path.join(CACHE, name + ".json"), encoding="utf-8") as file:
        return json.load(file)


def sparse_terms(name):
    raw = cached(name + "-sparse")
    terms = cached_json(name + "-terms")
    matrix = sparse.csr_matrix(
        (raw["values"], raw["columns"], raw["starts"]), shape=(len(raw["starts"]) - 1, len(terms))
    )
    return matrix, raw["idf"], terms


def folds(count, parts, seed):
    return np.random.default_rng(seed).integers(0, parts, count)
