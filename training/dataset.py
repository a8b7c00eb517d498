"""Where the data and the cached features are, and how the latter are read."""
import json
import os

import scipy.sparse as sparse

import safetensors_io

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.environ.get("CINEFUSE_DATA", os.path.join(ROOT, "..", "shared", "data", "movies"))
CACHE = os.environ.get("CINEFUSE_TRAIN_CACHE", os.path.join(ROOT, ".cache", "training"))


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
