//! The decoded channels of one image, from the bytes of its files.

use std::collections::BTreeMap;

use super::colour;
use super::decode::{self, Decoded, Layout, decode, probe};
use super::depth::{self, BitDepth};
use super::project::Focus;
use super::range::{BLACK, SampleRange};
use super::reading::{Pages, Reading};
use super::set::{Channel, ChannelSet, Plane, Samples, in_words, zeros};
use super::sniff::FileKind;
use super::stack::{Projection, StackRule};
use crate::error::{Error, Result};
use crate::limits;

/// What is said of an image that its files leave open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadOptions<'a> {
    /// Channels to be black where their file is missing.
    pub fill: &'a [Channel],
    /// What the pages of a TIFF file are that does not say it.
    pub pages: Pages,
    /// What counts as full brightness in 16-bit samples, decided for all images together; `None` leaves it to this one.
    pub depth: Option<BitDepth>,
    /// What is black and white, whatever the depth; `None` leaves it to `depth`, and for floating point to the image.
    pub range: Option<SampleRange>,
    /// What is read of stacks; without a rule they are refused.
    pub stack: Option<StackRule>,
}

impl ReadOptions<'_> {
    fn reading(&self) -> Reading {
        Reading::new(self.pages, self.stack)
    }
}

/// Decodes the files of one image into a set of channels that fit together.
///
/// `files` are channel, file name and bytes: either one file without a channel, an image by itself, whose channels its
/// content tells (grey; red, green, blue; or channel1, channel2, …), or one file for each channel. Where one of the
/// channels is red, green, blue or yellow, the set is a Human Protein Atlas set and needs all four; those to `fill`
/// become black if they have no file. A colour image that stands for one channel is taken if it is grey, or nearly
/// all of that channel's colour.
///
/// Samples of 8, 16 and 32 bits are not mixed: the same brightness would be two numbers, and which scale a 12-bit camera in 16 bit has
/// is only known for a whole set.
///
/// # Errors
/// What [`decode`] gives; [`Error::ChannelMissing`], [`Error::ChannelMismatch`]; [`Error::TooLarge`] where the channels
/// together are over the cap, before any is decoded.
pub fn assemble<B: AsRef<[u8]>>(
    name: &str,
    files: &[(Option<Channel>, String, B)],
    options: &ReadOptions,
) -> Result<ChannelSet> {
    let mut set = match files {
        [] => return Err(Error::image(name, "the image has no files")),
        [(None, file, bytes)] => by_itself(name, decode(file, bytes.as_ref(), options.reading())?),
        _ => from_channels(name, files, options)?,
    };
    set.choose_white(options.range, options.depth);
    Ok(set)
}

/// The bit depth that an image by itself asks for; the greatest of all images is that of their set. `None` for images of 8
/// and 32 bits, which are not decoded.
///
/// # Errors
/// As [`assemble`].
pub fn depth_of<B: AsRef<[u8]>>(
    name: &str,
    files: &[(Option<Channel>, String, B)],
    options: &ReadOptions,
) -> Result<Option<BitDepth>> {
    for (_, file, bytes) in files {
        if probe(file, bytes.as_ref(), options.reading())?.bits != 16 {
            return Ok(None);
        }
    }
    Ok(assemble(name, files, options)?.own_depth)
}

pub(super) fn by_itself(name: &str, mut decoded: Decoded) -> ChannelSet {
    let (channels, colours) = match decoded.layout {
        Layout::Grey => (vec![Channel::Grey], BTreeMap::new()),
        Layout::Rgb => (vec![Channel::Red, Channel::Green, Channel::Blue], BTreeMap::new()),
        Layout::Channels if !decoded.colours.is_empty() => colour::channels(&decoded.colours),
        Layout::Channels => ((1..=limits::CHANNELS as u8).map(Channel::Index).collect(), BTreeMap::new()),
    };
    let planes = channels.into_iter().zip(std::mem::take(&mut decoded.planes)).collect();
    let Decoded { warnings, pixel_size, stack, stated, .. } = decoded;
    let set = ChannelSet { colours, warnings, pixel_size, stack, ..ChannelSet::new(name, planes) };
    with_own_depth(set, stated)
}

