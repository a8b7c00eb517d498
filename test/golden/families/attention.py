"""Modality, temporal, spatial and cross-modal attention."""
import math

import numpy as np

from .autograd import finish, grad_tols, leafs
from .pack import Pack


def masked_softmax(torch, e, mask, dim):
    """Softmax over dim where mask; exactly 0 elsewhere, and all 0 where nothing is present."""
    e = torch.where(mask, e, torch.full_like(e, -math.inf))
    m = torch.amax(e, dim, keepdim=True)
    m = torch.where(torch.isinf(m), torch.zeros_like(m), m).detach()
    x = torch.where(mask, torch.exp(torch.where(mask, e - m, torch.zeros_like(e))), torch.zeros_like(e))
    s = x.sum(dim, keepdim=True)
    return x / torch.where(s == 0, torch.ones_like(s), s)


def gen_attention(ctx):
    torch = ctx.torch
    p = Pack(ctx, 'attention', 'modality, temporal, spatial and cross-modal attention; forward and all gradients')
    rng = p.rng

    def scaled_tols(g, sc):
        """Saturated softmax: its tiny gradients are differences of large float32 terms, so an absolute term too."""
        t = grad_tols(g, ('c', 'alpha'))
        return t if sc == 1 else {k: {'nmax': 1e-4, 'atol': 2e-5} for k in t}

    def modality_mask(B, M, kind):
        if kind == 'all':
            return np.ones((B, M), bool)
        m = rng.random((B, M)) < 0.6
        m[np.arange(B), rng.integers(0, M, B)] = True
        if kind == 'with_empty_row':
            m[B // 2] = False
        return m

    for B, M, d, kind, sc in ((1, 3, 5, 'all', 1), (3, 2, 7, 'all', 1), (17, 4, 9, 'all', 1), (3, 1, 6, 'all', 1), (17, 3, 8, 'some', 1),
                              (5, 4, 11, 'with_empty_row', 1), (3, 3, 33, 'some', 1), (4, 3, 5, 'all', 60)):
        B, d = (B if B == 1 else p.dim(B)), p.dim(d)
        mask = modality_mask(B, M, kind)
        tm = torch.tensor(mask)
        # per-feature: e_i = W_a h_i + b_a, softmax over the modalities separately for each feature
        x = {'h': p.f32(B, M, d), 'W_a': p.f32(d, d, scale=sc / math.sqrt(d)), 'b_a': p.f32(d, scale=0.2)}
        gc = p.f32(B, d)
        lv = leafs(torch, x)
        e = lv['h'] @ lv['W_a'].T + lv['b_a']
        a = masked_softmax(torch, e, tm[:, :, None].expand_as(e), 1)
        c = (a * lv['h']).sum(1)
        g = finish(torch, lv, c, gc)
        tag = f'b{B}_m{M}_d{d}_{kind}' + ('_large_scores' if sc > 1 else '')
        p.case(f'modality_feature_{tag}', {'kind': 'modality_feature', 'batch': B, 'modalities': M, 'd': d, 'mask': kind},
               {**x, 'mask': mask, 'alpha': a.detach().numpy(), 'c': c.detach().numpy(), 'grad_c': gc, **g},
               {**scaled_tols(g, sc), 'd_b_a': {'atol': 1e-5 * sc, 'note': 'exactly 0 in theory: b_a shifts every modality alike'}})
        # scalar: e_i = w . tanh(W h_i + b)
        k = p.dim(6)
        x = {'h': p.f32(B, M, d), 'W': p.f32(k, d, scale=sc / math.sqrt(d)), 'b': p.f32(k, scale=0.2), 'w': p.f32(k, scale=sc)}
        gc = p.f32(B, d)
        lv = leafs(torch, x)
        e = torch.tanh(lv['h'] @ lv['W'].T + lv['b']) @ lv['w']
        a = masked_softmax(torch, e, tm, 1)
        c = (a[:, :, None] * lv['h']).sum(1)
        g = finish(torch, lv, c, gc)
        p.case(f'modality_tanh_{tag}_k{k}', {'kind': 'modality_tanh', 'batch': B, 'modalities': M, 'd': d, 'k': k, 'mask': kind},
               {**x, 'mask': mask, 'alpha': a.detach().numpy(), 'c': c.detach().numpy(), 'grad_c': gc, **g},
               scaled_tols(g, sc))

    # temporal: one query a row, scaled dot product over a sequence, only the first len steps count
    for B, T, d, dv in ((1, 1, 4, 3), (1, 7, 5, 5), (3, 13, 8, 6), (17, 10, 7, 9), (5, 65, 16, 16)):
        B, T, d, dv = (B if B == 1 else p.dim(B)), (T if T == 1 else p.dim(T)), p.dim(d), p.dim(dv)
        L = rng.integers(1, T + 1, B)
        L[0] = T
        if B > 2:
            L[1], L[2] = 1, 0
        x = {'q': p.f32(B, d), 'K': p.f32(B, T, d), 'V': p.f32(B, T, dv)}
        gc = p.f32(B, dv)
        lv = leafs(torch, x)
        mask = torch.tensor(np.arange(T)[None, :] < L[:, None])
        a = masked_softmax(torch, torch.einsum('bd,btd->bt', lv['q'], lv['K']) / math.sqrt(d), mask, 1)
        c = torch.einsum('bt,btv->bv', a, lv['V'])
        g = finish(torch, lv, c, gc)
        p.case(f'temporal_b{B}_t{T}_d{d}_v{dv}', {'kind': 'temporal', 'batch': B, 'T': T, 'd': d, 'dv': dv, 'scale': '1/sqrt(d)',
                                                  'note': 'len 0 gives zeros and no gradient'},
               {**x, 'len': L.astype(np.int32), 'alpha': a.detach().numpy(), 'c': c.detach().numpy(), 'grad_c': gc, **g},
               grad_tols(g, ('c', 'alpha')))
    # temporal pooling with learned scores (no query): e_t = w . tanh(W x_t + b)
    for B, T, d, k in ((1, 9, 5, 4), (p.dim(6), 21, p.dim(12), p.dim(7))):
        L = rng.integers(1, T + 1, B)
        x = {'x': p.f32(B, T, d), 'W': p.f32(k, d, scale=1 / math.sqrt(d)), 'b': p.f32(k, scale=0.2), 'w': p.f32(k)}
        gc = p.f32(B, d)
        lv = leafs(torch, x)
        mask = torch.tensor(np.arange(T)[None, :] < L[:, None])
        a = masked_softmax(torch, torch.tanh(lv['x'] @ lv['W'].T + lv['b']) @ lv['w'], mask, 1)
        c = torch.einsum('bt,btd->bd', a, lv['x'])
        g = finish(torch, lv, c, gc)
        p.case(f'temporal_tanh_b{B}_t{T}_d{d}_k{k}', {'kind': 'temporal_tanh', 'batch': B, 'T': T, 'd': d, 'k': k},
               {**x, 'len': L.astype(np.int32), 'alpha': a.detach().numpy(), 'c': c.detach().numpy(), 'grad_c': gc, **g},
               grad_tols(g, ('c', 'alpha')))

    # spatial: softmax over H*W of a 1x1 score, or of a query
    for B, C, H, W in ((1, 3, 1, 1), (3, 5, 7, 7), (2, 16, 5, 9), (p.dim(4), 33, 3, 11)):
        C = p.dim(C)
        for kind in ('linear', 'query'):
            x = {'x': p.f32(B, C, H, W)}
            x.update({'w': p.f32(C), 'b': p.f32(1)} if kind == 'linear' else {'q': p.f32(B, C)})
            gc = p.f32(B, C)
            lv = leafs(torch, x)
            f = lv['x'].reshape(B, C, H * W)
            e = (torch.einsum('c,bcn->bn', lv['w'], f) + lv['b']) if kind == 'linear' else torch.einsum('bc,bcn->bn', lv['q'], f) / math.sqrt(C)
            a = torch.softmax(e, 1)
            c = torch.einsum('bn,bcn->bc', a, f)
            g = finish(torch, lv, c, gc)
            p.case(f'spatial_{kind}_b{B}_c{C}_{H}x{W}', {'kind': f'spatial_{kind}', 'batch': B, 'C': C, 'H': H, 'W': W,
                                                          'score': 'w.x + b' if kind == 'linear' else 'q.x/sqrt(C)'},
                   {**x, 'alpha': a.detach().numpy().reshape(B, H, W), 'c': c.detach().numpy(), 'grad_c': gc, **g},
                   {**grad_tols(g, ('c', 'alpha')), **({'d_b': {'atol': 1e-5, 'note': 'exactly 0 in theory'}} if kind == 'linear' else {})})

    # cross-modal multi-head attention, alone and as a block
    for B, Tq, Tk, E, Ek, heads, masked in ((1, 1, 1, 4, 4, 1, False), (2, 5, 7, 8, 6, 2, True), (3, 4, 9, 12, 10, 3, True), (2, 11, 6, 16, 16, 4, False)):
        B, Tq, Tk, Ek = (B if B == 1 else p.dim(B)), (Tq if Tq == 1 else p.dim(Tq)), (Tk if Tk == 1 else p.dim(Tk)), p.dim(Ek)
        present = np.ones((B, Tk), bool)
        if masked:
            present = rng.random((B, Tk)) < 0.7
            present[:, 0] = True
            if B > 1:
                present[-1] = False                       # a context with nothing in it: attention output is the bias of Wo alone
        pm = torch.tensor(present)
        ff = 2 * E
        x = {'x': p.f32(B, Tq, E), 'ctx': p.f32(B, Tk, Ek)}
        prm = {'Wq': p.f32(E, E, scale=1 / math.sqrt(E)), 'bq': p.f32(E, scale=0.1), 'Wk': p.f32(E, Ek, scale=1 / math.sqrt(Ek)), 'bk': p.f32(E, scale=0.1),
               'Wv': p.f32(E, Ek, scale=1 / math.sqrt(Ek)), 'bv': p.f32(E, scale=0.1), 'Wo': p.f32(E, E, scale=1 / math.sqrt(E)), 'bo': p.f32(E, scale=0.1)}
        blk = {'ln1_g': 1 + p.f32(E, scale=0.1), 'ln1_b': p.f32(E, scale=0.1), 'W1': p.f32(ff, E, scale=1 / math.sqrt(E)), 'b1': p.f32(ff, scale=0.1),
               'W2': p.f32(E, ff, scale=1 / math.sqrt(ff)), 'b2': p.f32(E, scale=0.1), 'ln2_g': 1 + p.f32(E, scale=0.1), 'ln2_b': p.f32(E, scale=0.1)}
        gy = p.f32(B, Tq, E)

        def mha(l):
            dh = E // heads
            q = (l['x'] @ l['Wq'].T + l['bq']).reshape(B, Tq, heads, dh).transpose(1, 2)
            k = (l['ctx'] @ l['Wk'].T + l['bk']).reshape(B, Tk, heads, dh).transpose(1, 2)
            v = (l['ctx'] @ l['Wv'].T + l['bv']).reshape(B, Tk, heads, dh).transpose(1, 2)
            s = q @ k.transpose(2, 3) / math.sqrt(dh)
            a = masked_softmax(torch, s, pm[:, None, None, :].expand_as(s), 3)
            return (a @ v).transpose(1, 2).reshape(B, Tq, E) @ l['Wo'].T + l['bo'], a

        ln = lambda t, g_, b_: torch.nn.functional.layer_norm(t, (E,), g_, b_, 1e-5)
        cfg = {'batch': B, 'Tq': Tq, 'Tk': Tk, 'E': E, 'Ek': Ek, 'heads': heads, 'scale': '1/sqrt(E/heads)'}
        tag = f'b{B}_q{Tq}_k{Tk}_e{E}_h{heads}'
        lv = leafs(torch, {**x, **prm})
        y, a = mha(lv)
        g = finish(torch, lv, y, gy)
        p.case(f'mha_{tag}', {'kind': 'cross_mha', **cfg}, {**x, **prm, 'present': present, 'alpha': a.detach().numpy(), 'y': y.detach().numpy(), 'grad_y': gy, **g},
               {**grad_tols(g, ('y', 'alpha')), 'd_bk': {'atol': 2e-5, 'note': 'exactly 0 in theory'}})
        lv = leafs(torch, {**x, **prm, **blk})
        m, _ = mha(lv)
        u = ln(lv['x'] + m, lv['ln1_g'], lv['ln1_b'])
        y = ln(u + torch.relu(u @ lv['W1'].T + lv['b1']) @ lv['W2'].T + lv['b2'], lv['ln2_g'], lv['ln2_b'])
        g = finish(torch, lv, y, gy)
        p.case(f'block_{tag}', {'kind': 'cross_block', **cfg, 'ff': ff, 'norm': 'post', 'ln_eps': 1e-5, 'activation': 'relu'},
               {**blk, 'y': y.detach().numpy(), **g}, {**{k: {'nmax': 3e-5} for k in g}, 'y': {'nmax': 1e-5}, 'd_bk': {'atol': 5e-5, 'note': 'exactly 0 in theory'}},
               {k: f'mha_{tag}/{k}' for k in (*x, *prm, 'present', 'grad_y')})
    p.save()
