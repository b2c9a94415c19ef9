#!/usr/bin/env bash
# Trains a detector that comes with cytobox:
#   models/train.sh atlas FOLDER     FOLDER holds annotated channel sets of the Atlas
#   models/train.sh general FOLDER   FOLDER holds the folders that models/general.py names (needs Python with torch, numpy, Pillow)
# A training that was ended goes on where it was when this is run again.
set -euo pipefail
which=$1
from=$(realpath "$2")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program="${CARGO_TARGET_DIR:-target}/release/cytobox"
work=target/models/$which
python=${PYTHON:-python3}
cargo build --release --locked --bin cytobox
mkdir -p "$work/train"

case $which in
atlas)
  # An image counts four times in an epoch, beside 96 synthetic images.
  for file in "$from"/*.xml "$from"/*_{red,green,blue,yellow,mask}.png; do
    for copy in a b c d; do ln -sf "$file" "$work/train/$copy-$(basename "$file")"; done
  done
  [ -e "$work/train/synthetic-2018-95.xml" ] || "$program" synth --out "$work/train" --images 96 --seed 2018
  "$program" train --data "$work/train" --out "$work/cells.safetensors" --resume --device cpu --seed 7 \
    --recipe models/recipe.json --arch mask-rcnn --backbone resnet18 --fpn-channels 64 --representation 112 --f16 \
    --detector '{"min_size":384,"max_size":384,"rpn_pre_nms_top_n_test":1000,"rpn_post_nms_top_n_test":600,"box_nms_thresh":0.4,"class_sharpness":2,"box_batch_size_per_image":64,"box_positive_fraction":0.5,"rpn_batch_size_per_image":128,"rpn_pre_nms_top_n_train":600,"rpn_post_nms_top_n_train":300}'
  ;;
general)
  if [ ! -e "$work/ready" ]; then
    "$python" models/general.py "$from" "$work/train"
    "$python" models/general.py "$from" "$work/val" --split val
    touch "$work/ready"
  fi
  "$program" train --data "$work/train" --val "$work/val" --out "$work/trained.safetensors" --resume --device cpu \
    --recipe models/general.json --arch mask-rcnn --backbone resnet18 --fpn-channels 64 --representation 112 --f16 --skip-bad \
    --detector '{"min_size":320,"max_size":320,"anchor_sizes":[[12,17],[24,34],[48,68],[96,136],[192,272]],"rpn_pre_nms_top_n_train":800,"rpn_post_nms_top_n_train":400,"rpn_pre_nms_top_n_test":1000,"rpn_post_nms_top_n_test":600,"box_detections_per_img":300,"box_batch_size_per_image":96,"box_positive_fraction":0.4,"rpn_batch_size_per_image":192}'
  # It learnt from crops that were brought to their cells; on whole images it does that itself.
  "$program" convert "$work/trained.safetensors" "$work/general.safetensors" \
    --detector '{"scale":"cells","cell_diameter":48,"intensity":{"percentiles":{"low":1,"high":99.8}},"min_size":512,"max_size":1024,"box_nms_thresh":0.45}'
  ;;
*)
  echo "models/train.sh atlas FOLDER, or models/train.sh general FOLDER" >&2
  exit 2
  ;;
esac