fn from_channels<B: AsRef<[u8]>>(
    name: &str,
    files: &[(Option<Channel>, String, B)],
    options: &ReadOptions,
) -> Result<ChannelSet> {
    let mut by_channel: BTreeMap<Channel, (&str, &[u8])> = BTreeMap::new();
    for (channel, file, bytes) in files {
        let Some(channel) = channel else {
            return Err(Error::image(name, format_args!("{file} is an image by itself and has no place in a set")));
        };
        if let Some((other, _)) = by_channel.insert(*channel, (file, bytes.as_ref())) {
            return Err(Error::image(
                name,
                format_args!("{other} and {file} are both the {channel} channel; keep one"),
            ));
        }
    }
    let is_hpa = by_channel.keys().any(|c| Channel::HPA.contains(c));
    let missing: Vec<Channel> = Channel::HPA.into_iter().filter(|c| is_hpa && !by_channel.contains_key(c)).collect();
    let lacking: Vec<Channel> = missing.iter().copied().filter(|c| !options.fill.contains(c)).collect();
    if !lacking.is_empty() {
        return Err(Error::ChannelMissing { image: name.to_owned(), missing: in_words(&lacking) });
    }
    let reading = options.reading();
    check_together(name, &by_channel, missing.len(), reading)?;
    // All channels are of the slice that is in focus in all of them.
    let sharpest = match reading.stack.filter(|rule| rule.projection == Projection::Sharpest) {
        Some(_) => {
            let mut focus = Focus::default();
            for (file, bytes) in by_channel.values() {
                focus.append(decode::focus(file, bytes, reading)?);
            }
            Some(focus.sharpest())
        }
        None => None,
    };

    let mut planes = BTreeMap::new();
    let (mut warnings, mut stated) = (Vec::new(), None);
    let (mut sizes, mut stacks) = (Vec::new(), Vec::new());
    for (channel, (file, bytes)) in by_channel {
        let mut decoded = decode(file, bytes, Reading { step: sharpest, ..reading })?;
        stacks.push(decoded.stack);
        stated = stated.max(decoded.stated);
        sizes.push(decoded.pixel_size);
        warnings.append(&mut decoded.warnings);
        planes.insert(channel, one_plane(file, channel, decoded, &mut warnings)?);
    }
    // `probe` has promised equal planes; this one stands for all.
    if let Some(Plane { width, height, samples }) = planes.values().next() {
        let (width, height, bits, count) = (*width, *height, samples.bits(), samples.len());
        for channel in &missing {
            let samples = match bits {
                16 => Samples::U16(zeros(name, count)?),
                32 => Samples::F32(zeros(name, count)?.into_iter().map(|_: f32| BLACK).collect()),
                _ => Samples::U8(zeros(name, count)?),
            };
            planes.insert(*channel, Plane { width, height, samples });
        }
    }
    if !missing.is_empty() {
        let (verb, noun) = if missing.len() == 1 { ("is", "channel") } else { ("are", "channels") };
        warnings.push(format!("{name}: the {} {noun} {verb} filled with black", in_words(&missing)));
    }
    if stacks.windows(2).any(|pair| pair[0] != pair[1]) {
        let found = "their stacks have different numbers of slices or time points".to_owned();
        return Err(Error::ChannelMismatch { image: name.to_owned(), found });
    }
    let stack = stacks.first().copied().flatten();
    // Files that state different sizes state none.
    let pixel_size = sizes.first().copied().flatten().filter(|_| sizes.windows(2).all(|pair| pair[0] == pair[1]));
    let set = ChannelSet { filled: missing, warnings, pixel_size, stack, ..ChannelSet::new(name, planes) };
    Ok(with_own_depth(set, stated))
}

/// Refuses files that differ in size or depth, or that are too much together, from their headers alone.
fn check_together(name: &str, files: &BTreeMap<Channel, (&str, &[u8])>, filled: usize, reading: Reading) -> Result<()> {
    let mut sizes: Vec<(String, Vec<Channel>)> = Vec::new();
    let mut plane_bytes = 0;
    for (channel, (file, bytes)) in files {
        let header = probe(file, bytes, reading)?;
        let pixels = u64::from(header.width) * u64::from(header.height);
        plane_bytes = pixels * u64::from(header.bits / 8);
        let size = format!("{} × {} with {} bit", header.width, header.height, header.bits);
        match sizes.iter_mut().find(|(other, _)| *other == size) {
            Some((_, channels)) => channels.push(*channel),
            None => sizes.push((size, vec![*channel])),
        }
        if !matches!(header.planes, 1 | 3) {
            let reason = format!("it holds {} channels, but its name says that it is the {channel} one", header.planes);
            return Err(Error::image(*file, reason));
        }
    }
    if sizes.len() > 1 {
        let found: Vec<String> = sizes.iter().map(|(size, c)| format!("{}: {size}", in_words(c))).collect();
        return Err(Error::ChannelMismatch { image: name.to_owned(), found: found.join("; ") });
    }
    let planes = (files.len() + filled) as u64;
    limits::check(name, "the decoded size of all channels in bytes", plane_bytes * planes, limits::IMAGE_BYTES)
}

