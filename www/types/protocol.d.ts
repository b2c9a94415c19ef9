// Made by tests/page/generate.mjs from the source of the engine; a test compares them. Do not edit.

export interface AnchorReport {
  boxes: number;
  /** 5 %, 50 % and 95 % quantiles of √area after the resize, in pixels. */
  sides: [number, number, number];
  /** The same quantiles of height over width. */
  ratios: [number, number, number];
  fit: Fit;
  /** A set with as many anchors at each place, and its fit, where it is clearly better. */
  suggestion: [AnchorSet, Fit] | null;
}

export interface AnchorSet {
  sizes: number[][];
  aspectRatios: number[];
}

/** An image with what people say of it. */
export interface AnnotatedInput {
  image: ImageInput;
  annotations: ImageAnnotations;
}

/** A format that annotations are written in. */
export type AnnotationFormat =
  | 'voc'
  | 'coco'
  | 'yolo'
  /** keras-frcnn's table. */
  | 'csv'
  /** `annotations.jsonl`: one line an image, with everything that is known of it. */
  | 'jsonl'
  /** `STEM_mask.png` for each image of which an object has a mask; value k is the k-th object. */
  | 'masks';

/** The kinds of file that hold annotations. */
export type AnnotationKind =
  /** Names of classes, which the numbers of YOLO's files stand for. */
  | 'classList'
  /** An image whose values are object numbers. */
  | 'labelImage'
  /** Pascal VOC, of one image. */
  | 'voc'
  /** COCO, VIA or LabelMe, of one image or of many. */
  | 'json'
  /** cytobox's lines, of many images. */
  | 'jsonLines'
  /** Cellpose's outlines, of one image. */
  | 'outlines'
  /** The Atlas's table of labels for whole images, which needs no image and no size. */
  | 'imageLabels'
  /** A table of boxes, of many images. */
  | 'table'
  /** YOLO, of one image, whose size it needs. */
  | 'yolo'
  | 'unknown';

/** One cell that a person boxed. */
export interface AnnotationsObject {
  /** Pixels of the original merged image. */
  box: BoxXyxy;
  /** The class. */
  label: string;
  /** Hard even for a person; evaluation does not count it. */
  difficult: boolean;
  /** Cut by the edge of the image. */
  truncated: boolean;
  /** Over the whole image. */
  mask?: Rle | null;
}

/** The two detectors. */
export type Architecture =
  /** Boxes only (Ren et al. 2015). */
  | 'fasterrcnn_resnet_fpn'
  /** Boxes and a mask for each (He et al. 2017). */
  | 'maskrcnn_resnet_fpn';

/** What may happen to an image on its way into a batch. */
export interface Augment {
  /** Mirrored left to right in half of the cases; a microscope has no preferred side. */
  flip_x: boolean;
  /** Mirrored top to bottom in half of the cases. */
  flip_y: boolean;
  /** Turned by 0, 90, 180 or 270 degrees. */
  quarter_turns: boolean;
  /** Each of red, green and blue is multiplied by up to this much more or less (0.2: from 0.8 to 1.2). */
  brightness: number;
  /** The image is resized by a further factor from this range. */
  scale: [number, number];
  /** A square of this side, in pixels of the network's input, is cut out at random. */
  crop: number | null;
  /**
   * Objects of which a crop leaves less than this share of the area are not learnt; what is left of them is not background
   * either.
   */
  least_area: number;
}

/** Average precision; `None` where nothing is annotated. */
export interface Average {
  /** At IoU 0.5. */
  ap_50: number | null;
  /** Mean over IoU 0.5, 0.55 … 0.95. */
  ap_50_95: number | null;
}

/** The residual networks supported as backbones (He et al. 2015, torchvision's v1.5). */
export type Backbone =
  | 'resnet18'
  | 'resnet34'
  | 'resnet50'
  | 'resnet101';

/** A convolution layer of a detector. */
export interface BenchLayer {
  name: string;
  /** `[n, h, w, cin]` */
  x: [number, number, number, number];
  /** `[kh, kw, cin, cout]` */
  w: [number, number, number, number];
  out: [number, number, number, number];
  stride: number;
  padding: number;
  /** Of the forward pass; each of the two gradients takes the same number. A multiply-add counts as two. */
  flops: number;
}

export interface BenchResult {
  /** Of one run. */
  seconds: number;
  /** Operations of one run of a convolution or of the peak. */
  flops: number;
  /** `f32`, channels last: the output; the gradients of input and weights; the levels; or the losses of two steps. */
  values: Uint8Array<ArrayBuffer>[];
}

export type BenchTask =
  /** Multiply-adds from and to registers alone. */
  | { kind: 'peak'; }
  /**
   * A convolution `x [n, h, w, cin]`, `w [kh, kw, cin, cout]` with bias and ReLU, this project's or burn's; with `backward`
   * and the gradients of its sum.
   */
  | { kind: 'conv'; x: [number, number, number, number]; w: [number, number, number, number]; stride: number; padding: number; burn: boolean; backward: boolean; }
  /** ResNet-18 and its pyramid on an image of `side × side` pixels. */
  | { kind: 'modelForward'; side: number; }
  /** One step of fine-tuning it by SGD; the loss is the sum over levels of the mean of squares. */
  | { kind: 'modelStep'; side: number; rate: number; momentum: number; };

/**
 * The bits that a camera digitises to: the sample `2^bits − 1` counts as full brightness. A plain number in JSON. Larger
 * depths are greater, so the depth of a set is the maximum of its images'.
 */
export type BitDepth = number;

/** A box with `0 ≤ x1 < x2 ≤ W` and `0 ≤ y1 < y2 ≤ H`. */
export type BoxXyxy = [number, number, number, number];

/** How long a run trains. */
export type Budget =
  /** Times through the training images. */
  | { epochs: number }
  /** Of computing; pauses do not count. */
  | { minutes: number };

/** Keys of a `DetectorConfig` with the values that they are to have. */
export type Changes = Record<string, unknown>;

/** A channel of an image. In JSON and in words: `red`, `green`, `blue`, `yellow`, `grey`, `channel1`, `channel2`, … */
export type Channel = string;

export interface ChannelFile {
  /** `None` for an image by itself. */
  channel: Channel | null;
  file: string;
}

/**
 * The channel of an image for each channel of a detector; those that are not named are black. In words and on the command line
 * `red=channel1,blue=grey`, the detector's channel first; in JSON a map.
 */
export type ChannelMap = Record<string, Channel>;

/** A chart. */
export interface Chart {
  xLabel: string;
  yLabel: string;
  /** Upper end of the y axis; from the data when absent. */
  yMax?: number | null;
  series: Series[];
  width: number;
  height: number;
  /** For a dark page. */
  dark?: boolean;
}

/** How often a class occurs. */
export interface ClassCount {
  label: string;
  images: number;
  cells: number;
}

export type ClassResult = Average & {
  /** Annotated objects, without difficult ones. */
  boxes: number;
  /** At IoU 0.5. */
  curve: Curve;
  /** What each score threshold keeps, from the lowest on; empty in evaluations of earlier versions. */
  kept: Kept[];
};

export type CocoCounts =
  | string
  | number[];

/** The form in COCO files: `size` is height and width; `counts` is compressed text or plain numbers. */
export interface CocoRle {
  size: [number, number];
  counts: CocoCounts;
}

/** One quantity, or one quantity of one channel. */
export interface Column {
  name: string;
  /** `None` for a text, a truth value or a plain ratio. */
  unit?: string | null;
  /** `None` for what does not depend on a channel. */
  channel?: string | null;
}

