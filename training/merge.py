"""Several networks of one shape (fusion by concatenation, no layer norm) side by side in one: its outputs are the mean
of theirs, exactly. Every layer's weights lie on the diagonal of a larger matrix."""
import numpy as np


def merge(networks):
    """`networks`: lists of tensors by the library's names -> (tensors, count)"""
    first, count = networks[0], len(networks)
    out = {}
    modalities = [name.split(".")[1] for name in first if name.endswith(".absent")]
    for name in modalities:
        prefix = f"modalities.{name}"
        for part in ("projection.weight", "projection.bias", "absent"):
            out[f"{prefix}.{part}"] = np.concatenate([network[f"{prefix}.{part}"] for network in networks])
    widths = [len(first[f"modalities.{name}.absent"]) for name in modalities]
    # the columns of network k: its share of every modality's stretch
    starts = np.concatenate([[0], np.cumsum([count * width for width in widths])])
    columns = [
        np.concatenate([start + k * width + np.arange(width) for start, width in zip(starts, widths)])
        for k in range(count)
    ]
    total = int(starts[-1])
    layer = 0
    while f"trunk.{layer}.weight" in first:
        name = f"trunk.{layer}"
        height = len(first[f"{name}.bias"])
        weight = np.zeros((count * height, total), np.float32)
        for k, network in enumerate(networks):
            weight[k * height : (k + 1) * height, columns[k]] = network[f"{name}.weight"]
        out[f"{name}.weight"] = weight
        out[f"{name}.bias"] = np.concatenate([network[f"{name}.bias"] for network in networks])
        columns = [k * height + np.arange(height) for k in range(count)]
        total, layer = count * height, layer + 1
    for name in [key[: -len(".weight")] for key in first if key.startswith("heads.") and key.endswith(".weight")]:
        weight = np.zeros((1, total), np.float32)
        for k, network in enumerate(networks):
            weight[:, columns[k]] = network[f"{name}.weight"] / count
        out[f"{name}.weight"] = weight
        out[f"{name}.bias"] = np.mean([network[f"{name}.bias"] for network in networks], axis=0)
    return out


def forward(tensors, modalities, inputs, present, activation):
    """The merged network in numpy float64: what the library's must agree with. `inputs` {name: (B, dim)} unscaled."""
    act = {"silu": lambda x: x / (1 + np.exp(-x)), "relu": lambda x: np.maximum(x, 0)}[activation]
    t = {name: value.astype(np.float64) for name, value in tensors.items()}
    parts = []
    for m, name in enumerate(modalities):
        p = f"modalities.{name}"
        x = (inputs[name].astype(np.float64) - t[f"{p}.scaler.mean"]) * t[f"{p}.scaler.scale"]
        h = act(x @ t[f"{p}.projection.weight"].T + t[f"{p}.projection.bias"])
        parts.append(np.where(present[:, m : m + 1] > 0, h, t[f"{p}.absent"]))
    h = np.concatenate(parts, axis=1)
    layer = 0
    while f"trunk.{layer}.weight" in t:
        h = act(h @ t[f"trunk.{layer}.weight"].T + t[f"trunk.{layer}.bias"])
        layer += 1
    heads = [name[: -len(".weight")] for name in t if name.startswith("heads.") and name.endswith(".weight")]
    return np.concatenate([h @ t[f"{name}.weight"].T + t[f"{name}.bias"] for name in heads], axis=1)
