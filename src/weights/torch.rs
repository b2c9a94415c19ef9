//! `.pth` files of `torch.save`: a state dict in a zip archive, or in the older form that torchvision's published files
//! still have. Nothing in them is run; see [`super::pickle`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::names;
use super::pickle::{self, Storage, TensorRef, Value};
use super::state::{RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::limits;

/// `PK\x03\x04`
const ZIP_MAGIC: &[u8] = &[0x50, 0x4b, 3, 4];
/// A pickle of protocol 2 of the ten-byte number that begins an old file: `0x1950a86a20f9469cfc6c`.
const OLD_MAGIC: &[u8] = &[0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Names under which training scripts keep the state dict among other things.
const NESTED: [&str; 3] = ["model", "state_dict", "model_state_dict"];

/// Whether a file begins as one of the two forms.
pub fn is_torch(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP_MAGIC) || bytes.starts_with(OLD_MAGIC)
}

/// Reads a file's tensors, under the names of torchvision's present generation.
///
/// # Errors
/// What is over a cap; an archive that lacks an entry or has a short one; a pickle that is no plain state dict.
pub fn read<'a>(file: &str, bytes: &'a [u8]) -> Result<StateDict<'a>> {
    limits::check(file, "its size in bytes", bytes.len() as u64, limits::DETECTOR_BYTES)?;
    let parsed = if bytes.starts_with(ZIP_MAGIC) { read_zip(bytes) } else { read_old(bytes) };
    let (root, storages) = parsed.map_err(|e| Error::weights(file, e))?;
    let entries = state_dict(root).map_err(|e| Error::weights(file, e))?;
    limits::check(file, "the number of its tensors", entries.len() as u64, limits::TENSORS as u64)?;
    let mut state = StateDict::default();
    let mut total = 0u64;
    for (name, tensor) in entries {
        let fault = |reason: String| Error::weights(file, format!("tensor {name}: {reason}"));
        let elements = tensor.shape.iter().try_fold(1u64, |n, side| n.checked_mul(*side as u64));
        total = elements
            .and_then(|n| n.checked_mul(tensor.storage.dtype.bytes() as u64))
            .and_then(|n| n.checked_add(total))
            .unwrap_or(u64::MAX);
        limits::check(file, "the size of its tensors in bytes", total, limits::DETECTOR_BYTES)?;
        let storage =
            storages.get(&tensor.storage.key).ok_or_else(|| fault("its values are not in the file".into()))?;
        let raw = extract(&tensor, storage).map_err(fault)?;
        let canonical = names::canonical(&name);
        if state.tensors.insert(canonical.clone(), raw).is_some() {
            return Err(fault(format!("the name {canonical} comes twice")));
        }
    }
    Ok(state)
}

type Storages<'a> = HashMap<String, Cow<'a, [u8]>>;

fn read_zip<'a>(bytes: &[u8]) -> Result<(Value, Storages<'a>), String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("its archive is broken ({e})"))?;
    let root = archive
        .file_names()
        .filter_map(|name| name.ok())
        .find_map(|name| name.strip_suffix("data.pkl").map(str::to_owned))
        .ok_or("its archive holds no data.pkl, as torch.save writes it")?;
    let mut entry = |name: &str, limit: u64| -> Result<Vec<u8>, String> {
        let entry = archive.by_name(&format!("{root}{name}")).map_err(|e| format!("entry {name}: {e}"))?;
        let mut content = Vec::new();
        entry.take(limit + 1).read_to_end(&mut content).map_err(|e| format!("entry {name}: {e}"))?;
        if content.len() as u64 > limit {
            return Err(format!("entry {name} is larger than it says"));
        }
        Ok(content)
    };
    if entry("byteorder", 16).is_ok_and(|order| order != b"little") {
        return Err("its numbers are big-endian".into());
    }
    let (value, _) = pickle::read(&entry("data.pkl", limits::SAFETENSORS_HEADER_BYTES)?)?;
    let mut storages = HashMap::new();
    let mut total = 0u64;
    for storage in storages_of(&value) {
        if storages.contains_key(&storage.key) {
            continue;
        }
        let size = byte_size(&storage)?;
        total = total.saturating_add(size as u64);
        if total > limits::DETECTOR_BYTES {
            return Err("its tensors are larger than a detector file may be".into());
        }
        let content = entry(&format!("data/{}", storage.key), size as u64)?;
        if content.len() != size {
            return Err(format!("entry data/{} is cut off", storage.key));
        }
        storages.insert(storage.key.clone(), Cow::Owned(content));
    }
    Ok((value, storages))
}

