"""Makes tests/golden/train.json: what torchvision computes in training, for tests/train.rs.

    python3 tests/golden/train.py --write

Without `--write` they are only compared.

Weights, pictures and objects come from formulas that the Rust test repeats, so the file holds answers only: the five
losses, a digest of the gradient of every parameter, and the losses and parameters along ten steps of each optimiser. The
frozen batch norms are the identity there; along two more times ten steps they are not, so that it shows whether rates and
weight decay are those of the weights beside them.
Every anchor and proposal is sampled, so that no chance is left, and there are few proposals: with hundreds some pair is
always so near to the threshold of the NMS that rounding decides, in torch too when it runs on more threads. AdamW's epsilon is large here: with torch's 1e-8 the
rounding of gradients that are nearly 0 decides about whole steps, and no two programs agree after ten of them.
"""

import json
import math
import sys

# Nothing is to lie beside the scripts afterwards.
sys.dont_write_bytecode = True

import numpy as np
import torch
import torchvision
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from committed import settle

SIDE, CHANNELS, WIDTH, CLASSES = 128, 32, 64, 3
MEAN, STD = [0.5, 0.4, 0.45], [0.25, 0.2, 0.22]
ANCHORS = ((12,), (24,), (48,), (96,), (192,))
# Image by image: class, centre, half axes of the ellipses that are the objects.
OBJECTS = [
    [(1, 40, 36, 18, 24), (2, 90, 40, 22, 14), (1, 64, 96, 30, 20)],
    [(2, 50, 70, 26, 30), (2, 100, 100, 12, 15)],
    [],
]


def uniform(name, count):
    """Values in [-1, 1) from a hash of the name and the index; exact in f64, so the same everywhere."""
    seed = 0
    for byte in name.encode():
        seed = (seed * 31 + byte) % 2**32
    i = np.arange(count, dtype=np.uint64)
    x = (i * np.uint64(2654435761) + np.uint64(seed) * np.uint64(40503)) % np.uint64(2**32)
    for _ in range(2):
        x = ((x ^ (x >> np.uint64(15))) * np.uint64(2246822519)) % np.uint64(2**32)
    x = x ^ (x >> np.uint64(13))
    return (x.astype(np.float64) / 2**31 - 1.0).astype(np.float32)


# Of a batch norm that is not the identity: where its values lie, and how far round that.
NORMS = {"weight": (1.0, 0.5), "bias": (0.0, 0.1), "running_mean": (0.0, 0.1), "running_var": (2.0, 1.5)}


def fill(model, identity):
    state = model.state_dict()
    for name, tensor in state.items():
        count = tensor.numel()
        if "bn" in name or "downsample.1" in name:
            part = name.rsplit(".", 1)[1]
            if identity:
                value = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0 - 1e-5}[part]
                tensor.copy_(torch.full_like(tensor, value))
            else:
                middle, spread = map(np.float32, NORMS[part])
                tensor.copy_(torch.from_numpy(middle + spread * uniform(name, count)))
        elif name.endswith(".bias"):
            tensor.copy_(torch.from_numpy(uniform(name, count) * np.float32(0.01)).reshape(tensor.shape))
        else:
            bound = np.float32(math.sqrt(3.0 / (tensor.shape[1] * tensor[0, 0].numel())))
            tensor.copy_(torch.from_numpy(uniform(name, count) * bound).reshape(tensor.shape))


def build(identity=True):
    resnet = torchvision.models.resnet18(weights=None, norm_layer=FrozenBatchNorm2d)
    layers = {f"layer{i + 1}": str(i) for i in range(4)}
    backbone = BackboneWithFPN(resnet, layers, [64, 128, 256, 512], CHANNELS, LastLevelMaxPool())
    model = MaskRCNN(
        backbone,
        min_size=SIDE,
        max_size=SIDE,
        image_mean=MEAN,
        image_std=STD,
        rpn_anchor_generator=AnchorGenerator(ANCHORS, ((0.5, 1.0, 2.0),) * 5),
        rpn_batch_size_per_image=20000,
        rpn_pre_nms_top_n_train=6,
        rpn_post_nms_top_n_train=30,
        box_batch_size_per_image=512,
        box_head=TwoMLPHead(CHANNELS * 49, WIDTH),
        box_predictor=FastRCNNPredictor(WIDTH, CLASSES),
        mask_head=MaskRCNNHeads(CHANNELS, [CHANNELS] * 4, 1),
        mask_predictor=MaskRCNNPredictor(CHANNELS, CHANNELS, CLASSES),
    )
    with torch.no_grad():
        fill(model, identity)
    return model.train()