export type Command =
  /** Chooses a device and proves it with known answers. Done: `Outcome::Device`. */
  | { type: 'start'; device: DeviceChoice; probe?: Probe | null; }
  /** Sorts files by what they are and which image they belong to. Done: `Outcome::Groups`. */
  | { type: 'group'; files: DroppedFile[]; }
  /** Says what the first bytes of image files tell. Done: `Outcome::Glances`, one a file. */
  | { type: 'glance'; files: DroppedFile[]; }
  /** Decodes and merges one image for the screen. Done: `Outcome::Image`. */
  | { type: 'open'; image: ImageInput; thumbnail: number; }
  /**
   * Finds out which bit depth an image by itself asks for; the greatest of all is that of their set. Done:
   * `Outcome::Depth`.
   */
  | { type: 'survey'; image: ImageInput; }
  /** Decodes and merges one image only to learn its size, or what is wrong with it. Done: `Outcome::Measured`. */
  | { type: 'measure'; image: ImageInput; }
  /** Writes the merged image as PNG. Done: `Outcome::Files`. */
  | { type: 'merge'; image: ImageInput; }
  /** Replaces the detector. Done: `Outcome::Model`. A file that does not fit leaves the old one in place. */
  | { type: 'loadModel'; name: string; bytes: Uint8Array<ArrayBuffer>; }
  /**
   * Finds the cells of one image, all with at least `score`, and at most `max_detections`, or as many as there are. Done:
   * `Outcome::Detections`.
   */
  | { type: 'detect'; image: ImageInput; score: number; maxDetections?: number | null; diameter?: number | null; }
  /**
   * Outlines the cells in boxes that a person drew, with the loaded detector. The feature maps of the image are kept under
   * `key` until another image takes their place; `image` may be left out where they are there. Done:
   * `Outcome::BoxOutlines`.
   */
  | { type: 'outlineBoxes'; key: string; image?: ImageInput | null; boxes: BoxXyxy[]; labels: string[]; diameter?: number | null; }
  /** Traces masks for the screen. Done: `Outcome::Outlines`, one a mask. */
  | { type: 'outline'; masks: Rle[]; }
  /**
   * Writes results in one or several formats; `tables` has what was measured of each image, or nothing. Done:
   * `Outcome::Files`.
   */
  | { type: 'export'; images: ImageDetections[]; classes: string[]; formats: Format[]; tables?: PackedTable[]; }
  /**
   * Measures cells of an image, and writes those of `formats` that have files of their own for each image, called `name`.
   * Without the image only what needs no samples is written. Annotated cells have the score NaN. Done:
   * `Outcome::MeasuredCells`.
   */
  | { type: 'measureCells'; cells: ImageDetections; image?: ImageInput | null; name: string; formats: MeasuredFormat[]; pixelSize?: number | null; }
  /** Writes the tables of what was measured. Done: `Outcome::Files`. */
  | { type: 'writeTables'; images: MeasuredCells[]; }
  /** Cuts the squares around boxes out of the merged image. Done: `Outcome::Crops`. */
  | { type: 'cropCells'; image: ImageInput; boxes: BoxXyxy[]; side: number; }
  /** Writes the report of many images as one HTML file. Done: `Outcome::Files`. */
  | { type: 'reportFolder'; facts: FolderFacts; images: MeasuredCells[]; pictures: Picture[]; }
  /**
   * Says what annotation files are, and after which of the images they are named. Done: `Outcome::AnnotationFiles`, one a
   * file.
   */
  | { type: 'recogniseAnnotations'; files: DroppedFile[]; images: ImageInfo[]; }
  /**
   * Reads annotation files of every kind and brings them to the images; `number_pieces` gives each connected piece of a
   * label image a number of its own. Done: `Outcome::Annotations`.
   */
  | { type: 'readAnnotations'; files: NamedBytes[]; images: ImageInfo[]; label: string; numberPieces?: boolean; orientations?: Record<string, number>; }
  /** Finds the box of each mask of a label image that came by itself. Done: `Outcome::MaskOfBox`. */
  | { type: 'attachMasks'; boxes: BoxXyxy[]; masks: Rle[]; }
  /**
   * Writes annotations in one or several formats; `tables` has what was measured of each image, or nothing. Done:
   * `Outcome::Files`.
   */
  | { type: 'writeAnnotations'; images: ImageAnnotations[]; classes: string[]; formats: AnnotationFormat[]; tables?: PackedTable[]; }
  /** Says which file stands for each image in results, and what its own files are called. Done: `Outcome::Names`. */
  | { type: 'nameFiles'; images: ImageInfo[]; }
  /** Looks at what is to be trained on, without its images. Done: `Outcome::Preparation`. */
  | { type: 'prepare'; images: ImageAnnotations[]; plan: Plan; }
  /** Trains, and takes the new detector for the old one. Tells `Event::Training`; done: `Outcome::Trained`. */
  | { type: 'train'; } & TrainJob
  /** Pauses, resumes or finishes a training run. Done: `Outcome::Nothing`. */
  | { type: 'controlTraining'; request: number; control: TrainControl; }
  /** Compares what the detector finds with annotations. Done: `Outcome::Evaluation`. */
  | { type: 'evaluate'; images: AnnotatedInput[]; options: EvaluateOptions; }
  /** Chooses a score threshold for each class, and says what one for all, `score`, costs. Done: `Outcome::Thresholds`. */
  | { type: 'chooseThresholds'; evaluation: Evaluation; goal: Goal; score: number; }
  /** Writes a detector file with these thresholds of its classes. Done: `Outcome::Files`. */
  | { type: 'keepThresholds'; name: string; bytes: Uint8Array<ArrayBuffer>; thresholds: Record<string, number>; }
  /** Draws curves. Done: `Outcome::Plots`. */
  | { type: 'plot'; charts: Chart[]; }
  /** Writes a training run down as one HTML file. Done: `Outcome::Files`. */
  | { type: 'report'; material: Material; evaluation?: Evaluation | null; }
  /**
   * Makes synthetic images of `side` × `side` pixels, with boxes and masks, for somebody who has none at hand. Done:
   * `Outcome::Files`, as if they had been dropped.
   */
  | { type: 'samples'; images: number; seed: number; side: number; }
  /** Makes one synthetic image. Done: `Outcome::Files`. */
  | { type: 'synthesize'; options: SynthOptions; index: number; }
  /** The convolutions of the benchmark for images of that side. Done: `Outcome::BenchLayers`. */
  | { type: 'benchLayers'; side: number; }
  /** Measures one thing on the device, or for no `runs` gives its results. Done: `Outcome::Bench`. */
  | { type: 'bench'; task: BenchTask; runs: number; }
  /** Ends the request with that id; the request itself answers with `Cancelled`. Done: `Outcome::Nothing`. */
  | { type: 'cancel'; request: number; }
  /** Panics, so that a test can see what the page makes of a worker that has died. */
  | { type: 'panic'; };

/**
 * Counts of objects (rows) by what they were taken for (columns). The last row holds detections where nothing is
 * annotated, the last column objects that were not found.
 */
export interface Confusion {
  /** Names of rows and columns; the last is `background`. */
  classes: string[];
  counts: number[][];
}

/** Which points of an image the corners of a box are, where a detector computes with them. */
export type Corners =
  /** The edges of its first and last pixels, as in torchvision: a box of n pixels is n wide. */
  | 'edges'
  /**
   * The centres of its first and last pixels, as in matterport's Mask_RCNN, where 0 and 1 are the first and last pixel of
   * an image: a box of n pixels is n − 1 wide.
   */
  | 'pixel_centres';

/** Precision and score at recall 0, 0.01 … 1; both 0 where the recall is not reached. Empty where nothing is annotated. */
export interface Curve {
  /** The best precision at this recall or a higher one. */
  precision: number[];
  /** The score from which detections must be taken. */
  score: number[];
}

