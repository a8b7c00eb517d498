"""How far optical flow is from the truth, ours and OpenCV's: mean end-point error in pixels of 320 x 180.

Pairs of frames are made from pictures and video frames of a folder (as the one with the real films): each is moved by a
known field at four times the size, by bicubic interpolation, scaled down by areas and given noise of 4 levels a pixel at
the large size. Fields: shifts of 1 to 16 pixels, zooms and turns of 2 to 7 %, smooth random fields with a standard
deviation of 4 pixels, and a disc of another picture that moves on its own over a moving background. Pixels that leave the
frame do not count; those that the disc covers do.

    python3 bench/peers/python/flow_accuracy.py FOLDER [--json FILE]        (needs cv2 and a built clone)
"""
import argparse
import glob
import json
import os
import subprocess

import cv2
import numpy as np

W, H, BIG = 320, 180, 4
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
KINDS = ["shift", "zoom", "turn", "smooth", "disc"]


def pictures(folder):
    media = os.path.join(folder, "media")
    for path in sorted(glob.glob(os.path.join(media, "*.mp4")) + glob.glob(os.path.join(media, "*.webm"))):
        video = cv2.VideoCapture(path)
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        for share in (0.3, 0.7):
            video.set(cv2.CAP_PROP_POS_FRAMES, int(count * share))
            ok, frame = video.read()
            if ok:
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    for path in sorted(glob.glob(os.path.join(folder, "images", "*.jpg")))[::1500]:
        yield cv2.imread(path, cv2.IMREAD_GRAYSCALE)


def enlarged(image):
    height, width = int(BIG * H * 1.2), int(BIG * W * 1.2)
    scale = max(width / image.shape[1], height / image.shape[0])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    y, x = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[y : y + height, x : x + width].astype(np.float32)


GRID_Y, GRID_X = np.mgrid[0 : BIG * H, 0 : BIG * W].astype(np.float32)


def field(kind, rng):
    x, y = GRID_X / BIG - W / 2, GRID_Y / BIG - H / 2
    if kind == "shift":
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(1, 16)
        return np.cos(angle) * length + 0 * x, np.sin(angle) * length + 0 * y
    amount = rng.uniform(0.02, 0.07) * rng.choice([-1, 1])
    if kind == "zoom":
        return amount * x, amount * y
    if kind == "turn":
        return -amount * y, amount * x
    coarse = rng.normal(size=(2, 5, 7)).astype(np.float32) * 4
    return tuple(cv2.resize(c, (BIG * W, BIG * H), interpolation=cv2.INTER_CUBIC) for c in coarse)


def sampled(image, dx, dy):
    left, top = (image.shape[1] - BIG * W) / 2, (image.shape[0] - BIG * H) / 2
    x, y = GRID_X + left + BIG * dx, GRID_Y + top + BIG * dy
    return cv2.remap(image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def frame(image, rng):
    noisy = np.clip(image + rng.normal(size=image.shape) * 4, 0, 255).astype(np.float32)
    return np.round(cv2.resize(noisy, (W, H), interpolation=cv2.INTER_AREA)).astype(np.uint8)


def disc_pair(back, front, rng):
    bx, by = (0.3 * f for f in field("shift", rng))
    fx, fy = field("shift", rng)
    cx, cy = rng.uniform(0.3, 0.7) * BIG * W, rng.uniform(0.3, 0.7) * BIG * H
    radius = rng.uniform(0.15, 0.3) * BIG * H

    def render(part):
        inside = (GRID_X + BIG * fx * part - cx) ** 2 + (GRID_Y + BIG * fy * part - cy) ** 2 < radius**2
        return np.where(inside, sampled(front, fx * part, fy * part), sampled(back, bx * part, by * part)), inside

    (first, inside), (second, _) = render(1.0), render(0.0)
    return first, second, np.where(inside, fx, bx), np.where(inside, fy, by)


def pairs(folder, seed=3):
    rng = np.random.default_rng(seed)
    images = [enlarged(image) for image in pictures(folder)]
    if not images:
        raise SystemExit(f"no pictures in {folder}")
    for i, image in enumerate(images):
        for kind in KINDS:
            if kind == "disc":
                first, second, dx, dy = disc_pair(image, images[(i + 1) % len(images)], rng)
            else:
                dx, dy = field(kind, rng)
                first, second = sampled(image, dx, dy), sampled(image, 0, 0)
            truth = np.stack([dx, dy], -1).astype(np.float32)
            yield kind, frame(first, rng), frame(second, rng), cv2.resize(truth, (W, H), interpolation=cv2.INTER_AREA)


OURS = """
import { opticalFlow } from './dist/lib/ops/index.js';
const parts = [];
for await (const part of process.stdin) parts.push(part);
const data = new Uint8Array(Buffer.concat(parts));
const [width, height] = [%d, %d];
const size = 2 * width * height;
for (let at = 0; at < data.length; at += size) {
  const flow = await opticalFlow({ frames: data.subarray(at, at + size), width, height });
  process.stdout.write(Buffer.from(flow.buffer, flow.byteOffset, flow.byteLength));
}
"""


def ours(list_of_pairs):
    data = b"".join(first.tobytes() + second.tobytes() for _, first, second, _ in list_of_pairs)
    command = ["node", "--input-type=module", "-e", OURS % (W, H)]
    run = subprocess.run(command, input=data, stdout=subprocess.PIPE, cwd=ROOT, check=True)
    return np.frombuffer(run.stdout, np.float32).reshape(-1, H, W, 2)


def error(flow, truth):
    y, x = np.mgrid[0:H, 0:W]
    to_x, to_y = x + truth[..., 0], y + truth[..., 1]
    stays = (to_x >= 0) & (to_x <= W - 1) & (to_y >= 0) & (to_y <= H - 1)
    return float(np.hypot(*(flow - truth).transpose(2, 0, 1))[stays].mean())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--json")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    work = list(pairs(options.folder))
    dis = {name: cv2.DISOpticalFlow_create(i) for i, name in enumerate(["ultrafast", "fast", "medium"])}
    flows = {
        "cinefuse": ours(work),
        "OpenCV Farneback": [cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 5, 15, 3, 5, 1.2, 0) for _, a, b, _ in work],
        **{f"OpenCV DIS {name}": [d.calc(a, b, None) for _, a, b, _ in work] for name, d in dis.items()},
        "no motion": [np.zeros((H, W, 2), np.float32)] * len(work),
    }
    result = {}
    print(f"{len(work)} pairs; OpenCV {cv2.__version__}")
    for name, list_of_flows in flows.items():
        errors = [error(flow, truth) for flow, (_, _, _, truth) in zip(list_of_flows, work)]
        by_kind = {kind: float(np.mean([e for e, w in zip(errors, work) if w[0] == kind])) for kind in KINDS}
        result[name] = {**by_kind, "mean": float(np.mean(errors)), "median": float(np.median(errors))}
        print(f"{name:18}", " ".join(f"{key} {value:.3f}" for key, value in result[name].items()))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"pairs": len(work), "size": [W, H], "opencv": cv2.__version__, "error": result}, file, indent=1)
            file.write("\n")


main()