def picture(image):
    y, x, c = np.meshgrid(np.arange(SIDE), np.arange(SIDE), np.arange(3), indexing="ij")
    value = 0.35 + 0.25 * np.sin(0.05 * x * (image + 1) + 0.7 * c) * np.cos(0.07 * y + 0.3 * image)
    for k, (_, cx, cy, a, b) in enumerate(OBJECTS[image]):
        inside = ((x + 0.5 - cx) / a) ** 2 + ((y + 0.5 - cy) / b) ** 2 < 1
        value = value + inside * (0.12 * (c + 1) - 0.05 * k)
    return torch.from_numpy(np.clip(value, 0, 1).astype(np.float32).transpose(2, 0, 1).copy())


def target(image):
    y, x = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    objects = OBJECTS[image]
    masks = [((x + 0.5 - cx) / a) ** 2 + ((y + 0.5 - cy) / b) ** 2 < 1 for _, cx, cy, a, b in objects]
    return {
        "boxes": torch.tensor([[cx - a, cy - b, cx + a, cy + b] for _, cx, cy, a, b in objects]).float().reshape(-1, 4),
        "labels": torch.tensor([o[0] for o in objects], dtype=torch.int64),
        "masks": torch.from_numpy(np.array(masks, dtype=np.uint8).reshape(-1, SIDE, SIDE)),
    }


def digest(name, tensor):
    """Length, two projections on hashed directions, and a few values."""
    values = tensor.detach().double().flatten().numpy()
    projections = [float(values @ uniform(f"{name}/{k}", values.size).astype(np.float64)) for k in range(2)]
    places = [int(i) for i in np.linspace(0, values.size - 1, 5)]
    return {"length": float(np.linalg.norm(values)), "projections": projections, "values": [values[i] for i in places]}


def learnable(model):
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad]


def run(make_optimizer, images, targets, steps, identity=True):
    model = build(identity)
    start = {n: p.detach().clone() for n, p in learnable(model)}
    optimizer = make_optimizer([p for _, p in learnable(model)])
    losses = []
    for _ in range(steps):
        named = model(images, targets)
        losses.append({n: float(v) for n, v in named.items()})
        optimizer.zero_grad()
        sum(named.values()).backward()
        optimizer.step()
    moved = {n: digest(n, p.detach() - start[n]) for n, p in learnable(model)}
    return {"losses": losses, "moved": moved}


def main():
    torch.manual_seed(0)
    images, targets = [picture(i) for i in range(3)], [target(i) for i in range(3)]
    model = build()
    losses = model(images, targets)
    sum(losses.values()).backward()
    empty = build()
    empty_losses = empty(images[2:], targets[2:])

    def sgd(parameters):
        return torch.optim.SGD(parameters, lr=0.0002, momentum=0.9, weight_decay=1e-4)

    def adamw(parameters):
        return torch.optim.AdamW(parameters, lr=1e-5, eps=1e-4, weight_decay=0.05)

    answers = {
        "torchvision": torchvision.__version__,
        "losses": {n: float(v) for n, v in losses.items()},
        "gradients": {n: digest(n, p.grad) for n, p in learnable(model)},
        "losses_without_objects": {n: float(v) for n, v in empty_losses.items()},
        "sgd": run(sgd, images, targets, 10),
        "adamw": run(adamw, images, targets, 10),
        "norms_sgd": run(sgd, images, targets, 10, identity=False),
        "norms_adamw": run(adamw, images, targets, 10, identity=False),
    }
    # Rounding differs between machines and grows along the ten steps.
    settle("train.json", (json.dumps(answers, indent=1) + "\n").encode(), 2e-2)


if __name__ == "__main__":
    main()