/** How the learning rate falls after the warm-up. */
export type Decay =
  | { kind: 'constant'; }
  /** Multiplied by `gamma` when each share (0–1) of the training run is done, as `MultiStepLR`. */
  | { kind: 'step'; shares: number[]; gamma: number; }
  /** Half a cosine from 1 down to `end`, as `CosineAnnealingLR`. */
  | { kind: 'cosine'; end: number; };

/** How the rate falls, without numbers. */
export type DecayKind =
  | 'constant'
  | 'step'
  | 'cosine';

/** One cell that was found. */
export interface Detection {
  /** Pixels of the original merged image. */
  box: BoxXyxy;
  /** The class. */
  label: string;
  /** 0–1. */
  score: number;
  /** Over the whole image. */
  mask?: Rle | null;
}

/** The configuration of a detector. `Default` is torchvision's Mask R-CNN with ResNet-50 and COCO's classes. */
export interface DetectorConfig {
  architecture: Architecture;
  backbone: Backbone;
  /** The system whose conventions it began with; what holds is in the keys below. */
  dialect: Dialect;
  /** A bottleneck's stride is in its first 1×1 convolution (He et al. 2015) rather than in the 3×3 (torchvision's v1.5). */
  stride_in_1x1: boolean;
  /** What the max-pool of the stem puts round its input. */
  stem_padding: Padding;
  /** Whether a batch norm follows each convolution of the pyramid, of the RPN's and of the mask head's 3×3 convolutions. */
  fpn_norm: boolean;
  mask_norm: boolean;
  /** Channels of every pyramid level (256). */
  fpn_channels: number;
  /** Class names; index 0 is the background. */
  classes: string[];
  /** Mean of R, G, B on the scale 0–1, taken from every pixel. */
  image_mean: [number, number, number];
  /** What R, G, B are divided by after that. */
  image_std: [number, number, number];
  /** The short side is resized to this many pixels (800) … */
  min_size: number;
  /** … unless the long side would be longer than this (1333). */
  max_size: number;
  /** How images are brought to that size and padded. */
  resize: Resize;
  /** The least that images are enlarged by, where `resize` is matterport's (`IMAGE_MIN_SCALE`). */
  resize_min_scale: number;
  /** Whether images are resized by these two, or by their cells. */
  scale: Scale;
  /**
   * Median √(width · height) of the cells that it learnt from, in pixels of the network's input; `None` where nobody
   * counted.
   */
  cell_diameter: number | null;
  /** What becomes 0 and 1 of an image. */
  intensity: IntensityRange;
  /** Added to the variance of a batch norm when it is folded. torchvision's published COCO files need 0. */
  batch_norm_eps: number;
  /** Anchor sizes of each pyramid level, in pixels of the network's input. */
  anchor_sizes: number[][];
  /** Height over width; the same for every level. */
  aspect_ratios: number[];
  /** Whether the corners of anchors are rounded to whole pixels. */
  anchor_rounding: boolean;
  /** What the corners of boxes are where offsets and overlaps are computed. */
  corners: Corners;
  /** The upper limit of dw and dh before they are exponents. */
  bbox_xform_clip: number;
  /** 3×3 convolutions of the RPN (1), and their channels where these are others than the pyramid's. */
  rpn_convs: number;
  rpn_channels?: number | null;
  /** Weights of dx, dy, dw, dh in the RPN. */
  rpn_bbox_reg_weights: [number, number, number, number];
  /** Whether the best proposals are chosen, and NMS runs, within each level rather than over all levels together. */
  rpn_per_level: boolean;
  /** Proposals of each level that enter and of each image that leave the NMS, in training. */
  rpn_pre_nms_top_n_train: number;
  rpn_post_nms_top_n_train: number;
  /** The same in detection; more of them where there are more cells, see `crate::model::counts`. */
  rpn_pre_nms_top_n_test: number;
  rpn_post_nms_top_n_test: number;
  rpn_nms_thresh: number;
  /** Proposals with a lower objectness (0–1) are dropped. */
  rpn_score_thresh: number;
  /** An anchor is positive from this IoU on, and negative below the next. */
  rpn_fg_iou_thresh: number;
  rpn_bg_iou_thresh: number;
  /** Anchors sampled for the loss of one image, and the share of positive ones among them. */
  rpn_batch_size_per_image: number;
  rpn_positive_fraction: number;
  /** Side of the RoIAlign grid of the box head (7) and of the mask head (14). */
  box_roi_pool_size: number;
  mask_roi_pool_size: number;
  /** How the features of a box are sampled, and from which level. */
  roi_rule: RoiRule;
  /** Samples along each side of a RoIAlign bin. */
  roi_sampling_ratio: number;
  /** 3×3 convolutions with batch norm of the box head, before its one fully connected layer; 0 for two such layers alone. */
  box_head_convs: number;
  /** Width of the fully connected layers. */
  representation_size: number;
  /** Weights of dx, dy, dw, dh in the box head. */
  bbox_reg_weights: [number, number, number, number];
  /** Which classes of a proposal may become detections. */
  score_rule: ScoreRule;
  /** Detections need a higher score … */
  box_score_thresh: number;
  /** … or than this one of their class, where the detector has one … */
  class_score_thresh?: Record<string, number>;
  /** … and no better detection of their class with a greater IoU. */
  box_nms_thresh: number;
  /**
   * The most detections that torchvision keeps of an image. Here it applies where no more are asked for: see
   * `crate::model::counts`.
   */
  box_detections_per_img: number;
  /**
   * How much of the probability that a proposal is a cell at all goes to the likelier of its labels; 1, as in
   * torchvision, is as the network says. See `crate::model::roi_heads::sharpen`.
   */
  class_sharpness: number;
  /** A proposal is foreground from this IoU on, and background below the next. */
  box_fg_iou_thresh: number;
  box_bg_iou_thresh: number;
  /** Proposals sampled for the loss of one image, and the share of foreground among them. */
  box_batch_size_per_image: number;
  box_positive_fraction: number;
  /** How the mask of a box is enlarged to its pixels. */
  mask_rule: MaskRule;
  /** Output channels of the mask head's convolutions. */
  mask_layers: number[];
  /** Channels between the transposed convolution and the mask logits. */
  mask_dim_reduced: number;
  /** No object of the training set had an outline, so filled boxes were learnt as masks: these say no more than boxes. */
  masks_from_boxes: boolean;
  /** How the channels of an image became R, G, B in training; `None` where nobody said. */
  merge?: Merge | null;
  /** What counted as full brightness in the 16-bit images of its training; `None` where it has seen none. */
  bit_depth?: BitDepth | null;
  /** How the detector was trained, for people. */
  trained?: string | null;
}

/** The device that a user asks for. */
export type DeviceChoice =
  /** A real GPU where there is one, else the CPU. */
  | 'auto'
  /** A GPU; an error where there is none. */
  | 'gpu'
  /** A WebGPU or Vulkan adapter that runs on the CPU, for tests. */
  | 'software'
  /** The CPU. */
  | 'cpu';

/** The kinds of devices. */
export type DeviceKind =
  /** A graphics card. */
  | 'gpu'
  /** A graphics adapter that runs on the CPU. */
  | 'software'
  /** The CPU without an adapter. */
  | 'cpu';

/** Which device runs, and why. */
export interface DeviceReport {
  /** What it is. */
  kind: DeviceKind;
  /** The adapter, or the CPU form. */
  name: string;
  /** A sentence for people. */
  why: string;
  /** What it was asked, and how well it answered. */
  selfTest: SelfTest[];
}

