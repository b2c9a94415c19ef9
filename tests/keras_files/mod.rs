//! Recorded values of matterport's Mask_RCNN (`keras/golden`), and the weights that they were recorded with.

use std::path::{Path, PathBuf};
use std::process::Command;

use cytobox::channels::MergedImage;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The weights file of a network (`mrcnn-r50`, `mrcnn-r101`) with so many classes, made by the data's own script once into the build
/// folder; `None` with a line that says why there is none.
pub fn weights(network: &str, classes: u64) -> Option<PathBuf> {
    let script = crate::common::real_data()?.join("keras/make_weights.py");
    let python = || Command::new(std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into()));
    if !python().args(["-c", "import h5py, numpy"]).output().is_ok_and(|output| output.status.success()) {
        crate::common::skipped("no python3 with h5py, which writes the weights");
        return None;
    }
    let hash = Sha256::digest(std::fs::read(&script).unwrap());
    let folder =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("keras-{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2]));
    let file = folder.join(format!("{network}-{classes}.h5"));
    if !file.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        // Made beside and renamed, so that test programs that run at once do not read each other's half.
        let half = file.with_extension(std::process::id().to_string());
        let output = python()
            .arg(&script)
            .args([network, "--classes", &classes.to_string(), "--out"])
            .arg(&half)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(&half, &file).unwrap();
    }
    Some(file)
}

/// That a file has the layers with weights of another, in its order, with their names and shapes.
pub fn same_layout(original: &Path, written: &Path) {
    const SCRIPT: &str = r#"
import h5py, sys
def layout(path):
    file, found = h5py.File(path), []
    text = lambda v: v.decode() if isinstance(v, bytes) else v
    for layer in map(text, file.attrs["layer_names"]):
        names = [text(n) for n in file[layer].attrs["weight_names"]]
        found += [(layer, name, file[layer][name].shape, str(file[layer][name].dtype)) for name in names]
    return found
first, second = map(layout, sys.argv[1:])
assert first == second, [pair for pair in zip(first, second) if pair[0] != pair[1]][:3]
assert len(first) == 384, len(first)
"#;
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(python).args(["-c", SCRIPT]).args([original, written]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The values of the n-th weight of a layer.
pub fn values(file: &Path, layer: &str, weight: usize) -> Vec<f32> {
    const SCRIPT: &str = r#"
import h5py, sys
file = h5py.File(sys.argv[1])
text = lambda v: v.decode() if isinstance(v, bytes) else v
group = file[sys.argv[2]]
sys.stdout.buffer.write(group[text(group.attrs["weight_names"][int(sys.argv[3])])][()].astype("<f4").tobytes())
"#;
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let output =
        Command::new(python).args(["-c", SCRIPT]).arg(file).args([layer, &weight.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// One recorded case.
pub struct Case {
    pub name: String,
    pub json: Value,
    folder: PathBuf,
    bytes: Vec<u8>,
}

/// A recorded tensor.
pub struct Recorded {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Recorded {
    /// Row `i` of its last axis.
    pub fn row(&self, i: usize) -> &[f32] {
        let n = *self.shape.last().unwrap();
        &self.values[i * n..][..n]
    }

    /// Rows of positions in a tensor of `shape`, as positions in its values.
    pub fn places(&self, shape: &[usize]) -> Vec<usize> {
        let rows = self.values.chunks_exact(shape.len());
        rows.map(|row| row.iter().zip(shape).fold(0, |at, (i, side)| at * side + *i as usize)).collect()
    }
}

impl Case {
    pub fn open(data: &Path, name: &str) -> Self {
        let folder = data.join("keras/golden");
        let json = std::fs::read_to_string(folder.join(format!("mrcnn_{name}.json"))).unwrap();
        let bytes = std::fs::read(folder.join(format!("mrcnn_{name}.safetensors"))).unwrap();
        Self { name: name.to_owned(), json: serde_json::from_str(&json).unwrap(), folder, bytes }
    }

    pub fn has(&self, key: &str) -> bool {
        SafeTensors::deserialize(&self.bytes).unwrap().tensor(key).is_ok()
    }

    pub fn get(&self, key: &str) -> Recorded {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(key).unwrap_or_else(|e| panic!("{}: {key}: {e}", self.name));
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
            Dtype::I32 => data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b) as f32).collect(),
            Dtype::I8 => data.iter().map(|b| f32::from(*b as i8)).collect(),
            Dtype::U8 => data.iter().map(|b| f32::from(*b)).collect(),
            other => panic!("{key}: {other:?}"),
        };
        Recorded { shape: view.shape().to_vec(), values }
    }

    /// A number of the configuration that it was recorded with.
    pub fn config(&self, key: &str) -> &Value {
        &self.json["config"][key]
    }

    /// The picture as the recording saw it.
    pub fn picture(&self) -> MergedImage {
        let image = &self.json["image"];
        let (rgb, width) = match image["file"].as_str() {
            Some(file) => {
                let decoded = image::open(self.folder.join(file)).unwrap().to_rgb8();
                let width = decoded.width() as usize;
                (decoded.into_raw(), width)
            }
            None => self.hpa(image["id"].as_str().unwrap()),
        };
        let [top, left, height, wide] = match image["crop_yxhw"].as_array() {
            Some(crop) => std::array::from_fn(|i| crop[i].as_u64().unwrap() as usize),
            None => [0, 0, rgb.len() / 3 / width, width],
        };
        let row = |y: usize| rgb[((top + y) * width + left) * 3..][..wide * 3].to_vec();
        let rgb: Vec<u8> = (0..height).flat_map(row).collect();
        let hash: String = Sha256::digest(&rgb).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(image["sha256_rgb"], hash, "{}", self.name);
        let rgb = rgb.into_iter().map(|v| f32::from(v) / 255.0).collect();
        MergedImage { width: wide as u32, height: height as u32, rgb }
    }

    /// Red and green with half of yellow, blue.
    fn hpa(&self, id: &str) -> (Vec<u8>, usize) {
        let folder = self.folder.join("../../hpa/test");
        let channel = |name: &str| image::open(folder.join(format!("{id}_{name}.png"))).unwrap().to_luma8();
        let [red, green, blue, yellow] = ["red", "green", "blue", "yellow"].map(channel);
        let width = red.width() as usize;
        let planes = red.into_raw().into_iter().zip(green.into_raw()).zip(blue.into_raw()).zip(yellow.into_raw());
        let rgb = planes.flat_map(|(((r, g), b), y)| {
            let half = y.div_ceil(2);
            [r.saturating_add(half), g.saturating_add(half), b]
        });
        (rgb.collect(), width)
    }
}
