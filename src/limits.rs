//! Every cap of the crate, each with its reason.
//!
//! Input comes from strangers' disks and microscopes; a cap turns a bomb into a sentence before memory is asked for.

use crate::error::{Error, Result};

/// A file on the disk. The largest real microscope stacks that are single images stay well below.
pub const FILE_BYTES: u64 = 128 << 20;
/// One side of an image: 8192² is the largest square of [`IMAGE_PIXELS`].
pub const IMAGE_SIDE: u32 = 8192;
/// All pixels of one image: 64 MP, so that four 16-bit channels decode into half a gigabyte.
pub const IMAGE_PIXELS: u64 = 64 << 20;
/// Pixels of the image that a mask belongs to. A mask is runs, of which there are few in an image of any size, but they count
/// in 32 bits: 65,535², or a slide of 100,000 × 42,000.
pub const MASK_PIXELS: u64 = u32::MAX as u64;
/// All decoded channels of one image together; a wasm memory ends at 4 GiB and holds the model beside it.
pub const IMAGE_BYTES: u64 = 512 << 20;
/// One strip or tile of a file that is read region by region, decoded, and all of its strips and tiles that are kept for the
/// next region: a row of tiles of a slide 100,000 pixels wide.
pub const CHUNK_BYTES: usize = 256 << 20;
/// Channels of one image. Light microscopes record five or six.
pub const CHANNELS: usize = 8;
/// An annotation file. Ten thousand LabelImg objects are 3 MiB.
pub const ANNOTATION_BYTES: u64 = 4 << 20;
/// A table or a COCO file, which may hold the objects of many images.
pub const TABLE_BYTES: u64 = 128 << 20;
/// Pages of a TIFF file: 50 slices of 8 channels at 40 time points.
pub const TIFF_PAGES: usize = 16_384;
/// Elements within elements of an XML file; LabelImg nests four deep.
pub const XML_DEPTH: usize = 16;
/// Objects of one image. The most crowded real image known to us has some hundreds.
pub const OBJECTS: usize = 10_000;
/// Pixels along the outlines of one object's polygons, or of a whole COCO file's: the 250,000 cells of the largest sets have
/// some 500 each.
pub const OUTLINE_PIXELS: u64 = 128 << 20;
/// Stretches of one value in the columns of a label image: 10,000 objects of 400 columns each. Noise has one for each pixel.
pub const LABEL_RUNS: u64 = 4 << 20;
/// Pixels from a cell to the far edge of the ring in which its background is measured: distances along a column fit a byte.
pub const RING_PIXELS: u32 = 200;
/// Images that one table or COCO file may speak of; the Atlas's largest public set has a hundred thousand.
pub const TABLE_IMAGES: usize = 200_000;
/// Objects that a COCO file may hold: COCO's own largest has 860,000.
pub const TABLE_OBJECTS: usize = 1_000_000;
/// Numbers and texts of one object in a COCO file: the outline of a cell has some hundreds.
pub const OBJECT_VALUES: usize = 200_000;
/// Numbers and texts of a VIA project, which people draw by hand: 20,000 outlines of 100.
pub const PROJECT_VALUES: usize = 2_000_000;
/// Characters of a label.
pub const LABEL_CHARS: usize = 128;
/// Classes of a detector without the background: Open Images, the largest detection set, has 601.
pub const CLASSES: usize = 1_000;
/// The JSON header of a safetensors file.
pub const SAFETENSORS_HEADER_BYTES: u64 = 8 << 20;
/// A detector file: a Mask R-CNN with ResNet-101-FPN is 250 MB in f32.
pub const DETECTOR_BYTES: u64 = 1 << 30;
/// Tensors of one detector file; ResNet-101-FPN has about 700.
pub const TENSORS: usize = 10_000;
/// The description of a torch file's tensors and of what a training script keeps beside them, such as the losses of all
/// steps.
pub const PICKLE_BYTES: u64 = 32 << 20;
/// Values that the pickles of one file make, recall or keep to be recalled. A checkpoint needs some forty for each tensor.
pub const PICKLE_VALUES: usize = 2_000_000;
/// Bytes of tensors for each byte of a torch file, which stores them as they are; more than one where tensors share values.
pub const TENSOR_EXPANSION: u64 = 4;
/// Numbers along one axis of a tensor, as the kernels take them: every index of one image's row fits `u32`.
pub const TENSOR_SIDE: usize = 1 << 16;
/// Weights of one layer: the largest of torchvision's detectors, `fc6`, has 12.8 million.
pub const LAYER_WEIGHTS: u64 = 64 << 20;
/// The side of the resized image that enters the network. Beyond it, feature maps leave 4 GiB.
pub const NETWORK_SIDE: u32 = 4096;
/// Channels of the pyramid, of which torchvision has 256. The finest level of an image of [`NETWORK_SIDE`] has a quarter of
/// its side; with more channels it would pass the 2³⁰ elements that the kernels take.
pub const PYRAMID_CHANNELS: usize = 1 << 10;
/// Images that a training run holds at once, as floats: 500 images of 512² pixels. A wasm memory ends at 4 GiB.
pub const TRAINING_BYTES: u64 = 3 << 29;
/// Proposals and detections of one pass of the network, whatever a configuration asks for.
pub const PROPOSALS: usize = 20_000;
/// Detections in each 512² pixels of the network's input: cells of 11 pixels side by side, smaller than any that can be told
/// apart there. With their masks they take 8 MiB.
pub const DETECTIONS_PER_AREA: usize = 2_000;
/// Detections of one image, however large: with their masks some 2 GiB.
pub const DETECTIONS: usize = 1_000_000;

/// `Err` with the limit's name if `found` is over `limit`.
#[doc(hidden)]
pub fn check(subject: &str, what: &'static str, found: u64, limit: u64) -> Result<()> {
    if found > limit {
        return Err(Error::TooLarge { subject: subject.to_owned(), what, found, limit });
    }
    Ok(())
}
