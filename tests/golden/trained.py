"""Whether torchvision takes what cytobox trained, for tests/train.rs.

    python3 tests/golden/trained.py DIR

DIR/trained.safetensors must load with strict=True and compute what cytobox computed of it, DIR/answers.safetensors.
Needs torch and torchvision.
"""

import json
import sys

# Nothing is to lie beside the scripts afterwards.
sys.dont_write_bytecode = True

import torch
from torchvision.ops import FrozenBatchNorm2d

from model import build, load_file, nhwc

TOLERANCE = 1e-4


def outputs(model, picture, boxes):
    """Channels last: the pyramid, the RPN's answers on it, and what the heads say of `boxes`."""
    images, _ = model.transform([picture])
    features = model.backbone(images.tensors)
    logits, deltas = model.rpn.head(list(features.values()))
    out = {}
    for i, level in enumerate(features.values()):
        out[f"fpn.{i}"], out[f"objectness.{i}"], out[f"deltas.{i}"] = map(nhwc, (level, logits[i], deltas[i]))
    heads, sizes = model.roi_heads, images.image_sizes
    pooled = heads.box_roi_pool(features, [boxes], sizes)
    out["box.logits"], out["box.deltas"] = heads.box_predictor(heads.box_head(pooled))
    out["mask.logits"] = nhwc(heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(features, [boxes], sizes))))
    return out


def verify(folder):
    tensors, metadata = load_file(f"{folder}/trained.safetensors")
    model = build(json.loads(metadata["config"]), FrozenBatchNorm2d).eval()
    model.load_state_dict(tensors, strict=True)
    answers, _ = load_file(f"{folder}/answers.safetensors")
    picture, boxes = answers.pop("picture").permute(2, 0, 1), answers.pop("boxes")
    with torch.no_grad():
        found = outputs(model, picture, boxes)
    assert answers.keys() == found.keys(), (answers.keys(), found.keys())
    for name, expected in found.items():
        error = ((answers[name] - expected).abs().max() / expected.abs().max()).item()
        print(f"{name}: {error:.1e}")
        assert error <= TOLERANCE, name


if __name__ == "__main__":
    # Without a folder there is nothing to verify.
    for folder in sys.argv[1:]:
        verify(folder)