/**
 * The systems whose weights are read, each with conventions of its own.
 *
 * A dialect is where a `DetectorConfig`(super::DetectorConfig) begins; every row below is keys of it, and the network is the same.
 *
 * | | torchvision | torchvision v2 | matterport Mask_RCNN |
 * |---|---|---|---|
 * | stride of a bottleneck | 3×3 | 3×3 | first 1×1 |
 * | max-pool of the stem, even sides | padded before and after | as v1 | padded after |
 * | batch norm | backbone, eps 0 (COCO_V1) or 1e-5 | backbone, pyramid, box and mask head, eps 1e-5 | backbone, box and mask head, eps 1e-3 |
 * | pixels | RGB 0–1, mean and std of ImageNet | as v1 | RGB 0–255, mean 123.7, 116.8, 103.9, no std |
 * | size | short side 800, long at most 1333 | as v1 | never reduced to 800, long at most 1024 |
 * | padding | zeros after normalising, right and bottom, ×32 | as v1 | zeros before normalising, all round, to 1024² |
 * | anchors | rounded to pixels | as v1 | not rounded |
 * | corners of a box | edges of its pixels | as v1 | centres of its first and last pixel |
 * | RPN | one 3×3 of 256 | two 3×3 of 256 | one 3×3 of 512; softmax, read as the difference of its two logits |
 * | box coder of the RPN | (1, 1, 1, 1), dw and dh at most ln(1000/16) | as v1 | (10, 10, 5, 5), no limit |
 * | proposals | best 1000 and NMS of each level, 1000 of an image | as v1 | best 6000 and NMS of all levels together, 1000 of an image |
 * | RoI sampling | RoIAlign, 2×2 samples, level rounded down | as v1 | `crop_and_resize`, level rounded to the nearest |
 * | box head | two linear layers of 1024 | four 3×3, one linear layer of 1024 | two linear layers of 1024 with batch norm |
 * | detections | every class above 0.05, NMS 0.5 | as v1 | best class from 0.7 on, NMS 0.3, whole pixels |
 * | masks | pasted with a frame of zeros, above ½ | as v1 | enlarged to the box, from ½ on |
 * | training: RoIs, foreground | 512, ¼ | as v1 | 200, ⅓ |
 */
export type Dialect =
  /** `fasterrcnn_resnet50_fpn` and `maskrcnn_resnet50_fpn`, and what cytobox trains. */
  | 'torchvision'
  /** `fasterrcnn_resnet50_fpn_v2` and `maskrcnn_resnet50_fpn_v2`. */
  | 'torchvision_v2'
  /** matterport's Mask_RCNN (Keras), ResNet-50 or -101. */
  | 'matterport';

/** A file that was dropped: enough of it to tell its kind. */
export interface DroppedFile {
  /** With its folders, if there are any. */
  name: string;
  /** Its first `crate::channels::HEAD_BYTES`, or all of a shorter file. */
  head: Uint8Array<ArrayBuffer>;
}

/** Whether an image can be decoded. */
export type EntryState =
  /** As it is. */
  | 'ready'
  /** Only when its missing channels are filled with black. */
  | 'needsFill'
  /** Not before its files change. */
  | 'unusable';

/** Estimated time and memory of a training run. */
export interface Estimate {
  parameters: number;
  /** Of one step at its largest, and of a checkpoint. */
  memoryBytes: number;
  secondsPerStep: number;
  stepsPerEpoch: number;
  /** Of the whole budget. */
  seconds: number;
}

export interface EvaluateOptions {
  measure: Measure;
  /** Detections below it are left out of the confusion matrix. */
  score: number;
  /**
   * Detections of one class that count on one image; as many as the image with the most objects has, at least 100, when
   * absent. COCO takes 100.
   */
  maxDetections?: number | null;
  /** As in `Command::Detect`. */
  diameter?: number | null;
}

/** The outcome; as JSON it has the keys `map_50`, `map_50_95`, `per_class`, `images`, `boxes` and more. */
export interface Evaluation {
  /** Mean over the classes that occur of AP at IoU 0.5; `None` where nothing is annotated. */
  map_50: number | null;
  /** The same over IoU 0.5, 0.55 … 0.95. */
  map_50_95: number | null;
  /** Of each class, in the order of names. */
  per_class: Record<string, ClassResult>;
  /** AP with all cells taken for one class: how well they are found, apart from their labels. */
  class_agnostic: Average;
  images: number;
  /** Annotated objects, without difficult ones. */
  boxes: number;
  measure: Measure;
  confusion: Confusion;
  /** The worst first. */
  worst_images: ImageScore[];
  /**
   * Detections of one class that counted on one image in average precision: `Options::max_detections`, or what stood for it;
   * `None` for all of them, in evaluations of earlier versions.
   */
  max_detections: number | null;
  /** Images with more detections than that, of all classes together, so that average precision leaves some out. */
  cut_images: string[];
  /** Images on which the detector reached its own limit, so that it may have left out cells. */
  limited_images: string[];
}

/** One thing to look at. */
export interface Finding {
  kind: Kind;
  /** `None` where it is about all images. */
  image: string | null;
  /** The number of the object in `objects`, from 0. */
  object: number | null;
  sentence: string;
}

/** How a set of anchors fits. */
export interface Fit {
  /** Share of the boxes with an anchor at IoU ≥ 0.7, which learn at once. */
  at70: number;
  /** The same at 0.5. */
  at50: number;
  /** Mean over the boxes of the best IoU. */
  meanIou: number;
}

/** What can be done about a `Problem`. */
export type Fix =
  /** Add files for these channels, or let them be black. */
  | { action: 'fillBlack'; channels: Channel[]; }
  /** Keep one of these files and take the others away. */
  | { action: 'keepOne'; files: string[]; }
  /** Put a whole file in the place of this one. */
  | { action: 'replace'; file: string; }
  /** Nothing need be done. */
  | { action: 'nothing'; };

/** What stands above the numbers. */
export interface FolderFacts {
  title: string;
  /** Names and values, in order: detector, settings, hashes. */
  facts: [string, string][];
  /** What is missing, as sentences. */
  problems: string[];
}

/** A format that detections are written in. */
export type Format =
  /** Pascal VOC XML as LabelImg writes it: one file an image, boxes only, no scores. */
  | 'voc'
  /** One JSON file with scores and masks as compressed run lengths. */
  | 'coco'
  /** One text file an image and `classes.txt`; boxes only, no scores. */
  | 'yolo'
  /** One table with scores; boxes only. */
  | 'csv'
  /** `detections.jsonl`: one line an image, with everything that is known of it. */
  | 'jsonl';

/** What a drop of annotation files held. */
export interface Gathered {
  /** One for each image that is annotated, with the image's name. */
  annotations: ImageAnnotations[];
  /** The file that each of them is from; of boxes and a label image that of the boxes. */
  sources: string[];
  /** What tables say of whole images, whether these are there or not. */
  imageLabels: ImageLabels[];
  /** Annotations of images that are not there, by their own names. */
  withoutImage: string[];
  /** The file that each of those is from. */
  withoutImageSources: string[];
  /** Label images that do not tell objects apart, and could be used with `Options::number_pieces`. */
  unnumbered: string[];
  warnings: string[];
  /** Files and objects that were left out, and why. */
  rejected: string[];
}

export interface Glance {
  /** Width and height, where they stand there and are within the caps. */
  size: [number, number] | null;
  /** Whether its samples may have 16 bits. */
  mayBeDeep: boolean;
}

/** What a threshold is chosen for. */
export type Goal =
  /** The greatest harmonic mean of precision and recall. */
  | { type: 'bestF1'; }
  /** The greatest recall with at least this precision. */
  | { type: 'precision'; least: number; };

/** All files, each in one place; images are ordered by name. */
export interface Groups {
  images: ImageEntry[];
  /** XML, JSON and text files. */
  annotations: string[];
  /** Detector files: safetensors, PyTorch, HDF5. */
  models: string[];
  /** Zip archives. */
  projects: string[];
  ignored: Ignored[];
}

/** The widths of the heads to choose from. */
export type HeadWidth =
  | 'narrow'
  | 'medium'
  /** As torchvision. */
  | 'wide';

export interface Ignored {
  file: string;
  reason: string;
}

