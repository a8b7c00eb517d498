"""Linear layer, activations, layer norm, softmax."""
import math

import numpy as np

from .autograd import finish, grad_tols, leafs
from .pack import Pack, tol


def gen_layers(ctx):
    torch = ctx.torch
    F = torch.nn.functional
    p = Pack(ctx, 'layers', 'linear layer, activations, layer norm; forward and all gradients')
    for B, i, o in ((1, 1, 1), (1, 7, 5), (3, 13, 1), (17, 31, 9), (5, 64, 33), (65, 17, 19)):
        B, i, o = (B if B == 1 else p.dim(B)), (i if i == 1 else p.dim(i)), (o if o == 1 else p.dim(o))
        for bias in (True, False):
            x = {'x': p.f32(B, i), 'W': p.f32(o, i, scale=1 / math.sqrt(i))}
            if bias:
                x['b'] = p.f32(o)
            gy = p.f32(B, o)
            lv = leafs(torch, x)
            y = F.linear(lv['x'], lv['W'], lv.get('b'))
            g = finish(torch, lv, y, gy)
            p.case(f'linear_b{B}_{i}_{o}{"" if bias else "_nobias"}', {'kind': 'linear', 'batch': B, 'in': i, 'out': o, 'bias': bias},
                   {**x, 'y': y.detach().numpy(), 'grad_y': gy, **g}, grad_tols(g))
    v = np.concatenate([p.f32(40, scale=3), np.array([0, -0.0, 1, -1, 20, -20, 90, -90, 1e-6, -1e-6], np.float32)])
    gy = p.f32(len(v))
    for name, fn in (('relu', torch.relu), ('tanh', torch.tanh), ('sigmoid', torch.sigmoid), ('gelu_erf', F.gelu),
                     ('gelu_tanh', lambda t: F.gelu(t, approximate='tanh')), ('silu', F.silu), ('leaky_relu_0.01', F.leaky_relu),
                     ('softplus', lambda t: torch.log1p(torch.exp(-t.abs())) + t.clamp(min=0))):
        lv = leafs(torch, {'x': v})
        y = fn(lv['x'])
        g = finish(torch, lv, y, gy)
        if name == 'softplus':
            g['d_x'] = gy.astype(np.float64) / (1 + np.exp(-v.astype(np.float64)))
        if name == 'relu':
            g['d_x'] = gy.astype(np.float64) * (v > 0)
        p.case(f'act_{name}', {'kind': 'activation', 'fn': name, 'note': 'the slope of (leaky) relu at 0 is the negative side\'s'},
               {'x': v, 'y': y.detach().numpy(), 'grad_y': gy, **g}, tol(y={'atol': 1e-6, 'rtol': 2e-6}, d_x={'atol': 2e-6, 'rtol': 5e-6}))
    for B, d in ((1, 5), (p.dim(4), p.dim(33)), (3, 1), (2, p.dim(257))):
        x = {'x': p.f32(B, d, scale=2) + np.float32(1.5), 'g': 1 + p.f32(d, scale=0.2), 'b': p.f32(d, scale=0.2)}
        gy = p.f32(B, d)
        lv = leafs(torch, x)
        y = F.layer_norm(lv['x'], (d,), lv['g'], lv['b'], 1e-5)
        g = finish(torch, lv, y, gy)
        p.case(f'layernorm_b{B}_d{d}', {'kind': 'layernorm', 'eps': 1e-5}, {**x, 'y': y.detach().numpy(), 'grad_y': gy, **g},
               {**{k: {'nmax': 1e-5} for k in (*g, 'y')}, **({k: {'atol': 1e-3, 'note': 'exactly 0 in theory'} for k in ('d_x', 'd_g')} if d == 1 else {})})
    for B, d in ((3, 1), (p.dim(5), p.dim(11)), (2, 1000)):
        x = {'x': p.f32(B, d, scale=4)}
        x['x'][0] *= 20
        gy = p.f32(B, d)
        for name in ('softmax', 'log_softmax'):
            lv = leafs(torch, x)
            y = getattr(torch, name)(lv['x'], 1)
            g = finish(torch, lv, y, gy)
            p.case(f'{name}_b{B}_d{d}', {'kind': name}, {**x, 'y': y.detach().numpy(), 'grad_y': gy, **g}, tol(y={'atol': 1e-5, 'rtol': 1e-5}, d_x={'atol': 2e-5, 'rtol': 1e-4}))
    p.save()
