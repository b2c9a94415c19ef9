//! Checkpoints in the origin private file system, which a worker can write to and flush. Each file carries its hash: one
//! that a closed tab left half written does not match, and the one before it serves. The best detector has it in its name;
//! a checkpoint, which is written part by part, at its end.

use js_sys::{AsyncIterator, Object, Reflect, Uint8Array};
use sha2::{Digest, Sha256};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::error::{Error, Result};
use crate::train::{Parts, Store, kept::outdated};

/// The folder of all trainings.
const FOLDER: &str = "trainings";
const CHECKPOINT: &str = "step";
const BEST: &str = "best";
/// Whole checkpoints that are kept beside the newest: the one before it serves when a disk lost it.
const SPARE: usize = 1;
/// Bytes of a hash.
const HASH: usize = 32;
/// In the place of the hash of a file that has it at its end: this, and the hash of its first part.
const SEALED: &str = "sealed";

// Declared here: web-sys has these, but each of its features makes everything above it be built again.
#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["navigator", "storage"], js_name = getDirectory, catch)]
    async fn root() -> Result<JsValue, JsValue>;

    type Directory;
    #[wasm_bindgen(method, catch, js_name = getDirectoryHandle)]
    async fn directory(this: &Directory, name: &str, options: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getFileHandle)]
    async fn file(this: &Directory, name: &str, options: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = removeEntry)]
    async fn remove(this: &Directory, name: &str, options: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn keys(this: &Directory) -> Result<AsyncIterator, JsValue>;

    type File;
    #[wasm_bindgen(method, catch, js_name = createSyncAccessHandle)]
    async fn open(this: &File) -> Result<JsValue, JsValue>;

    type Access;
    #[wasm_bindgen(method, catch)]
    fn write(this: &Access, bytes: &[u8], options: &JsValue) -> Result<f64, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn truncate(this: &Access, length: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn read(this: &Access, into: &Uint8Array) -> Result<f64, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getSize)]
    fn size(this: &Access) -> Result<f64, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn flush(this: &Access) -> Result<(), JsValue>;
    #[wasm_bindgen(method)]
    fn close(this: &Access);
}

/// The folder of one training run.
pub struct FileStore {
    name: String,
    /// The checkpoint that was written last, which need not be read to know that it is whole.
    written: Option<String>,
}

/// `best-00000002-<sha256>`, `step-00000042-sealed<sha256 of the first part>`
struct Entry {
    file: String,
    number: u64,
    sha256: String,
}

