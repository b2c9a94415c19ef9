//! A checkpoint that is read from the device a few tensors at a time, as it is written.

use burn::tensor::{Device, Tensor, Transaction};

use crate::error::{Error, Result};
use crate::model::read;
use crate::train::checkpoint::{Parts, State, header, little_endian};

/// Small tensors are read together up to as many values: each read waits for the device.
const TOGETHER: usize = 1 << 20;

/// The parts of a checkpoint.
pub struct Stream<'a> {
    /// Until it was asked for.
    header: Option<Vec<u8>>,
    tensors: std::iter::Peekable<std::vec::IntoIter<(String, Tensor<1>)>>,
    device: &'a Device,
    length: u64,
}

impl<'a> Stream<'a> {
    /// # Errors
    /// A state that cannot be written.
    pub(super) fn new(state: &State, tensors: Vec<(String, Tensor<1>)>, device: &'a Device) -> Result<Self> {
        let header = header(state, tensors.iter().map(|(name, values)| (name.as_str(), values.dims()[0])))?;
        let values: usize = tensors.iter().map(|(_, values)| values.dims()[0]).sum();
        let length = (header.len() + values * size_of::<f32>()) as u64;
        Ok(Self { header: Some(header), tensors: tensors.into_iter().peekable(), device, length })
    }
}

impl Parts for Stream<'_> {
    fn length(&self) -> u64 {
        self.length
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(header) = self.header.take() {
            return Ok(Some(header));
        }
        let (mut names, mut transaction, mut count) = (Vec::new(), Transaction::default(), 0);
        while let Some((_, values)) = self.tensors.peek() {
            if count > 0 && count + values.dims()[0] > TOGETHER {
                break;
            }
            let Some((name, values)) = self.tensors.next() else { break };
            count += values.dims()[0];
            names.push(name);
            transaction = transaction.register(values);
        }
        if names.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(count * size_of::<f32>());
        for (name, values) in names.iter().zip(read::execute_unchecked(transaction, self.device).await?) {
            if values.iter().any(|v| !v.is_finite()) {
                return Err(Error::Training(format!("{name} holds values that are not finite numbers")));
            }
            bytes.extend(little_endian(&values));
        }
        Ok(Some(bytes))
    }
}
