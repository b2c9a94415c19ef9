//! Golden files from torchvision, made once by `model.py` into the build folder.

#![allow(dead_code)] // Each test file uses a part of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use safetensors::{Dtype, SafeTensors};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/model.py");

/// The small detectors of the script.
pub const CASES: [&str; 6] =
    ["faster_resnet18", "mask_resnet18", "faster_resnet50", "mask_resnet50", "faster_resnet18_v2", "mask_resnet50_v2"];

/// The folder of golden files, or `None` with a line that says why there is none. It is made again when the script
/// changes.
pub fn folder() -> Option<&'static PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(make).as_ref()
}

fn make() -> Option<PathBuf> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    std::fs::read(SCRIPT).unwrap().hash(&mut hasher);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("golden-{:016x}", hasher.finish()));
    if folder.join("complete").exists() {
        return Some(folder);
    }
    let has_torchvision = python().args(["-c", "import torchvision"]).output();
    if !has_torchvision.is_ok_and(|output| output.status.success()) {
        // xtask sets it, and has seen to it that there are golden values.
        assert!(std::env::var_os("CYTOBOX_GOLDEN").is_none(), "{:?} has no torch and torchvision", python());
        println!("skipped: no python3 with torch and torchvision, which make the golden values");
        return None;
    }
    // Made beside and renamed, so that test programs that run at once do not read each other's half.
    let half = folder.with_extension(std::process::id().to_string());
    for action in ["make", "convert"] {
        run(action, &half);
    }
    std::fs::write(half.join("complete"), "").unwrap();
    if std::fs::rename(&half, &folder).is_err() {
        std::fs::remove_dir_all(&half).unwrap();
    }
    Some(folder)
}

/// `$PYTHON`, which xtask sets to one that has torchvision, or the system's.
pub fn python() -> Command {
    Command::new(std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into()))
}

/// Runs the script, which must succeed.
pub fn run(action: &str, folder: &std::path::Path) {
    let output = python().arg(SCRIPT).arg(action).arg(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "model.py {action}:\n{}\n{}", text(&output.stdout), text(&output.stderr));
}

/// A tensor of a golden file; integers and bytes become f32.
#[derive(Debug, Clone)]
pub struct Golden {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Golden {
    pub fn boxes(&self) -> Vec<[f32; 4]> {
        self.values.as_chunks::<4>().0.to_vec()
    }

    /// The largest difference, over the largest value.
    pub fn error(&self, found: &[f32]) -> f32 {
        assert_eq!(self.values.len(), found.len(), "golden shape {:?}", self.shape);
        let largest = self.values.iter().fold(0f32, |m, v| m.max(v.abs()));
        let differs = self.values.iter().zip(found).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        differs / largest.max(f32::MIN_POSITIVE)
    }
}

pub fn read(file: &str) -> BTreeMap<String, Golden> {
    let bytes = std::fs::read(folder().unwrap().join(file)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
                Dtype::I64 => data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f32).collect(),
                Dtype::U8 => data.iter().map(|b| f32::from(*b)).collect(),
                other => panic!("{name} is {other}"),
            };
            (name, Golden { shape: view.shape().to_vec(), values })
        })
        .collect()
}
