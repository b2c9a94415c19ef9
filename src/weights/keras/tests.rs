//! Small files with the originals' layout.

use hdf5_pure::{AttrValue, FileBuilder, GroupBuilder};

use super::*;

/// A parameter of a layer: its path, shape and values.
type Parameter<'a> = (&'a str, &'a [u64], Vec<f32>);

fn count(shape: &[u64]) -> usize {
    shape.iter().product::<u64>() as usize
}

/// Values that tell where they were.
fn ramp(shape: &[u64]) -> Vec<f32> {
    (0..count(shape)).map(|i| i as f32 * 0.5 + 1.0).collect()
}

/// The least that is taken for a detector of matterport's.
fn layers() -> Vec<(&'static str, Vec<Parameter<'static>>)> {
    let kernel = |path, shape: &'static [u64]| (path, shape, ramp(shape));
    let of = |path, values: &[f32]| -> Parameter<'static> { (path, &[2], values.to_vec()) };
    vec![
        ("input_image", vec![]),
        ("conv1", vec![kernel("conv1/kernel:0", &[3, 3, 3, 2]), of("conv1/bias:0", &[0.25, 0.5])]),
        (
            "bn_conv1",
            vec![
                of("bn_conv1/gamma:0", &[1.0, 2.0]),
                of("bn_conv1/beta:0", &[3.0, 4.0]),
                of("bn_conv1/moving_mean:0", &[5.0, 6.0]),
                of("bn_conv1/moving_variance:0", &[1.0, 4.0]),
            ],
        ),
        ("fpn_c5p5", vec![kernel("fpn_c5p5/kernel:0", &[1, 1, 2, 3])]),
        ("rpn_model", vec![kernel("rpn_class_raw/kernel:0", &[1, 1, 2, 6]), kernel("rpn_bbox_pred/bias:0", &[12])]),
        (
            "mrcnn_class_conv1",
            vec![kernel("mrcnn_class_conv1/kernel:0", &[2, 2, 3, 2]), of("mrcnn_class_conv1/bias:0", &[0.0, 1.0])],
        ),
        (
            "mrcnn_class_bn1",
            vec![
                of("mrcnn_class_bn1/gamma:0", &[1.0, 2.0]),
                of("mrcnn_class_bn1/beta:0", &[0.0, 8.0]),
                of("mrcnn_class_bn1/moving_mean:0", &[0.0, 3.0]),
                of("mrcnn_class_bn1/moving_variance:0", &[0.999, 3.999]),
            ],
        ),
        ("mrcnn_mask_deconv", vec![kernel("mrcnn_mask_deconv/kernel:0", &[2, 2, 3, 4])]),
        ("anchors", vec![kernel("anchors/Variable:0", &[1, 5, 4])]),
    ]
}

/// How a file is laid out.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Weights,
    /// `model.save`
    Whole,
    /// Chunked, shuffled, deflated.
    Packed,
}

fn group(mut group: GroupBuilder, parameters: &[Parameter], layout: Layout) -> hdf5_pure::FinishedGroup {
    let names: Vec<String> = parameters.iter().map(|(path, ..)| (*path).to_owned()).collect();
    let names = if names.is_empty() { AttrValue::F64Array(vec![]) } else { AttrValue::AsciiStringArray(names) };
    group.set_attr("weight_names", names);
    for (path, shape, values) in parameters {
        let (inner, name) = path.split_once('/').unwrap();
        // Each parameter has a group of its own name here, which Keras shares between those of a layer.
        let mut folder = group.create_group(inner);
        let data = folder.create_dataset(name).with_f32_data(values).with_shape(shape);
        if layout == Layout::Packed {
            let chunk: Vec<u64> = shape.iter().map(|side| side.div_ceil(2)).collect();
            data.with_chunks(&chunk).with_shuffle().with_deflate(6);
        }
        group.add_group(folder.finish());
    }
    group.finish()
}

