"""An epoch of a two-layer network in PyTorch, for epoch.bench.ts: films features hidden batch threads."""
import json
import sys

import torch

films, features, hidden, batch, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
torch.manual_seed(1)
X, Y = torch.randn(films, features), torch.randn(films, 1)
model = torch.nn.Sequential(torch.nn.Linear(features, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
loss_of = torch.nn.MSELoss()


def epoch():
    order, total = torch.randperm(films), 0.0
    for start in range(0, films, batch):
        rows = order[start : start + batch]
        optimizer.zero_grad()
        loss = loss_of(model(X[rows]), Y[rows])
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total


print('ready', flush=True)
for _ in sys.stdin:
    print(json.dumps(epoch()), flush=True)
