//! SGD with momentum and AdamW, by torch's formulas (`torch/optim/{sgd,adamw}.py`), with a state that can be saved by
//! names. burn's own optimisers have the same formulas, but know parameters by ids that change from run to run.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::config::OptimizerConfig;
use super::parameters::{Names, ParameterGradients, replace};

/// What is remembered of each parameter.
#[derive(Debug, Clone)]
struct Slot {
    /// The momentum; the first moment.
    first: Tensor<1>,
    /// AdamW's second moment.
    second: Option<Tensor<1>>,
}

#[derive(Debug, Clone)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// Steps done; AdamW corrects its moments by it.
    steps: u64,
    slots: BTreeMap<String, Slot>,
}

impl Optimizer {
    pub fn new(config: OptimizerConfig) -> Self {
        Self { config, steps: 0, slots: BTreeMap::new() }
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step with gradients times `scale`. A parameter that learns but had no part in the losses has a gradient of 0,
    /// as in torch after `zero_grad(set_to_none=False)`.
    pub fn step<M: Module>(
        &mut self,
        network: M,
        names: &Names,
        gradients: &ParameterGradients,
        rate: f64,
        scale: f32,
    ) -> M {
        self.steps += 1;
        network.map(&mut Update { optimizer: self, names, gradients, rate, scale })
    }

    fn update(&mut self, name: &str, p: Tensor<1>, g: Tensor<1>, rate: f64) -> Tensor<1> {
        let slot = self.slots.remove(name);
        let (p, slot) = match self.config {
            OptimizerConfig::Sgd { momentum, weight_decay } => {
                let g = if weight_decay == 0.0 { g } else { g + p.clone().mul_scalar(weight_decay) };
                let velocity = match slot {
                    Some(slot) => slot.first.mul_scalar(momentum) + g,
                    None => g,
                };
                (p - velocity.clone().mul_scalar(rate), Slot { first: velocity, second: None })
            }
            OptimizerConfig::AdamW { beta1, beta2, epsilon, weight_decay } => {
                let squared = (g.clone() * g.clone()).mul_scalar(1.0 - beta2);
                let fresh = g.mul_scalar(1.0 - beta1);
                let (first, second) = match slot {
                    Some(Slot { first, second: Some(second) }) => {
                        (first.mul_scalar(beta1) + fresh, second.mul_scalar(beta2) + squared)
                    }
                    _ => (fresh, squared),
                };
                let t = self.steps as i32;
                let correct = |beta: f32| 1.0 - f64::from(beta).powi(t);
                let deviation = second.clone().sqrt().div_scalar(correct(beta2).sqrt()).add_scalar(epsilon);
                let p = p.mul_scalar(1.0 - rate * f64::from(weight_decay));
                let p = p - (first.clone() / deviation).mul_scalar(rate / correct(beta1));
                (p, Slot { first, second: Some(second) })
            }
        };
        self.slots.insert(name.to_owned(), slot);
        p
    }

    /// The state by names, still on the device.
    pub fn state(&self) -> BTreeMap<String, Tensor<1>> {
        let mut state = BTreeMap::new();
        for (name, slot) in &self.slots {
            state.insert(format!("first:{name}"), slot.first.clone());
            if let Some(second) = &slot.second {
                state.insert(format!("second:{name}"), second.clone());
            }
        }
        state
    }

    /// What [`Self::state`] gave, back on a device.
    pub fn restore(config: OptimizerConfig, steps: u64, state: BTreeMap<String, Vec<f32>>, device: &Device) -> Self {
        let upload = |v: Vec<f32>| {
            let n = v.len();
            Tensor::from_data(TensorData::new(v, [n]), device)
        };
        let (mut firsts, mut seconds) = (Vec::new(), BTreeMap::new());
        for (key, values) in state {
            match key.split_once(':') {
                Some(("second", name)) => drop(seconds.insert(name.to_owned(), upload(values))),
                Some((_, name)) => firsts.push((name.to_owned(), upload(values))),
                None => {}
            }
        }
        let slots = firsts
            .into_iter()
            .map(|(name, first)| {
                let second = seconds.remove(&name);
                (name, Slot { first, second })
            })
            .collect();
        Self { config, steps, slots }
    }
}

struct Update<'a> {
    optimizer: &'a mut Optimizer,
    names: &'a Names,
    gradients: &'a ParameterGradients,
    rate: f64,
    scale: f32,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !param.is_require_grad() {
            return param;
        }
        let name = self.names.get(&param.id);
        let gradient = self.gradients.get(&param.id).cloned();
        param.map(|old| {
            let shape = old.dims();
            let values = shape.iter().product::<usize>();
            let p = old.clone().inner().reshape([values]);
            let g = match gradient {
                Some(g) if self.scale != 1.0 => g.mul_scalar(self.scale),
                Some(g) => g,
                None => Tensor::zeros([values], &p.device()),
            };
            replace(&old, self.optimizer.update(name, p, g, self.rate).reshape(shape))
        })
    }
}
