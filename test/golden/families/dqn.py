"""One temporal-difference target, standard and double DQN."""
import math

import numpy as np

from .autograd import leafs
from .pack import Pack


def gen_dqn(ctx):
    torch = ctx.torch
    p = Pack(ctx, 'dqn', 'one temporal-difference target and Huber loss, standard and double DQN')
    rng = p.rng
    for B, S, H, A in ((1, 3, 4, 2), (p.dim(9), p.dim(5), p.dim(16), p.dim(4)), (p.dim(33), p.dim(8), p.dim(24), p.dim(6))):
        mk = lambda pre: {f'{pre}W1': p.f32(H, S, scale=1 / math.sqrt(S)), f'{pre}b1': p.f32(H, scale=0.2),
                          f'{pre}W2': p.f32(A, H, scale=1 / math.sqrt(H)), f'{pre}b2': p.f32(A, scale=0.2)}
        online, target = mk(''), mk('target_')
        s, s2 = p.f32(B, S), p.f32(B, S)
        a = rng.integers(0, A, B).astype(np.int32)
        r = p.f32(B, scale=2)
        done = (rng.random(B) < 0.3).astype(np.float32)
        isw = (0.2 + 0.8 * rng.random(B)).astype(np.float32)
        gamma, delta = 0.97, 1.0
        for kind in ('dqn', 'double'):
            lv = leafs(torch, online)
            T = {k: torch.tensor(v.astype(np.float64)) for k, v in target.items()}
            d64 = lambda v: torch.tensor(v.astype(np.float64))
            net = lambda q, pre, x: torch.relu(x @ q[f'{pre}W1'].T + q[f'{pre}b1']) @ q[f'{pre}W2'].T + q[f'{pre}b2']
            q = net(lv, '', d64(s))
            qa = q[torch.arange(B), torch.tensor(a.astype(np.int64))]
            with torch.no_grad():
                qn = net(T, 'target_', d64(s2))
                qo = net(lv, '', d64(s2))
                nxt = qn.max(1).values if kind == 'dqn' else qn[torch.arange(B), qo.argmax(1)]
                y = d64(r) + gamma * (1 - d64(done)) * nxt
            t = {'s': s, 's_next': s2, 'action': a, 'reward': r, 'done': done, **online, **target,
                 'q': q.detach().numpy(), 'q_next_target': qn.numpy(), 'q_next_online': qo.numpy(), 'y': y.numpy(), 'td': (y - qa).detach().numpy()}
            l = torch.nn.functional.huber_loss(qa, y, delta=delta)
            l.backward()
            t['loss'] = np.array([float(l)])
            t.update({f'd_{k}': v.grad.numpy().copy() for k, v in lv.items()})
            for v in lv.values():
                v.grad = None
            q = net(lv, '', d64(s))
            qa = q[torch.arange(B), torch.tensor(a.astype(np.int64))]
            l = (d64(isw) * torch.nn.functional.huber_loss(qa, y, delta=delta, reduction='none')).mean()
            l.backward()
            t['is_weight'] = isw
            t['loss_weighted'] = np.array([float(l)])
            t.update({f'd_{k}_weighted': v.grad.numpy() for k, v in lv.items()})
            tau = 0.005
            for k in online:
                t[f'soft_target_{k}'] = (1 - tau) * target[f'target_{k}'].astype(np.float64) + tau * online[k].astype(np.float64)
            names = [k for k in t if k.startswith('d_')]
            p.case(f'{kind}_b{B}_s{S}_h{H}_a{A}', {'kind': kind, 'gamma': gamma, 'huber_delta': delta, 'soft_update_tau': tau,
                                                   'model': 'W2 relu(W1 s + b1) + b2', 'argmax_tie': 'lowest index', 'td': 'y - q[action]'}, t,
                   {**{k: {'nmax': 1e-5} for k in (*names, 'q', 'q_next_target', 'q_next_online', 'y')}, 'td': {'atol': 1e-5},
                    'loss': {'rtol': 1e-5}, 'loss_weighted': {'rtol': 1e-5}, **{f'soft_target_{k}': {'nmax': 1e-6} for k in online}})
    p.save()
