"""Reference outputs of whole fusion networks, for test/fusion/network.test.ts: network.json + network.safetensors.

Every kind of fusion, over a vector and two sequences of different lengths, rows with modalities missing. Weights and
inputs are float32; the forward pass is float64, written row by row from the formulas in lib/fusion/network.ts and in
nothing of the library's own code. Needs PyTorch:

    python3 test/golden/make-network.py
"""
import json
import os
import sys

import numpy as np
import torch
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "training"))
import safetensors_io  # noqa: E402

ACTIVATIONS = {
    "none": lambda x: x,
    "relu": F.relu,
    "leaky-relu": lambda x: F.leaky_relu(x, 0.01),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "gelu-tanh": lambda x: 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "silu": F.silu,
    "softplus": F.softplus,
}
BATCH = 6


def layer(out, activation, norm):
    return {"out": out, "activation": activation, "layerNorm": norm}


def modalities(outs):
    return [
        {"name": "text", "dim": 7, "projection": layer(outs[0], "gelu", True)},
        {
            "name": "trailer.video",
            "dim": 6,
            "sequence": {"pooling": "attention", "attentionDim": 5},
            "projection": layer(outs[1], "silu", False),
        },
        {"name": "audio", "dim": 3, "sequence": {"pooling": "mean"}, "projection": layer(outs[2], "tanh", True)},
    ]


HEADS = [{"name": "rating", "out": 1}, {"name": "wellReceived", "out": 1}, {"name": "audience", "out": 3}]
TRUNK = [layer(9, "leaky-relu", True), layer(5, "gelu-tanh", False)]
SPECS = {
    "concat": dict(modalities=modalities([8, 5, 4]), fusion={"kind": "concat"}, trunk=TRUNK, heads=HEADS),
    "concat_no_trunk": dict(modalities=modalities([3, 17, 1]), fusion={"kind": "concat"}, trunk=[], heads=HEADS[:1]),
    "weighted_sum": dict(
        modalities=modalities([6, 6, 6]), fusion={"kind": "weighted-sum"}, trunk=TRUNK[:1], heads=HEADS
    ),
    "late": dict(modalities=modalities([8, 5, 4]), fusion={"kind": "late"}, trunk=TRUNK[1:], heads=HEADS),
    "late_no_trunk": dict(modalities=modalities([4, 5, 4]), fusion={"kind": "late"}, trunk=[], heads=HEADS[1:]),
    "hybrid": dict(modalities=modalities([4, 5, 4]), fusion={"kind": "hybrid"}, trunk=TRUNK[1:], heads=HEADS),
    "tensor": dict(
        modalities=modalities([4, 3, 5]),
        fusion={"kind": "tensor", "out": 10, "activation": "softplus"},
        trunk=TRUNK[:1],
        heads=HEADS,
    ),
    "low_rank": dict(
        modalities=modalities([4, 6, 5]),
        fusion={"kind": "low-rank", "rank": 3, "out": 8, "activation": "relu"},
        trunk=TRUNK[1:],
        heads=HEADS,
    ),
    "attention_tanh": dict(
        modalities=modalities([6, 6, 6]),
        fusion={"kind": "attention", "form": "tanh", "attentionDim": 4},
        trunk=TRUNK[:1],
        heads=HEADS,
    ),
    "attention_feature": dict(
        modalities=modalities([18, 18, 18]),
        fusion={"kind": "attention", "form": "feature"},
        trunk=[layer(4, "sigmoid", False)],
        heads=HEADS,
    ),
    "cross_modal": dict(
        modalities=modalities([12, 12, 12]),
        fusion={"kind": "cross-modal", "heads": 3, "blocks": 2, "hidden": 7},
        trunk=TRUNK[:1],
        heads=HEADS,
    ),
}