impl FileStore {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), written: None }
    }

    async fn folder(&self) -> Result<Directory> {
        let root: Directory = root().await.map_err(fault)?.unchecked_into();
        let all: Directory = root.directory(FOLDER, &option("create")?).await.map_err(fault)?.unchecked_into();
        let own = all.directory(&self.name, &option("create")?).await.map_err(fault)?;
        Ok(own.unchecked_into())
    }

    /// The files of a kind, the newest first.
    async fn entries(&self, folder: &Directory, kind: &str) -> Result<Vec<Entry>> {
        let names = folder.keys().map_err(fault)?;
        let mut entries = Vec::new();
        loop {
            let next = JsFuture::from(names.next().map_err(fault)?).await.map_err(fault)?;
            if Reflect::get(&next, &"done".into()).map_err(fault)?.is_truthy() {
                break;
            }
            let file = Reflect::get(&next, &"value".into()).map_err(fault)?.as_string().unwrap_or_default();
            let mut parts = file.splitn(3, '-');
            if let (Some(k), Some(Ok(number)), Some(sha256)) =
                (parts.next(), parts.next().map(str::parse), parts.next())
                && k == kind
            {
                let sha256 = sha256.to_owned();
                entries.push(Entry { file, number, sha256 });
            }
        }
        entries.sort_by_key(|e| std::cmp::Reverse(e.number));
        Ok(entries)
    }

    /// Writes a file by `write`, and then lets all others of its kind go but the newest `spare` that are whole.
    async fn keep(
        &self,
        kind: &str,
        name: &str,
        spare: usize,
        write: impl AsyncFnOnce(&mut Writer) -> Result<()>,
    ) -> Result<()> {
        let folder = self.folder().await?;
        let file: File = folder.file(name, &option("create")?).await.map_err(fault)?.unchecked_into();
        let mut writer = Writer { access: file.open().await.map_err(fault)?.unchecked_into(), at: 0.0 };
        let written = match write(&mut writer).await {
            Ok(()) => writer.finish(),
            Err(error) => Err(error),
        };
        writer.access.close();
        if let Err(error) = written {
            // The half of a file only takes room that the next one needs.
            drop(folder.remove(name, &JsValue::UNDEFINED).await);
            return Err(error);
        }
        let files = self.entries(&folder, kind).await?;
        let whole = async |entry: &Entry| self.is_whole(&folder, entry).await;
        for old in outdated(files, |entry| entry.file == name, spare, whole).await? {
            folder.remove(&old.file, &JsValue::UNDEFINED).await.map_err(fault)?;
        }
        Ok(())
    }

    async fn is_whole(&self, folder: &Directory, entry: &Entry) -> Result<bool> {
        Ok(self.written.as_ref() == Some(&entry.file) || self.read(folder, entry).await?.is_some())
    }

    /// The bytes of a file that is whole.
    async fn read(&self, folder: &Directory, entry: &Entry) -> Result<Option<Vec<u8>>> {
        let file: File = folder.file(&entry.file, &JsValue::UNDEFINED).await.map_err(fault)?.unchecked_into();
        let access: Access = file.open().await.map_err(fault)?.unchecked_into();
        let bytes = read_all(&access);
        access.close();
        let mut bytes = bytes.map_err(fault)?;
        if !entry.sha256.starts_with(SEALED) {
            return Ok((hex(&Sha256::digest(&bytes)) == entry.sha256).then_some(bytes));
        }
        let Some(seal) = bytes.len().checked_sub(HASH).map(|length| bytes.split_off(length)) else { return Ok(None) };
        Ok((*Sha256::digest(&bytes) == *seal).then_some(bytes))
    }

    /// The newest file of a kind that is whole.
    async fn newest(&self, kind: &str) -> Result<Option<Vec<u8>>> {
        let folder = self.folder().await?;
        for entry in self.entries(&folder, kind).await? {
            if let Some(bytes) = self.read(&folder, &entry).await? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

/// Writes a file from its beginning on.
struct Writer {
    access: Access,
    /// Bytes that are written.
    at: f64,
}

impl Writer {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let options = Object::new();
        Reflect::set(&options, &"at".into(), &self.at.into()).map_err(fault)?;
        let written = self.access.write(bytes, &options).map_err(fault)?;
        self.at += written;
        if written < bytes.len() as f64 {
            return Err(Error::Io { path: PLACE.to_owned(), reason: "it is full".to_owned() });
        }
        Ok(())
    }

    /// Nothing of an earlier file of this name stays behind the end.
    fn finish(&self) -> Result<()> {
        self.access.truncate(self.at).and_then(|()| self.access.flush()).map_err(fault)
    }
}

impl Store for FileStore {
    async fn put(&mut self, step: u64, mut checkpoint: impl Parts) -> Result<()> {
        // The first part tells checkpoints of one step apart.
        let first = checkpoint.next().await?.unwrap_or_default();
        let name = format!("{CHECKPOINT}-{step:08}-{SEALED}{}", hex(&Sha256::digest(&first)));
        let write = async |writer: &mut Writer| {
            let (mut hash, mut part) = (Sha256::new(), Some(first));
            while let Some(bytes) = part {
                hash.update(&bytes);
                writer.write(&bytes)?;
                part = checkpoint.next().await?;
            }
            writer.write(&hash.finalize())
        };
        self.keep(CHECKPOINT, &name, SPARE, write).await?;
        self.written = Some(name);
        Ok(())
    }

    async fn latest(&mut self) -> Result<Option<Vec<u8>>> {
        self.newest(CHECKPOINT).await
    }

    async fn put_best(&mut self, detector: Vec<u8>) -> Result<()> {
        let last = self.entries(&self.folder().await?, BEST).await?.first().map_or(0, |e| e.number);
        let name = format!("{BEST}-{:08}-{}", last + 1, hex(&Sha256::digest(&detector)));
        self.keep(BEST, &name, 0, async |writer: &mut Writer| writer.write(&detector)).await
    }

    async fn best(&mut self) -> Result<Option<Vec<u8>>> {
        self.newest(BEST).await
    }

    async fn clear(&mut self) -> Result<()> {
        let root: Directory = root().await.map_err(fault)?.unchecked_into();
        let all: Directory = root.directory(FOLDER, &option("create")?).await.map_err(fault)?.unchecked_into();
        match all.remove(&self.name, &option("recursive")?).await {
            Err(e) if name_of(&e).is_none_or(|n| n != "NotFoundError") => Err(fault(e)),
            _ => Ok(()),
        }
    }
}

/// For sentences.
const PLACE: &str = "the browser's storage";

fn fault(error: JsValue) -> Error {
    let reason = match name_of(&error).as_deref() {
        Some("QuotaExceededError") => "it is full; free some disk space, or forget other projects".to_owned(),
        Some("NoModificationAllowedError") => "another tab is writing to it".to_owned(),
        _ => Reflect::get(&error, &"message".into()).ok().and_then(|m| m.as_string()).unwrap_or_default(),
    };
    Error::Io { path: PLACE.to_owned(), reason }
}

fn name_of(error: &JsValue) -> Option<String> {
    Reflect::get(error, &"name".into()).ok()?.as_string()
}

/// `{ [name]: true }`
fn option(name: &str) -> Result<JsValue> {
    let options = Object::new();
    Reflect::set(&options, &name.into(), &true.into()).map_err(fault)?;
    Ok(options.into())
}

fn read_all(access: &Access) -> Result<Vec<u8>, JsValue> {
    let bytes = Uint8Array::new_with_length(access.size()? as u32);
    access.read(&bytes)?;
    Ok(bytes.to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