export type IgnoredReason =
  /** Many objects that nobody outlined one by one, such as COCO's `iscrowd`. */
  | 'crowd'
  /** An object whose annotation cannot be read, such as a rotated box; it lies within the region. */
  | 'unreadable';

/**
 * A part of an image of which nobody knows, or nobody can say one by one, what is in it: neither an object nor background.
 *
 * Training takes no negatives from it, and evaluation holds no detection on it for right or wrong.
 */
export interface IgnoredRegion {
  /** Pixels of the original merged image. */
  box: BoxXyxy;
  /** The class of what is there; `None` where it can be of any. */
  label?: string | null;
  reason: IgnoredReason;
}

/** The annotations of one image. */
export interface ImageAnnotations {
  /** The image's name without extension, by which annotations and images find each other. */
  image: string;
  /** The name of the image's file as the annotation says it; may be empty, may have folders (`reference`). */
  file: string;
  /**
   * 0 where the annotation does not say it; then boxes are checked against the right and lower edge when the image is
   * there (`dataset::match_images`).
   */
  width: number;
  height: number;
  /** A person looked at the whole image. */
  verified: boolean;
  objects: AnnotationsObject[];
  /** Where the image is neither object nor background. */
  ignored?: IgnoredRegion[];
  /** Objects were left out whose place is not known, so that what is not annotated need not be background. */
  incomplete?: boolean;
}

/** Everything that was found on one image, and what the image was made of. */
export interface ImageDetections {
  /** The image's name without channel and extension; with its folder where another image has that name. */
  image: string;
  /**
   * The file that tables name: its path below the folder that was scanned or dropped, parts separated by `/`; empty
   * where unknown.
   */
  file?: string;
  /** In pixels. */
  width: number;
  /** In pixels. */
  height: number;
  /** Best first. */
  detections: Detection[];
  /** Weights with which channels were merged; `None` for an image that was taken as it is. */
  merge?: Merge | null;
  /** Channels that were missing and taken as black. */
  filled?: Channel[];
  /** What the image was of the stack in its files. */
  stack?: StackPlane | null;
  /**
   * The limit of detections an image, where it was reached: there may be more cells, which score no higher than the
   * last detection here.
   */
  limit_reached?: number | null;
}

/** One image, complete or not. */
export interface ImageEntry {
  /** The stem; with the folder, and if need be the ending, where another image has the same stem. */
  name: string;
  /** The files that can be read, ordered by channel. */
  files: ChannelFile[];
  /** The file with its object labels. */
  mask: string | null;
  /** Files of one object each, where the labels are not in one file. */
  objectMasks: string[];
  state: EntryState;
  /** Channels that `EntryState::NeedsFill` is about. */
  missing: Channel[];
  /** Those of them that have a file, which is broken. */
  broken: Channel[];
  problems: Problem[];
}

export type ImageFile = ChannelFile & {
  bytes: Uint8Array<ArrayBuffer>;
};

/** An image that is there, by its name without channel and extension; 0 × 0 pixels where its size is not known yet. */
export interface ImageInfo {
  name: string;
  width: number;
  height: number;
  /** Its files with their folders, by which images of one name are told apart. */
  files?: string[];
}

/** One image as it lies in its files. */
export interface ImageInput {
  /** The stem, by which results are named. */
  name: string;
  files: ImageFile[];
  /** Channels to be black where their file is missing. */
  fill?: Channel[];
  /** The weights of the channels; the default of the channels that are there when absent. */
  merge?: Merge | null;
  /** Which of its channels stand for which of the detector's, whose weights they get; the image's own weights come before. */
  channels?: ChannelMap | null;
  /**
   * The weights that the detector at hand was trained with: where the image has none of its own they come before the
   * default, provided that they name every channel of it. So it is seen as it will be detected in.
   */
  detectorMerge?: Merge | null;
  /** What the pages of a TIFF file are that does not say it. */
  pages?: Pages;
  /**
   * What counts as full brightness in 16-bit samples, the same for all images of a run; the detector's own when absent, else
   * what this image asks for.
   */
  bitDepth?: BitDepth | null;
  /**
   * What is black and white in samples of any depth. When absent, `bit_depth` counts, and for floating point the
   * percentiles 1 and 99.8 of this image.
   */
  range?: SampleRange | null;
  /** What is read of the stacks in its files; without a rule they are refused. */
  stack?: StackRule | null;
}

/** Image-level labels, as Kaggle's HPA table has them. */
export interface ImageLabels {
  /** The image's name without channel and extension. */
  image: string;
  labels: string[];
}

/** How one image came out. */
export interface ImageScore {
  image: string;
  /** Found, with the right class. */
  right: number;
  /** Found, with a wrong class. */
  confused: number;
  /** Not found. */
  missed: number;
  /** Detected where nothing is annotated. */
  extra: number;
  /** Harmonic mean of precision and recall; 1 for an image without cells on which none were found. */
  f1: number;
}

/** What becomes 0 and 1 before mean and deviation are taken off. */
export type IntensityRange =
  /** The range of the file's samples, or of the camera's bits, as `crate::channels` merged them. */
  | 'full'
  /**
   * Of each image the lowest `low` and the highest `high` percentile (0–100) of red, green and blue, one window for all
   * three, so that colours stay what they are and an empty channel stays empty.
   */
  | { percentiles: { low: number; high: number; } };

/** Detections of a class with at least a score, at IoU 0.5. */
export interface Kept {
  score: number;
  true_positives: number;
  false_positives: number;
}

export type Kind =
  /** A box of a pixel or less. */
  | 'degenerate'
  /** A box that reaches over the edge of the image. */
  | 'outside'
  /** The same cell boxed twice. */
  | 'duplicate'
  /** An image without boxes: a valid negative sample, or forgotten. */
  | 'no-boxes'
  /** An image of which objects were left out, so that it teaches less than it could. */
  | 'left-out'
  /** A class with fewer cells than `FEW_CELLS`. */
  | 'few-examples';

export interface LayerImage {
  channel: Channel;
  rgba: Uint8Array<ArrayBuffer>;
}

/** Names are torchvision's. */
export interface LoadReport {
  /** Tensors that the detector took. */
  loaded: string[];
  /** Tensors that the detector needs and the file lacks, or has in another shape; they were drawn at random. */
  missing: string[];
  /** Tensors of the file that the detector has no place for. */
  unexpected: string[];
  /** Sentences for people. */
  warnings: string[];
}

/** The losses of a step, named as in torchvision. */
export interface Losses {
  /** Cross-entropy of the box head's classes. */
  loss_classifier: number;
  /** Smooth L1 of the box head's corners. */
  loss_box_reg: number;
  /** Binary cross-entropy of the masks; 0 for a Faster R-CNN. */
  loss_mask: number;
  /** Binary cross-entropy of the RPN's objectness. */
  loss_objectness: number;
  /** Smooth L1 of the RPN's corners. */
  loss_rpn_box_reg: number;
}

/** How the mask of a box is enlarged to its pixels. */
export type MaskRule =
  /** With a frame of zeros, by which the box grows too; pixels above ½. */
  | 'padded'
  /** To the box itself, with zeros outside of it; pixels of at least ½. */
  | 'box';

/** The contents of a report. */
export interface Material {
  title: string;
  /** Names and values, in order. */
  facts: [string, string][];
  /** Captions and charts. */
  charts: [string, Chart][];
}

/** What is compared. */
export type Measure =
  | 'boxes'
  | 'masks';

/** An image that can be used. */
export interface Measured {
  width: number;
  height: number;
  /**
   * EXIF's number of how the stored image is to be turned for a person to see it upright; 1 for as it is. Images
   * are not turned here, but annotations may have been made on the upright view.
   */
  orientation: number;
  warnings: string[];
}

