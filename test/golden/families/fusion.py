"""Tensor fusion and low-rank fusion."""
import math

import numpy as np

from .autograd import finish, grad_tols, leafs
from .pack import Pack


def append_one(torch, h):
    return torch.cat([h, torch.ones(h.shape[0], 1, dtype=h.dtype)], 1)


def tfn_z(torch, hs):
    z = append_one(torch, hs[0])
    for h in hs[1:]:
        z = (z[:, :, None] * append_one(torch, h)[:, None, :]).reshape(z.shape[0], -1)
    return z


def gen_fusion(ctx):
    torch = ctx.torch
    p = Pack(ctx, 'fusion', 'Tensor Fusion (outer products), low-rank fusion; forward and all gradients')
    # ---- TFN
    for dims, out in (((5, 7), 6), ((4, 3, 5), 1), ((8, 1, 2), 11), ((7, 5, 3), 4), ((3, 2, 4, 5), 6), ((1, 1), 1), ((16, 15, 17), 8)):
        dims = tuple(d if d == 1 else p.dim(d) for d in dims)
        out = out if out == 1 else p.dim(out)
        for B in ((1, 3, p.dim(17)) if max(dims) < 14 and dims != (1, 1) else (2,)):
            D = int(np.prod([d + 1 for d in dims]))
            x = {f'h{i}': p.f32(B, d) for i, d in enumerate(dims)}
            gz = p.f32(B, D)
            lv = leafs(torch, x)
            z = tfn_z(torch, list(lv.values()))
            g = finish(torch, lv, z, gz)
            name = f'tfn_{"x".join(map(str, dims))}_b{B}'
            if D < 2000:
                p.case(name + '_outer', {'kind': 'tfn', 'dims': dims, 'batch': B, 'one': 'appended last', 'order': 'first modality slowest'},
                       {**x, 'z': z.detach().numpy(), 'grad_z': gz, **g}, grad_tols(g, ('z',)))
            prm = {'W': p.f32(out, D, scale=1 / math.sqrt(D)), 'b': p.f32(out, scale=0.1)}
            gy = p.f32(B, out)
            lv = leafs(torch, {**x, **prm})
            y = tfn_z(torch, [lv[k] for k in x]) @ lv['W'].T + lv['b']
            g = finish(torch, lv, y, gy)
            if D >= 2000:
                g['d_W'] = g['d_W'].astype(np.float32)
            p.case(name + '_linear', {'kind': 'tfn_linear', 'dims': dims, 'batch': B, 'out': out, 'one': 'appended last',
                                      'order': 'first modality slowest', 'W': '[out, prod(d+1)]'},
                   {**({k: v for k, v in x.items()} if D >= 2000 else {}), **prm, 'y': y.detach().numpy(), 'grad_y': gy, **g}, grad_tols(g),
                   None if D >= 2000 else {k: f'{name}_outer/{k}' for k in x})
    # ---- LMF
    for dims, out, rank, B in (((5, 7), 6, 1, 1), ((5, 7), 6, 4, 3), ((4, 3, 5), 3, 1, 3), ((4, 3, 5), 3, 4, 17), ((4, 3, 5), 3, 8, 1),
                               ((9, 1, 6), 1, 8, 17), ((3, 2, 4, 5), 6, 4, 3), ((33, 17, 21), 16, 4, 5)):
        dims, out = tuple(d if d == 1 else p.dim(d) for d in dims), (out if out == 1 else p.dim(out))
        B = B if B == 1 else p.dim(B)
        for weighted in (True, False):
            x = {f'h{i}': p.f32(B, d) for i, d in enumerate(dims)}
            prm = {f'F{i}': p.f32(rank, d + 1, out, scale=1 / math.sqrt(d + 1)) for i, d in enumerate(dims)}
            if weighted:
                prm.update(rank_weights=p.f32(rank), bias=p.f32(out, scale=0.1))
            gy = p.f32(B, out)
            lv = leafs(torch, {**x, **prm})
            prod = None
            for i in range(len(dims)):
                t = torch.einsum('bd,rdo->rbo', append_one(torch, lv[f'h{i}']), lv[f'F{i}'])
                prod = t if prod is None else prod * t
            y = torch.einsum('r,rbo->bo', lv['rank_weights'], prod) + lv['bias'] if weighted else prod.sum(0)
            g = finish(torch, lv, y, gy)
            p.case(f'lmf_{"x".join(map(str, dims))}_r{rank}_b{B}_{"weighted" if weighted else "sum"}',
                   {'kind': 'lmf', 'dims': dims, 'batch': B, 'out': out, 'rank': rank, 'weighted': weighted, 'one': 'appended last',
                    'F': '[rank, d+1, out]'}, {**x, **prm, 'y': y.detach().numpy(), 'grad_y': gy, **g}, grad_tols(g))
    p.save()
