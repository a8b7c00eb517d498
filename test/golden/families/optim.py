"""Optimiser steps."""
import math

import numpy as np

from .autograd import leafs
from .pack import Pack


def gen_optim(ctx):
    torch = ctx.torch
    F = torch.nn.functional
    p = Pack(ctx, 'optim', '20 optimiser steps on a small MLP from a fixed start; parameters and gradients after each step')
    i, h, o, B, steps = p.dim(7), p.dim(9), 3, p.dim(8), 20
    init = {'W1': p.f32(h, i, scale=1 / math.sqrt(i)), 'b1': p.f32(h, scale=0.1), 'W2': p.f32(o, h, scale=1 / math.sqrt(h)), 'b2': p.f32(o, scale=0.1)}
    X, Y = p.f32(steps, B, i), p.f32(steps, B, o)
    first = None
    S = torch.optim.SGD
    for name, cfg, mk in (
            ('sgd', dict(kind='sgd', lr=0.05), lambda q: S(q, lr=0.05)),
            ('sgd_momentum', dict(kind='sgd', lr=0.05, momentum=0.9), lambda q: S(q, lr=0.05, momentum=0.9)),
            ('sgd_nesterov_wd', dict(kind='sgd', lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.01),
             lambda q: S(q, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.01)),
            ('adam', dict(kind='adam', lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8), lambda q: torch.optim.Adam(q, lr=0.01)),
            ('adam_l2', dict(kind='adam', lr=0.003, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.1),
             lambda q: torch.optim.Adam(q, lr=0.003, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1)),
            ('adamw', dict(kind='adamw', lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.05), lambda q: torch.optim.AdamW(q, lr=0.01, weight_decay=0.05)),
            ('adam_clip', dict(kind='adam', lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8, clip_grad_norm=0.25), lambda q: torch.optim.Adam(q, lr=0.01))):
        lv = leafs(torch, init)
        opt = mk(list(lv.values()))
        traj = {k: [] for k in lv}
        grads = {k: [] for k in lv}
        loss_log, norms = [], []
        for s in range(steps):
            opt.zero_grad()
            y = torch.relu(torch.tensor(X[s].astype(np.float64)) @ lv['W1'].T + lv['b1']) @ lv['W2'].T + lv['b2']
            l = F.mse_loss(y, torch.tensor(Y[s].astype(np.float64)))
            l.backward()
            for k in lv:
                grads[k].append(lv[k].grad.numpy().copy())
            if 'clip_grad_norm' in cfg:
                n = torch.sqrt(sum((v.grad ** 2).sum() for v in lv.values()))
                norms.append(float(n))
                for v in lv.values():
                    v.grad *= min(1.0, cfg['clip_grad_norm'] / (float(n) + 1e-6))
            opt.step()
            loss_log.append(float(l))
            for k in lv:
                traj[k].append(lv[k].detach().numpy().copy())
        t = {f'{k}_after': np.stack(v) for k, v in traj.items()}
        t.update({f'd_{k}': np.stack(v) for k, v in grads.items()})
        t['loss'] = np.array(loss_log)
        if norms:
            t['grad_norm'] = np.array(norms)
        share = {k: f'{first}/{k}' for k in (*init, 'X', 'Y')} if first else None
        if not first:
            t.update(init, X=X, Y=Y)
        p.case(name, {**cfg, 'steps': steps, 'model': 'y = W2 relu(W1 x + b1) + b2', 'loss': 'mse mean', 'batch_of_step_s': 'X[s], Y[s]',
                      'd_*': 'raw gradients of step s, before clipping and weight decay', '*_after': 'parameters after step s'}, t,
               {**{f'{k}_after': {'atol': 2e-5 if 'adam' in name else 1e-5} for k in init}, **{f'd_{k}': {'nmax': 2e-5} for k in init}, 'loss': {'rtol': 5e-5}, **({'grad_norm': {'rtol': 5e-5}} if norms else {})}, share)
        first = first or name
    p.save()