/** Cells of one image, all or some, with what was measured of them. */
export interface MeasuredCells {
  /** As in `crate::ImageDetections`. */
  image: string;
  /** As in `crate::ImageDetections`. */
  file: string;
  /** The hash of the detector file; empty where people annotated. */
  detector: string;
  /** The number of each cell in its image, from 1. */
  numbers: number[];
  /** The class of each cell. */
  labels: string[];
  /** The score of each cell; NaN for what people annotated. */
  scores: number[];
  /** A row a cell. */
  table: PackedTable;
}

/** A format that needs the image beside its detections, or that other programs for images read. */
export type MeasuredFormat =
  /** `measurements.csv`, one row a cell, and `measurements-summary.csv`. */
  | 'measurements'
  /** `NAME_labels.tif`: a label image. */
  | 'labels'
  /** `NAME_labels.png`: the same as PNG of 16 bits, or as TIFF where it has more than 65,535 cells. */
  | 'labels-png'
  /** `NAME_rois.zip`: outlines for ImageJ's ROI Manager. */
  | 'rois'
  /** `NAME.geojson`: outlines with measurements for QuPath. */
  | 'geojson';

/**
 * How much each channel adds to red, green and blue. In JSON a plain map, `{"red":[1,0,0],"yellow":[0.5,0.5,0]}`.
 *
 * Weights are finite and from 0 to 16. A channel without weights adds nothing.
 */
export type Merge = Record<string, [number, number, number]>;

/** What a detector is, and how its file was read. */
export interface ModelReport {
  name: string;
  parameters: number;
  config: DetectorConfig;
  load: LoadReport;
}

/** A file to be written; the name is safe on every system, and may have folders, separated by `/`. */
export interface NamedBytes {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
}

/** Batch norm that trains, and is then folded into the convolutions. */
export interface NormConfig {
  scope: NormScope;
  /** Weight of the newest batch in the running mean and variance. */
  momentum: number;
  /**
   * When this share (0–1) of the training run is done, the norms are folded and the rest of the run trains without
   * them, so that the network also learns with the statistics that it will be used with.
   */
  fold_at: number;
}

/** Which convolutions have a batch norm while a network is trained from scratch. */
export type NormScope =
  /** Those of the ResNet, as in torchvision. */
  | 'body'
  /**
   * Those of the pyramid, the RPN and the mask head as well: without pretraining they learn faster so (He et al. 2018,
   * "Rethinking ImageNet Pre-training"), and once folded nothing of it is left in the file.
   */
  | 'all';

/** One image, decoded for the screen. */
export interface OpenedImage {
  name: string;
  width: number;
  height: number;
  /** 8, 16 or 32. */
  bits: number;
  /** The sample value that is shown black; 0 but for floating point and a range that was chosen. */
  black: number;
  /** The sample value that counts as full brightness. */
  white: number;
  merge: Merge;
  filled: Channel[];
  /** Which of its channels might stand for which of the detector's, where the detector was trained on others. */
  proposal: ChannelMap | null;
  /** What the image is of the stack in its files. */
  stack: StackPlane | null;
  /** As `Measured::orientation`. */
  orientation: number;
  warnings: string[];
  /** One tinted RGBA8 image a channel; added together they are the merged image. */
  layers: LayerImage[];
  thumbnail: Thumbnail;
}

/** How gradients become steps. */
export type OptimizerConfig =
  /** `torch.optim.SGD` without dampening or Nesterov's change. */
  | { kind: 'sgd'; momentum: number; weight_decay: number; }
  /** `torch.optim.AdamW`. */
  | { kind: 'adam_w'; beta1: number; beta2: number; epsilon: number; weight_decay: number; };

/** An optimizer without its numbers. */
export type OptimizerKind =
  | 'sgd'
  | 'adamw';

export type Outcome =
  | { type: 'nothing'; }
  | { type: 'device'; } & DeviceReport
  | { type: 'groups'; } & Groups
  | { type: 'glances'; glances: Glance[]; }
  | { type: 'image'; } & OpenedImage
  /** `None` for 8-bit images. */
  | { type: 'depth'; depth: BitDepth | null; }
  | { type: 'measured'; } & Measured
  | { type: 'model'; } & ModelReport
  | { type: 'detections'; detections: ImageDetections; seconds: number; warnings: string[]; }
  /** One a box; `None` inside where the detector sees nothing in it. Without masks, the image is needed. */
  | { type: 'boxOutlines'; masks: (Rle | null)[] | null; }
  /** Closed polygons `x, y, x, y, …` along the edges of the pixels; see `Rle::outlines`. */
  | { type: 'outlines'; outlines: number[][][]; }
  | { type: 'files'; files: NamedBytes[]; }
  | { type: 'annotationFiles'; files: Recognised[]; }
  | { type: 'annotations'; } & Gathered
  /** The number of the mask that each box gets; `None` where a mask has no box. */
  | { type: 'maskOfBox'; masks: (number | null)[] | null; }
  | { type: 'names'; names: string[]; stems: string[]; }
  | { type: 'measuredCells'; table: PackedTable; files: NamedBytes[]; notes: string[]; }
  | { type: 'crops'; rgba: Uint8Array<ArrayBuffer>; }
  | { type: 'preparation'; } & Preparation
  | { type: 'trained'; } & Trained
  | { type: 'evaluation'; evaluation: Evaluation; detections: ImageDetections[]; }
  /** By class; one of which no threshold reaches the goal is not among the chosen. */
  | { type: 'thresholds'; chosen: Record<string, Threshold>; before: Record<string, Threshold>; }
  | { type: 'plots'; svg: string[]; }
  | { type: 'benchLayers'; layers: BenchLayer[]; }
  | { type: 'bench'; } & BenchResult;

/** Settings that a user chose one by one; what is absent stays as the recipe or the preset has it. */
export interface Overrides {
  /** How long to train. */
  budget?: Budget | null;
  /** The base learning rate of the schedule. */
  rate?: number | null;
  /** Samples in a step. */
  batchSize?: number | null;
  /** Side of the crops in pixels, a multiple of 32; 0 for whole images. */
  crop?: number | null;
  /** Layers that are trained. */
  trainable?: Trainable | null;
  /** Seed of the random number generator. */
  seed?: number | null;
  optimizer?: OptimizerKind | null;
  /** One of another kind has its usual numbers; of the same kind, those of the recipe or the preset. */
  decay?: DecayKind | null;
  warmupSteps?: number | null;
  /** 0 for none. */
  gradientClip?: number | null;
  classLossWeight?: number | null;
  emaDecay?: number | null;
  detectionScale?: number | null;
  validationShare?: number | null;
  useDifficult?: boolean | null;
  checkpointSeconds?: number | null;
  /** Whether images are flipped, in both directions. */
  flips?: boolean | null;
  quarterTurns?: boolean | null;
  brightness?: number | null;
  /** `Some(false)` leaves every image at its size. */
  scales?: boolean | null;
}

/** What `Table` has, with a number for each value. */
export interface PackedTable {
  columns: Column[];
  /**
   * Row by row, 8 bytes a value, IEEE 754 and little-endian: NaN where it is undefined, 1 for true, and for the region that
   * was measured 0 for a box and 1 for a mask.
   */
  values: Uint8Array<ArrayBuffer>;
}

/** What a max-pool of 3×3 with stride 2 puts round its input. */
export type Padding =
  /** One pixel before and after (torch, `padding = 1`). */
  | 'both'
  /** One pixel after (TensorFlow's `same` for even sides). */
  | 'after';

/** What the pages of a TIFF file are that does not say it. */
export type Pages =
  /** Nobody knows: `Error::PagesUnknown`. */
  | 'ask'
  /** One channel a page, because the user said so. */
  | 'channels'
  /** One slice a page. */
  | 'slices'
  /** One time point a page. */
  | 'frames';

