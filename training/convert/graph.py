"""A small builder of ONNX graphs: constants and nodes get running names."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    def __init__(self):
        self.nodes, self.initializers, self.count = [], [], 0

    def const(self, array, name=None):
        self.count += 1
        name = name or f"c{self.count}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def scalar(self, value):
        return self.const(np.float32(value).reshape(()))

    def op(self, kind, inputs, name=None, outputs=1, **attributes):
        self.count += 1
        if outputs == 1:
            names = [name or f"{kind.lower()}_{self.count}"]
        else:
            names = [f"{kind.lower()}_{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def save(self, path, name, inputs, outputs, opset, producer):
        """`inputs`, `outputs`: (name, element type, shape)"""
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(*value) for value in inputs],
            [helper.make_tensor_value_info(*value) for value in outputs],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name=producer)
        model.ir_version = 8
        onnx.checker.check_model(model)
        onnx.save(model, path)


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
