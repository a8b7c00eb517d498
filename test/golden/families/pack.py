"""One family of golden vectors: its cases (JSON) and the tensors they name (safetensors)."""
import json
import os
import zlib

import numpy as np


DEFAULT_SEED = 20250117
FORMAT_VERSION = 1


_DT = {'float64': 'F64', 'float32': 'F32', 'int64': 'I64', 'int32': 'I32',
       'uint8': 'U8', 'bool': 'BOOL'}
_ORDER = {'F64': 0, 'I64': 1, 'F32': 2, 'I32': 3, 'U8': 4, 'BOOL': 5}


class Pack:
    """One fixture family: cases (JSON) plus the tensors they name."""

    def __init__(self, ctx, name, doc):
        self.ctx, self.name, self.doc = ctx, name, doc
        self.tensors, self.cases = {}, []
        self.rng = np.random.default_rng([ctx.seed, zlib.crc32(name.encode())])

    def dim(self, default, lo=None, hi=None):
        """A shape number: the default itself under the default seed, else a near-by one."""
        if self.ctx.seed == DEFAULT_SEED:
            return default
        lo = max(1, default - max(1, default // 3)) if lo is None else lo
        hi = default + max(1, default // 3) if hi is None else hi
        return int(self.rng.integers(lo, hi + 1))

    def f32(self, *shape, scale=1.0):
        return (self.rng.standard_normal(shape) * scale).astype(np.float32)

    def case(self, name, config, tensors, tol=None, share=None, values=None):
        keys = {}
        for field, a in tensors.items():
            key = f'{name}/{field}'
            assert key not in self.tensors, key
            self.tensors[key] = np.ascontiguousarray(a)
            keys[field] = key
        for field, key in (share or {}).items():
            assert key in self.tensors, key
            keys[field] = key
        c = {'name': name, 'config': config, 'tensors': keys}
        if tol:
            c['tol'] = tol
        if values is not None:
            c['values'] = values
        self.cases.append(c)

    def save(self):
        out = self.ctx.out
        items = sorted(self.tensors.items(), key=lambda kv: (_ORDER[_DT[str(kv[1].dtype)]], kv[0]))
        header, off = {}, 0
        for k, a in items:
            header[k] = {'dtype': _DT[str(a.dtype)], 'shape': list(a.shape),
                         'data_offsets': [off, off + a.nbytes]}
            off += a.nbytes
        h = json.dumps(header, separators=(',', ':')).encode()
        h += b' ' * (-len(h) % 8)
        doc = {'family': self.name, 'format_version': FORMAT_VERSION, 'doc': self.doc,
               'cases': self.cases}
        if items:
            doc['data'] = f'{self.name}.safetensors'
            with open(os.path.join(out, doc['data']), 'wb') as f:
                f.write(len(h).to_bytes(8, 'little'))
                f.write(h)
                for _, a in items:
                    f.write(a.astype(a.dtype.newbyteorder('<'), copy=False).tobytes())
        with open(os.path.join(out, f'{self.name}.json'), 'w') as f:
            f.write(dump_json(doc))
        print(f'{self.name:12s} {len(self.cases):4d} cases  {off / 1e6:7.3f} MB')


def dump_json(doc):
    """Readable, but one line a case."""
    head = {k: v for k, v in doc.items() if k != 'cases'}
    s = json.dumps(head, indent=1, allow_nan=False)[:-2] + ',\n "cases": [\n'
    s += ',\n'.join('  ' + json.dumps(c, allow_nan=False) for c in doc['cases'])
    return s + '\n ]\n}\n'


# tolerances for a float32 implementation; see README.md for what the keys mean
def tol(**kw):
    return kw


# --------------------------------------------------------------------------
# signals
