"""Losses."""
import numpy as np

from .autograd import leafs
from .pack import Pack, tol


def gen_losses(ctx):
    torch = ctx.torch
    F = torch.nn.functional
    p = Pack(ctx, 'losses', 'losses with gradients of the input, reductions mean, sum and none')
    rng = p.rng
    t_l = tol(mean={'rtol': 1e-5, 'atol': 1e-6}, sum={'rtol': 1e-5, 'atol': 1e-5}, none={'rtol': 1e-5, 'atol': 2e-6},
              d_mean={'rtol': 2e-5, 'atol': 1e-6}, d_sum={'rtol': 2e-5, 'atol': 2e-6})

    def run(name, cfg, x, fn, extra, **kw):
        t = dict(extra)
        t['x'] = x
        for r in ('mean', 'sum'):
            lv = leafs(torch, {'x': x})
            l = fn(lv['x'], r)
            l.backward()
            t[r] = np.array([float(l)])
            t[f'd_{r}'] = lv['x'].grad.numpy()
        t['none'] = fn(torch.tensor(x.astype(np.float64)), 'none').numpy()
        p.case(name, cfg, t, t_l)

    for B, d in ((1, 1), (p.dim(5), p.dim(3)), (p.dim(33), p.dim(7))):
        x, y = p.f32(B, d, scale=2), p.f32(B, d, scale=2)
        ty = torch.tensor(y.astype(np.float64))
        if B > 1:
            x[0, 0] = y[0, 0]
            ty = torch.tensor(y.astype(np.float64))
        run(f'mse_{B}x{d}', {'kind': 'mse'}, x, lambda a, r: F.mse_loss(a, ty, reduction=r), {'target': y})
        run(f'mae_{B}x{d}', {'kind': 'mae', 'note': 'slope 0 where equal'}, x, lambda a, r: F.l1_loss(a, ty, reduction=r), {'target': y})
        for delta in (1.0, 0.5, 2.5):
            run(f'huber{delta}_{B}x{d}', {'kind': 'huber', 'delta': delta}, x, lambda a, r: F.huber_loss(a, ty, reduction=r, delta=delta), {'target': y})
        z = x * 3
        if B > 1:
            z[0, :2], z[-1, -1] = [100, -100], 0
        lab = (rng.random((B, d)) < 0.5).astype(np.float32)
        soft = rng.random((B, d)).astype(np.float32)
        pw = (0.5 + rng.random(d) * 3).astype(np.float32)
        for nm, t_ in (('hard', lab), ('soft', soft)):
            run(f'bce_logits_{nm}_{B}x{d}', {'kind': 'bce_with_logits'}, z,
                lambda a, r: F.binary_cross_entropy_with_logits(a, torch.tensor(t_.astype(np.float64)), reduction=r), {'target': t_})
        run(f'bce_logits_posweight_{B}x{d}', {'kind': 'bce_with_logits'}, z,
            lambda a, r: F.binary_cross_entropy_with_logits(a, torch.tensor(lab.astype(np.float64)), reduction=r, pos_weight=torch.tensor(pw.astype(np.float64))),
            {'target': lab, 'pos_weight': pw})
    for B, C in ((1, 2), (p.dim(5), p.dim(4)), (p.dim(17), p.dim(11))):
        z = p.f32(B, C, scale=3)
        if B > 1:
            z[0, 0], z[0, 1] = 95, -95
        y = rng.integers(0, C, B)
        w = (0.5 + rng.random(C)).astype(np.float32)
        for ls in (0.0, 0.1):
            run(f'ce_{B}x{C}_ls{ls}', {'kind': 'cross_entropy', 'label_smoothing': ls}, z,
                lambda a, r: F.cross_entropy(a, torch.tensor(y), reduction=r, label_smoothing=ls), {'target': y.astype(np.int32)})
        run(f'ce_{B}x{C}_weighted', {'kind': 'cross_entropy', 'label_smoothing': 0.0, 'note': 'mean divides by the sum of the targets\' weights'}, z,
            lambda a, r: F.cross_entropy(a, torch.tensor(y), reduction=r, weight=torch.tensor(w.astype(np.float64))), {'target': y.astype(np.int32), 'weight': w})
    p.save()
