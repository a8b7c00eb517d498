"""A TensorFlow.js graph of MobileNetV2 (NHWC, fused convolutions) as ONNX (NCHW).

    python3 mobilenet.py MODEL.json OUT.onnx

For nsfwjs's mobilenet_v2_mid (MIT). uint8 weights stay uint8: Cast, Sub and Mul widen them, folded at load. The
pooled features come out beside the class probabilities.
"""
import base64
import json
import os
import sys

import numpy as np

from graph import FLOAT, Graph
from tfjs import stored_weights, widened

SIZE = 224


class Converter:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            model = json.load(file)
        self.order = model["modelTopology"]["node"]
        self.by_name = {node["name"]: node for node in self.order}
        self.stored = stored_weights(model["weightsManifest"], os.path.dirname(path))
        self.graph = Graph()
        self.tensor, self.shape = {}, {}

    def source(self, name):
        """The constant behind a name, or None."""
        name = name.split(":")[0]
        while self.by_name[name]["op"] == "Identity":
            name = self.by_name[name]["input"][0].split(":")[0]
        return name if self.by_name[name]["op"] == "Const" else None

    def value(self, name):
        return widened(*self.stored[self.source(name)])

    def weight(self, name, order, reshape=None):
        array, quantisation = self.stored[name.split(":")[0]]
        array = array.transpose(order)
        if reshape:
            array = array.reshape(reshape)
        g = self.graph
        g.count += 1
        label = f"w{g.count}"
        if not quantisation:
            return g.const(array, label)
        zero = np.float32(round(-quantisation["min"] / quantisation["scale"]))
        if abs(zero * quantisation["scale"] + quantisation["min"]) >= 1e-4 * max(1, abs(quantisation["min"])):
            raise ValueError(f"{name}: the zero point is no whole number")
        # the widening's constants are named before its nodes: the order fixes the file's bytes
        stored = g.const(array, label + "_u8")
        cast = g.op("Cast", [stored], to=FLOAT)
        centred = g.op("Sub", [cast, g.scalar(zero)])
        return g.op("Mul", [centred, g.scalar(quantisation["scale"])])

    def attribute(self, node, key, default=None):
        entry = node.get("attr", {}).get(key)
        if entry is None:
            return default
        if "s" in entry:
            return base64.b64decode(entry["s"]).decode()
        if "list" in entry:
            if entry["list"].get("i"):
                return [int(value) for value in entry["list"]["i"]]
            return [base64.b64decode(value).decode() for value in entry["list"].get("s", [])]
        return entry

    def padding(self, node, shape, kernel, strides):
        """TensorFlow's SAME: the odd pixel goes last."""
        if self.attribute(node, "padding") == "VALID":
            return [0, 0, 0, 0]
        total = [max((-(-shape[1 + d] // strides[d]) - 1) * strides[d] + kernel[d] - shape[1 + d], 0) for d in (0, 1)]
        return [total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2]

    def convolution(self, node, inputs):
        g, depthwise = self.graph, "epthwise" in node["op"]
        shape, kernel = self.shape[inputs[0]], self.stored[inputs[1]][0].shape
        strides = self.attribute(node, "strides")[1:3]
        if depthwise:
            channels = kernel[2] * kernel[3]
            weight = self.weight(inputs[1], (2, 3, 0, 1), (channels, 1, kernel[0], kernel[1]))
        else:
            channels = kernel[3]
            weight = self.weight(inputs[1], (3, 2, 0, 1))
        pads = self.padding(node, shape, kernel[:2], strides)
        fused = self.attribute(node, "fused_ops", [])
        arguments = [self.tensor[inputs[0]], weight]
        if "BiasAdd" in fused:
            arguments.append(g.const(self.value(inputs[2])))
        dilations = (self.attribute(node, "dilations") or [1, 1, 1, 1])[1:3]
        y = g.op(
            "Conv",
            arguments,
            strides=list(strides),
            pads=pads,
            group=shape[0] if depthwise else 1,
            dilations=dilations,
        )
        if "Relu6" in fused:
            y = g.op("Clip", [y, g.scalar(0), g.scalar(6)])
        side = lambda d: (shape[1 + d] + pads[d] + pads[2 + d] - kernel[d]) // strides[d] + 1
        return y, (channels, side(0), side(1))

    def elementwise(self, kind, inputs):
        arguments, shape = [], None
        for name in inputs:
            if self.source(name) is None:
                arguments.append(self.tensor[name])
                shape = self.shape[name]
            else:
                value = self.value(name)
                shaped = value.reshape(()) if value.size == 1 else value.reshape(-1, 1, 1)
                arguments.append(self.graph.const(shaped.astype(np.float32)))
        return self.graph.op(kind, arguments), shape

    def convert(self, node, inputs):
        g, kind = self.graph, node["op"]
        if kind in ("_FusedConv2D", "Conv2D", "FusedDepthwiseConv2dNative", "DepthwiseConv2dNative"):
            return self.convolution(node, inputs)
        if kind in ("Add", "AddV2", "Mul", "Sub"):
            return self.elementwise({"AddV2": "Add"}.get(kind, kind), inputs)
        if kind == "AvgPool":  # over the whole 7x7 map
            return g.op("GlobalAveragePool", [self.tensor[inputs[0]]]), (self.shape[inputs[0]][0], 1, 1)
        if kind == "Squeeze":
            return g.op("Flatten", [self.tensor[inputs[0]]], axis=1), (self.shape[inputs[0]][0],)
        if kind == "_FusedMatMul":
            product = g.op("MatMul", [self.tensor[inputs[0]], self.weight(inputs[1], (0, 1))])
            return g.op("Add", [product, g.const(self.value(inputs[2]))]), (self.stored[inputs[1]][0].shape[1],)
        if kind == "Softmax":
            return g.op("Softmax", [self.tensor[inputs[0]]], axis=-1), self.shape[inputs[0]]
        raise ValueError(f"no rule for {kind} ({node['name']})")

    def run(self):
        named = {"Squeeze": "features", "Softmax": "content_probs"}
        for node in self.order:
            inputs = [name.split(":")[0] for name in node.get("input", []) if not name.startswith("^")]
            if node["op"] == "Const" or (node["op"] == "Identity" and self.source(inputs[0])):
                continue
            if node["op"] == "Placeholder":
                y, shape = "image", (3, SIZE, SIZE)
            elif node["op"] == "Identity":
                y, shape = self.tensor[inputs[0]], self.shape[inputs[0]]
            else:
                y, shape = self.convert(node, inputs)
            if node["op"] in named:
                y = self.graph.op("Identity", [y], name=named[node["op"]])
            self.tensor[node["name"]], self.shape[node["name"]] = y, shape
            if node["op"] == "Squeeze":
                self.width = shape[0]


def main(source, path):
    converter = Converter(source)
    converter.run()
    converter.graph.save(
        path,
        "nsfwjs_mobilenet_v2_mid",
        [("image", FLOAT, ["batch", 3, SIZE, SIZE])],
        [("features", FLOAT, ["batch", converter.width]), ("content_probs", FLOAT, ["batch", 5])],
        opset=13,
        producer="tfjs-convert",
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
