//! Image files to channels, and channels to one image.
//!
//! `sniff` tells what a dropped file is, `group` puts the files of one image together by their names, `assemble`
//! decodes them into a [`ChannelSet`], and `merge` weighs its channels into the red, green and blue of a [`MergedImage`].
//! Samples keep their own depth, 8 or 16 bit or 32-bit floating point, until the merge; [`BitDepth`] says what counts as full
//! brightness in 16 bits, and [`SampleRange`] what is black and white in any of them.

mod assemble;
mod colour;
mod crop;
mod decode;
mod depth;
mod file_name;
mod glance;
mod group;
mod jpeg;
mod label_samples;
mod label_tiff;
#[cfg(not(target_arch = "wasm32"))]
mod large;
mod mapping;
pub(crate) mod mask_owner;
mod merge;
mod naming;
mod ome_xml;
mod orientation;
mod pixel_size;
mod project;
mod range;
mod reading;
#[cfg(not(target_arch = "wasm32"))]
mod region;
mod set;
mod sniff;
mod stack;
mod tiff;
mod tiff_description;
mod tiff_directory;
#[cfg(not(target_arch = "wasm32"))]
mod tiff_head;
mod tiff_page;
mod tiff_sample;
mod view;

pub use assemble::{ReadOptions, assemble, depth_of};
pub use crop::{crop, crop_to_jpeg};
pub use decode::{Decoded, Layout, decode};
pub use depth::BitDepth;
pub(crate) use file_name::composed;
pub use glance::{Glance, glance};
pub use group::{ChannelFile, EntryState, FileHead, Fix, Groups, Ignored, ImageEntry, Problem, group};
pub(crate) use label_samples::{LabelSamples, label_samples};
#[cfg(not(target_arch = "wasm32"))]
pub use large::LargeImage;
pub use mapping::ChannelMap;
pub use merge::{Merge, MergedImage, merge};
pub use orientation::orientation;
pub use range::SampleRange;
pub use reading::{Pages, Reading};
#[cfg(not(target_arch = "wasm32"))]
pub use region::RegionFile;
pub use set::{Channel, ChannelSet, Plane, Samples};
pub use sniff::{FileKind, HEAD_BYTES, sniff, sniff_named};
pub use stack::{Projection, StackPlane, StackRule};
pub use view::{Layer, layers, thumbnail};
