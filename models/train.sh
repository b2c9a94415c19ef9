#!/usr/bin/env bash
# Trains the detector that comes with cytobox: models/train.sh FOLDER, a folder of annotated channel sets of the Atlas.
# A training that was ended goes on where it was when this is run again.
set -euo pipefail
from=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program="${CARGO_TARGET_DIR:-target}/release/cytobox"
work=target/models
cargo build --release --locked --bin cytobox
mkdir -p "$work/train"

# An image counts four times in an epoch, beside 96 synthetic images.
for file in "$from"/*.xml "$from"/*_{red,green,blue,yellow,mask}.png; do
  for copy in a b c d; do ln -sf "$file" "$work/train/$copy-$(basename "$file")"; done
done
[ -e "$work/train/synthetic-2018-95.xml" ] || "$program" synth --out "$work/train" --images 96 --seed 2018

"$program" train --data "$work/train" --out "$work/cells.safetensors" --resume --device cpu --seed 7 \
  --recipe models/recipe.json --arch mask-rcnn --backbone resnet18 --fpn-channels 64 --representation 112 --f16 \
  --detector '{"min_size":384,"max_size":384,"rpn_pre_nms_top_n_test":1000,"rpn_post_nms_top_n_test":600,"box_nms_thresh":0.4,"class_sharpness":2,"box_batch_size_per_image":64,"box_positive_fraction":0.5,"rpn_batch_size_per_image":128,"rpn_pre_nms_top_n_train":600,"rpn_post_nms_top_n_train":300}'
