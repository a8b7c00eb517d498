"""Reference optical flow, for test/ops/optical_flow.test.ts: optical_flow.json + optical_flow.safetensors.gz.

Float64, by numpy alone, written from the formulas in the operator's documentation (lib/ops/optical_flow.ts and
docs/trailers.md) and from nothing of the library's own code: convolutions by numpy.pad and sums of shifted arrays, warps
by index arrays, 2 x 2 systems by numpy.linalg.solve. Frames are drawn from sums of waves, so that a known motion is
exact, with noise on top.

    python3 test/golden/make-flow.py
"""
import gzip
import json
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "training"))
import safetensors_io  # noqa: E402


def shifted(a, reach, axis):
    """a moved by -reach..reach along an axis, reflected at the edges without repeating them."""
    width = [(0, 0), (0, 0)]
    width[axis] = (reach, reach)
    padded = np.pad(a, width, mode="reflect" if a.shape[axis] > 1 else "edge")
    return [np.take(padded, np.arange(k, k + a.shape[axis]), axis=axis) for k in range(2 * reach + 1)]


def gaussian(a, sigma):
    reach = min(15, int(np.ceil(2.2 * sigma)))
    at = np.arange(-reach, reach + 1)
    weight = np.exp(-(at**2) / (2 * sigma**2))
    weight /= weight.sum()
    for axis in (0, 1):
        a = sum(w * s for w, s in zip(weight, shifted(a, reach, axis)))
    return a


def slope(a, axis):
    far_before, before, _, after, far_after = shifted(a, 2, axis)
    return (8 * (after - before) - (far_after - far_before)) / 12


def contrast(a):
    smooth = gaussian(a, 0.7)
    centred = smooth - gaussian(smooth, 3.0)
    return centred / np.sqrt(gaussian(centred**2, 3.0) + 36.0)


def halved(a):
    even = np.pad(a, [(0, a.shape[0] % 2), (0, a.shape[1] % 2)], mode="edge")
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3))


def doubled(a, shape):
    """Linear interpolation at half-pixel centres: pixel i of the finer level lies at (i + 1/2) / 2 - 1/2."""
    for axis in (0, 1):
        at = np.clip((np.arange(shape[axis]) + 0.5) / 2 - 0.5, 0, a.shape[axis] - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, a.shape[axis] - 1)
        part = np.expand_dims(at - low, 1 - axis)
        a = (1 - part) * np.take(a, low, axis=axis) + part * np.take(a, high, axis=axis)
    return 2 * a


def warped(a, x, y):
    height, width = a.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    p, q = x - x0, y - y0
    return (1 - q) * ((1 - p) * a[y0, x0] + p * a[y0, x1]) + q * ((1 - p) * a[y1, x0] + p * a[y1, x1])


def median(a):
    return np.median([b for c in shifted(a, 1, 0) for b in shifted(c, 1, 1)], axis=0)


def flow(first, second, levels=0, iterations=3, window=2.5, regularization=1e-3):
    pyramid = [(first, second)]
    while len(pyramid) < (levels or 12) and min(pyramid[-1][0].shape) >= 32:
        pyramid.append(tuple(halved(a) for a in pyramid[-1]))
    u = v = np.zeros(pyramid[-1][0].shape)
    for a, b in reversed(pyramid):
        a, b = contrast(a), contrast(b)
        height, width = a.shape
        if u.shape != a.shape:
            u, v = doubled(u, a.shape), doubled(v, a.shape)
        for _ in range(iterations):
            x, y = np.arange(width)[None, :] + u, np.arange(height)[:, None] + v
            image = warped(b, x, y)
            residual = image - a
            gx, gy = slope((a + image) / 2, 1), slope((a + image) / 2, 0)
            outside = np.max([-x, x - (width - 1), -y, y - (height - 1)], axis=0)
            weight = np.clip(1 - outside, 0, 1) / (1 + (residual / 0.3) ** 2)
            target = gx * u + gy * v - residual
            xx, xy, yy = (gaussian(weight * p, window) for p in (gx * gx, gx * gy, gy * gy))
            right = [gaussian(weight * g * target + regularization * w, window) for g, w in ((gx, u), (gy, v))]
            matrix = np.stack([xx + regularization, xy, xy, yy + regularization], -1).reshape(height, width, 2, 2)
            solved = np.linalg.solve(matrix, np.stack(right, -1)[..., None])[..., 0]
            u, v = solved[..., 0], solved[..., 1]
        u, v = median(u), median(v)
    return np.stack([u, v], -1)


