//! Torch files by hand: what `torch.save` writes for a value, operation by operation, in both forms of file.

#![allow(dead_code)] // Each test file uses a part of it.

use std::io::{Cursor, Write};

use cytobox::weights::StateDict;
use cytobox::weights::state::{Dtype, RawTensor};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A value of Python.
#[derive(Debug, Clone)]
pub enum Py {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Tuple(Vec<Py>),
    List(Vec<Py>),
    Dict(Vec<(Py, Py)>),
    OrderedDict(Vec<(Py, Py)>),
    /// A class or function, not called.
    Global(&'static str, &'static str),
    /// What a function makes of arguments.
    Call(Box<Py>, Vec<Py>),
    /// An instance that is made without its constructor.
    New(Box<Py>),
    /// Something with its state set.
    Built(Box<Py>, Box<Py>),
    /// Something filled as a dictionary, as are instances of subclasses.
    Filled(Box<Py>, Vec<(Py, Py)>),
    /// The class of its storage, its shape and its values.
    Tensor(&'static str, Vec<usize>, Vec<u8>),
    /// Operations as they are.
    Raw(Vec<u8>),
}

impl From<&str> for Py {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Py {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

/// A dictionary with texts for keys.
pub fn dict(items: impl IntoIterator<Item = (&'static str, Py)>) -> Py {
    Py::Dict(items.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

pub fn call(module: &'static str, name: &'static str, arguments: impl IntoIterator<Item = Py>) -> Py {
    Py::Call(Box::new(Py::Global(module, name)), arguments.into_iter().collect())
}

/// An instance of a class with these attributes.
pub fn object(module: &'static str, name: &'static str, state: Py) -> Py {
    Py::Built(Box::new(Py::New(Box::new(Py::Global(module, name)))), Box::new(state))
}

pub fn tensor(raw: &RawTensor) -> Py {
    let class = match raw.dtype {
        Dtype::F64 => "DoubleStorage",
        Dtype::F32 => "FloatStorage",
        Dtype::F16 => "HalfStorage",
        Dtype::Bf16 => "BFloat16Storage",
        Dtype::I64 => "LongStorage",
    };
    Py::Tensor(class, raw.shape.clone(), raw.bytes.to_vec())
}

/// A state dict with `prefix` before each name.
pub fn state_dict(state: &StateDict, prefix: &str) -> Py {
    let entry = |(name, raw): (&String, &RawTensor)| (Py::Text(format!("{prefix}{name}")), tensor(raw));
    Py::OrderedDict(state.tensors.iter().map(entry).collect())
}

/// The file of `torch.save(value)`, with a pickle of this protocol.
pub fn zip(value: &Py, protocol: u8) -> Vec<u8> {
    let (pickle, storages) = parts(value, protocol);
    archive(pickle, storages, CompressionMethod::Stored)
}

/// The same, compressed, as it comes from other programs that pack archives.
pub fn deflated(value: &Py) -> Vec<u8> {
    let (pickle, storages) = parts(value, 2);
    archive(pickle, storages, CompressionMethod::Deflated)
}

/// An archive of a pickle and of storages with the keys 0, 1, …
pub fn zip_of(pickle: Vec<u8>, storages: Vec<Vec<u8>>) -> Vec<u8> {
    archive(pickle, storages, CompressionMethod::Stored)
}

fn parts(value: &Py, protocol: u8) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut writer = Writer::new(protocol, false);
    writer.write(value);
    writer.out.push(b'.');
    (writer.out, writer.storages.into_iter().map(|(_, bytes)| bytes).collect())
}

fn archive(pickle: Vec<u8>, storages: Vec<Vec<u8>>, method: CompressionMethod) -> Vec<u8> {
    let mut files = vec![("data.pkl".to_owned(), pickle), ("byteorder".to_owned(), b"little".to_vec())];
    files.extend(storages.into_iter().enumerate().map(|(key, bytes)| (format!("data/{key}"), bytes)));
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(format!("archive/{name}"), SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// The file of `torch.save(value, _use_new_zipfile_serialization=False)`.
pub fn old(value: &Py) -> Vec<u8> {
    old_of(|writer| writer.write(value))
}

/// An old file of whatever operations are written.
pub fn old_of(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    let mut system = Writer::new(2, true);
    system.write(&dict([("protocol_version", 1001.into()), ("little_endian", Py::Bool(true))]));
    file.extend(system.out);
    file.push(b'.');
    let mut writer = Writer::new(2, true);
    write(&mut writer);
    file.extend(writer.out);
    file.push(b'.');
    let mut keys = Writer::new(2, true);
    keys.write(&Py::List((0..writer.storages.len()).map(|key| Py::Text(key.to_string())).collect()));
    file.extend(keys.out);
    file.push(b'.');
    for (elements, bytes) in writer.storages {
        file.extend((elements as u64).to_le_bytes());
        file.extend(bytes);
    }
    file
}

pub struct Writer {
    pub out: Vec<u8>,
    protocol: u8,
    /// Old files say of each storage whether it is a view.
    views: bool,
    memo: usize,
    /// Elements and bytes.
    storages: Vec<(usize, Vec<u8>)>,
}

impl Writer {
    fn new(protocol: u8, views: bool) -> Self {
        Self { out: vec![0x80, protocol], protocol, views, memo: 0, storages: Vec::new() }
    }

    pub fn write(&mut self, value: &Py) {
        match value {
            Py::None => self.out.push(b'N'),
            Py::Bool(value) => self.out.push(if *value { 0x88 } else { 0x89 }),
            Py::Int(value) => {
                self.out.extend([0x8a, 8]);
                self.out.extend(value.to_le_bytes());
            }
            Py::Float(value) => {
                self.out.push(b'G');
                self.out.extend(value.to_be_bytes());
            }
            Py::Text(text) => {
                self.out.push(b'X');
                self.out.extend((text.len() as u32).to_le_bytes());
                self.out.extend(text.as_bytes());
                self.memoize();
            }
            Py::Bytes(bytes) if self.protocol < 3 => {
                let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
                self.write(&call("_codecs", "encode", [Py::Text(text), "latin1".into()]));
            }
            Py::Bytes(bytes) => {
                self.out.push(b'B');
                self.out.extend((bytes.len() as u32).to_le_bytes());
                self.out.extend(bytes);
                self.memoize();
            }
            Py::Tuple(items) => self.tuple(items),
            Py::List(items) => {
                self.out.push(b']');
                self.memoize();
                self.out.push(b'(');
                items.iter().for_each(|item| self.write(item));
                self.out.push(b'e');
            }
            Py::Dict(items) => {
                self.out.push(b'}');
                self.memoize();
                self.items(items);
            }
            Py::OrderedDict(items) => {
                self.write(&call("collections", "OrderedDict", []));
                self.items(items);
                // torch's versions of modules.
                self.write(&dict([("_metadata", dict([("", dict([("version", 1.into())]))]))]));
                self.out.push(b'b');
            }
            Py::Global(module, name) if self.protocol < 4 => {
                self.out.extend(format!("c{module}\n{name}\n").into_bytes());
                self.memoize();
            }
            Py::Global(module, name) => {
                self.write(&(*module).into());
                self.write(&(*name).into());
                self.out.push(0x93);
                self.memoize();
            }
            Py::Call(function, arguments) => {
                self.write(function);
                self.tuple(arguments);
                self.out.push(b'R');
                self.memoize();
            }
            Py::New(class) => {
                self.write(class);
                self.out.extend(b")\x81");
                self.memoize();
            }
            Py::Built(value, state) => {
                self.write(value);
                self.write(state);
                self.out.push(b'b');
            }
            Py::Filled(value, items) => {
                self.write(value);
                self.items(items);
            }
            Py::Tensor(class, shape, bytes) => self.tensor(class, shape, bytes),
            Py::Raw(operations) => self.out.extend(operations),
        }
    }

    fn tensor(&mut self, class: &'static str, shape: &[usize], bytes: &[u8]) {
        let (elements, key) = (shape.iter().product::<usize>(), self.storages.len().to_string());
        self.storages.push((elements, bytes.to_vec()));
        let mut stride = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            stride[axis - 1] = stride[axis] * shape[axis];
        }
        let sizes = |sizes: &[usize]| Py::Tuple(sizes.iter().map(|n| Py::Int(*n as i64)).collect());
        self.write(&Py::Global("torch._utils", "_rebuild_tensor_v2"));
        self.out.push(b'(');
        let storage =
            ["storage".into(), Py::Global("torch", class), Py::Text(key), "cpu".into(), Py::Int(elements as i64)];
        let view = self.views.then_some(Py::None);
        self.tuple(&storage.into_iter().chain(view).collect::<Vec<_>>());
        self.out.push(b'Q');
        for part in [0.into(), sizes(shape), sizes(&stride), Py::Bool(false), call("collections", "OrderedDict", [])] {
            self.write(&part);
        }
        self.out.extend(b"tR");
        self.memoize();
    }

    fn tuple(&mut self, items: &[Py]) {
        match items {
            [] => self.out.push(b')'),
            [_, _, _, _, ..] => {
                self.out.push(b'(');
                items.iter().for_each(|item| self.write(item));
                self.out.push(b't');
                self.memoize();
            }
            _ => {
                items.iter().for_each(|item| self.write(item));
                self.out.push(0x84 + items.len() as u8);
                self.memoize();
            }
        }
    }

    fn items(&mut self, items: &[(Py, Py)]) {
        self.out.push(b'(');
        for (key, value) in items {
            self.write(key);
            self.write(value);
        }
        self.out.push(b'u');
    }

    /// Python keeps each value to be recalled.
    fn memoize(&mut self) {
        match (self.protocol, u8::try_from(self.memo)) {
            (4.., _) => self.out.push(0x94),
            (_, Ok(slot)) => self.out.extend([b'q', slot]),
            _ => {
                self.out.push(b'r');
                self.out.extend((self.memo as u32).to_le_bytes());
            }
        }
        self.memo += 1;
    }
}
