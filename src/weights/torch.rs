//! `.pth` files of `torch.save`: a state dict in a zip archive, or in the older form that torchvision's published files
//! still have. Nothing in them is run; see [`super::pickle`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::checkpoint::{self, Found};
use super::names;
use super::pickle::{self, Node, Storage, Tensor, Value};
use super::state::{RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::limits;

/// `PK\x03\x04`
const ZIP_MAGIC: &[u8] = &[0x50, 0x4b, 3, 4];
/// A pickle of protocol 2 of the ten-byte number that begins an old file: `0x1950a86a20f9469cfc6c`.
const OLD_MAGIC: &[u8] = &[0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Added to what tensors may expand to, for the smallest files.
const SMALL: u64 = 1 << 20;

/// Whether a file begins as one of the two forms.
pub fn is_torch(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP_MAGIC) || bytes.starts_with(OLD_MAGIC)
}

/// Reads the tensors of a file's state dict, under the names of torchvision's present generation.
///
/// # Errors
/// What is over a cap; an archive that lacks an entry or has a short one; no state dict.
pub fn read<'a>(file: &str, bytes: &'a [u8]) -> Result<StateDict<'a>> {
    limits::check(file, "its size in bytes", bytes.len() as u64, limits::DETECTOR_BYTES)?;
    if bytes.starts_with(ZIP_MAGIC) { read_zip(file, bytes) } else { read_old(file, bytes) }
}

/// An archive of `data.pkl` and an entry for each storage, in a folder of any name.
fn read_zip(file: &str, bytes: &[u8]) -> Result<StateDict<'static>> {
    let fault = |reason: String| Error::weights(file, reason);
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| fault(format!("its archive is broken ({e})")))?;
    let folder = archive
        .file_names()
        .filter_map(|name| name.ok())
        .find_map(|name| name.strip_suffix("data.pkl").map(str::to_owned))
        .ok_or_else(|| fault("its archive holds no data.pkl, as torch.save writes it".into()))?;
    let mut entry = |name: &str, limit: u64| -> Result<Vec<u8>, String> {
        let entry = archive.by_name(&format!("{folder}{name}")).map_err(|e| format!("entry {name}: {e}"))?;
        let mut content = Vec::new();
        entry.take(limit + 1).read_to_end(&mut content).map_err(|e| format!("entry {name}: {e}"))?;
        match content.len() as u64 > limit {
            true => Err(format!("entry {name} is larger than it may be ({limit} bytes)")),
            false => Ok(content),
        }
    };
    if entry("byteorder", 16).is_ok_and(|order| order != b"little") {
        return Err(fault("its numbers are big-endian".into()));
    }
    let description = entry("data.pkl", limits::PICKLE_BYTES).map_err(fault)?;
    let pickle = pickle::read(&description, &mut 0).map_err(fault)?;
    let found = checkpoint::find(&pickle).map_err(fault)?;
    check_sizes(file, bytes, &found)?;
    let mut total = 0u64;
    collect(file, &found, |key, size| {
        total = total.saturating_add(size as u64);
        check_expansion(file, bytes, total)?;
        let content = entry(&format!("data/{key}"), size as u64).map_err(fault)?;
        match content.len() == size {
            true => Ok(Cow::Owned(content)),
            false => Err(fault(format!("entry data/{key} is cut off"))),
        }
    })
}

/// Five pickles (magic number, version, machine, what was saved, keys), then each storage with its length before it.
fn read_old<'a>(file: &str, bytes: &'a [u8]) -> Result<StateDict<'a>> {
    let fault = |reason: String| Error::weights(file, reason);
    let (mut at, mut made) = (0, 0);
    let mut next = || {
        let pickle = pickle::read(&bytes[at..], &mut made)?;
        at += pickle.length;
        Ok((pickle, at))
    };
    for _ in 0..3 {
        next().map_err(fault)?;
    }
    let (pickle, _) = next().map_err(fault)?;
    let (keys, mut at) = next().map_err(fault)?;
    let Some(Node::List(keys)) = keys.node(keys.root) else {
        return Err(fault("it has no list of its tensors".into()));
    };
    let found = checkpoint::find(&pickle).map_err(fault)?;
    check_sizes(file, bytes, &found)?;
    let described: HashMap<&str, &Storage> = pickle.storages().map(|storage| (storage.key, storage)).collect();
    let mut storages: HashMap<&str, &'a [u8]> = HashMap::new();
    for key in keys.iter().map(Value::as_text) {
        let key = key.ok_or_else(|| fault("it has no list of its tensors".into()))?;
        let storage = described.get(key).ok_or_else(|| fault("it holds values that no tensor uses".into()))?;
        let early = || fault("it ends early".into());
        let (length, rest) = bytes[at..].split_first_chunk::<8>().ok_or_else(early)?;
        if u64::from_le_bytes(*length) != storage.elements as u64 {
            return Err(fault("a tensor's values are not as many as it says".into()));
        }
        let size = byte_size(storage).map_err(fault)?;
        let content = rest.get(..size).ok_or_else(early)?;
        at += 8 + size;
        storages.insert(key, content);
    }
    collect(file, &found, |key, _| match storages.get(key) {
        Some(content) => Ok(Cow::Borrowed(*content)),
        None => Err(fault(format!("the values of its storage {key} are not in the file"))),
    })
}

