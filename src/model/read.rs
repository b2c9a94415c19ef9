//! Reading tensors back to the host: always asynchronous, and checked for values that are not finite.

use burn::tensor::{Device, Transaction};

use crate::error::{Error, Result};

/// Reads every tensor of the transaction as f32 values, in one transfer.
///
/// # Errors
/// [`Error::DeviceFailed`] if the transfer fails or a value is NaN or infinite. Then the device, the driver or the weights are
/// broken, and any boxes would be meaningless.
pub async fn execute(transaction: Transaction, device: &Device) -> Result<Vec<Vec<f32>>> {
    let values = execute_unchecked(transaction, device).await?;
    if values.iter().flatten().any(|v| !v.is_finite()) {
        let reason = "the network's output contains NaN or infinite values".into();
        return Err(Error::DeviceFailed { device: device_name(device), reason });
    }
    Ok(values)
}

/// Like [`execute`], for callers that handle values that are not finite themselves.
pub async fn execute_unchecked(transaction: Transaction, device: &Device) -> Result<Vec<Vec<f32>>> {
    let failed = |reason: String| Error::DeviceFailed { device: device_name(device), reason };
    let data = transaction.execute_async().await.map_err(|e| failed(e.to_string()))?;
    data.into_iter()
        .map(|data| data.as_slice::<f32>().map(<[f32]>::to_vec).map_err(|e| failed(e.to_string())))
        .collect()
}

/// Display name of a device; burn reveals the kind only in its debug form.
fn device_name(device: &Device) -> String {
    let cpu = format!("{device:?}").contains("Flex");
    if cpu { "CPU" } else { "graphics device" }.to_owned()
}

/// `1 / (1 + e^-x)`
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The softmax of a row, in place.
pub fn softmax(row: &mut [f32]) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for v in row.iter_mut() {
        *v = (*v - max).exp();
        sum += *v;
    }
    for v in row.iter_mut() {
        *v /= sum;
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use burn::tensor::{Tensor, TensorData};

    use super::*;

    #[test]
    fn infinite_values_are_an_error_that_names_the_device() {
        let device = Device::flex();
        let read = |values: [f32; 2]| {
            let tensor = Tensor::<1>::from_data(TensorData::from(values), &device);
            pollster::block_on(execute(Transaction::default().register(tensor), &device))
        };
        assert_eq!(read([1.0, 2.0]).unwrap(), [[1.0, 2.0]]);
        for bad in [f32::NAN, f32::INFINITY] {
            match read([1.0, bad]) {
                Err(Error::DeviceFailed { device, .. }) => assert_eq!(device, "CPU"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn softmax_sums_to_one_even_for_large_values() {
        let mut row = [1000.0, 1001.0, 999.0];
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((row[1] / row[0] - std::f32::consts::E).abs() < 1e-4);
    }
}
