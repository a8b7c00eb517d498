"""The head of the default bundle: fitted on the training films, chosen and calibrated on the valid films, judged once
on the test films.

    python3 training/train_head.py          # judged on the valid films only
    python3 training/train_head.py --test   # the last run

Writes, in the cache, head.safetensors (float16 weights by the library's names) and head.json (network spec, heads,
metrics), and training/results/{evaluation.json,test-predictions.csv}.
"""
import hashlib
import json
import os
import sys

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

import merge
import safetensors_io
from dataset import CACHE, ROOT, Films, cached_json
from fitting import HEADS, KEEP, Features, Task, fit
from metrics import bootstrap, classification, ece, regression

MODALITIES = ["metadata", "synopsis", "terms", "poster", "title"]
INPUTS = {"facts": ["metadata"], "synopsis": ["synopsis", "terms"], "poster": ["poster"], "title": ["title"]}
CONFIG = {
    "outs": {"metadata": 48, "synopsis": 32, "terms": 32, "poster": 24, "title": 24},
    "fusion": {"kind": "concat"},
    "trunk": [96, 48],
    "activation": "silu",
    "dropout": 0.3,
    "inputDropout": 0.1,
    "decay": 0.05,
    "rate": 3e-3,
    "batch": 256,
    "epochs": 40,
    "modalityDropout": {"metadata": 0.1, "synopsis": 0.15, "terms": 0.15, "poster": 0.15, "title": 0.15},
    "fewInputs": 0.4,
    "wellWeight": 0.5,
    "revenueWeight": 0.5,
}
SEEDS = [11, 12, 13]
LEVEL = 0.9


def in_full_width(network, task):
    """Tensors over the encoders' own vectors: the reduction to principal directions goes into the projection."""
    tensors = network.export()
    for name in task.names:
        scaler = task.scalers[name]
        if scaler.directions is not None:
            key = f"modalities.{name}.projection.weight"
            tensors[key] = tensors[key] @ scaler.directions.T
    return tensors


def half(tensors):
    """float16, as stored; scalers stay float32."""
    return {
        name: value.astype(np.float32 if ".scaler." in name else np.float16) for name, value in tensors.items()
    }


def fit_merged(task, seeds=SEEDS, config=CONFIG):
    tensors = merge.merge([in_full_width(fit(task, config, seed), task) for seed in seeds])
    for name in task.names:
        tensors[f"modalities.{name}.scaler.mean"] = task.scalers[name].mean
        tensors[f"modalities.{name}.scaler.scale"] = task.scalers[name].scale
    return half(tensors)


class Judge:
    """A fitted head on any films and any subset of modalities."""

    def __init__(self, task, features, tensors):
        self.task, self.features, self.tensors = task, features, tensors
        self.names = task.names

    def raw(self, rows, subset=None):
        index = np.flatnonzero(rows)
        present = np.stack([self.features.present[name][index] for name in self.names], axis=1).astype(float)
        if subset is not None:
            present *= np.array([name in subset for name in self.names])
        inputs = {name: self.features.values[name][index] for name in self.names}
        return merge.forward(self.tensors, self.names, inputs, present, CONFIG["activation"])

    def values(self, raw):
        scale = lambda column, name: raw[:, column] * self.task.label[name][1] + self.task.label[name][0]
        return {"rating": scale(0, "rating"), "logit": raw[:, 1], "boxOffice": scale(2, "boxOffice")}


def fit_temperature(logit, truth):
    grid = np.exp(np.linspace(np.log(0.4), np.log(3), 261))
    loss = lambda t: np.mean(np.logaddexp(0, logit / t) - truth * logit / t)
    return float(min(grid, key=loss))


def conformal(residuals, level=LEVEL):
    """Split-conformal quantile of absolute residuals, (n+1)-corrected."""
    residuals = np.sort(np.abs(residuals))
    rank = int(np.ceil((len(residuals) + 1) * level))
    return float(residuals[min(rank, len(residuals)) - 1])


def all_subsets(names):
    for bits in range(1, 2 ** len(names)):
        yield [name for i, name in enumerate(names) if bits >> i & 1]


NATURAL = 200  # valid films that have a set of modalities and no more: enough for a quantile of their own


def calibrate(judge, films):
    """Temperatures and conformal quantiles of every set of modalities, on the valid films that have them; where many
    films have just this set, they are often harder (no poster: an obscure film), so the wider quantile counts."""
    out = {"temperature": {}, "rating": {}, "boxOffice": {}}
    own_key = np.array(present_key(judge, np.arange(len(films.ids))))
    for subset in all_subsets(judge.names):
        rows = films.valid.copy()
        for name in subset:
            rows &= judge.features.present[name]
        values = judge.values(judge.raw(rows, subset))
        money = films.revenue_judged[rows]
        key = "+".join(subset)
        out["temperature"][key] = round(fit_temperature(values["logit"], films.well[rows]), 3)
        for head, error, judged in (
            ("rating", values["rating"] - films.rating[rows], np.ones(len(money), bool)),
            ("boxOffice", values["boxOffice"] - films.log_revenue[rows], money),
        ):
            natural = judged & (own_key[rows] == key)
            width = conformal(error[judged])
            if natural.sum() >= NATURAL:
                width = max(width, conformal(error[natural]))
            out[head][key] = round(width, 4)
    widest = {key: max(table.values()) for key, table in out.items()}
    for key, table in out.items():
        table["*"] = 1.0 if key == "temperature" else widest[key]
    return out