/// The one plane that a file gives for its channel.
fn one_plane(file: &str, channel: Channel, decoded: Decoded, warnings: &mut Vec<String>) -> Result<Plane> {
    let Decoded { kind, layout, mut planes, .. } = decoded;
    if layout == Layout::Rgb && planes.len() == 3 {
        // JPEG's colour transform rounds; other files are exact.
        let tolerance = if kind == FileKind::Jpeg { 3.0 } else { 0.0 };
        if differences_at_most(&planes, tolerance) {
            return Ok(planes.swap_remove(1));
        }
        let own: &[usize] = match channel {
            Channel::Red => &[0],
            Channel::Green => &[1],
            Channel::Blue => &[2],
            Channel::Yellow => &[0, 1],
            Channel::Grey | Channel::Index(_) => &[],
        };
        if is_tint(&planes, own) {
            warnings.push(format!("{file}: this is a colour image; only its {channel} part is used"));
            return Ok(mean_of(&mut planes, own));
        }
    } else if planes.len() == 1 {
        return Ok(planes.swap_remove(0));
    }
    let what = if layout == Layout::Rgb { "a colour image" } else { "an image of several channels" };
    let reason = format!(
        "this is {what}, but its name says that it is only the {channel} channel; give a grey file, or rename it if it is \
         an image by itself"
    );
    Err(Error::image(file, reason))
}

fn value(plane: &Plane, i: usize) -> f32 {
    match &plane.samples {
        Samples::U8(v) => v[i].into(),
        Samples::U16(v) => v[i].into(),
        Samples::F32(v) => v[i],
    }
}

fn differences_at_most(rgb: &[Plane], tolerance: f32) -> bool {
    (0..rgb[0].samples.len()).all(|i| {
        let (r, g, b) = (value(&rgb[0], i), value(&rgb[1], i), value(&rgb[2], i));
        r.max(g).max(b) - r.min(g).min(b) <= tolerance
    })
}

/// Whether at least four fifths of the light is in the planes `own`, shared out evenly to a fifth.
fn is_tint(rgb: &[Plane], own: &[usize]) -> bool {
    let sum = |c: usize| (0..rgb[c].samples.len()).map(|i| f64::from(value(&rgb[c], i))).sum::<f64>();
    let sums = [sum(0), sum(1), sum(2)];
    let light: f64 = own.iter().map(|c| sums[*c]).sum();
    let even = light / own.len() as f64;
    light >= 0.8 * sums.iter().sum::<f64>() && own.iter().all(|c| (sums[*c] - even).abs() <= 0.2 * even)
}

/// One plane as it is, or the rounded mean of two, in place of the first.
fn mean_of(rgb: &mut Vec<Plane>, own: &[usize]) -> Plane {
    let second = own.get(1).map(|c| rgb[*c].samples.clone());
    let mut plane = rgb.swap_remove(own[0]);
    match (&mut plane.samples, second) {
        (Samples::U8(a), Some(Samples::U8(b))) => a.iter_mut().zip(b).for_each(|(a, b)| *a = (*a).midpoint(b)),
        (Samples::U16(a), Some(Samples::U16(b))) => a.iter_mut().zip(b).for_each(|(a, b)| *a = (*a).midpoint(b)),
        (Samples::F32(a), Some(Samples::F32(b))) => a.iter_mut().zip(b).for_each(|(a, b)| *a = (*a).midpoint(b)),
        _ => {}
    }
    plane
}

pub(super) fn with_own_depth(set: ChannelSet, stated: Option<BitDepth>) -> ChannelSet {
    let deep = set.bits() == 16;
    let own_depth = deep.then(|| BitDepth::of_image(stated, depth::reached(set.planes.values())));
    ChannelSet { own_depth, ..set }
}