/** One cell to look at. */
export interface Picture {
  image: string;
  label: string;
  /** NaN for what people annotated. */
  score: number;
  /** In pixels. */
  side: number;
  /** RGBA8. */
  rgba: Uint8Array<ArrayBuffer>;
}

/** A training run as it was requested. */
export interface Plan {
  start: Start;
  /** The preset for the way of starting when absent. */
  settings?: TrainConfig | null;
  /** Laid over the settings, whichever they are. */
  overrides?: Overrides;
  /** Anchors to use instead of the detector's own. */
  anchors?: AnchorSet | null;
  /** Detector settings that override those of the data or of the base detector. */
  detector?: Changes;
}

/** What is known before a training run. */
export interface Preparation {
  settings: TrainConfig;
  config: DetectorConfig;
  classes: ClassCount[];
  findings: Finding[];
  /** Images that will be held out of `images` for validation. */
  validationImages: string[];
  /** Objects without a mask, whose boxes a Mask R-CNN takes for them. */
  withoutMask: number;
  anchors: AnchorReport;
  estimate: Estimate;
}

/**
 * What JavaScript found out about WebGPU before the engine touches it: a browser that lacks it, or lacks
 * `timestamp-query`, would panic inside the engine.
 */
export interface Probe {
  secureContext: boolean;
  /** `navigator.gpu` exists. */
  webgpu: boolean;
  /** `requestAdapter` gave one. */
  adapter: boolean;
  /** The adapter is a software one (`isFallbackAdapter`, or SwiftShader or llvmpipe by name). */
  software: boolean;
  timestampQuery: boolean;
  /** Vendor, architecture and description of the adapter, as one line. */
  name: string;
}

/** What is wrong with an image: a stable code for programs, the rest for people. */
export interface Problem {
  /** `channel-missing`, `channel-double`, `broken-file`, `same-stem`, `mask-double` or `mask-lossy`. */
  code: string;
  sentence: string;
  fix: Fix;
}

/** How far a request has come. */
export interface Progress {
  /** What is being done, for people: `backbone`, `proposals`, `masks`, … */
  stage: string;
  /** Parts that are done. */
  done: number;
  /** Parts in all. */
  total: number;
}

/** How the slices of a stack become one image. In JSON and on the command line `plane`, `max`, `mean`, `sharpest`. */
export type Projection =
  /** One slice. */
  | 'plane'
  /** The greatest sample of each pixel. */
  | 'max'
  /** The mean of each pixel; of whole numbers it is rounded, so that it keeps their depth. */
  | 'mean'
  /**
   * The slice in focus: that with the greatest autocorrelation measure of Vollath (F4), summed over the channels, of which
   * each counts alike. All channels are of this slice.
   */
  | 'sharpest';

export type ProtocolEvent =
  /** The engine listens. Messages sent before this one are lost. */
  | { type: 'ready'; version: string; }
  | { type: 'progress'; id: number; progress: Progress; }
  | { type: 'training'; id: number; event: TrainEvent; }
  | { type: 'done'; id: number; outcome: Outcome; }
  | { type: 'cancelled'; id: number; }
  | { type: 'failed'; id: number; code: string; sentence: string; };

/** One annotation file before it is read. */
export interface Recognised {
  kind: AnnotationKind;
  /** What an image without folders would be called for the file to be named after it. */
  stem: string;
  /** The image that it is named after. What it says itself may be another. */
  image: string | null;
  /** Several images have the name, and the folders do not tell which of them is meant. */
  isAmbiguous: boolean;
}

/** One thing asked of the engine. */
export interface Request {
  id: number;
  command: Command;
}

/** How an image becomes the network's input. */
export type Resize =
  /**
   * Normalised, resized in floats to `min_size` and `max_size`, padded with zeros on the right and at the bottom to a multiple
   * of 32.
   */
  | 'torchvision'
  /**
   * matterport's `square`: bytes, resized with zeros outside the image and never reduced for `min_size`, padded to `max_size`
   * on both axes with the image in the middle, then normalised.
   */
  | 'square'
  /**
   * matterport's `pad64`: the same, enlarged at least by `resize_min_scale` and whatever `max_size` is, padded to multiples of
   * 64.
   */
  | 'pad64';

/**
 * The mask of one object over a whole image.
 *
 * Always in canonical form: the runs add up to all pixels, and only the first may be empty. Equal masks are equal
 * values.
 */
export type Rle = CocoRle;

/** How the features of a box are sampled. */
export type RoiRule =
  /** torchvision's RoIAlign (`aligned = false`), from the level of equation 1 of the FPN paper, rounded down. */
  | 'align'
  /** TensorFlow's `crop_and_resize`: one sample for each bin, from edge to edge; the level is rounded to the nearest. */
  | 'crop_and_resize';

/** The samples that become 0 and 1. In JSON `[low, high]`. */
export type SampleRange = [number, number];

/** How many pixels of the network's input a pixel of the image becomes. */
export type Scale =
  /** As torchvision: the short side becomes `min_size`, unless the long one would exceed `max_size`. */
  | 'size'
  /** As many for every image, whatever its size: images of one magnification. */
  | { fixed: number }
  /**
   * Such that the image's cells have the detector's `cell_diameter`. What diameter they have is seen in a first
   * detection at the size of `Self::Size`.
   */
  | 'cells';

/** Warm-up, then decay. */
export interface Schedule {
  /** The rate after the warm-up. */
  base: number;
  /** Steps over which the rate rises in a line from `warmup_factor` of its value to all of it. */
  warmup_steps: number;
  warmup_factor: number;
  decay: Decay;
}

/** Which classes of a proposal may become detections. */
export type ScoreRule =
  /** Each class but the background whose score is above the threshold. */
  | 'every_class'
  /** The likeliest of all classes, if it is not the background and its score is at least the threshold. */
  | 'best_class';

/** One known answer that a device was asked for. */
export interface SelfTest {
  /** What it computed. */
  operator: string;
  /** The largest difference from the known answer, relative to its largest value. */
  error: number;
  /** Whether the difference is small enough. */
  passed: boolean;
}

/** One curve; points ordered by x. */
export interface Series {
  name: string;
  points: [number, number][];
}

/** A shape of which a part may be left to the default. */
export interface ShapeOptions {
  architecture?: Architecture | null;
  backbone?: Backbone | null;
  /** Both of the next at once, where they are not given. */
  width?: HeadWidth | null;
  fpnChannels?: number | null;
  representation?: number | null;
}

/** What an image is of the stack in its file. */
export interface StackPlane {
  slices: number;
  frames: number;
  projection: Projection;
  /** Counted from 1; none where all slices were projected. */
  z?: number | null;
  /** Counted from 1; none where all time points were projected. */
  t?: number | null;
}

/**
 * What is made of the stacks of a set.
 *
 * A projection is over the slices of one time point; in a file that has time points alone it is over these, unless `t` picks
 * one.
 */
export interface StackRule {
  projection: Projection;
  /** The slice, counted from 1; the middle one when absent. Only `Projection::Plane` has one. */
  z?: number | null;
  /** The time point, counted from 1; the first one when absent. */
  t?: number | null;
}

/** What a training run starts from. */
export type Start =
  /** A network that knows nothing yet. */
  | { from: 'scratch'; shape?: ShapeOptions; }
  /**
   * A detector that is there already, whose architecture stays where none is asked for; what its heads know of other
   * classes is not taken over, and with `new_heads` nothing of what they know.
   */
  | { from: 'detector'; architecture?: Architecture | null; newHeads?: boolean; };