def present_key(judge, rows, subset=None):
    names = judge.names
    mask = np.stack([judge.features.present[name][rows] for name in names], axis=1)
    if subset is not None:
        mask &= np.array([name in subset for name in names])
    return ["+".join(name for name, there in zip(names, row) if there) for row in mask]


def evaluate(judge, films, rows, calibration, subset=None, draws=0):
    """All measures of one set of films with these modalities present (a film that has none of them is left out)."""
    rows = rows.copy()
    if subset is not None:
        any_present = np.zeros(len(rows), bool)
        for name in subset:
            any_present |= judge.features.present[name]
        rows &= any_present
    values = judge.values(judge.raw(rows, subset))
    keys = present_key(judge, rows, subset)
    temperature = np.array([calibration["temperature"].get(key, 1.0) for key in keys])
    probability = 1 / (1 + np.exp(-values["logit"] / temperature))
    rating = np.clip(values["rating"], 0, 10)
    money = films.revenue_judged[rows]
    width = np.array([calibration["rating"].get(key, calibration["rating"]["*"]) for key in keys])
    span = np.array([calibration["boxOffice"].get(key, calibration["boxOffice"]["*"]) for key in keys])
    truth, dollars = films.rating[rows], films.log_revenue[rows]
    out = {
        "films": int(rows.sum()),
        "rating": regression(rating, truth),
        "wellReceived": {**classification(probability, films.well[rows]), "ece": ece(probability, films.well[rows])},
        "ratingCoverage": float((np.abs(values["rating"] - truth) <= width).mean()),
        "ratingHalfWidth": float(width.mean()),
    }
    if money.sum() >= 20:
        out["boxOffice"] = {"films": int(money.sum()), **regression(values["boxOffice"][money], dollars[money])}
        out["boxOfficeCoverage"] = float((np.abs(values["boxOffice"] - dollars) <= span)[money].mean())
        out["boxOfficeHalfWidthLog10"] = float(span[money].mean())
    if draws:
        out["rating"]["interval95"] = bootstrap(regression, rating, truth, draws=draws)
        out["wellReceived"]["interval95"] = bootstrap(classification, probability, films.well[rows], draws=draws)
        out["boxOffice"]["interval95"] = bootstrap(
            regression, values["boxOffice"][money], dollars[money], draws=draws
        )
    return out


def groups_of(films):
    genres = sorted({genre for names in films.genres for genre in names if genre})
    for genre in genres:
        yield "genre", genre, np.array([genre in names for names in films.genres])
    for code in ("en", "fr", "es", "de", "zh"):
        yield "language", code, films.language == code
    yield "language", "another known", ~np.isin(films.language, ["en", ""])
    yield "language", "not recorded", films.language == ""
    for start in (1910, 1960, 1970, 1980, 1990, 2000, 2010):
        end = 1960 if start == 1910 else start + 10
        yield "decade", f"{start}-{end - 1}", (films.year >= start) & (films.year < end)
    yield "votes", "10-19", films.votes < 20
    yield "votes", "20-99", (films.votes >= 20) & (films.votes < 100)
    yield "votes", "100 and more", films.votes >= 100
    yield "budget", "recorded", films.budget_known
    yield "budget", "not recorded", ~films.budget_known


def network_spec(task):
    count = len(SEEDS)
    layer = {"activation": CONFIG["activation"], "layerNorm": False}
    modalities = [
        {"name": name, "dim": len(task.scalers[name].mean), "projection": {"out": count * CONFIG["outs"][name], **layer}}
        for name in task.names
    ]
    trunk = [{"out": count * out, **layer} for out in CONFIG["trunk"]]
    return {"modalities": modalities, "fusion": CONFIG["fusion"], "trunk": trunk, "heads": HEADS}


