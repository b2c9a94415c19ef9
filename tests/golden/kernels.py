#!/usr/bin/env python3
"""Writes kernels.safetensors: what PyTorch and torchvision compute for the kernels' tests, gradients included.

Everything is stored channels last, weights as [KH, KW, Cin, Cout]. Made with torch 2 and torchvision on the CPU:
    python3 tests/golden/kernels.py --write
Without `--write` the values are only compared.
"""
import json
import struct
import sys

# Nothing is to lie beside the scripts afterwards.
sys.dont_write_bytecode = True

import torch
import torch.nn.functional as F
from torchvision.ops import roi_align

from committed import settle
from model import load_file

torch.manual_seed(7)
out = {}


def last(t):
    return t.detach().permute(0, 2, 3, 1).contiguous()


def weights(t):
    return t.detach().permute(2, 3, 1, 0).contiguous()


def conv(name, x, w, stride, padding):
    x, w, b = (torch.randn(s).requires_grad_() for s in (x, w, (w[0],)))
    y = F.relu(F.conv2d(x, w, b, stride, padding))
    dy = torch.randn(y.shape)
    y.backward(dy)
    out.update({f"{name}.x": last(x), f"{name}.w": weights(w), f"{name}.b": b.detach(), f"{name}.y": last(y),
                f"{name}.dy": last(dy), f"{name}.dx": last(x.grad), f"{name}.dw": weights(w.grad), f"{name}.db": b.grad})


conv("conv7", (1, 3, 19, 22), (16, 3, 7, 7), 2, 3)
conv("conv3", (2, 12, 9, 11), (20, 12, 3, 3), 1, 1)
conv("conv3s2", (1, 16, 13, 10), (8, 16, 3, 3), 2, 1)
conv("conv1s2", (1, 20, 9, 8), (12, 20, 1, 1), 2, 0)

x, w, b = (torch.randn(s).requires_grad_() for s in ((2, 8, 5, 6), (8, 12, 2, 2), (12,)))
y = F.conv_transpose2d(x, w, b, 2)
dy = torch.randn(y.shape)
y.backward(dy)
swap = lambda t: t.detach().permute(2, 3, 0, 1).contiguous()
out.update({"up.x": last(x), "up.w": swap(w), "up.b": b.detach(), "up.y": last(y), "up.dy": last(dy),
            "up.dx": last(x.grad), "up.dw": swap(w.grad), "up.db": b.grad})

x = torch.randn(2, 5, 11, 14).round(decimals=0).requires_grad_()
y = F.max_pool2d(x, 3, 2, 1)
dy = torch.randn(y.shape)
y.backward(dy)
out.update({"pool.x": last(x), "pool.y": last(y), "pool.dy": last(dy), "pool.dx": last(x.grad)})

top, lateral = torch.randn(2, 6, 7, 5).requires_grad_(), torch.randn(2, 6, 13, 10).requires_grad_()
y = lateral + F.interpolate(top, size=lateral.shape[-2:], mode="nearest")
dy = torch.randn(y.shape)
y.backward(dy)
out.update({"fpn.top": last(top), "fpn.lateral": last(lateral), "fpn.y": last(y), "fpn.dy": last(dy),
            "fpn.dtop": last(top.grad)})

x = torch.randn(2, 4, 17, 23).requires_grad_()
rois = torch.tensor([[0, 3.0, 5.0, 40.5, 60.25], [1, -20.0, -9.0, 10.0, 30.0], [0, 70.0, 50.0, 120.0, 99.0],
                     [1, 12.0, 12.0, 12.5, 13.0], [1, 0.0, 0.0, 92.0, 68.0], [0, 88.0, 64.0, 92.0, 68.0]])
y = roi_align(x, rois, 7, spatial_scale=0.25, sampling_ratio=2, aligned=False)
dy = torch.randn(y.shape)
y.backward(dy)
out.update({"roi.x": last(x), "roi.rois": rois, "roi.y": last(y), "roi.dy": last(dy), "roi.dx": last(x.grad)})

header, blobs, at = {}, [], 0
for key in sorted(out):
    blob = out[key].to(torch.float32).numpy().astype("<f4").tobytes()
    header[key] = {"dtype": "F32", "shape": list(out[key].shape), "data_offsets": [at, at + len(blob)]}
    blobs.append(blob)
    at += len(blob)
head = json.dumps(header, separators=(",", ":")).encode()
head += b" " * (-len(head) % 8)


def values(path):
    return {key: tensor.flatten().tolist() for key, tensor in load_file(path)[0].items()}


settle("kernels.safetensors", struct.pack("<Q", len(head)) + head + b"".join(blobs), 1e-5, values)