/** Options of the generator. `SynthOptions::default` resembles the Atlas at 512 × 512 pixels. */
export interface SynthOptions {
  /** Width in pixels (512). A larger image shows more cells, not larger ones. */
  width: number;
  /** Height in pixels (512). */
  height: number;
  /** 16-bit samples over the full range instead of 8-bit (false). The image is the same except for rounding. */
  sixteen_bit: boolean;
  /** Seed of the random number generator (0). Images with the same seed differ by their index. */
  seed: number;
  /** Scales every length in a cell, 0.25 to 4 (1). With 2, cells look as in a 1024 × 1024 image of the same field of view. */
  cell_size: number;
  /** Scales the confluence, 0.1 to 2 (1, where cells cover about half the image). */
  crowding: number;
  /**
   * Probability that an image has a pattern with spots in the nucleus, 0 to 1 (0.5). Some cells of such an image show no
   * spots, so about a third of all cells have the class `NUCLEOLI`.
   */
  nucleolar: number;
}

/** A threshold and what it costs. */
export interface Threshold {
  score: number;
  /** Share of true positives among the detections. */
  precision: number;
  /** Share of the annotated objects that are found. */
  recall: number;
  f1: number;
}

export interface Thumbnail {
  width: number;
  height: number;
  rgba: Uint8Array<ArrayBuffer>;
}

/** A training run. `TrainConfig::fine_tune` and `TrainConfig::from_scratch` are the two ways to start. */
export interface TrainConfig {
  /** All chance comes from it: the same seed on the same CPU gives the same detector, bit for bit. */
  seed: number;
  budget: Budget;
  /** Images (or crops) of a step. */
  batch_size: number;
  /** Times that an image counts in one epoch; crops see a part of it each time. */
  repeats: number;
  optimizer: OptimizerConfig;
  schedule: Schedule;
  /**
   * Weight of a second part of `loss_classifier`, which asks of the RoIs with an object only what class it is of. What
   * tells similar classes apart is little beside what tells cells from background, and is drowned by it where nothing
   * was pretrained. 0 is torchvision's loss.
   */
  class_loss_weight: number;
  /**
   * How much of a moving average of all parameters stays at each step, below 1. The average is what validations measure
   * and what the training run gives. 0 turns averaging off.
   */
  ema_decay: number;
  /**
   * How much larger than the network's input in training that of the detector is, in validations and for good. Crops and
   * scales show a network larger cells than whole images do (Touvron et al. 2019, arXiv 1906.06423), and small inputs
   * train faster; 1 leaves the size as it is.
   */
  detection_scale: number;
  /** Gradients of all parameters together are scaled down to this length. */
  gradient_clip: number | null;
  trainable: Trainable;
  /** `Some` trains batch norms; for networks without pretraining. */
  norm: NormConfig | null;
  augment: Augment;
  /**
   * Share of the images that is held out for validation, where no other images are given. At least one
   * image stays on each side; with fewer than `TrainConfig::LEAST_TO_SPLIT` images all are trained on.
   */
  validation_share: number;
  /** Epochs between two validations. */
  validate_every: number;
  /**
   * A run ends early when for this share (0–1) of its budget no validation, evened out, was the best. 0 lets every run
   * go to its end.
   */
  patience: number;
  /** Whether objects marked `difficult` are learnt. Those that are not are not background either. */
  use_difficult: boolean;
  /** Seconds between two checkpoints. */
  checkpoint_seconds: number;
}

/** What the user wants of the run next. */
export type TrainControl =
  /** Train. */
  | 'continue'
  /** Wait between two steps. */
  | 'pause'
  /** Finish now: fold, validate, keep the best. */
  | 'stop';

/** Everything that happens in a training run. */
export type TrainEvent =
  /** The images are read, and the first step follows. */
  | { type: 'started'; images: number; validationImages: number; steps: number | null; fromStep: number; }
  /** A step was done. */
  | { type: 'step'; step: number; epoch: number; losses: Losses; total: number; gradientNorm: number; learningRate: number; imagesPerSecond: number; progress: number; secondsLeft: number; }
  /** Something that the user should know: how the run starts, or what was changed during it. */
  | { type: 'notice'; step: number; sentence: string; }
  /** A step that was skipped, and why. */
  | { type: 'skipped'; step: number; sentence: string; }
  /** The batch norms were folded; from here on the network is trained as it will be used. */
  | { type: 'folded'; step: number; }
  /** The detector was measured on the held-out images. */
  | { type: 'validation'; } & Validation
  /** The run was saved at this step. */
  | { type: 'checkpoint'; step: number; }
  /** The run continues, but could not be saved at this step. */
  | { type: 'unsaved'; step: number; sentence: string; };

/** A training run. */
export interface TrainJob {
  /** What the detector will be called. */
  name: string;
  plan: Plan;
  images: AnnotatedInput[];
  /** Images to validate with; a share of `images` where there are none. */
  validation?: AnnotatedInput[];
  /** What its checkpoints are kept under. */
  store: string;
  /**
   * Resume from the last checkpoint that is kept; the run starts from the beginning where there is none.
   *
   * Of the plan, only what is said in it counts then: budget, learning rate, and how often to validate and to save
   * replace the checkpoint's, and a finished run with a longer budget continues. Everything else must agree.
   */
  resume: boolean;
  /**
   * Steps that the run had by the last checkpoint that the caller knows of. Where there are any, a run whose checkpoint
   * is gone is an error instead of one that starts from the beginning.
   */
  knownSteps?: number;
  /** Store the detector as f16: half the size, relative errors of 5e-4. */
  f16?: boolean;
}

/**
 * What stays as it was loaded: stages are those of the ResNet, counted as in its paper (`conv1` is 1, `layer1` is 2 …
 * `layer4` is 5); the pyramid, the RPN and the RoI heads always learn.
 */
export type Trainable =
  /** The pyramid, the RPN and the RoI heads alone. */
  | 'heads'
  /** And `layer4`. */
  | '5+'
  /** And `layer3`, `layer4`. */
  | '4+'
  /** And `layer2` to `layer4`: torchvision's `trainable_backbone_layers = 3`. */
  | '3+'
  /** Everything. */
  | 'all';

/** The result of a training run. */
export interface Trained {
  /** The engine has this detector now. */
  report: ModelReport;
  file: Uint8Array<ArrayBuffer>;
  /** mAP at IoU 0.5 and at 0.5–0.95 of the best validation. */
  best: [number, number] | null;
  steps: number;
  seconds: number;
  /** Images held out for validation. */
  validationImages: string[];
}

/** The detector's metrics on held-out images. */
export interface Validation {
  /** Counted from 1. */
  step: number;
  /** Epochs done, with their fraction. */
  epoch: number;
  /** Average precision at IoU 0.5, the mean over the classes; 0 where nothing is annotated. */
  map50: number;
  /** The same, averaged over IoU 0.5 to 0.95. */
  map5095: number;
  /** Class-agnostic AP at IoU 0.5. */
  classAgnostic50: number;
  /** AP at IoU 0.5 of each class. */
  perClass: Record<string, number>;
  /** No earlier detector of this run was better. */
  best: boolean;
}

/** The outcome that ends each command. */
export interface Answers {
  start: 'device';
  group: 'groups';
  glance: 'glances';
  open: 'image';
  survey: 'depth';
  measure: 'measured';
  merge: 'files';
  loadModel: 'model';
  detect: 'detections';
  outlineBoxes: 'boxOutlines';
  outline: 'outlines';
  export: 'files';
  measureCells: 'measuredCells';
  writeTables: 'files';
  cropCells: 'crops';
  reportFolder: 'files';
  recogniseAnnotations: 'annotationFiles';
  readAnnotations: 'annotations';
  attachMasks: 'maskOfBox';
  writeAnnotations: 'files';
  nameFiles: 'names';
  prepare: 'preparation';
  train: 'trained';
  controlTraining: 'nothing';
  evaluate: 'evaluation';
  chooseThresholds: 'thresholds';
  keepThresholds: 'files';
  plot: 'plots';
  report: 'files';
  samples: 'files';
  synthesize: 'files';
  benchLayers: 'benchLayers';
  bench: 'bench';
  cancel: 'nothing';
  panic: never;
}