fn file(layers: &[(&str, Vec<Parameter>)], layout: Layout) -> Vec<u8> {
    let mut builder = FileBuilder::new();
    let names = AttrValue::AsciiStringArray(layers.iter().map(|(name, _)| (*name).to_owned()).collect());
    if layout == Layout::Whole {
        let mut model = builder.create_group("model_weights");
        model.set_attr("layer_names", names);
        for (name, parameters) in layers {
            let layer = model.create_group(name);
            model.add_group(group(layer, parameters, layout));
        }
        builder.add_group(model.finish());
    } else {
        builder.set_attr("layer_names", names);
        for (name, parameters) in layers {
            let layer = builder.create_group(name);
            builder.add_group(group(layer, parameters, layout));
        }
    }
    builder.finish().unwrap()
}

/// A layer's parameters have groups of their own in [`group`], so that a layer of several is written as several.
fn apart(layers: Vec<(&'static str, Vec<Parameter<'static>>)>) -> Vec<(String, Vec<Parameter<'static>>)> {
    let one = |(name, parameters): (&'static str, Vec<Parameter<'static>>)| match parameters.len() {
        0 => vec![(name.to_owned(), vec![])],
        _ => parameters.into_iter().enumerate().map(|(i, p)| (format!("{name}_{i}"), vec![p])).collect(),
    };
    layers.into_iter().flat_map(one).collect()
}

fn written(layers: Vec<(&'static str, Vec<Parameter<'static>>)>, layout: Layout) -> Vec<u8> {
    let layers = apart(layers);
    let layers: Vec<_> = layers.iter().map(|(name, parameters)| (name.as_str(), parameters.clone())).collect();
    file(&layers, layout)
}

fn values(state: &StateDict, name: &str) -> Vec<f32> {
    state.tensors[name].values().unwrap()
}

#[test]
fn weights_become_torchvisions() {
    let bytes = written(layers(), Layout::Weights);
    let state = read("a.h5", &bytes).unwrap();
    assert_eq!(
        (state.dialect, state.left_out.as_slice()),
        (Dialect::Matterport, &["anchors_0/anchors/Variable:0".to_owned()][..])
    );
    let kernel = ramp(&[3, 3, 3, 2]);
    let conv = values(&state, "backbone.body.conv1.weight");
    let (y, x, input, output) = (1, 2, 0, 1);
    assert_eq!(conv[((output * 3 + input) * 3 + y) * 3 + x], kernel[((y * 3 + x) * 3 + input) * 2 + output]);
    assert_eq!(state.shape("backbone.body.conv1.weight").unwrap(), [2, 3, 3, 3]);
    assert_eq!(state.shape("backbone.body.conv1.bias"), None, "it is in the mean");
    assert_eq!(values(&state, "backbone.body.bn1.running_mean"), [4.75, 5.5]);
    assert_eq!(values(&state, "backbone.body.bn1.running_var"), [1.0, 4.0]);
    assert_eq!(state.shape("rpn.head.cls_logits.weight").unwrap(), [3, 2, 1, 1]);
    assert_eq!(values(&state, "rpn.head.cls_logits.weight"), [0.5; 6]);
    assert_eq!(values(&state, "rpn.head.bbox_pred.bias")[..4], [1.5, 1.0, 2.5, 2.0]);
    assert_eq!(state.shape("roi_heads.mask_predictor.conv5_mask.weight").unwrap(), [4, 3, 2, 2]);
    // The norm after the linear layer: eps 1e-3 makes the deviations 1 and 2.
    let fc6 = values(&state, "roi_heads.box_head.fc6.weight");
    assert_eq!(state.shape("roi_heads.box_head.fc6.weight").unwrap(), [2, 12]);
    assert!((fc6[0] - 1.0).abs() < 1e-6 && (fc6[12] - 1.5).abs() < 1e-6, "{fc6:?}");
    let bias = values(&state, "roi_heads.box_head.fc6.bias");
    assert!(bias[0].abs() < 1e-6 && (bias[1] - 6.0).abs() < 1e-5, "{bias:?}");
}

#[test]
fn whole_models_and_packed_values_are_the_same() {
    let plain = read("a.h5", &written(layers(), Layout::Weights)).unwrap();
    for layout in [Layout::Whole, Layout::Packed] {
        assert_eq!(read("a.h5", &written(layers(), layout)).unwrap(), plain);
    }
}

