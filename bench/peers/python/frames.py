"""Pictures to normalised planes (3, side, side), or (n, 3, side, side) of NV12 frames.

Parameters: side, mean, std, and of NV12 width and height. Input: (height, width, 3) uint8, or frames one after the other."""
import numpy as np

from registry import contender


def normaliser(p):
    """uint8 (side, side, 3) -> float32 (3, side, side), in two passes over small data."""
    std = np.array(p['std'], np.float32)[:, None, None]
    scale = 1 / (255 * std)
    shift = -np.array(p['mean'], np.float32)[:, None, None] / std

    def call(small, out=None):
        planes = np.multiply(small.transpose(2, 0, 1), scale, out=out, dtype=np.float32, order='C')
        planes += shift
        return planes

    return call


@contender('frames', 'Pillow + numpy', 'Pillow')
def frames_pillow(p, x):
    from PIL import Image

    normalise, side = normaliser(p), p['side']
    # fromarray copies the pixels: a program that has decoded a picture has them in an Image already.
    image = Image.fromarray(x)
    return lambda: normalise(np.asarray(image.resize((side, side), Image.BILINEAR)))


@contender('frames', 'torchvision on Pillow', 'torchvision', 'Pillow')
def frames_torchvision(p, x):
    import torch
    from PIL import Image
    from torchvision import transforms

    image = Image.fromarray(x)
    transform = transforms.Compose(
        [
            transforms.Resize((p['side'], p['side'])),
            transforms.ToTensor(),
            transforms.Normalize(p['mean'], p['std']),
        ]
    )

    def call():
        with torch.inference_mode():
            return transform(image)

    return call


@contender('frames', 'torch, antialiased tensor', 'torch')
def frames_torch(p, x):
    import torch

    picture = torch.from_numpy(x)
    std = torch.tensor(p['std'])[:, None, None]
    scale, shift = 1 / (255 * std), -torch.tensor(p['mean'])[:, None, None] / std
    size = (p['side'], p['side'])

    def call():
        with torch.inference_mode():
            planes = picture.permute(2, 0, 1)[None].float()
            small = torch.nn.functional.interpolate(planes, size, mode='bilinear', antialias=True)[0]
            return torch.addcmul(shift, small, scale)

    return call


def cv2_frames(p, x, interpolation):
    import cv2

    normalise, size = normaliser(p), (p['side'], p['side'])
    return lambda: normalise(cv2.resize(x, size, interpolation=getattr(cv2, interpolation)))


@contender('frames', 'OpenCV area + numpy', 'OpenCV')
def frames_cv2_area(p, x):
    return cv2_frames(p, x, 'INTER_AREA')


@contender('frames', 'OpenCV linear + numpy', 'OpenCV')
def frames_cv2_linear(p, x):
    return cv2_frames(p, x, 'INTER_LINEAR')


@contender('nv12', 'OpenCV area + numpy', 'OpenCV')
def nv12_cv2(p, x):
    import cv2

    normalise, side = normaliser(p), p['side']
    clip = x.reshape(-1, p['height'] * 3 // 2, p['width'])

    def call():
        out = np.empty((len(clip), 3, side, side), np.float32)
        for frame, planes in zip(clip, out):
            rgb = cv2.cvtColor(frame, cv2.COLOR_YUV2RGB_NV12)
            normalise(cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA), planes)
        return out

    return call
