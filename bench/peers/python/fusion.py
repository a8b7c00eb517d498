"""Fusion operators and the whole head, as one writes them with torch and with numpy; and the product of matrices that the
floor is measured by."""
import numpy as np

from registry import contender


@contender('sgemm', 'numpy', 'numpy')
def sgemm_numpy(p, a, b):
    return lambda: a @ b


@contender('sgemm', 'torch', 'torch')
def sgemm_torch(p, a, b):
    import torch

    x, y = torch.from_numpy(a), torch.from_numpy(b)
    return lambda: x @ y


def with_one(h):
    return np.concatenate([h, np.ones((len(h), 1), np.float32)], axis=1)


@contender('tensor_fusion', 'torch', 'torch')
def tensor_torch(p, weight, bias, *inputs):
    import torch

    weight, bias, *inputs = map(torch.from_numpy, (weight, bias, *inputs))
    one = torch.ones(len(inputs[0]), 1)

    def call():
        with torch.inference_mode():
            z = torch.cat([inputs[0], one], 1)
            for h in inputs[1:]:
                z = (z[:, :, None] * torch.cat([h, one], 1)[:, None, :]).flatten(1)
            return torch.nn.functional.linear(z, weight, bias)

    return call


@contender('tensor_fusion', 'numpy', 'numpy')
def tensor_numpy(p, weight, bias, *inputs):
    def call():
        z = with_one(inputs[0])
        for h in inputs[1:]:
            z = (z[:, :, None] * with_one(h)[:, None, :]).reshape(len(h), -1)
        y = z @ weight.T
        y += bias
        return y

    return call


@contender('low_rank_fusion', 'torch', 'torch')
def low_rank_torch(p, rank_weights, bias, *rest):
    """`rest`: the factors (rank, d + 1, out) of each modality, then the inputs."""
    import torch

    rank_weights, bias, *rest = map(torch.from_numpy, (rank_weights, bias, *rest))
    factors, inputs = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    one = torch.ones(len(inputs[0]), 1)

    def call():
        with torch.inference_mode():
            product = rank_weights[:, None, None]
            for h, factor in zip(inputs, factors):
                product = product * torch.matmul(torch.cat([h, one], 1), factor)
            return product.sum(0) + bias

    return call


@contender('low_rank_fusion', 'numpy', 'numpy')
def low_rank_numpy(p, rank_weights, bias, *rest):
    factors, inputs = rest[: len(rest) // 2], rest[len(rest) // 2 :]

    def call():
        product = rank_weights[:, None, None]
        for h, factor in zip(inputs, factors):
            product = product * (with_one(h) @ factor)
        return product.sum(0) + bias

    return call


@contender('attention_feature', 'torch', 'torch')
def feature_torch(p, h, weight, bias):
    import torch

    h, weight, bias = map(torch.from_numpy, (h, weight, bias))

    def call():
        with torch.inference_mode():
            alpha = torch.softmax(torch.nn.functional.linear(h, weight, bias), 1)
            return (alpha * h).sum(1)

    return call


def softmax(e):
    """Over axis 1, in place."""
    e -= e.max(axis=1, keepdims=True)
    np.exp(e, out=e)
    e /= e.sum(axis=1, keepdims=True)
    return e


@contender('attention_feature', 'numpy', 'numpy')
def feature_numpy(p, h, weight, bias):
    def call():
        alpha = softmax((h.reshape(-1, h.shape[-1]) @ weight.T + bias).reshape(h.shape))
        alpha *= h
        return alpha.sum(axis=1)

    return call


@contender('attention_tanh', 'torch', 'torch')
def tanh_torch(p, h, weight, bias, w):
    import torch

    h, weight, bias, w = map(torch.from_numpy, (h, weight, bias, w))

    def call():
        with torch.inference_mode():
            e = torch.tanh_(torch.nn.functional.linear(h, weight, bias)) @ w
            return torch.einsum('bm,bmd->bd', torch.softmax(e, 1), h)

    return call


@contender('attention_tanh', 'numpy', 'numpy')
def tanh_numpy(p, h, weight, bias, w):
    def call():
        z = h.reshape(-1, h.shape[-1]) @ weight.T
        z += bias
        alpha = softmax((np.tanh(z, out=z) @ w).reshape(h.shape[:2]))
        return np.matmul(alpha[:, None, :], h)[:, 0]

    return call


@contender('head', 'torch', 'torch')
def head_torch(p, *arrays):
    """`p['weights']` names the first arrays, the inputs follow in the order of `p['modalities']`."""
    import torch
    from torch.nn.functional import linear

    tensors = [torch.from_numpy(a) for a in arrays]
    W = dict(zip(p['weights'], tensors))
    inputs = tensors[len(W) :]
    names = p['modalities']

    def attend(x, prefix):
        e = torch.tanh_(linear(x, W[f'{prefix}.W'], W[f'{prefix}.b'])) @ W[f'{prefix}.w'].flatten()
        return torch.einsum('bt,btd->bd', torch.softmax(e, 1), x)

    def call():
        with torch.inference_mode():
            projected = []
            for name, x in zip(names, inputs):
                prefix = f'modalities.{name}'
                x = (x - W[f'{prefix}.scaler.mean']) * W[f'{prefix}.scaler.scale']
                if x.dim() == 3:
                    x = attend(x, f'{prefix}.pooling')
                y = linear(x, W[f'{prefix}.projection.weight'], W[f'{prefix}.projection.bias'])
                projected.append(y.relu_())
            fused = attend(torch.stack(projected, 1), 'fusion')
            trunk = linear(fused, W['trunk.0.weight'], W['trunk.0.bias']).relu_()
            heads = [linear(trunk, W[f'heads.{h}.weight'], W[f'heads.{h}.bias']) for h in p['heads']]
            return torch.cat(heads, 1)

    return call
