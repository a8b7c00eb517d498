"""TensorFlow.js weight files: shards of raw bytes described by a manifest."""
import os

import numpy as np

PLAIN = {"float32": "<f4", "int32": "<i4", "bool": "u1"}


def stored_weights(manifest, folder):
    """{name: (array as stored, quantisation or None)}. Quantised values stay integers."""
    out = {}
    for group in manifest:
        shards = []
        for path in group["paths"]:
            with open(os.path.join(folder, path), "rb") as file:
                shards.append(file.read())
        buffer, offset = b"".join(shards), 0
        for weight in group["weights"]:
            quantisation = weight.get("quantization")
            dtype = np.dtype(quantisation["dtype"] if quantisation else PLAIN[weight["dtype"]])
            count = int(np.prod(weight["shape"])) if weight["shape"] else 1
            array = np.frombuffer(buffer, dtype, count, offset).reshape(weight["shape"])
            offset += dtype.itemsize * count
            out[weight["name"]] = (array, quantisation if quantisation and "scale" in quantisation else None)
        if offset != len(buffer):
            raise ValueError(f"the manifest describes {offset} of {len(buffer)} bytes")
    return out


def widened(array, quantisation):
    """A stored array as float32."""
    if quantisation:
        return array.astype(np.float32) * quantisation["scale"] + quantisation["min"]
    return array.astype(np.float32)
