"""Fitting a FusionNetwork: features, scalers, loss, loop."""
import numpy as np
import torch
from torch.nn import functional as F

from dataset import Films, cached
from head import FusionNetwork

torch.set_num_threads(1)


class Features:
    """The modalities of every film: values (N, dim), a mask of presence, and for metadata one matrix a folding."""

    def __init__(self, films, suffix=""):
        train = films.train if suffix == "" else films.year <= 2010
        self.values, self.present, self.foldings = {}, {}, []
        metadata = cached("metadata" + suffix)
        self.values["metadata"] = metadata["full"]
        self.foldings = [metadata[f"folding{k}"] for k in range(len(metadata) - 1)]
        self.present["metadata"] = np.ones(len(films.ids), bool)
        for name in ("synopsis", "title", "poster"):
            vectors = cached(name + "-vectors")
            self.values[name], self.present[name] = vectors["values"], vectors["present"] > 0
        self.values["terms"] = cached("synopsis-dense" + suffix)["dense"]
        # both come of the synopsis, and serving refuses a synopsis in another language for both
        self.present["terms"] = self.present["synopsis"]
        self.train = train


class Scaler:
    """(x - mean) * scale, then, where `keep` is given, the leading principal directions. Both are linear, so the
    exported projection takes the directions in: W' = W Pᵀ."""

    def __init__(self, x, keep=None, power=0.5):
        self.mean = x.mean(axis=0)
        if keep is None:
            std = x.std(axis=0)
            self.scale = np.where(std > 1e-6, 1 / np.maximum(std, 1e-6), 0).astype(np.float32)
            self.directions = None
        else:
            centred = (x - self.mean).astype(np.float64)
            values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
            values, vectors = values[::-1][:keep], vectors[:, ::-1][:, :keep]
            # `power` 1 would whiten wholly; less keeps strong directions ahead of weak ones
            self.directions = (vectors * (values / values[0]) ** (-power / 2) / values[0] ** 0.5).astype(np.float32)
            self.scale = np.ones_like(self.mean)
        self.mean = self.mean.astype(np.float32)

    def __call__(self, x):
        z = (x - self.mean) * self.scale
        return torch.from_numpy(z if self.directions is None else z @ self.directions)


INPUT_OF = {"terms": "synopsis"}
KEEP = {"metadata": None, "terms": None, "synopsis": 96, "title": 48, "poster": 96}


class Task:
    """Everything a fit needs, on one split."""

    def __init__(self, films, features, names):
        self.names = list(names)
        self.films = films
        fit = features.train
        self.scalers, self.inputs = {}, {}
        for name in self.names:
            x = features.values[name]
            if name == "metadata":
                self.scalers[name] = Scaler(np.concatenate([m[fit] for m in features.foldings]))
                self.foldings = [self.scalers[name](m[fit]) for m in features.foldings]
            else:
                self.scalers[name] = Scaler(x[fit & features.present[name]], KEEP[name])
            self.inputs[name] = self.scalers[name](x)
        self.present = torch.from_numpy(np.stack([features.present[n] for n in self.names], axis=1).astype(np.float32))
        # modalities of one input come and go together
        self.groups = sorted({INPUT_OF.get(name, name) for name in self.names})
        self.group_of = [self.groups.index(INPUT_OF.get(name, name)) for name in self.names]
        self.fit = torch.from_numpy(np.flatnonzero(fit))
        self.label = {}
        y = films.rating[fit]
        self.label["rating"] = (float(y.mean()), float(y.std()))
        y = films.log_revenue[fit & films.revenue_known]
        self.label["boxOffice"] = (float(y.mean()), float(y.std()))
        z = lambda name, y: torch.from_numpy(((y - self.label[name][0]) / self.label[name][1]).astype(np.float32))
        self.rating, self.revenue = z("rating", films.rating), z("boxOffice", films.log_revenue)
        self.well = torch.from_numpy(films.well)
        self.revenue_known = torch.from_numpy(films.revenue_known.astype(np.float32))

    def widths(self):
        return [self.inputs[name].shape[1] for name in self.names]


HEADS = [{"name": "rating", "out": 1}, {"name": "wellReceived", "out": 1}, {"name": "boxOffice", "out": 1}]


