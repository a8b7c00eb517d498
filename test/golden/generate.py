#!/usr/bin/env python3
"""Makes golden vectors: inputs, reference outputs and tolerances for the operators' tests.

    python3 test/golden/generate.py --out FOLDER [--seed N] [--only mel,image,...] [--no-soxr]
    node test/golden/make-subset.mjs FOLDER

Needs numpy, scipy, scikit-learn, torch and Pillow, and for some secondary tensors OpenCV and the libsoxr library.
Everything random comes from one seeded generator per family: the same seed and library versions give the same bytes.
With another seed the shapes vary too.

Every reference is computed in float64 from float32 (or uint8) inputs, that is from exactly the values that a float32
library receives. README.md says how to read the files and what each algorithm is.
"""
import argparse
import os

from families import attention, dqn, fusion, image, layers, losses, mel, metrics, optim, resample
from families.pack import DEFAULT_SEED

FAMILIES = {'mel': mel.gen_mel, 'resample': resample.gen_resample, 'image': image.gen_image,
            'fusion': fusion.gen_fusion, 'attention': attention.gen_attention, 'layers': layers.gen_layers,
            'losses': losses.gen_losses, 'optim': optim.gen_optim, 'dqn': dqn.gen_dqn, 'metrics': metrics.gen_metrics}


class Ctx:
    torch = cv2 = None


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--out', required=True)
    ap.add_argument('--seed', type=int, default=DEFAULT_SEED)
    ap.add_argument('--only', default='')
    ap.add_argument('--no-soxr', action='store_true')
    a = ap.parse_args()
    ctx = Ctx()
    ctx.out, ctx.seed, ctx.soxr = a.out, a.seed, not a.no_soxr
    os.makedirs(a.out, exist_ok=True)
    import torch
    ctx.torch = torch
    torch.set_num_threads(1)
    try:
        import cv2
        ctx.cv2 = cv2
    except ImportError:
        pass
    for name in (a.only.split(',') if a.only else FAMILIES):
        FAMILIES[name](ctx)


if __name__ == '__main__':
    main()
