"""Reference results and gradients of embedding and conv_pool: conv_pool.json + conv_pool.safetensors.gz.

Inputs are float32; everything else is float64 by PyTorch's own embedding, conv1d and autograd, a row of the batch at a
time. The gradients are held against finite differences too (torch.autograd.gradcheck). Needs PyTorch:

    python3 test/golden/make-conv-pool.py
"""
import gzip
import json
import os
import sys

import numpy as np
import torch
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "training"))
import safetensors_io  # noqa: E402

ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "tanh": torch.tanh}
# name: batch, steps, dim, windows (size, filters), activation, lengths, biases
CONV = {
    "tiny": (3, 7, 5, [(2, 4), (3, 5), (4, 3)], "relu", [7, 2, 0], True),
    "textcnn": (4, 30, 24, [(3, 10), (4, 10), (5, 10)], "relu", [30, 17, 4, 5], True),
    "two_blocks": (2, 12, 100, [(5, 3)], "relu", None, True),
    "wide": (3, 9, 3, [(2, 37)], "tanh", [9, 8, 1], True),
    "single_steps": (2, 6, 17, [(1, 19)], "tanh", None, False),
    "longer_than_rows": (3, 4, 6, [(6, 5), (4, 2)], "none", [4, 3, 1], True),
    "many_places": (1, 203, 4, [(3, 8)], "none", None, False),
}
# name: rows, dim, ids, padding
LOOKUPS = {
    "repeated": (11, 7, [3, 0, 10, 3, 3, 7, 0, 10, 1], None),
    "padded": (6, 33, [0, 5, 0, 2, 2, 0, 5, 1], 0),
    "padded_outside": (5, 3, [-1, 4, 4, -1, 0], -1),
}


def conv_pool(x, lengths, weights, biases, activation):
    rows = []
    for b in range(x.shape[0]):
        columns = []
        for weight, bias in zip(weights, biases):
            row = x[b, : lengths[b]]
            missing = max(weight.shape[1] - lengths[b], 0)
            row = torch.cat([row, torch.zeros(missing, x.shape[2], dtype=x.dtype)])
            y = F.conv1d(row.T.unsqueeze(0), weight.transpose(1, 2), bias)[0]
            columns.append(ACTIVATIONS[activation](y).max(1)[0])
        rows.append(torch.cat(columns))
    return torch.stack(rows)


def main():
    rng = np.random.default_rng(20240611)
    tensors, cases = {}, []

    def put(case, fields, name, value):
        tensors[f"{case}/{name}"] = np.asarray(value)
        fields[name] = f"{case}/{name}"

    def random(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    for case, (batch, steps, dim, windows, activation, lengths, biased) in CONV.items():
        fields, tol = {}, {"y": {"nmax": 5e-6}, "dx": {"nmax": 1e-5}}
        x, dy = random(batch, steps, dim), random(batch, sum(filters for _, filters in windows))
        put(case, fields, "x", x)
        put(case, fields, "dy", dy)
        if lengths:
            put(case, fields, "lengths", np.array(lengths, np.int32))
        weights, biases = [], []
        for i, (size, filters) in enumerate(windows):
            weights.append(random(filters, size, dim) / np.float32((size * dim) ** 0.5))
            biases.append(random(filters) if biased else None)
            put(case, fields, f"weight{i}", weights[-1])
            if biased:
                put(case, fields, f"bias{i}", biases[-1])
        wanted = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in [x, *weights]]
        wanted += [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in biases if biased]
        count = len(windows)

        def forward(x, *arrays):
            shifts = arrays[count:] if biased else [None] * count
            return conv_pool(x, lengths or [steps] * batch, arrays[:count], shifts, activation)

        y = forward(*wanted)
        y.backward(torch.tensor(dy, dtype=torch.float64))
        if sum(v.numel() for v in wanted) < 400:
            assert torch.autograd.gradcheck(forward, wanted)
        put(case, fields, "y", y.detach().numpy())
        put(case, fields, "dx", wanted[0].grad.numpy())
        for i in range(count):
            put(case, fields, f"dweight{i}", wanted[1 + i].grad.numpy())
            tol[f"dweight{i}"] = {"nmax": 1e-5}
            if biased:
                put(case, fields, f"dbias{i}", wanted[1 + count + i].grad.numpy())
                tol[f"dbias{i}"] = {"nmax": 1e-5}
        config = {"kind": "conv_pool", "steps": steps, "dim": dim, "sizes": [w[0] for w in windows]}
        cases.append({"name": case, "config": {**config, "activation": activation}, "tol": tol, "tensors": fields})

    for case, (rows, dim, ids, padding) in LOOKUPS.items():
        fields = {}
        table, dy = random(rows, dim), random(len(ids), dim)
        # Our padding reads zeros and may lie outside the table: one row more, of zeros, stands for it.
        own = [rows if i == padding else i for i in ids]
        whole = torch.tensor(np.concatenate([table, np.zeros((1, dim), np.float32)]), dtype=torch.float64)
        whole.requires_grad_()
        y = F.embedding(torch.tensor(own), whole, padding_idx=rows)
        y.backward(torch.tensor(dy, dtype=torch.float64))
        for name, value in {
            "ids": np.array(ids, np.int32),
            "table": table,
            "dy": dy,
            "y": y.detach().numpy(),
            "dtable": whole.grad[:rows].numpy(),
        }.items():
            put(case, fields, name, value)
        tol = {"y": {"exact": True}, "dtable": {"nmax": 1e-6}}
        cases.append(
            {"name": case, "config": {"kind": "embedding", "padding": padding}, "tol": tol, "tensors": fields}
        )

    # 8-byte values first, so that every tensor lies on a multiple of its element size
    ordered = dict(sorted(tensors.items(), key=lambda item: -item[1].itemsize))
    plain = os.path.join(HERE, "conv_pool.safetensors")
    safetensors_io.write(plain, ordered)
    with open(plain, "rb") as file, open(plain + ".gz", "wb") as packed:
        packed.write(gzip.compress(file.read(), 9, mtime=0))
    os.remove(plain)
    with open(os.path.join(HERE, "conv_pool.json"), "w") as file:
        json.dump({"data": "conv_pool.safetensors.gz", "cases": cases}, file, indent=1)
        file.write("\n")


main()
