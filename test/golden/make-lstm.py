"""Reference outputs and gradients of LSTMs, for test/ops/lstm.test.ts: lstm.json + lstm.safetensors.gz.

torch.nn.LSTM in float64 over packed sequences, gradients by autograd; inputs, weights and incoming gradients are
float32. Gates in PyTorch's order i, f, g, o; `bias` is the sum of its two. Each case's gradients are also held against
central differences here. Needs PyTorch:

    python3 test/golden/make-lstm.py
"""
import gzip
import json
import os
import sys

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "training"))
import safetensors_io  # noqa: E402

# name: batch, time, input, hidden, directions, lengths or None, what else
CASES = {
    "plain": (3, 7, 5, 4, 1, None, {}),
    "one_step_one_unit": (1, 1, 1, 1, 1, None, {"states": True}),
    "lengths_states": (5, 9, 3, 17, 1, [4, 9, 1, 7, 9], {"states": True}),
    "no_bias": (2, 4, 3, 5, 1, None, {"bias": False}),
    "bidirectional": (3, 6, 7, 5, 2, None, {}),
    "bidirectional_lengths_states": (6, 8, 5, 8, 2, [8, 3, 1, 5, 8, 2], {"states": True}),
    "bidirectional_wide": (2, 4, 2, 16, 2, [4, 3], {"states": True}),
    "long": (2, 60, 2, 3, 1, [60, 41], {}),
    "saturated": (4, 6, 4, 9, 2, [6, 2, 6, 1], {"scale": 6.0, "states": True}),
    "fourteen_rows": (14, 3, 4, 6, 1, [3, 1, 2, 3, 3, 1, 2, 2, 3, 1, 1, 3, 2, 3], {"states": True}),
}
TOLERANCES = {"y": 5e-6, "h": 5e-6, "c": 5e-6}
GRADIENT_TOLERANCE = 2e-5


def module(case, w):
    _, _, inputs, hidden, directions, _, _ = case
    net = torch.nn.LSTM(inputs, hidden, bidirectional=directions == 2, batch_first=True).double()
    with torch.no_grad():
        for d in range(directions):
            end = "_reverse" if d else ""
            getattr(net, f"weight_ih_l0{end}").copy_(w["weight_input"][d])
            getattr(net, f"weight_hh_l0{end}").copy_(w["weight_hidden"][d])
            # Two unequal halves of the bias: their sum is what counts.
            getattr(net, f"bias_ih_l0{end}").copy_(w["bias"][d] - 0.25)
            getattr(net, f"bias_hh_l0{end}").fill_(0.25)
    return net


def run(case, net, x, h0, c0):
    _, time, _, _, _, lengths, _ = case
    if lengths is None:
        y, (h, c) = net(x, (h0, c0))
        return y, h, c
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, (h, c) = net(packed, (h0, c0))
    return pad_packed_sequence(y, batch_first=True, total_length=time)[0], h, c


def make(name, case, seed):
    batch, time, inputs, hidden, directions, lengths, options = case
    rng = np.random.default_rng(seed)

    def draw(*shape, scale=1.0):
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    scale = options.get("scale", 1.0) * hidden**-0.5
    w = {
        "weight_input": draw(directions, 4 * hidden, inputs, scale=scale),
        "weight_hidden": draw(directions, 4 * hidden, hidden, scale=scale),
        "bias": draw(directions, 4 * hidden, scale=0.3 if options.get("bias", True) else 0.0),
    }
    given = dict(w, x=draw(batch, time, inputs))
    ends = (directions, batch, hidden)
    states = {"h0": draw(*ends, scale=0.5), "c0": draw(*ends)}
    if not options.get("states"):
        states = {key: np.zeros(ends, np.float32) for key in states}
    out = {"grad_y": draw(batch, time, directions * hidden), "grad_h": draw(*ends), "grad_c": draw(*ends)}

    exact = {key: torch.tensor(value, dtype=torch.float64) for key, value in {**given, **states, **out}.items()}
    net = module(case, exact)
    leaves = {key: exact[key].clone().requires_grad_() for key in ("x", "h0", "c0")}
    y, h, c = run(case, net, *leaves.values())

    def loss(y, h, c):
        return (y * exact["grad_y"]).sum() + (h * exact["grad_h"]).sum() + (c * exact["grad_c"]).sum()

    loss(y, h, c).backward()
    found = {"y": y, "h": h, "c": c}
    grads = {f"d_{key}": leaf.grad for key, leaf in leaves.items()}
    for key, weight in (("weight_input", "weight_ih"), ("weight_hidden", "weight_hh"), ("bias", "bias_ih")):
        ends = ["", "_reverse"][:directions]
        grads[f"d_{key}"] = torch.stack([getattr(net, f"{weight}_l0{end}").grad for end in ends])
    check(case, exact, leaves, grads, loss, rng)

    tensors = {key: value for key, value in given.items() if key != "bias" or options.get("bias", True)}
    if options.get("states"):
        tensors.update(states)
    tensors.update(out)
    if lengths is not None:
        tensors["lengths"] = np.array(lengths, np.int32)
    for key, value in {**found, **grads}.items():
        tensors[key] = value.detach().numpy()
    tol = {key: {"nmax": bound} for key, bound in TOLERANCES.items()}
    tol.update({key: {"nmax": GRADIENT_TOLERANCE} for key in grads})
    config = {"batch": batch, "time": time, "inputSize": inputs, "hiddenSize": hidden, "directions": directions}
    return {"name": name, "config": config, "tol": tol}, tensors


def check(case, exact, leaves, grads, loss, rng):
    """Central differences along a random direction of every input and weight."""
    for key, grad in grads.items():
        name = key[2:]
        direction = torch.tensor(rng.standard_normal(tuple(grad.shape)))
        values = []
        for step in (1e-5, -1e-5):
            moved = dict(exact, **{name: exact[name] + step * direction})
            with torch.no_grad():
                values.append(loss(*run(case, module(case, moved), moved["x"], moved["h0"], moved["c0"])))
        numeric = (values[0] - values[1]) / 2e-5
        slope = (grad * direction).sum()
        assert abs(numeric - slope) <= 1e-6 * (1 + abs(slope)), (key, float(numeric), float(slope))


def main():
    cases, stored = [], {}
    for seed, (name, case) in enumerate(CASES.items()):
        described, tensors = make(name, case, seed)
        described["tensors"] = {}
        for field, value in tensors.items():
            stored[f"{name}.{field}"] = np.ascontiguousarray(value)
            described["tensors"][field] = f"{name}.{field}"
        cases.append(described)
    # Wide types first: every tensor then lies at a multiple of its element's size.
    ordered = dict(sorted(stored.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))
    path = os.path.join(HERE, "lstm.safetensors")
    safetensors_io.write(path, ordered)
    with open(path, "rb") as plain, open(path + ".gz", "wb") as packed:
        with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
            file.write(plain.read())
    os.remove(path)
    with open(os.path.join(HERE, "lstm.json"), "w") as file:
        json.dump({"family": "lstm", "data": "lstm.safetensors.gz", "cases": cases}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