fn byte_size(storage: &Storage) -> Result<usize, String> {
    let width = storage.width().ok_or_else(|| format!("it has values of the unknown class {}", storage.class))?;
    storage.elements.checked_mul(width).ok_or_else(|| "a tensor is too large".into())
}

/// The tensors' number, and their size before memory is asked for.
fn check_sizes(file: &str, bytes: &[u8], found: &Found) -> Result<()> {
    limits::check(file, "the number of its tensors", found.tensors.len() as u64, limits::TENSORS as u64)?;
    let size = |(_, tensor): &(&str, &Tensor)| {
        let width = tensor.storage.width()? as u64;
        tensor.shape.iter().try_fold(width, |n, side| n.checked_mul(*side as u64))
    };
    let sizes = found.tensors.iter().map(size);
    let total = sizes.fold(0u64, |total, size| total.saturating_add(size.unwrap_or(u64::MAX)));
    limits::check(file, "the size of its tensors in bytes", total, limits::DETECTOR_BYTES)?;
    check_expansion(file, bytes, total)
}

fn check_expansion(file: &str, bytes: &[u8], total: u64) -> Result<()> {
    let most = bytes.len() as u64 * limits::TENSOR_EXPANSION + SMALL;
    if total > most {
        let reason = format!(
            "its tensors would take {total} bytes, which a file of {} bytes cannot hold: it is damaged, or made to exhaust \
             memory",
            bytes.len()
        );
        return Err(Error::weights(file, reason));
    }
    Ok(())
}

/// Reads one storage after another, each by its key and size in bytes, and lets it go when its tensors have their values.
fn collect<'a>(
    file: &str,
    found: &Found,
    mut content: impl FnMut(&str, usize) -> Result<Cow<'a, [u8]>>,
) -> Result<StateDict<'a>> {
    let mut state = StateDict { notes: found.notes.clone(), ..StateDict::default() };
    let wrapping = names::wrapping(found.tensors.iter().map(|(name, _)| *name));
    let mut tensors = found.tensors.clone();
    tensors.sort_by_key(|(_, tensor)| tensor.storage.key);
    for views in tensors.chunk_by(|(_, a), (_, b)| a.storage.key == b.storage.key) {
        let sizes = views.iter().map(|(_, tensor)| byte_size(&tensor.storage)).collect::<Result<Vec<_>, _>>();
        let size = sizes.map_err(|e| Error::weights(file, e))?.into_iter().max().unwrap_or_default();
        let storage = content(views[0].1.storage.key, size)?;
        for (name, tensor) in views {
            let fault = |reason: String| Error::weights(file, format!("tensor {name}: {reason}"));
            let canonical = names::canonical(name, wrapping);
            let raw = extract(tensor, &storage).map_err(fault)?;
            if state.tensors.insert(canonical.clone(), raw).is_some() {
                return Err(fault(format!("the name {canonical} comes twice")));
            }
        }
    }
    Ok(state)
}

/// A tensor's values in row-major order.
fn extract<'a>(tensor: &Tensor, storage: &Cow<'a, [u8]>) -> Result<RawTensor<'a>, String> {
    let Tensor { storage: of, offset, shape, stride } = tensor;
    let dtype = of.dtype.ok_or_else(|| format!("its values are of the class {}, which no weights have", of.class))?;
    let width = dtype.bytes();
    let elements: usize = shape.iter().product();
    // The sides beside one of 0 may be anything.
    if elements == 0 {
        return RawTensor::new(dtype, shape.clone(), Vec::<u8>::new());
    }
    let last = shape.iter().zip(stride).try_fold(*offset, |at, (side, step)| {
        side.saturating_sub(1).checked_mul(*step).and_then(|n| n.checked_add(at))
    });
    if last.is_none_or(|last| last >= storage.len() / width) {
        return Err("it reaches beyond its values".into());
    }
    if contiguous(shape, stride) {
        let range = offset * width..(offset + elements) * width;
        let bytes = match storage {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(range).unwrap_or(&[])),
            Cow::Owned(bytes) => Cow::Owned(bytes.get(range).unwrap_or(&[]).to_vec()),
        };
        return RawTensor::new(dtype, shape.clone(), bytes);
    }
    let mut bytes = Vec::with_capacity(elements * width);
    let mut index = vec![0usize; shape.len()];
    for _ in 0..elements {
        let at = offset + index.iter().zip(stride).map(|(i, step)| i * step).sum::<usize>();
        bytes.extend_from_slice(&storage[at * width..(at + 1) * width]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    RawTensor::new(dtype, shape.clone(), bytes)
}

fn contiguous(shape: &[usize], stride: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(stride).rev().all(|(side, step)| {
        let fits = *side == 1 || *step == expected;
        expected *= side;
        fits
    })
}
