//! A moving average of a network's parameters (Polyak and Juditsky 1992, "Acceleration of stochastic approximation by
//! averaging"; as `torch.optim.swa_utils.get_ema_multi_avg_fn`). With few images and small batches, validation swings
//! from epoch to epoch by more than there is to learn in one; the average of the last hundred steps swings far less.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::norms;
use super::parameters::{self, Names};
use crate::error::Result;
use crate::model::GeneralizedRcnn;

/// The average, as a network without autodiff; norms are averaged with their running moments.
#[derive(Debug, Clone)]
pub struct MovingAverage {
    network: GeneralizedRcnn,
}

impl MovingAverage {
    /// Begins with `network`.
    pub fn new(network: GeneralizedRcnn) -> Self {
        Self { network }
    }

    pub fn network(&self) -> &GeneralizedRcnn {
        &self.network
    }

    /// Takes in what `learnt` is after its `step`th step (from 1): `decay` of the average stays, less in the first steps,
    /// so that the beginning is soon forgotten.
    pub fn update(&mut self, learnt: &GeneralizedRcnn, names: &Names, decay: f32, step: u64) {
        let decay = decay.min((1.0 + step as f32) / (10.0 + step as f32));
        let fresh = parameters::collect(learnt, names);
        self.network = self.network.clone().map(&mut Mix { names, fresh, decay });
    }

    /// With the norms in the convolutions.
    pub fn fold(&mut self) {
        self.network = norms::folded(&self.network);
    }

    /// The average with the values of a checkpoint.
    ///
    /// # Errors
    /// Values of another network.
    pub fn restore(&mut self, names: &Names, values: &mut BTreeMap<String, Vec<f32>>) -> Result<()> {
        self.network = parameters::restore(self.network.clone(), names, values)?;
        Ok(())
    }
}

struct Mix<'a> {
    names: &'a Names,
    fresh: BTreeMap<String, Tensor<1>>,
    decay: f32,
}

impl ModuleMapper for Mix<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(fresh) = self.fresh.remove(self.names.get(&param.id)) else { return param };
        let decay = self.decay;
        param.map(|old| {
            let shape = old.dims();
            old.mul_scalar(decay) + fresh.reshape(shape).mul_scalar(1.0 - decay)
        })
    }
}
