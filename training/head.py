"""The fusion network in PyTorch, weight for weight what the library runs (names as in docs/bundle.md)."""
import torch
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {
    "none": lambda x: x,
    "relu": F.relu,
    "leaky-relu": lambda x: F.leaky_relu(x, 0.01),
    "gelu": F.gelu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
}


class Layer(nn.Module):
    """act(LN(W x + b)), with dropout while training."""

    def __init__(self, width, out, activation, norm, dropout):
        super().__init__()
        self.linear = nn.Linear(width, out)
        self.norm = nn.LayerNorm(out) if norm else None
        self.activation = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = self.linear(x)
        return self.dropout(self.activation(x if self.norm is None else self.norm(x)))


class Trunk(nn.Module):
    def __init__(self, width, layers, heads, dropout):
        super().__init__()
        self.layers = nn.ModuleList()
        for layer in layers:
            self.layers.append(Layer(width, layer["out"], layer["activation"], layer["layerNorm"], dropout))
            width = layer["out"]
        self.heads = nn.ModuleDict({head["name"]: nn.Linear(width, head["out"]) for head in heads})

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return torch.cat([head(x) for head in self.heads.values()], dim=1)


class FusionNetwork(nn.Module):
    """Inputs are scaled beforehand: (x - mean) * scale. `present` (B, M) is 1 where a modality is there.

    Every vector of a sequence of length 1 is its own mean, so pooling does not occur here."""

    def __init__(self, spec, dropout=0.0, input_dropout=0.0):
        super().__init__()
        self.spec = spec
        self.kind = spec["fusion"]["kind"]
        self.names = [modality["name"] for modality in spec["modalities"]]
        outs = [modality["projection"]["out"] for modality in spec["modalities"]]
        self.input_dropout = nn.Dropout(input_dropout)
        self.projections = nn.ModuleList()
        for modality in spec["modalities"]:
            p = modality["projection"]
            self.projections.append(Layer(modality["dim"], p["out"], p["activation"], p["layerNorm"], dropout))
        width = outs[0]
        if self.kind in ("concat", "hybrid"):
            self.absent = nn.ParameterList([nn.Parameter(torch.zeros(out)) for out in outs])
            width = sum(outs)
        if self.kind in ("weighted-sum", "late", "hybrid"):
            self.logits = nn.Parameter(torch.zeros(len(outs)))
        if self.kind in ("late", "hybrid"):
            self.late = nn.ModuleList([Trunk(out, spec["trunk"], spec["heads"], dropout) for out in outs])
        if self.kind == "hybrid":
            self.gate = nn.Parameter(torch.ones(1))
        if self.kind == "attention":
            d, fusion = outs[0], spec["fusion"]
            if fusion["form"] == "tanh":
                k = fusion.get("attentionDim", d)
                self.W, self.b = nn.Parameter(torch.randn(k, d) / d**0.5), nn.Parameter(torch.zeros(k))
                self.w = nn.Parameter(torch.randn(k) / k**0.5)
            else:
                self.W_a, self.b_a = nn.Parameter(torch.randn(d, d) / d**0.5), nn.Parameter(torch.zeros(d))
        if self.kind == "low-rank":
            fusion = spec["fusion"]
            width = fusion["out"]
            self.factors = nn.ParameterList(
                [nn.Parameter(torch.randn(fusion["rank"], out + 1, width) / (out + 1) ** 0.5) for out in outs]
            )
            # starting near "each modality with the constants of the others": products of noise alone do not train
            with torch.no_grad():
                for factor in self.factors:
                    factor[:, -1] = 1.0
            self.rank_weights = nn.Parameter(torch.ones(fusion["rank"]) / fusion["rank"])
            self.bias = nn.Parameter(torch.zeros(width))
        if self.kind == "tensor":
            width, size = spec["fusion"]["out"], 1
            for out in outs:
                size *= out + 1
            self.weight = nn.Parameter(torch.randn(width, size) / size**0.5)
            self.bias = nn.Parameter(torch.zeros(width))
        if self.kind != "late":
            self.trunk = Trunk(width, spec["trunk"], spec["heads"], dropout)
        self.fusion_dropout = nn.Dropout(dropout)

    def weights(self, present):
        """softmax over the modalities that are there"""
        return torch.softmax(self.logits.masked_fill(present == 0, -torch.inf), dim=1)

    def forward(self, inputs, present):
        hidden = [project(self.input_dropout(x)) for project, x in zip(self.projections, inputs)]
        mask = present.unbind(1)
        if self.kind in ("concat", "hybrid"):
            filled = [
                torch.where(m[:, None] > 0, h, absent.expand_as(h)) for h, m, absent in zip(hidden, mask, self.absent)
            ]
            early = self.trunk(torch.cat(filled, dim=1))
            if self.kind == "concat":
                return early
        if self.kind in ("late", "hybrid"):
            outputs = torch.stack([trunk(h) for trunk, h in zip(self.late, hidden)], dim=1)
            late = (self.weights(present)[:, :, None] * outputs).sum(dim=1)
            if self.kind == "late":
                return late
            gate = torch.sigmoid(self.gate)
            return gate * early + (1 - gate) * late
        if self.kind in ("tensor", "low-rank"):
            one = torch.ones_like(mask[0])[:, None]
            ended = [torch.cat([h * m[:, None], one], dim=1) for h, m in zip(hidden, mask)]
            activation = ACTIVATIONS[self.spec["fusion"]["activation"]]
            if self.kind == "low-rank":
                product = torch.einsum("bd,rdo->bro", ended[0], self.factors[0])
                for h, factor in zip(ended[1:], self.factors[1:]):
                    product = product * torch.einsum("bd,rdo->bro", h, factor)
                fused = torch.einsum("bro,r->bo", product, self.rank_weights) + self.bias
            else:
                outer = ended[0]
                for h in ended[1:]:
                    outer = (outer[:, :, None] * h[:, None, :]).flatten(1)
                fused = outer @ self.weight.T + self.bias
            return self.trunk(self.fusion_dropout(activation(fused)))
        stacked = torch.stack(hidden, dim=1)
        gone = (present == 0)[:, :, None]
        if self.kind == "weighted-sum":
            alpha = self.weights(present)[:, :, None]
        elif self.spec["fusion"]["form"] == "tanh":
            scores = torch.tanh(stacked @ self.W.T + self.b) @ self.w
            alpha = torch.softmax(scores.masked_fill(present == 0, -torch.inf), dim=1)[:, :, None]
        else:
            scores = stacked @ self.W_a.T + self.b_a
            alpha = torch.softmax(scores.masked_fill(gone, -torch.inf), dim=1)
        return self.trunk((alpha * stacked).sum(dim=1))

    def export(self):
        """Tensors by the library's names."""
        out = {}

        def put(name, tensor):
            out[name] = tensor.detach().float().contiguous().numpy()

        def put_trunk(prefix, trunk):
            for i, layer in enumerate(trunk.layers):
                put_layer(f"{prefix}trunk.{i}", f"{prefix}trunk.{i}.norm", layer)
            for name, head in trunk.heads.items():
                put(f"{prefix}heads.{name}.weight", head.weight)
                put(f"{prefix}heads.{name}.bias", head.bias)

        def put_layer(prefix, norm, layer):
            put(f"{prefix}.weight", layer.linear.weight)
            put(f"{prefix}.bias", layer.linear.bias)
            if layer.norm is not None:
                put(f"{norm}.weight", layer.norm.weight)
                put(f"{norm}.bias", layer.norm.bias)

        for i, name in enumerate(self.names):
            put_layer(f"modalities.{name}.projection", f"modalities.{name}.norm", self.projections[i])
            if hasattr(self, "absent"):
                put(f"modalities.{name}.absent", self.absent[i])
            if hasattr(self, "late"):
                put_trunk(f"late.{name}.", self.late[i])
            if hasattr(self, "factors"):
                put(f"fusion.factors.{name}", self.factors[i])
        for name in ("logits", "gate", "W", "b", "w", "W_a", "b_a", "weight", "bias", "rank_weights"):
            if hasattr(self, name):
                put(f"fusion.{name}", getattr(self, name))
        if hasattr(self, "trunk"):
            put_trunk("", self.trunk)
        return out
