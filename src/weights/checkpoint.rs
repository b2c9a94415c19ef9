//! Where the checkpoint of a training script keeps its state dict.
//!
//! `torch.save` is given the state dict itself, or a dictionary in which it lies among optimisers, counters and arguments.

use super::pickle::{Pickle, Tensor, Value};

/// Names under which scripts keep the weights that they continue training, the most usual first. Wrappers nest them under a
/// name of their own: `{"model": {"module": …}}`.
const TRAINED: [&str; 9] =
    ["model", "state_dict", "model_state_dict", "model_state", "net", "network", "detector", "module", "weights"];
/// Names for averages of those weights.
const AVERAGED: [&str; 6] =
    ["model_ema", "ema", "ema_model", "ema_state_dict", "state_dict_ema", "model_ema_state_dict"];
/// Dictionaries within dictionaries that are looked into.
const LEVELS: usize = 4;

/// The named tensors of a state dict.
#[derive(Debug)]
pub struct Found<'p, 'a> {
    pub tensors: Vec<(&'a str, &'p Tensor<'a>)>,
    /// Sentences about what was chosen.
    pub notes: Vec<String>,
}

/// Finds the state dict.
///
/// # Errors
/// A sentence with a remedy: there is none, or there are several.
pub fn find<'p, 'a>(pickle: &'p Pickle<'a>) -> Result<Found<'p, 'a>, String> {
    let (mut place, mut notes) = (pickle.root, Vec::new());
    for _ in 0..LEVELS {
        match inner(pickle, place, &mut notes)? {
            Some(inner) => place = inner,
            None => break,
        }
    }
    let tensors: Vec<_> = tensors(pickle, place).collect();
    if tensors.is_empty() { Err(nothing(pickle, place)) } else { Ok(Found { tensors, notes }) }
}

/// The dictionary in which to look on; `None` where `place` is the state dict, or where nothing is.
fn inner<'a>(pickle: &Pickle<'a>, place: Value<'a>, notes: &mut Vec<String>) -> Result<Option<Value<'a>>, String> {
    let named = |names: &[&str]| {
        let entry = |name: &&str| entries(pickle, place).find(|(key, _)| key == name);
        names.iter().filter_map(entry).find(|(_, value)| pickle.dict(*value).is_some())
    };
    let (trained, averaged) = (named(&TRAINED), named(&AVERAGED));
    if let (Some((trained, _)), Some((averaged, _))) = (trained, averaged) {
        notes.push(format!(
            "weights are loaded from {trained:?}; the averaged weights in {averaged:?} are ignored (to use them, save \
             them as a file of their own)"
        ));
    }
    if let Some((_, value)) = trained.or(averaged) {
        return Ok(Some(value));
    }
    if tensors(pickle, place).next().is_some() {
        return Ok(None);
    }
    let mut others = entries(pickle, place).filter(|(_, value)| tensors(pickle, *value).next().is_some());
    match (others.next(), others.next()) {
        (Some((first, _)), Some((second, _))) => Err(format!(
            "it holds more than one state dict ({first:?}, {second:?}); save the detector's model.state_dict() alone"
        )),
        (found, _) => Ok(found.map(|(_, value)| value)),
    }
}

/// What a dictionary has under names.
fn entries<'p, 'a>(
    pickle: &'p Pickle<'a>,
    place: Value<'a>,
) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'p, 'a> {
    let items = pickle.dict(place).unwrap_or_default();
    items.iter().filter_map(|(key, value)| Some((key.as_text()?, *value)))
}

fn tensors<'p, 'a>(
    pickle: &'p Pickle<'a>,
    place: Value<'a>,
) -> impl Iterator<Item = (&'a str, &'p Tensor<'a>)> + use<'p, 'a> {
    entries(pickle, place).filter_map(|(name, value)| Some((name, pickle.tensor(value)?)))
}

fn nothing<'a>(pickle: &Pickle<'a>, place: Value<'a>) -> String {
    let whole = |value| if let Value::Object(class) = value { Some(class) } else { None };
    let model = || entries(pickle, place).filter(|(key, _)| TRAINED.contains(key)).find_map(|(_, value)| whole(value));
    match whole(place).or_else(model) {
        Some(class) => format!(
            "it holds a whole Python object ({class}) where weights belong; save model.state_dict(), not the model"
        ),
        None => "it holds no state dict; save model.state_dict(), not the model".into(),
    }
}