def scene(seed):
    """Grey levels as a function of the place."""
    rng = np.random.default_rng(seed)
    count = 40
    length = np.exp(rng.uniform(np.log(4), np.log(50), count))
    angle, phase = rng.uniform(0, 2 * np.pi, (2, count))
    strength = 14 * np.sqrt(length / 15)

    def level(x, y):
        x, y = np.asarray(x, float)[..., None], np.asarray(y, float)[..., None]
        waves = np.sin(2 * np.pi / length * (np.cos(angle) * x + np.sin(angle) * y) + phase)
        return 128 + (strength * waves).sum(-1) * 0.8

    return level


def frames(seed, height, width, places, noise=0.0, gain=1.0):
    """One frame for each function of (x, y) that says where a pixel's level comes from."""
    rng = np.random.default_rng(seed + 1000)
    level = scene(seed)
    x, y = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    return np.stack(
        [gain**i * level(*place(x, y)) + noise * rng.normal(size=x.shape) for i, place in enumerate(places)]
    )


def still(x, y):
    return x, y


def moved(dx, dy):
    return lambda x, y: (x - dx, y - dy)


def turned(angle, zoom, cx, cy):
    """Content turned by an angle and enlarged about (cx, cy)."""
    c, s = np.cos(angle) / zoom, np.sin(angle) / zoom
    return lambda x, y: (cx + c * (x - cx) + s * (y - cy), cy - s * (x - cx) + c * (y - cy))


def to_bytes(a):
    return np.clip(np.round(a), 0, 255).astype(np.uint8)


CASES = {
    "shift_bytes": (to_bytes(frames(1, 48, 64, [still, moved(2.3, -1.6)], 2.0)), {}),
    "far": (to_bytes(frames(2, 64, 90, [still, moved(-9.0, 6.5)], 1.0)), {}),
    "turn_three_odd": (
        to_bytes(frames(3, 45, 37, [still, turned(0.05, 1.03, 18, 22), turned(0.09, 0.97, 18, 22)], 1.0)),
        dict(window=1.5, iterations=5),
    ),
    "fade": (to_bytes(frames(4, 40, 40, [still, moved(1.2, 0.8)], 0.5, gain=0.6)), {}),
    "one_level_smooth": (
        frames(5, 31, 44, [still, moved(0.7, 0.4)], 3.0).astype(np.float32),
        dict(levels=1, iterations=1, window=6.0, regularization=0.1),
    ),
    "flat": (np.full((2, 33, 34), 77, np.uint8), {}),
    "row": (to_bytes(frames(6, 1, 29, [still, moved(1, 0)])), {}),
    "column": (to_bytes(frames(7, 21, 1, [still, moved(0, 1)])), {}),
    "dot": (np.array([[[3]], [[200]]], np.uint8), {}),
    "tiny": (to_bytes(frames(8, 3, 5, [still, moved(0.5, 0.2)])), dict(window=4.0)),
}

tensors, cases = {}, []
for name, (stack, options) in CASES.items():
    wide = stack.astype(np.float64)
    tensors[f"{name}.frames"] = stack
    result = np.stack([flow(a, b, **options) for a, b in zip(wide[:-1], wide[1:])])
    # to 2^-14 of a pixel, a third of the tolerance: such numbers pack
    tensors[f"{name}.flow"] = (np.round(result * 2**14) / 2**14).astype(np.float32)
    cases.append(
        {
            "name": name,
            "config": options,
            "tol": {"flow": {"atol": 2e-4}},
            "tensors": {"frames": f"{name}.frames", "flow": f"{name}.flow"},
        }
    )

plain = os.path.join(HERE, "optical_flow.safetensors")
# float32 first, so that every tensor lies on a multiple of its element size
safetensors_io.write(plain, dict(sorted(tensors.items(), key=lambda item: -item[1].itemsize)))
with open(plain, "rb") as file, gzip.GzipFile(plain + ".gz", "wb", mtime=0) as packed:
    packed.write(file.read())
os.remove(plain)
with open(os.path.join(HERE, "optical_flow.json"), "w") as file:
    json.dump({"data": "optical_flow.safetensors.gz", "cases": cases}, file, indent=1)
    file.write("\n")
