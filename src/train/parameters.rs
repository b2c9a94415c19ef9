//! A network's parameters by names that stay the same from run to run, which burn's ids do not.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::tensor::{Gradients, Tensor, TensorData};

use super::config::Trainable;
use super::norms;
use crate::error::{Error, Result};
use crate::model::layers::Layer;
use crate::model::{Detector, GeneralizedRcnn};

/// The name of every parameter.
#[derive(Debug, Clone, Default)]
pub struct Names {
    names: HashMap<ParamId, String>,
    /// Biases that a loaded batch norm was folded into.
    folded: Vec<ParamId>,
}

impl Names {
    pub fn new(detector: &Detector) -> Self {
        let Self { mut names, folded } = Self::of_layers(&detector.layers);
        let mut network = detector.network.clone();
        for (conv, rest, id) in norms::parameters(&mut network) {
            let layer = names.get(&conv).and_then(|n| n.strip_suffix(".weight")).unwrap_or_default();
            let name = format!("{layer}.{rest}");
            names.insert(id, name);
        }
        Self { names, folded }
    }

    /// Those of layers without norms of their own.
    pub fn of_layers(layers: &[Layer]) -> Self {
        let mut names = Self::default();
        for layer in layers {
            names.names.insert(layer.weight, format!("{}.weight", layer.spec.name));
            names.names.insert(layer.bias, format!("{}.bias", layer.spec.name));
            names.folded.extend(layer.spec.norm.is_some().then_some(layer.bias));
        }
        names
    }

    pub fn get(&self, id: &ParamId) -> &str {
        self.names.get(id).map_or("", String::as_str)
    }

    /// Parameters that are not to learn stop to, so that no work is done for their gradients. With `frozen_norms` these
    /// are also the biases that hold a folded batch norm: torchvision keeps it frozen when it continues from a detector.
    pub fn freeze<M: Module>(&self, network: M, trainable: Trainable, frozen_norms: bool) -> M {
        let stages = self.names.iter().filter(|(_, n)| !trainable.includes(n)).map(|(id, _)| *id);
        let norms = self.folded.iter().copied().filter(|_| frozen_norms);
        let frozen: Vec<ParamId> = stages.chain(norms).collect();
        if frozen.is_empty() {
            return network;
        }
        network.set_require_grad_group(ParamGroup::from_ids(frozen), false)
    }
}

/// Every parameter as one row of values, still on its device.
pub fn collect(network: &GeneralizedRcnn, names: &Names) -> BTreeMap<String, Tensor<1>> {
    struct Collect<'a>(&'a Names, BTreeMap<String, Tensor<1>>);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.insert(self.0.get(&param.id).to_owned(), flat(param.val().inner()));
        }
    }
    let mut visitor = Collect(names, BTreeMap::new());
    network.visit(&mut visitor);
    visitor.1
}

/// Puts values into the parameters of these names, which must all be there with as many values.
///
/// # Errors
/// A parameter without values, or with another number of them.
pub fn restore(
    network: GeneralizedRcnn,
    names: &Names,
    values: &mut BTreeMap<String, Vec<f32>>,
) -> Result<GeneralizedRcnn> {
    struct Restore<'a>(&'a Names, &'a mut BTreeMap<String, Vec<f32>>, Vec<String>);
    impl ModuleMapper for Restore<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (name, shape) = (self.0.get(&param.id), param.val().dims());
            match self.1.remove(name) {
                Some(v) if v.len() == shape.iter().product::<usize>() => param.map(|old| {
                    let device = old.device().inner();
                    replace(&old, Tensor::from_data(TensorData::new(v, shape), &device))
                }),
                _ => {
                    self.2.push(name.to_owned());
                    param
                }
            }
        }
    }
    let mut mapper = Restore(names, values, Vec::new());
    let network = network.map(&mut mapper);
    match mapper.2.first() {
        None => Ok(network),
        Some(name) => Err(Error::Training(format!("the checkpoint does not fit this network: {name}"))),
    }
}

/// The gradients of one step, each as one row of values without autodiff.
#[derive(Debug, Default)]
pub struct ParameterGradients(HashMap<ParamId, Tensor<1>>);

impl ParameterGradients {
    /// Takes the gradients of everything that learns. A parameter that had no part in the losses has none.
    pub fn take<M: Module>(network: &M, mut gradients: Gradients) -> Self {
        struct Take<'a>(&'a mut Gradients, HashMap<ParamId, Tensor<1>>);
        impl ModuleVisitor for Take<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if param.is_require_grad()
                    && let Some(gradient) = param.val().grad_remove(self.0)
                {
                    self.1.insert(param.id, flat(gradient));
                }
            }
        }
        let mut visitor = Take(&mut gradients, HashMap::new());
        network.visit(&mut visitor);
        Self(visitor.1)
    }

    /// The sum of squares of every gradient, in a fixed order, and whose it is.
    pub fn square_sums(&self, names: &Names) -> Option<(Vec<String>, Tensor<1>)> {
        let mut order: Vec<(&str, &Tensor<1>)> = self.0.iter().map(|(id, g)| (names.get(id), g)).collect();
        order.sort_unstable_by_key(|(name, _)| *name);
        let sums: Vec<Tensor<1>> = order.iter().map(|(_, g)| ((*g).clone() * (*g).clone()).sum()).collect();
        let owners = order.into_iter().map(|(name, _)| name.to_owned()).collect();
        (!sums.is_empty()).then(|| (owners, Tensor::cat(sums, 0)))
    }

    pub fn get(&self, id: &ParamId) -> Option<&Tensor<1>> {
        self.0.get(id)
    }
}

/// `new` where `old` was: same autodiff state.
pub fn replace<const D: usize>(old: &Tensor<D>, new: Tensor<D>) -> Tensor<D> {
    if !old.is_autodiff() {
        return new;
    }
    Tensor::from_inner(new).set_require_grad(old.is_require_grad())
}

pub fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let values = tensor.dims().iter().product::<usize>();
    tensor.reshape([values])
}