def make_weights(spec, rng):
    """Random float32 weights under the bundle's names."""
    out = {}

    def put(name, *shape, scale=None, offset=0.0):
        fan = shape[-1] if len(shape) > 1 else 1
        scale = fan**-0.5 if scale is None else scale
        out[name] = (offset + scale * rng.standard_normal(shape)).astype(np.float32)

    def put_layer(prefix, norm, width, layer):
        put(f"{prefix}.weight", layer["out"], width)
        put(f"{prefix}.bias", layer["out"], scale=0.2)
        if layer["layerNorm"]:
            put(f"{norm}.weight", layer["out"], scale=0.2, offset=1.0)
            put(f"{norm}.bias", layer["out"], scale=0.2)
        return layer["out"]

    def put_trunk(prefix, width):
        for i, inner in enumerate(spec["trunk"]):
            width = put_layer(f"{prefix}trunk.{i}", f"{prefix}trunk.{i}.norm", width, inner)
        for head in spec["heads"]:
            put(f"{prefix}heads.{head['name']}.weight", head["out"], width)
            put(f"{prefix}heads.{head['name']}.bias", head["out"], scale=0.3)

    fusion, outs = spec["fusion"], [m["projection"]["out"] for m in spec["modalities"]]
    kind, d = fusion["kind"], outs[0]
    for m in spec["modalities"]:
        p = f"modalities.{m['name']}"
        put(f"{p}.scaler.mean", m["dim"])
        put(f"{p}.scaler.scale", m["dim"], scale=0.3, offset=1.0)
        if m.get("sequence", {}).get("pooling") == "attention":
            k = m["sequence"]["attentionDim"]
            put(f"{p}.pooling.W", k, m["dim"])
            put(f"{p}.pooling.b", k, scale=0.2)
            put(f"{p}.pooling.w", k)
        put_layer(f"{p}.projection", f"{p}.norm", m["dim"], m["projection"])
        if kind in ("concat", "hybrid"):
            put(f"{p}.absent", m["projection"]["out"])
    if kind in ("weighted-sum", "late", "hybrid"):
        put("fusion.logits", len(outs))
    if kind in ("late", "hybrid"):
        for m in spec["modalities"]:
            put_trunk(f"late.{m['name']}.", m["projection"]["out"])
    if kind == "hybrid":
        put("fusion.gate", 1)
    if kind == "tensor":
        put("fusion.weight", fusion["out"], int(np.prod([n + 1 for n in outs])), scale=0.3)
    if kind == "low-rank":
        for m in spec["modalities"]:
            put(f"fusion.factors.{m['name']}", fusion["rank"], m["projection"]["out"] + 1, fusion["out"], scale=0.6)
        put("fusion.rank_weights", fusion["rank"])
    if kind in ("tensor", "low-rank"):
        d = fusion["out"]
        put("fusion.bias", d, scale=0.2)
    if kind == "attention" and fusion["form"] == "tanh":
        put("fusion.W", fusion["attentionDim"], d)
        put("fusion.b", fusion["attentionDim"], scale=0.2)
        put("fusion.w", fusion["attentionDim"], scale=1.5)
    elif kind == "attention":
        put("fusion.W_a", d, d)
        put("fusion.b_a", d, scale=0.2)
    for i in range(fusion.get("blocks", 0)):
        p = f"fusion.blocks.{i}"
        for part in "qkvo":
            put(f"{p}.W{part}", d, d)
            put(f"{p}.b{part}", d, scale=0.2)
        for norm in ("norm1", "norm2"):
            put(f"{p}.{norm}.weight", d, scale=0.2, offset=1.0)
            put(f"{p}.{norm}.bias", d, scale=0.2)
        put(f"{p}.W1", fusion["hidden"], d)
        put(f"{p}.b1", fusion["hidden"], scale=0.2)
        put(f"{p}.W2", d, fusion["hidden"])
        put(f"{p}.b2", d, scale=0.2)
    if kind != "late":
        put_trunk("", sum(outs) if kind in ("concat", "hybrid") else d)
    return out


