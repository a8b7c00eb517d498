"""Resize, crop and normalise; YUV 4:2:0 to RGB."""
import numpy as np

from .pack import Pack, tol


def f_triangle(x):
    return np.maximum(0.0, 1.0 - np.abs(x))


def f_cubic(x, a=-0.5):
    x = np.abs(x)
    return np.where(x < 1, ((a + 2) * x - (a + 3)) * x * x + 1, np.where(x < 2, (((x - 5) * x + 8) * x - 4) * a, 0.0))


def f_lanczos(x):
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


FILTERS = {'bilinear': (f_triangle, 1.0), 'bicubic': (f_cubic, 2.0), 'lanczos': (f_lanczos, 3.0)}


def aa_weights(n_in, n_out, filt):
    """Antialiased separable weights, one (first index, weights) a destination sample."""
    f, sup = FILTERS[filt]
    scale = n_in / n_out
    fs = max(scale, 1.0)
    support = sup * fs
    rows = []
    for i in range(n_out):
        c = (i + 0.5) * scale
        a = max(0, int(c - support + 0.5))
        b = min(n_in, int(c + support + 0.5))
        w = f((np.arange(a, b) - c + 0.5) * (1.0 / fs))
        s = w.sum()
        rows.append((a, w / s if s != 0 else w))
    return rows


def aa_matrix(n_in, n_out, filt):
    m = np.zeros((n_out, n_in))
    for i, (a, w) in enumerate(aa_weights(n_in, n_out, filt)):
        m[i, a:a + len(w)] = w
    return m


def noaa_matrix(n_in, n_out):
    """Two-tap bilinear with half-pixel centres, edges clamped, no antialiasing."""
    m = np.zeros((n_out, n_in))
    for i in range(n_out):
        s = max(0.0, (i + 0.5) * n_in / n_out - 0.5)
        a = min(int(s), n_in - 1)
        b, t = min(a + 1, n_in - 1), s - a
        m[i, a] += 1 - t
        m[i, b] += t
    return m


def resize_float(img, h, w, filt):
    """img [H,W,C] float64 -> [h,w,C], no rounding, no clamping."""
    mk = noaa_matrix if filt == 'bilinear_noaa' else (lambda a, b: aa_matrix(a, b, filt))
    mv, mh = mk(img.shape[0], h), mk(img.shape[1], w)
    return np.einsum('ij,jkc->ikc', mv, np.einsum('lk,jkc->jlc', mh, img))


def resize_u8(img, h, w, filt):
    """Pillow's 8-bit path, bit for bit: 22-bit fixed-point weights, horizontal then vertical pass,
    each rounded and clamped to uint8; a pass whose size does not change is skipped."""
    def one(a, n_out, axis):
        a = np.moveaxis(a, axis, 0)
        out = np.empty((n_out,) + a.shape[1:], np.uint8)
        for i, (s, wt) in enumerate(aa_weights(a.shape[0], n_out, filt)):
            k = np.where(wt < 0, np.trunc(-0.5 + wt * (1 << 22)), np.trunc(0.5 + wt * (1 << 22))).astype(np.int64)
            acc = (1 << 21) + np.tensordot(k, a[s:s + len(k)].astype(np.int64), axes=(0, 0))
            out[i] = np.clip(acc >> 22, 0, 255)
        return np.moveaxis(out, 0, axis)
    if img.shape[1] != w:
        img = one(img, w, 1)
    if img.shape[0] != h:
        img = one(img, h, 0)
    return img


def resized_shape(h, w, size):
    """torchvision's Resize(int): the short side becomes size, the long one int(size*long/short)."""
    if isinstance(size, (list, tuple)):
        return tuple(size)
    s, l = (w, h) if w <= h else (h, w)
    ns, nl = size, int(size * l / s)
    return (nl, ns) if w <= h else (ns, nl)