def network_spec(task, config):
    """The spec on the reduced inputs (the exported one has the encoders' own widths)."""
    outs = config["outs"]
    return {
        "modalities": [
            {
                "name": name,
                "dim": width,
                "projection": {
                    "out": outs[name] if isinstance(outs, dict) else outs,
                    "activation": config.get("activation", "silu"),
                    "layerNorm": config.get("layerNorm", False),
                },
            }
            for name, width in zip(task.names, task.widths())
        ],
        "fusion": config["fusion"],
        "trunk": [
            {"out": out, "activation": config.get("activation", "silu"), "layerNorm": config.get("layerNorm", False)}
            for out in config["trunk"]
        ],
        "heads": HEADS,
    }


def fit(task, config, seed, targets=None, observe=None):
    """`targets`: rows of soft targets (N, 3) to learn from beside the labels, by weight config["distil"]."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    network = FusionNetwork(network_spec(task, config), config["dropout"], config.get("inputDropout", 0.0))
    decay, plain = [], []
    for name, parameter in network.named_parameters():
        (decay if parameter.ndim > 1 else plain).append(parameter)
    groups = [{"params": decay, "weight_decay": config["decay"]}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config["rate"])
    size, epochs = config.get("batch", 256), config["epochs"]
    steps = epochs * -(-len(task.fit) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config["rate"], total_steps=steps, pct_start=0.15)
    drop = torch.tensor([config["modalityDropout"].get(name, 0.15) for name in task.names])
    votes = torch.from_numpy(task.films.votes.astype(np.float32))
    softness = config.get("voteSoftness", 0)
    weight = votes / (votes + softness) if softness else torch.ones_like(votes)
    weight = weight / weight[task.fit].mean()
    stacked = torch.stack(task.foldings) if "metadata" in task.names else None
    for epoch in range(epochs):
        network.train()
        order = torch.randperm(len(task.fit), generator=random)
        for part in order.split(size):
            rows = task.fit[part]
            inputs = []
            for name in task.names:
                if name == "metadata":
                    which = torch.randint(len(stacked), (len(part),), generator=random)
                    inputs.append(stacked[which, part])
                else:
                    inputs.append(task.inputs[name][rows])
            keep = (torch.rand(len(rows), len(drop), generator=random) >= drop).float()
            # in a share of the rows each of the film's inputs is there or not by a coin: little may be given
            coin = (torch.rand(len(rows), len(task.groups), generator=random) < 0.5).float()[:, task.group_of]
            few = torch.rand(len(rows), 1, generator=random) < config.get("fewInputs", 0.0)
            present = task.present[rows] * torch.where(few, coin, keep)
            empty = present.sum(dim=1) == 0
            present[empty] = task.present[rows][empty]
            out = network(inputs, present)
            w, known = weight[rows], task.revenue_known[rows]
            rating = (w * F.mse_loss(out[:, 0], task.rating[rows], reduction="none")).mean()
            well = (w * F.binary_cross_entropy_with_logits(out[:, 1], task.well[rows], reduction="none")).mean()
            revenue = (known * F.mse_loss(out[:, 2], task.revenue[rows], reduction="none")).sum() / known.sum().clamp(min=1)
            loss = rating + config.get("wellWeight", 0.5) * well + config.get("revenueWeight", 0.5) * revenue
            if targets is not None:
                soft = targets[rows]
                far = F.mse_loss(out[:, 0], soft[:, 0]) + 0.5 * F.mse_loss(out[:, 1], soft[:, 1])
                far = far + 0.5 * F.mse_loss(out[:, 2], soft[:, 2])
                loss = (1 - config["distil"]) * loss + config["distil"] * far
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
            optimizer.step()
            schedule.step()
        if observe:
            observe(epoch, network)
    network.eval()
    return network


def run(network, task, rows, present=None):
    """Raw outputs (n, 3): standardised rating, logit, standardised log10 revenue."""
    network.eval()
    index = torch.from_numpy(np.flatnonzero(rows))
    mask = task.present[index] if present is None else present
    with torch.no_grad():
        return network([task.inputs[name][index] for name in task.names], mask).numpy()


def films_and_features(suffix=""):
    films = Films()
    return films, Features(films, suffix)
