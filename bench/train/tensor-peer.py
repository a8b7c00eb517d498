"""Training of a tensor-fusion head in PyTorch, which writes the outer product, for tensor.bench.ts:
films batch dim width out threads. Answers each line with the mean loss and the megabytes by which the process has
grown since a step of one film."""
import json
import resource
import sys

import torch

films, batch, dim, width, out, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
MODALITIES = 3
size = (width + 1) ** MODALITIES


def numbers(salt, scale, *shape):
    """Filled a piece at a time, so that no large temporary raises the mark that memory is measured from."""
    result = torch.empty(shape)
    flat = result.view(-1)
    for start in range(0, flat.numel(), 8192):
        index = torch.arange(start, min(start + 8192, flat.numel()))
        flat[start : start + 8192] = (((index * 7919 + salt * 104729) % 10007).double() / 10007 - 0.5) * scale
    return result


def layer(salt, rows, columns):
    linear = torch.nn.Linear(columns, rows)
    with torch.no_grad():
        linear.weight.copy_(numbers(salt, 2 / columns**0.5, rows, columns))
        linear.bias.copy_(numbers(salt + 1, 0.1, rows))
    return linear


X = [numbers(m + 1, 4, films, dim) for m in range(MODALITIES)]
Y = numbers(9, 4, films, 1)
projections = torch.nn.ModuleList(layer(10 + 2 * m, width, dim) for m in range(MODALITIES))
fusion, head = layer(20, out, size), layer(22, 1, out)
model = torch.nn.ModuleList([projections, fusion, head])
optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
loss_of = torch.nn.MSELoss()
one = torch.ones(batch, 1)


def forward(rows):
    z = None
    for x, projection in zip(X, projections):
        h = torch.cat([torch.relu(projection(x[rows])), one[: rows.stop - rows.start]], 1)
        z = h if z is None else (z[:, :, None] * h[:, None, :]).flatten(1)
    return head(torch.relu(fusion(z)))


def step(rows):
    optimizer.zero_grad()
    loss = loss_of(forward(rows), Y[rows])
    loss.backward()
    optimizer.step()
    return loss.item()


def epoch():
    losses = [step(slice(start, min(films, start + batch))) for start in range(0, films, batch)]
    return sum(losses) / len(losses)


megabytes = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
step(slice(0, 1))  # gradients and moments are there from now on
before = megabytes()
print("ready", flush=True)
for _ in sys.stdin:
    loss = epoch()
    print(json.dumps({"loss": loss, "megabytes": megabytes() - before}), flush=True)