def leak_check(films, features):
    """What knowing the number of votes and the revenue would bring, and what is left when ratings are shuffled."""
    names = cached_json("metadata")["featureNames"]
    forbidden = ("rating_count", "votes", "popularity", "keyword", "review")
    found = [name for name in names if any(word in name for word in forbidden)]
    if found:
        raise ValueError(f"inputs that are known only after release: {found}")
    fit, valid = films.train, films.valid
    own = features.values["metadata"].copy()
    own[fit] = features.foldings[0][fit]
    after = np.log10(np.stack([films.votes, 10.0 ** films.log_revenue], axis=1))

    def boosted(x):
        model = HistGradientBoostingRegressor(max_iter=200, learning_rate=0.05, max_leaf_nodes=16, random_state=0)
        return regression(model.fit(x[fit], films.rating[fit]).predict(x[valid]), films.rating[valid])["r2"]

    # every input that was made with the help of ratings is left out, and the labels are another film's
    random = np.random.default_rng(3)
    shuffled = Films()
    order = np.flatnonzero(fit)
    shuffled.rating[order] = films.rating[random.permutation(order)]
    shuffled.well = (shuffled.rating >= 6.1).astype(np.float32)
    task = Task(shuffled, features, ["synopsis", "poster", "title"])
    judge = Judge(task, features, fit_merged(task, SEEDS[:1]))
    rows = valid & features.present["synopsis"]
    blind = regression(judge.values(judge.raw(rows))["rating"], films.rating[rows])["r2"]
    return {
        "without": boosted(own),
        "withVotesAndRevenue": boosted(np.concatenate([own, after], axis=1)),
        "shuffled": blind,
    }


def poster_check(judge, films):
    """How much of what the poster brings is the picture, and how much that there is one: films that have a poster, with
    their own, with another film's, with none."""
    rows = films.valid & judge.features.present["poster"]
    truth, own = films.rating[rows], judge.features.values["poster"]
    r2 = lambda subset=None: regression(judge.values(judge.raw(rows, subset))["rating"], truth)["r2"]
    out = {"own": r2(), "none": r2([name for name in judge.names if name != "poster"])}
    swapped = own.copy()
    index = np.flatnonzero(rows)
    swapped[index] = own[np.random.default_rng(5).permutation(index)]
    judge.features.values["poster"] = swapped
    out["another"] = r2()
    judge.features.values["poster"] = own
    return out


def judge_on_test(report, judge, films, calibration):
    report["test"] = evaluate(judge, films, films.test, calibration, draws=1000)
    report["testByInput"] = {}
    for name, own in INPUTS.items():
        others = [modality for modality in MODALITIES if modality not in own]
        for tag, subset in ((f"{name} alone", own), (f"all but {name}", others)):
            report["testByInput"][tag] = evaluate(judge, films, films.test, calibration, subset)
    report["testByGroup"] = {}
    for kind, name, mask in groups_of(films):
        rows = films.test & mask
        if rows.sum() >= 20:
            report["testByGroup"].setdefault(kind, {})[name] = evaluate(judge, films, rows, calibration)
    values = judge.values(judge.raw(films.test))
    os.makedirs(os.path.join(ROOT, "training", "results"), exist_ok=True)
    ids = [film for film, there in zip(films.ids, films.test) if there]
    with open(os.path.join(ROOT, "training", "results", "test-predictions.csv"), "w", encoding="utf-8") as file:
        file.write("movie_id,rating,well_received_logit,log10_revenue\n")
        for film, rating, logit, dollars in zip(ids, values["rating"], values["logit"], values["boxOffice"]):
            file.write(f"{film},{rating:.5f},{logit:.5f},{dollars:.5f}\n")


def main():
    films = Films()
    features = Features(films)
    task = Task(films, features, MODALITIES)
    tensors = fit_merged(task)
    judge = Judge(task, features, tensors)
    calibration = calibrate(judge, films)
    report = {"valid": evaluate(judge, films, films.valid, calibration)}
    if "--test" in sys.argv:
        judge_on_test(report, judge, films, calibration)
    safetensors_io.write(os.path.join(CACHE, "head.safetensors"), tensors)
    if "--test" in sys.argv:
        zh = os.path.join(ROOT, "models", "default", "encoders", "text-zh", "model.onnx")
        about = {
            "modalities": MODALITIES,
            "seeds": SEEDS,
            "widths": {name: len(task.scalers[name].mean) for name in task.names},
            "chineseMegabytes": os.path.getsize(zh) / 1e6,
            "leakCheck": leak_check(films, features),
            "posterCheck": poster_check(judge, films),
        }
        with open(os.path.join(ROOT, "training", "results", "evaluation.json"), "w", encoding="utf-8") as file:
            json.dump({**about, **report}, file, indent=1)
    split = "\n".join(f"{film} {part}" for film, part in sorted(zip(films.ids, films.split)))
    head = {
        "network": network_spec(task),
        "label": task.label,
        "calibration": calibration,
        "report": report,
        "counts": {part: int((films.split == part).sum()) for part in ("train", "valid", "test")},
        "judgedRevenue": {
            part: int(((films.split == part) & films.revenue_judged).sum()) for part in ("valid", "test")
        },
        "splitSha256": hashlib.sha256(split.encode()).hexdigest(),
        "config": {**CONFIG, "seeds": SEEDS, "principalDirections": KEEP},
    }
    with open(os.path.join(CACHE, "head.json"), "w", encoding="utf-8") as file:
        json.dump(head, file)
    print(json.dumps({part: report[part] for part in ("valid", "test") if part in report}, indent=1))


if __name__ == "__main__":
    main()