def center_crop(img, ch, cw):
    """torchvision's CenterCrop: offset int(round(d/2)), half to even; zero padding when the crop is larger."""
    h, w = img.shape[:2]
    if cw > w or ch > h:
        l, t = ((cw - w) // 2 if cw > w else 0), ((ch - h) // 2 if ch > h else 0)
        r, b = ((cw - w + 1) // 2 if cw > w else 0), ((ch - h + 1) // 2 if ch > h else 0)
        img = np.pad(img, ((t, b), (l, r), (0, 0)))
        h, w = img.shape[:2]
    t, l = int(round((h - ch) / 2.0)), int(round((w - cw) / 2.0))
    return img[t:t + ch, l:l + cw]


IMAGENET = dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
CLIP = dict(mean=[0.48145466, 0.4578275, 0.40821073], std=[0.26862954, 0.26130258, 0.27577711])


def to_planar(img01, norm):
    return ((img01 - np.array(norm['mean'])) / np.array(norm['std'])).transpose(2, 0, 1)


def synth_image(rng, h, w):
    """Gradients, discs, hard edges, fine stripes and noise: enough of each to tell filters apart."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    img = np.stack([127 + 120 * np.sin(x / max(w, 2) * 5 + c) * np.cos(y / max(h, 2) * 4 + c) for c in range(3)], -1)
    for _ in range(8):
        cy, cx, r = rng.uniform(0, h), rng.uniform(0, w), rng.uniform(0.05, 0.25) * max(h, w)
        img[((y - cy) ** 2 + (x - cx) ** 2) < r * r] = rng.uniform(0, 255, 3)
    b = (x > 0.7 * w) & (y < 0.3 * h)
    img[b] = (255 * ((x + y).astype(int) % 2))[b][:, None]
    img += rng.normal(0, 8, img.shape)
    return np.clip(np.round(img), 0, 255).astype(np.uint8)


YUV_K = {'bt601': (0.299, 0.114), 'bt709': (0.2126, 0.0722)}


def chroma_at(c, h, w, mode):
    """[ceil(h/2), ceil(w/2)] chroma plane to [h, w]."""
    ch, cw = c.shape
    y, x = np.arange(h), np.arange(w)
    if mode == 'nearest':
        return c[np.ix_(y // 2, x // 2)].astype(np.float64)
    ys = (y + 0.5) / 2 - 0.5
    xs = x / 2.0 if mode == 'bilinear_left' else (x + 0.5) / 2 - 0.5

    def taps(s, n):
        s = np.clip(s, 0, n - 1)
        a = np.floor(s).astype(int)
        return a, np.minimum(a + 1, n - 1), s - a
    y0, y1, ty = taps(ys, ch)
    x0, x1, tx = taps(xs, cw)
    c = c.astype(np.float64)
    r = c[y0] * (1 - ty)[:, None] + c[y1] * ty[:, None]
    return r[:, x0] * (1 - tx) + r[:, x1] * tx


def yuv_to_rgb(Y, U, V, matrix, rng_, chroma):
    """[h,w,3] float64 in [0,1], clamped."""
    kr, kb = YUV_K[matrix]
    h, w = Y.shape
    u, v = chroma_at(U, h, w, chroma), chroma_at(V, h, w, chroma)
    if rng_ == 'limited':
        y, cb, cr = (Y.astype(np.float64) - 16) / 219, (u - 128) / 224, (v - 128) / 224
    else:
        y, cb, cr = Y.astype(np.float64) / 255, (u - 128) / 255, (v - 128) / 255
    r = y + 2 * (1 - kr) * cr
    b = y + 2 * (1 - kb) * cb
    g = y - 2 * (1 - kr) * kr / (1 - kr - kb) * cr - 2 * (1 - kb) * kb / (1 - kr - kb) * cb
    return np.clip(np.stack([r, g, b], -1), 0, 1)


def gen_image(ctx):
    p = Pack(ctx, 'image', 'resize + centre crop + normalise to planar float, and NV12/I420 to RGB')
    rng = p.rng
    # the 8-bit result is exact; a float32 result depends on whether the weights were made in float64 (1e-5) or float32 (1e-4)
    t_img = tol(pil_u8={'exact': True}, float_ref={'atol': 2e-4})
    first = {}

    def img_case(name, key, hw, size, crop, filt, norm, pil=True):
        share, t = {}, {}
        if key in first:
            src, share['input'] = first[key]
        else:
            src = synth_image(rng, *hw)
            t['input'] = src
            first[key] = (src, f'{name}/input')
        h, w = resized_shape(src.shape[0], src.shape[1], size)
        cr = crop or [h, w]
        if pil:
            t['pil_u8'] = center_crop(resize_u8(src, h, w, filt), *cr)
        t['float_ref'] = to_planar(center_crop(resize_float(src / 255.0, h, w, filt), *cr), norm).astype(np.float32)
        p.case(name, {'kind': 'resize', 'resize': size, 'resized': [h, w], 'crop': crop, 'filter': filt, **norm,
                      'input_layout': 'HWC', 'float_ref_layout': 'CHW'}, t, t_img, share)

    big = (p.dim(341), p.dim(257))
    img_case('imagenet_256_224_bilinear', 'big', big, 256, [224, 224], 'bilinear', IMAGENET)
    img_case('imagenet_256_224_bicubic', 'big', big, 256, [224, 224], 'bicubic', IMAGENET)
    sq = (p.dim(333), p.dim(499))
    img_case('squash_224_bilinear', 'sq', sq, [224, 224], None, 'bilinear', IMAGENET)
    img_case('clip_224_bicubic', 'sq', sq, 224, [224, 224], 'bicubic', CLIP)
    S = p.dim(64)
    C = S - p.dim(8)
    img_case('down_strong_bilinear', 'sq', sq, S, [C, C], 'bilinear', IMAGENET)
    img_case('down_strong_bicubic', 'sq', sq, S, [C, C], 'bicubic', CLIP)
    img_case('down_strong_lanczos', 'sq', sq, S, [C, C], 'lanczos', IMAGENET)
    img_case('down_strong_noaa', 'sq', sq, S, [C, C], 'bilinear_noaa', IMAGENET, pil=False)
    small = (p.dim(37), p.dim(53))
    for f in ('bilinear', 'bicubic', 'lanczos'):
        img_case(f'upscale_{f}', 'small', small, p.dim(80), [p.dim(72), p.dim(72)], f, IMAGENET)
    img_case('upscale_noaa', 'small', small, 80, [72, 72], 'bilinear_noaa', IMAGENET, pil=False)
    img_case('squash_odd', 'small', small, [p.dim(31), p.dim(47)], None, 'bilinear', IMAGENET)
    img_case('one_wide', 'onew', (p.dim(50), 1), [32, 32], None, 'bilinear', IMAGENET)
    img_case('one_wide_bicubic', 'onew', None, [32, 32], None, 'bicubic', IMAGENET)
    img_case('one_high', 'oneh', (1, p.dim(45)), [24, 17], None, 'bilinear', IMAGENET)
    img_case('one_pixel', 'onep', (1, 1), [5, 7], None, 'bilinear', IMAGENET)
    img_case('to_one_pixel', 'small', small, [1, 1], None, 'bilinear', IMAGENET)
    img_case('tall', 'tall', (p.dim(400), p.dim(30)), 48, [48, 48], 'bilinear', IMAGENET)
    img_case('tall_up_bicubic', 'tall', None, 56, [48, 48], 'bicubic', CLIP)
    img_case('wide', 'wide', (p.dim(23), p.dim(391)), 40, [32, 32], 'bilinear', IMAGENET)
    img_case('same_size', 'small', small, list(small), None, 'bilinear', IMAGENET)
    img_case('same_width_only', 'small', small, [p.dim(20), small[1]], None, 'bilinear', IMAGENET)
    img_case('odd_crop_offsets', 'small', small, [41, 60], [36, 33], 'bilinear', IMAGENET)
    img_case('crop_larger_than_image', 'small', small, 20, [33, 40], 'bilinear', IMAGENET)
    src = np.where(np.indices((p.dim(64), p.dim(64))).sum(0)[..., None] % 2, 255, 0).astype(np.uint8).repeat(3, -1)
    for f in ('bilinear', 'bicubic'):
        h, w = 23, 29
        p.case(f'checkerboard_{f}', {'kind': 'resize', 'resize': [h, w], 'resized': [h, w], 'crop': None, 'filter': f, **IMAGENET,
                                     'input_layout': 'HWC', 'float_ref_layout': 'CHW'},
               {'input': src, 'pil_u8': resize_u8(src, h, w, f),
                'float_ref': to_planar(resize_float(src / 255.0, h, w, f), IMAGENET).astype(np.float32)}, t_img)

    # ---- YUV 4:2:0
    def yuv_planes(h, w):
        img = synth_image(rng, h, w).astype(np.float64)
        y = 16 + 219 / 255 * img.mean(-1)
        ch, cw = (h + 1) // 2, (w + 1) // 2
        u, v = rng.integers(0, 256, (2, ch, cw))
        smooth = synth_image(rng, ch, cw)
        m = rng.random((ch, cw)) < 0.7                   # mostly plausible chroma, some that clips
        u, v = np.where(m, smooth[..., 0], u), np.where(m, smooth[..., 1], v)
        Y = np.clip(np.round(y), 0, 255).astype(np.uint8)
        Y[rng.random((h, w)) < 0.03] = 0                 # out-of-range luma must clamp
        Y[rng.random((h, w)) < 0.03] = 255
        return Y, u.astype(np.uint8), v.astype(np.uint8)

    t_yuv = tol(rgb={'atol': 1e-6}, out={'atol': 2e-4})
    h, w = 2 * p.dim(24), 2 * p.dim(32)
    Y, U, V = yuv_planes(h, w)
    base = {'y': Y, 'uv': np.stack([U, V], -1), 'u': U, 'v': V}
    done = False
    for matrix in ('bt601', 'bt709'):
        for r in ('limited', 'full'):
            for chroma in ('nearest', 'bilinear_left', 'bilinear_center'):
                t = {} if done else dict(base)
                share = {k: f'yuv_bt601_limited_nearest/{k}' for k in base} if done else None
                t['rgb'] = yuv_to_rgb(Y, U, V, matrix, r, chroma).transpose(2, 0, 1)
                if matrix == 'bt601' and r == 'limited' and chroma == 'nearest' and ctx.cv2 is not None:
                    nv12 = np.concatenate([Y.reshape(-1), base['uv'].reshape(-1)]).reshape(h * 3 // 2, w)
                    t['opencv_u8'] = ctx.cv2.cvtColor(nv12, ctx.cv2.COLOR_YUV2RGB_NV12)
                p.case(f'yuv_{matrix}_{r}_{chroma}', {'kind': 'yuv420_to_rgb', 'width': w, 'height': h, 'matrix': matrix,
                                                      'range': r, 'chroma': chroma, 'rgb_layout': 'CHW, 0..1, clamped'},
                       t, tol(rgb={'atol': 1e-6}, opencv_u8={'atol': 2, 'note': 'compare with round(255*rgb) where y >= 16: OpenCV raises lower luma to 16 first'}), share)
                done = True
    h, w = p.dim(19) | 1, p.dim(33) | 1
    Y, U, V = yuv_planes(h, w)
    p.case('yuv_odd_size', {'kind': 'yuv420_to_rgb', 'width': w, 'height': h, 'matrix': 'bt709', 'range': 'limited',
                            'chroma': 'nearest', 'rgb_layout': 'CHW, 0..1, clamped', 'note': 'chroma planes are ceil(w/2) x ceil(h/2)'},
           {'y': Y, 'uv': np.stack([U, V], -1), 'u': U, 'v': V,
            'rgb': yuv_to_rgb(Y, U, V, 'bt709', 'limited', 'nearest').transpose(2, 0, 1)}, t_yuv)
    h, w = 2 * p.dim(10), 2 * p.dim(15)
    Y, U, V = yuv_planes(h, w)
    pitch = (w + 63) // 64 * 64
    yp, uvp = np.full((h, pitch), 77, np.uint8), np.full(((h + 1) // 2, pitch), 201, np.uint8)
    yp[:, :w], uvp[:, :w] = Y, np.stack([U, V], -1).reshape(h // 2, w)
    p.case('yuv_pitch', {'kind': 'yuv420_to_rgb', 'width': w, 'height': h, 'pitch': pitch, 'matrix': 'bt601', 'range': 'limited',
                         'chroma': 'nearest', 'rgb_layout': 'CHW, 0..1, clamped', 'note': 'y and uv rows are pitch bytes apart; the padding bytes must not show'},
           {'y': yp, 'uv': uvp, 'rgb': yuv_to_rgb(Y, U, V, 'bt601', 'limited', 'nearest').transpose(2, 0, 1)}, t_yuv)
    # fused: NV12 batch -> RGB -> resize (+crop) -> normalise
    h, w, B = 2 * p.dim(72), 2 * p.dim(96), 3
    fr = [yuv_planes(h, w) for _ in range(B)]
    nv12 = np.stack([np.concatenate([y.reshape(-1), np.stack([u, v], -1).reshape(-1)]) for y, u, v in fr])
    firstname = None
    for matrix, size, crop, filt in (('bt709', [56, 56], None, 'bilinear'), ('bt601', 64, [56, 56], 'bilinear'),
                                     ('bt709', [48, 64], None, 'bilinear_noaa'), ('bt709', 64, [56, 56], 'bicubic')):
        rh, rw = resized_shape(h, w, size)
        out = np.stack([to_planar(center_crop(resize_float(yuv_to_rgb(*f, matrix, 'limited', 'nearest'), rh, rw, filt),
                                              *(crop or [rh, rw])), IMAGENET) for f in fr])
        name = f'nv12_batch_{matrix}_{filt}_{"crop" if crop else "squash"}'
        p.case(name, {'kind': 'nv12_preprocess', 'width': w, 'height': h, 'matrix': matrix, 'range': 'limited',
                      'chroma': 'nearest', 'resize': size, 'resized': [rh, rw], 'crop': crop, 'filter': filt, **IMAGENET,
                      'layout': 'B x (Y plane, then interleaved UV)'}, {**({} if firstname else {'nv12': nv12}), 'out': out.astype(np.float32)},
               t_yuv, {'nv12': f'{firstname}/nv12'} if firstname else None)
        firstname = firstname or name
    p.save()
