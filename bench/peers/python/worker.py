"""The Python contenders of bench:peers: a process that lives as long as a suite, prepares work once, and takes its turn
when it is asked to, reading the clock itself.

A message, either way: length of the JSON as uint32 (little endian), the JSON, then the bytes of the arrays it names.
"""
import gc
import importlib
import json
import os
import struct
import sys
import time

THREADS = int(sys.argv[1])
for name in ('OMP', 'OPENBLAS', 'MKL', 'NUMEXPR', 'BLIS', 'NUMBA'):
    os.environ[f'{name}_NUM_THREADS'] = str(THREADS)

import numpy as np  # noqa: E402  after the number of threads is set

import registry  # noqa: E402

replies = os.fdopen(os.dup(1), 'wb')
os.dup2(2, 1)  # what a library prints does not end up among the replies


def limit_threads():
    """By each library's own means as well: not all of them read the environment."""
    for module, limit in (
        ('torch', lambda m: (m.set_num_threads(THREADS), m.set_num_interop_threads(1))),
        ('cv2', lambda m: m.setNumThreads(THREADS)),
    ):
        try:
            limit(importlib.import_module(module))
        except ImportError:
            pass


def versions():
    found = {'python': '.'.join(map(str, sys.version_info[:3]))}
    for name, module in registry.LIBRARIES.items():
        try:
            found[name] = importlib.import_module(module).__version__
        except ImportError:
            found[name] = None
    return found


def receive():
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        return None, []
    message = json.loads(sys.stdin.buffer.read(struct.unpack('<I', head)[0]))
    arrays = []
    for dtype, shape in message.get('arrays', []):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        # A copy of its own: frombuffer alone is read-only, and not aligned to what vector code likes.
        arrays.append(np.frombuffer(sys.stdin.buffer.read(size), dtype).reshape(shape).copy())
    return message, arrays


def reply(message, arrays=()):
    arrays = [np.ascontiguousarray(a) for a in arrays]
    message['arrays'] = [[str(a.dtype), list(a.shape)] for a in arrays]
    head = json.dumps(message).encode()
    replies.write(struct.pack('<I', len(head)) + head)
    for a in arrays:
        replies.write(a.tobytes())
    replies.flush()


def take_turn(call, seconds):
    """Seconds of one call, a sample for every 20 ms or every call, whichever is longer."""
    clock = time.perf_counter
    samples, end, calls = [], clock() + seconds, 1
    gc.collect()
    gc.disable()
    try:
        while True:
            started = clock()
            for _ in range(calls):
                call()
            now = clock()
            took = now - started
            if took >= 0.02 or calls > 1 and took >= 0.01:
                samples.append(took / calls)
            if now >= end and samples:
                return samples
            if took < 0.015:
                calls = max(calls + 1, min(calls * 10, int(calls * 0.02 / max(took, 1e-9))))
    finally:
        gc.enable()


def as_arrays(result):
    if hasattr(result, 'detach'):
        result = result.detach().numpy()
    return [np.asarray(result)]


def main():
    limit_threads()
    reply({'versions': versions()})
    prepared = {}
    while True:
        message, arrays = receive()
        if message is None:
            return
        try:
            order = message['order']
            if order == 'prepare':
                contenders, missing = registry.prepare(message['work'], message['parameters'], arrays)
                prepared[message['id']] = contenders
                reply({'contenders': list(contenders), 'missing': missing})
            elif order == 'call':
                reply({}, as_arrays(prepared[message['id']][message['contender']]()))
            elif order == 'turn':
                call = prepared[message['id']][message['contender']]
                reply({'samples': take_turn(call, message['seconds'])})
            elif order == 'drop':
                prepared.pop(message['id'], None)
                reply({})
        except Exception as error:  # goes to the parent, which ends the suite
            reply({'error': f'{type(error).__name__}: {error}'})


main()