/// Five pickles (magic number, version, machine, state dict, keys), then each storage with its length before it.
fn read_old(bytes: &[u8]) -> Result<(Value, Storages<'_>), String> {
    let mut at = 0;
    let mut next = || -> Result<(Value, usize), String> {
        let (value, used) = pickle::read(&bytes[at..])?;
        at += used;
        Ok((value, at))
    };
    for _ in 0..3 {
        next()?;
    }
    let (value, _) = next()?;
    let (Value::List(keys), mut at) = next()? else { return Err("it has no list of its tensors".into()) };
    let sizes: HashMap<String, Storage> = storages_of(&value).into_iter().map(|s| (s.key.clone(), s)).collect();
    let mut storages = HashMap::new();
    for key in keys {
        let key = key.as_text().ok_or("it has no list of its tensors")?;
        let storage = sizes.get(key).ok_or("it holds values that no tensor uses")?;
        let rest = &bytes[at..];
        let (length, rest) = rest.split_first_chunk::<8>().ok_or("it ends early")?;
        if u64::from_le_bytes(*length) != storage.elements as u64 {
            return Err("a tensor's values are not as many as it says".into());
        }
        let size = byte_size(storage)?;
        let content = rest.get(..size).ok_or("it ends early")?;
        at += 8 + size;
        storages.insert(key.to_owned(), Cow::Borrowed(content));
    }
    Ok((value, storages))
}

fn byte_size(storage: &Storage) -> Result<usize, String> {
    storage.elements.checked_mul(storage.dtype.bytes()).ok_or_else(|| "a tensor is too large".into())
}

/// The storages that the tensors of a value refer to.
fn storages_of(value: &Value) -> Vec<Storage> {
    match value {
        Value::Tensor(tensor) => vec![(*tensor.storage).clone()],
        Value::Dict(items) => items.iter().flat_map(|(_, value)| storages_of(value)).collect(),
        Value::List(items) => items.iter().flat_map(storages_of).collect(),
        _ => Vec::new(),
    }
}

/// The named tensors of a state dict, which may lie one level down in a checkpoint.
fn state_dict(root: Value) -> Result<Vec<(String, std::rc::Rc<TensorRef>)>, String> {
    let Value::Dict(items) = root else { return Err("it holds no state dict".into()) };
    let nested = items.iter().position(|(key, value)| {
        matches!(value, Value::Dict(_)) && key.as_text().is_some_and(|key| NESTED.contains(&key))
    });
    let items = match nested.map(|i| items[i].1.clone()) {
        Some(Value::Dict(inner)) => inner,
        _ => items,
    };
    let tensors: Vec<_> = items
        .into_iter()
        .filter_map(|(key, value)| match value {
            Value::Tensor(tensor) => Some((key.as_text()?.to_owned(), tensor)),
            _ => None,
        })
        .collect();
    if tensors.is_empty() {
        return Err("it holds no state dict; save model.state_dict(), not the model".into());
    }
    Ok(tensors)
}

/// A tensor's values in row-major order.
fn extract<'a>(tensor: &TensorRef, storage: &Cow<'a, [u8]>) -> Result<RawTensor<'a>, String> {
    let TensorRef { storage: of, offset, shape, stride } = tensor;
    let width = of.dtype.bytes();
    let elements: usize = shape.iter().product();
    // The sides beside one of 0 may be anything.
    if elements == 0 {
        return RawTensor::new(of.dtype, shape.clone(), Vec::<u8>::new());
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
        return RawTensor::new(of.dtype, shape.clone(), bytes);
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
    RawTensor::new(of.dtype, shape.clone(), bytes)
}

fn contiguous(shape: &[usize], stride: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(stride).rev().all(|(side, step)| {
        let fits = *side == 1 || *step == expected;
        expected *= side;
        fits
    })
}
