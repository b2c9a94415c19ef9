//! A state dict as a file has it: named tensors whose bytes are not decoded before they are wanted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use half::{bf16, f16};

use crate::error::{Error, Result};
use crate::model::Dialect;

/// Number types that weights come in. The rest (counters, masks) is no weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    /// An integer, which only `num_batches_tracked` has.
    I64,
}

impl Dtype {
    pub fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
        }
    }
}

/// A tensor of a file: little-endian values in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTensor<'a> {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> RawTensor<'a> {
    /// # Errors
    /// A sentence when the bytes are not as many as shape and type say.
    pub fn new(dtype: Dtype, shape: Vec<usize>, bytes: impl Into<Cow<'a, [u8]>>) -> Result<Self, String> {
        let bytes = bytes.into();
        let wanted = shape.iter().try_fold(dtype.bytes(), |n, side| n.checked_mul(*side));
        if wanted != Some(bytes.len()) {
            return Err(format!("its shape {shape:?} does not fit its {} bytes", bytes.len()));
        }
        Ok(Self { dtype, shape, bytes })
    }

    /// f32 values stored as such.
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> RawTensor<'static> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        RawTensor { dtype: Dtype::F32, shape, bytes: Cow::Owned(bytes) }
    }

    /// The same values as f16; what is no weight stays.
    ///
    /// # Errors
    /// A sentence for a value too great for f16.
    pub fn to_f16(&self) -> Result<RawTensor<'static>, String> {
        if matches!(self.dtype, Dtype::F16 | Dtype::I64) {
            return Ok(RawTensor { dtype: self.dtype, shape: self.shape.clone(), bytes: self.bytes.to_vec().into() });
        }
        let halves: Vec<f16> = self.values()?.into_iter().map(f16::from_f32).collect();
        if halves.iter().any(|v| !v.is_finite()) {
            return Err("it holds values too great for f16; keep f32".into());
        }
        let bytes: Vec<u8> = halves.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok(RawTensor { dtype: Dtype::F16, shape: self.shape.clone(), bytes: Cow::Owned(bytes) })
    }

    /// The values as f32.
    ///
    /// # Errors
    /// A sentence for a value that is not finite, also after rounding to f32, or an integer type.
    pub fn values(&self) -> Result<Vec<f32>, String> {
        let values: Vec<f32> = match self.dtype {
            Dtype::F32 => words(&self.bytes).map(f32::from_le_bytes).collect(),
            Dtype::F64 => words(&self.bytes).map(|b| f64::from_le_bytes(b) as f32).collect(),
            Dtype::F16 => words(&self.bytes).map(|b| f16::from_le_bytes(b).to_f32()).collect(),
            Dtype::Bf16 => words(&self.bytes).map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
            Dtype::I64 => return Err("it holds integers where weights belong".into()),
        };
        match values.iter().position(|v| !v.is_finite()) {
            Some(i) => Err(format!("its value number {i} is not a finite number")),
            None => Ok(values),
        }
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// Named tensors and, for a detector file, the JSON of its configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StateDict<'a> {
    pub tensors: BTreeMap<String, RawTensor<'a>>,
    pub config: Option<String>,
    /// Where there is no configuration: the system whose file it is.
    pub dialect: Dialect,
    /// Parameters of the file, by its own names, that no detector has a place for and that were not read.
    pub left_out: Vec<String>,
    /// Sentences about what of the file was chosen.
    pub notes: Vec<String>,
}

impl StateDict<'_> {
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// The values of a tensor that must have `shape`.
    ///
    /// # Errors
    /// `file` and the tensor's name with what is wrong: another shape, values that are not finite numbers.
    pub fn values(&self, file: &str, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let fault = |reason: String| Error::weights(file, format!("tensor {name}: {reason}"));
        let tensor = self.tensors.get(name).ok_or_else(|| fault("it is missing".into()))?;
        if tensor.shape != shape {
            return Err(fault(format!("its shape is {:?}; this detector needs {shape:?}", tensor.shape)));
        }
        tensor.values().map_err(fault)
    }

    pub fn parameters(&self) -> usize {
        self.tensors.values().filter(|t| t.dtype != Dtype::I64).map(|t| t.shape.iter().product::<usize>()).sum()
    }
}