#[test]
fn other_files_are_refused_in_a_sentence() {
    let refused = |layers: Vec<(&'static str, Vec<Parameter<'static>>)>| {
        read("a.h5", &written(layers, Layout::Weights)).unwrap_err().to_string()
    };
    let kernel = |path: &'static str| -> Vec<Parameter<'static>> { vec![(path, &[1, 1, 2, 2], ramp(&[1, 1, 2, 2]))] };
    assert!(refused(vec![("a", kernel("block1_conv1/kernel:0"))]).contains("no network that cytobox reads"));
    assert!(refused(vec![("a", kernel("dense_class_3/kernel:0"))]).contains("keras-frcnn"));
    let mut builder = FileBuilder::new();
    builder.create_dataset("signal").with_f32_data(&[1.0]);
    assert!(read("a.h5", &builder.finish().unwrap()).unwrap_err().to_string().contains("without Keras weights"));
    let mut odd = layers();
    odd.push(("bn_more", vec![("bn2a_branch1/scale:0", &[2], vec![1.0; 2])]));
    assert!(refused(odd).contains("no part of a batch norm"));
    let mut twice = layers();
    twice.push(("again", vec![("conv1/kernel:0", &[3, 3, 3, 2], ramp(&[3, 3, 3, 2]))]));
    assert!(refused(twice).contains("comes twice"));
    let mut sizes = layers();
    sizes.retain(|(name, _)| *name != "conv1");
    sizes.push(("conv1", vec![("conv1/bias:0", &[3], vec![1.0; 3])]));
    assert!(refused(sizes).contains("not of the size"));
}

/// Cut anywhere, a file is an error and never a panic, and nothing of it is taken for weights that it no longer has.
#[test]
fn truncated_and_damaged_files_are_errors() {
    for layout in [Layout::Weights, Layout::Packed] {
        let bytes = written(layers(), layout);
        let whole = read("a.h5", &bytes).unwrap();
        for length in (0..bytes.len()).step_by(37) {
            if let Ok(state) = read("a.h5", &bytes[..length]) {
                assert_eq!(state, whole, "cut at {length}");
            }
        }
        for at in (0..bytes.len()).step_by(23) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            drop(read("a.h5", &damaged));
        }
    }
}

#[test]
fn a_size_that_no_file_of_its_length_has_is_refused_before_memory_is_asked_for() {
    let mut builder = FileBuilder::new();
    builder.set_attr("layer_names", AttrValue::AsciiStringArray(vec!["a".into()]));
    let mut layer = builder.create_group("a");
    layer.set_attr("weight_names", AttrValue::AsciiStringArray(vec!["res2a_branch2a/kernel:0".into()]));
    let mut folder = layer.create_group("res2a_branch2a");
    // Zeros, of which a megabyte takes a kilobyte.
    let zeros = vec![0f32; 16 << 20];
    folder.create_dataset("kernel:0").with_f32_data(&zeros).with_chunks(&[1 << 20]).with_deflate(9);
    layer.add_group(folder.finish());
    builder.add_group(layer.finish());
    let bytes = builder.finish().unwrap();
    assert!(bytes.len() < 1 << 20, "{}", bytes.len());
    assert!(read("a.h5", &bytes).unwrap_err().to_string().contains("memory"));
}

#[test]
fn outputs_are_rearranged() {
    let values = |shape: &[usize], values: &[f32]| Values { shape: shape.to_vec(), values: values.to_vec() };
    let logits = values(&[4, 2], &[1.0, 2.0, 4.0, 8.0, 0.0, 0.0, 5.0, 6.0]);
    assert_eq!(difference_of_pairs(logits), Some(values(&[2, 2], &[3.0, 6.0, 5.0, 6.0])));
    let deltas = values(&[4], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(swapped_axes(deltas), Some(values(&[4], &[2.0, 1.0, 4.0, 3.0])));
    assert_eq!(swapped_axes(values(&[3], &[1.0; 3])), None);
    assert_eq!(difference_of_pairs(values(&[3], &[1.0; 3])), None);
}

#[test]
fn norms_follow_convolutions() {
    let before = |norm: &str| convolution_before(norm);
    assert_eq!(before("backbone.body.bn1").as_deref(), Some("backbone.body.conv1"));
    assert_eq!(before("a.0.downsample.1").as_deref(), Some("a.0.downsample.0"));
    assert_eq!(before("roi_heads.mask_head.3.1").as_deref(), Some("roi_heads.mask_head.3.0"));
}
