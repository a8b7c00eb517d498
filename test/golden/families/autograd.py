"""Gradients by float64 autograd, and the tolerances that go with them."""
import numpy as np


def leafs(torch, d):
    """float32 arrays -> float64 leaves that want gradients."""
    return {k: torch.tensor(np.asarray(v, np.float64), requires_grad=True) for k, v in d.items()}


def finish(torch, leaves, out, grad_out):
    out.backward(torch.tensor(np.asarray(grad_out, np.float64)))
    return {f'd_{k}': v.grad.numpy() for k, v in leaves.items()}


T_FWD = {'nmax': 5e-6}
T_GRAD = {'nmax': 1e-5, 'atol': 2e-6}


def grad_tols(names, out=('y',)):
    return {**{o: T_FWD for o in out}, **{n: T_GRAD for n in names if n.startswith('d_')}}
