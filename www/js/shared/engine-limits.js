// Made by tests/page/generate.mjs from the source of the engine; a test compares them. Do not edit.

/** A file on the disk. The largest real microscope stacks that are single images stay well below. */
export const FILE_BYTES = 134217728;
/** A detector file: a Mask R-CNN with ResNet-101-FPN is 250 MB in f32. */
export const DETECTOR_BYTES = 1073741824;
/** One side of an image: 8192² is the largest square of `IMAGE_PIXELS`. */
export const IMAGE_SIDE = 8192;
/** Channels of one image. Light microscopes record five or six. */
export const CHANNELS = 8;
/** Objects of one image. The most crowded real image known to us has some hundreds. */
export const OBJECTS = 10000;
/** Characters of a label. */
export const LABEL_CHARS = 128;
/** Classes of a detector without the background: Open Images, the largest detection set, has 601. */
export const CLASSES = 1000;
/** Images that one table or COCO file may speak of; the Atlas's largest public set has a hundred thousand. */
export const TABLE_IMAGES = 200000;
/** The side of the resized image that enters the network. Beyond it, feature maps leave 4 GiB. */
export const NETWORK_SIDE = 4096;
/** Detections of one image, however large: with their masks some 2 GiB. */
export const DETECTIONS = 1000000;
/** Bytes of a file that tell its kind; fewer will do when the file is shorter. */
export const HEAD_BYTES = 64;
/** The fewest and the most bits of a sample that does not fit into 8. */
export const BIT_DEPTHS = [9, 16];
/** The largest weight: four stops brighter than the sample. */
export const LARGEST_WEIGHT = 16;
/** The least score of a detection that is asked for where all of them count: COCO's curves need low scores too, and what is shown can be filtered without another run. */
export const LOWEST_SCORE = 0.05;
/** The least and the greatest batch size. */
export const BATCH_SIZES = [1, 64];
/** The least and the greatest weight of the classes' own loss. */
export const CLASS_LOSS_WEIGHTS = [0, 100];
/** The least and the greatest detection scale. */
export const DETECTION_SCALES = [0.5, 2];
/** Crops are a multiple of it, in pixels: the stride of the coarsest feature map of a ResNet. */
export const CROP_STEP = 32;
/** The folder of all trainings. */
export const CHECKPOINTS_FOLDER = 'trainings';
/** Characters that are invisible or turn the direction of text, which no label may have. */
export const FORBIDDEN_IN_LABELS = /[\p{Cc}\u{61c}\u{200e}\u{200f}\u{2028}-\u{202e}\u{2066}-\u{2069}\u{feff}\u{fffe}\u{ffff}]/u;