def block(x, b, heads):
    """Vectors (n, d), each of which attends to the others, by PyTorch's own attention; one alone to nothing."""
    n, d = x.shape
    if n == 1:
        y = b["bo"][None]
    else:
        y, _ = F.multi_head_attention_forward(
            x[:, None],
            x[:, None],
            x[:, None],
            d,
            heads,
            torch.cat([b["Wq"], b["Wk"], b["Wv"]]),
            torch.cat([b["bq"], b["bk"], b["bv"]]),
            None,
            None,
            False,
            0.0,
            b["Wo"],
            b["bo"],
            attn_mask=torch.eye(n, dtype=torch.bool),
        )
        y = y[:, 0]
    u = F.layer_norm(x + y, (d,), b["norm1.weight"], b["norm1.bias"])
    inner = F.relu(u @ b["W1"].T + b["b1"]) @ b["W2"].T + b["b2"]
    return F.layer_norm(u + inner, (d,), b["norm2.weight"], b["norm2.bias"])


def forward(spec, weights, inputs, lengths, present):
    """One row. inputs: by modality (dim) or (T, dim). Returns heads, modality weights or None, step weights."""
    w = {name: torch.tensor(value, dtype=torch.float64) for name, value in weights.items()}
    fusion, kind = spec["fusion"], spec["fusion"]["kind"]

    def act_ln(x, prefix, norm, layer):
        x = w[f"{prefix}.weight"] @ x + w[f"{prefix}.bias"]
        if layer["layerNorm"]:
            mean, var = x.mean(), x.var(unbiased=False)
            x = (x - mean) / torch.sqrt(var + 1e-5) * w[f"{norm}.weight"] + w[f"{norm}.bias"]
        return ACTIVATIONS[layer["activation"]](x)

    def finish(x, prefix=""):
        for i, inner in enumerate(spec["trunk"]):
            x = act_ln(x, f"{prefix}trunk.{i}", f"{prefix}trunk.{i}.norm", inner)
        return torch.cat(
            [w[f"{prefix}heads.{h['name']}.weight"] @ x + w[f"{prefix}heads.{h['name']}.bias"] for h in spec["heads"]]
        )

    hidden, steps = [], {}
    for i, m in enumerate(spec["modalities"]):
        if not present[i]:
            hidden.append(None)
            continue
        p = f"modalities.{m['name']}"
        x = torch.tensor(inputs[m["name"]], dtype=torch.float64)
        x = (x - w[f"{p}.scaler.mean"]) * w[f"{p}.scaler.scale"]
        if "sequence" in m:
            x = x[: lengths[m["name"]]]
            a = torch.full((len(x),), 1 / len(x), dtype=torch.float64)
            if m["sequence"]["pooling"] == "attention":
                a = torch.softmax(torch.tanh(x @ w[f"{p}.pooling.W"].T + w[f"{p}.pooling.b"]) @ w[f"{p}.pooling.w"], 0)
            steps[m["name"]] = a.numpy()
            x = a @ x
        hidden.append(act_ln(x, f"{p}.projection", f"{p}.norm", m["projection"]))

    there = [i for i, h in enumerate(hidden) if h is not None]
    alpha = None
    if "fusion.logits" in w:
        alpha = torch.zeros(len(hidden), dtype=torch.float64)
        alpha[there] = torch.softmax(w["fusion.logits"][there], 0)
    if kind in ("concat", "hybrid"):
        early = finish(
            torch.cat(
                [
                    w[f"modalities.{m['name']}.absent"] if h is None else h
                    for m, h in zip(spec["modalities"], hidden)
                ]
            )
        )
        y = early
    if kind in ("late", "hybrid"):
        y = sum(alpha[i] * finish(hidden[i], f"late.{spec['modalities'][i]['name']}.") for i in there)
        if kind == "hybrid":
            g = torch.sigmoid(w["fusion.gate"])
            y = g * early + (1 - g) * y
    if kind == "weighted-sum":
        y = finish(sum(alpha[i] * hidden[i] for i in there))
    if kind in ("tensor", "low-rank"):
        one = torch.ones(1, dtype=torch.float64)
        ended = [
            torch.cat([torch.zeros(m["projection"]["out"], dtype=torch.float64) if h is None else h, one])
            for m, h in zip(spec["modalities"], hidden)
        ]
        if kind == "tensor":
            z = torch.einsum("i,j,k->ijk", *ended).reshape(-1)
            fused = w["fusion.weight"] @ z
        else:
            fused = 0
            for r in range(fusion["rank"]):
                product = w["fusion.rank_weights"][r]
                for m, h in zip(spec["modalities"], ended):
                    product = product * (h @ w[f"fusion.factors.{m['name']}"][r])
                fused = fused + product
        y = finish(ACTIVATIONS[fusion["activation"]](fused + w["fusion.bias"]))
    if kind == "attention":
        h = torch.stack([hidden[i] for i in there])
        alpha = torch.zeros(len(hidden), dtype=torch.float64)
        if fusion["form"] == "tanh":
            a = torch.softmax(torch.tanh(h @ w["fusion.W"].T + w["fusion.b"]) @ w["fusion.w"], 0)
            alpha[there] = a
            y = finish(a @ h)
        else:
            a = torch.softmax(h @ w["fusion.W_a"].T + w["fusion.b_a"], 0)
            alpha[there] = a.mean(1)
            y = finish((a * h).sum(0))
    if kind == "cross-modal":
        x = torch.stack([hidden[i] for i in there])
        for i in range(fusion["blocks"]):
            b = {name.split(".", 3)[3]: value for name, value in w.items() if name.startswith(f"fusion.blocks.{i}.")}
            x = block(x, b, fusion["heads"])
        y = finish(x.mean(0))
    return y.numpy(), None if alpha is None else alpha.numpy(), steps


def main():
    rng = np.random.default_rng(20240607)
    tensors, cases = {}, []
    shared = {
        "text": rng.standard_normal((BATCH, 7)),
        "trailer.video": rng.standard_normal((BATCH, 5, 6)),
        "audio": rng.standard_normal((BATCH, 4, 3)),
    }
    shared = {name: value.astype(np.float32) for name, value in shared.items()}
    lengths = {"trailer.video": [5, 1, 3, 0, 2, 4], "audio": [2, 4, 0, 0, 1, 3]}
    present = np.array([[1, 1, 1], [1, 1, 1], [0, 1, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]], np.uint8)
    for name, value in shared.items():
        tensors[f"inputs.{name}"] = value
    for name, value in lengths.items():
        tensors[f"lengths.{name}"] = np.array(value, np.int32)
    tensors["present"] = present
    common = {key: key for key in tensors}
    for case, spec in SPECS.items():
        weights = make_weights(spec, rng)
        heads, alphas = [], []
        steps = {name: np.zeros(shared[name].shape[:2]) for name in lengths}
        for row in range(BATCH):
            inputs = {name: value[row] for name, value in shared.items()}
            row_lengths = {name: value[row] for name, value in lengths.items()}
            y, alpha, a = forward(spec, weights, inputs, row_lengths, present[row])
            heads.append(y)
            alphas.append(alpha)
            for name, value in a.items():
                steps[name][row, : len(value)] = value
        fields = dict(common)
        results = {}
        column = 0
        for head in spec["heads"]:
            results[f"heads.{head['name']}"] = np.array(heads)[:, column : column + head["out"]]
            column += head["out"]
        if alphas[0] is not None:
            results["modalityWeights"] = np.array(alphas)
        for name, value in steps.items():
            results[f"sequenceWeights.{name}"] = value
        for name, value in {**{f"weights.{n}": v for n, v in weights.items()}, **results}.items():
            tensors[f"{case}/{name}"] = value
            fields[name] = f"{case}/{name}"
        tolerances = {name: {"nmax": 2e-5} for name in results}
        cases.append({"name": case, "config": {"spec": spec}, "tol": tolerances, "tensors": fields})
    # 8-byte values first, so that every tensor lies on a multiple of its element size
    ordered = dict(sorted(tensors.items(), key=lambda item: -item[1].itemsize))
    safetensors_io.write(os.path.join(HERE, "network.safetensors"), ordered)
    with open(os.path.join(HERE, "network.json"), "w") as file:
        json.dump({"data": "network.safetensors", "cases": cases}, file, indent=1)
        file.write("\n")


main()
