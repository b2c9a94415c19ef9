//! Small valid files of every kind that is read, made by the project itself.

use std::collections::BTreeMap;
use std::io::Cursor;

use cytobox::annotations::{ImageAnnotations, coco, csv, voc, yolo};
use cytobox::detections::{Detection, ImageDetections};
use cytobox::export;
use cytobox::masks::LabelImage;
use cytobox::model::DetectorConfig;
use cytobox::synth::{self, SynthOptions};
use cytobox::train::TrainConfig;
use cytobox::train::checkpoint::{Checkpoint, State, VERSION};
use cytobox::train::rng::TrainRng;
use cytobox::train::sampler::EpochSampler;
use cytobox::weights::state::RawTensor;
use cytobox::weights::{StateDict, safetensors};
use tiff::encoder::{Compression, TiffEncoder, colortype};

use crate::image_files::{Png, TiffPage, pack, tiff};
use crate::torch_files::{self, Py, dict, object};

/// A file under a name that says what it is.
pub type Seed = (String, Vec<u8>);

/// The files of the target of this name.
pub fn seeds(target: &str) -> Vec<Seed> {
    match target {
        "images" => merged_images(),
        "label_image" => label_images(),
        "voc" => voc_files(),
        "coco" => coco_files(),
        "yolo" => yolo_files(),
        "csv" => tables(),
        "labelme" => vec![seed("labelme", LABELME)],
        "via" => vec![seed("via", VIA)],
        "detections" => vec![("lines".to_owned(), detections())],
        "gathered" => {
            ["label_image", "voc", "coco", "yolo", "csv", "labelme", "via"].into_iter().flat_map(seeds).collect()
        }
        "weights" => detectors(),
        "pickle" => pickles(),
        "checkpoint" => vec![("checkpoint".to_owned(), checkpoint())],
        _ => panic!("no corpus for {target}"),
    }
}

fn seed(name: &str, bytes: impl AsRef<[u8]>) -> Seed {
    (name.to_owned(), bytes.as_ref().to_vec())
}

const LABELME: &str = r#"{"version": "5.4.1", "flags": {}, "shapes": [
    {"label": "cell", "points": [[1, 1], [9.5, 1], [9, 9]], "group_id": 1, "shape_type": "polygon", "flags": {}},
    {"label": "cell", "points": [[20, 20], [25, 25]], "group_id": null, "shape_type": "circle"},
    {"label": "dead", "points": [[30, 30], [40, 45]], "shape_type": "rectangle"}],
    "imagePath": "a.png", "imageData": null, "imageHeight": 48, "imageWidth": 64}"#;
const VIA: &str = r#"{"_via_settings": {}, "_via_img_metadata": {"a.png123": {"filename": "a.png", "size": 123, "regions": [
    {"shape_attributes": {"name": "polygon", "all_points_x": [2, 8, 8], "all_points_y": [2, 2, 9]}, "region_attributes": {"class": "c"}},
    {"shape_attributes": {"name": "rect", "x": 20, "y": 20, "width": 9, "height": 8}, "region_attributes": {"class": "d"}},
    {"shape_attributes": {"name": "ellipse", "cx": 40, "cy": 30, "rx": 5, "ry": 3, "theta": 0.5}, "region_attributes": {}}],
    "file_attributes": {}}}}"#;
const OLD_LABELME: &[u8] = b"<?xml version='1.0' encoding='gbk'?><annotation><imagesize><ncols>64</ncols><nrows>48</nrows></imagesize>\
    <object><name>\xcf\xb8</name><polygon><pt><x>1</x><y>1</y></pt><pt><x>9</x><y>1</y></pt><pt><x>9</x><y>9</y></pt></polygon>\
    </object><object><name>r</name><robndbox><cx>9</cx><cy>9</cy><w>4</w><h>2</h><angle>1</angle></robndbox></object></annotation>";

/// Synthetic cells with boxes and masks.
fn annotated() -> ImageAnnotations {
    let options = SynthOptions { width: 96, height: 80, cell_size: 0.25, ..SynthOptions::default() };
    let image = synth::generate(&options, 0).unwrap();
    assert!(image.objects.len() > 2, "too few cells");
    let objects = image.objects.into_iter().take(6).collect();
    ImageAnnotations { image: "a".into(), file: "a.png".into(), width: 96, height: 80, objects, ..Default::default() }
}

fn classes() -> [String; 2] {
    [synth::NOT_NUCLEOLI.to_owned(), synth::NUCLEOLI.to_owned()]
}

fn voc_files() -> Vec<Seed> {
    let odd = "<annotation verified=\"yes\"><filename>a.png</filename><size><width>64.0</width><height>48</height></size>\
        <object><name>&lt;cell&gt;</name><bndbox><xmin>1.5</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>\
        <object><name>dead cell</name><difficult>1</difficult><truncated>Unspecified</truncated>\
        <bndbox><xmin>64</xmin><ymin>2</ymin><xmax>64</xmax><ymax>48</ymax></bndbox></object></annotation>";
    let unsized_one = "<annotation><filename>f/a.png</filename><object><name>c</name>\
        <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>2</xmax><ymax>4</ymax></bndbox></object></annotation>";
    let wide: Vec<u8> = std::iter::once(0xfeff).chain(odd.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    vec![
        ("written".to_owned(), voc::write(&annotated()).into_bytes()),
        seed("odd", odd),
        seed("without size", unsized_one),
        seed("utf-16", wide),
        seed("polygons", OLD_LABELME),
    ]
}

fn coco_files() -> Vec<Seed> {
    let loose = r#"{"images": [{"id": "1", "file_name": "a.png", "width": 64.0, "height": 48}, {"id": 2, "file_name": "d/b.png"}],
        "categories": [{"id": 0, "name": "cell"}, {"id": 7, "name": "dead"}], "annotations": [
        {"id": 1, "image_id": "1", "category_id": 0, "bbox": [1, 2, 30.5, 20], "area": NaN, "iscrowd": false},
        {"id": 2, "image_id": 1, "category_id": 7, "bbox": [], "segmentation": [[2, 2, 30, 4, 20, 40]]},
        {"id": 3, "image_id": 1, "category_id": 0, "bbox": [0, 0, 64, 48], "iscrowd": 1,
         "segmentation": {"size": [48, 64], "counts": [3000, 72]}},
        {"id": 4, "image_id": 2, "category_id": 0, "bbox": [5, 5, 3, 3], "segmentation": {"size": [48, 64], "counts": "o0"}}]}"#;
    vec![("written".to_owned(), coco::write(&[annotated()], &classes()).unwrap()), seed("loose", loose)]
}

fn yolo_files() -> Vec<Seed> {
    vec![
        ("written".to_owned(), yolo::write(&annotated(), &classes()).unwrap().into_bytes()),
        seed("outlines", "0 0.1 0.1 0.5 0.1 0.5 0.5\n1 .5 .5 .25 .25\n1 .5 .5 .25 .25 .9\n"),
        seed("names", "names:\n  0: cell\n  1: 'dead, cell'\n"),
        seed("list", "cell\ndead cell\n"),
    ]
}

fn tables() -> Vec<Seed> {
    vec![
        ("written".to_owned(), csv::write_boxes(&[annotated()]).unwrap()),
        seed("plain", "d/a.png,1,1,9,9,\"a, b\"\nb.png,,,,,\n"),
        seed("semicolons", "file;x;y;width;height;class\na.png;1;2;3,5;4;c\n"),
        seed("corners", "filename\twidth\theight\tclass\txmin\tymin\txmax\tymax\na.png\t64\t48\tc\t1\t2\t30\t40\n"),
        seed("images", "Id,Target\na,1 2 3\nb,27\n"),
        seed("pipes", "ID,Label\na,0|16\nb,18\n"),
    ]
}

fn detections() -> Vec<u8> {
    let objects = annotated().objects.into_iter().map(|object| Detection {
        bbox: object.bbox,
        label: object.label,
        score: 0.75,
        mask: object.mask,
    });
    let image = ImageDetections {
        image: "a".into(),
        file: "a.png".into(),
        width: 96,
        height: 80,
        detections: objects.collect(),
        ..ImageDetections::default()
    };
    export::jsonl_line(&image).unwrap().repeat(2).into_bytes()
}

fn ramp(count: usize, bits: u8) -> Vec<u16> {
    (0..count as u32).map(|i| (i * 40_503 % (1 << bits)) as u16).collect()
}

fn encoded(compression: Compression, write: impl FnOnce(&mut TiffEncoder<&mut Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    write(&mut TiffEncoder::new(&mut file).unwrap().with_compression(compression));
    file.into_inner()
}

fn merged_images() -> Vec<Seed> {
    let mut files = Vec::new();
    let palette: Vec<u8> = (0..48).map(|i| i * 5).collect();
    for (colour, bits, interlaced) in [
        (0, 1, false),
        (0, 8, true),
        (0, 16, false),
        (2, 8, false),
        (2, 16, true),
        (3, 4, false),
        (4, 8, false),
        (6, 16, false),
    ] {
        let palette: &[u8] = if colour == 3 { &palette } else { &[] };
        let png = Png { interlaced, palette, ..Png::new(19, 17, bits, colour) };
        files.push((format!("png {colour} {bits}"), png.file(&ramp(19 * 17 * png.samples(), bits))));
    }
    let options = SynthOptions { width: 40, height: 32, cell_size: 0.25, sixteen_bit: true, ..SynthOptions::default() };
    let synthetic = synth::files(&synth::generate(&options, 1).unwrap()).unwrap();
    files.extend(
        synthetic.into_iter().filter(|file| file.name.ends_with("_green.png")).map(|file| (file.name, file.bytes)),
    );
    for (kind, samples) in [(image::ExtendedColorType::L8, 1), (image::ExtendedColorType::Rgb8, 3)] {
        let mut file = Vec::new();
        let bytes: Vec<u8> = ramp(24 * 20 * samples, 8).iter().map(|v| *v as u8).collect();
        image::codecs::jpeg::JpegEncoder::new(&mut file).encode(&bytes, 24, 20, kind).unwrap();
        files.push((format!("jpeg {samples}"), file));
    }
    for (name, compression) in [
        ("none", Compression::Uncompressed),
        ("lzw", Compression::Lzw),
        ("deflate", Compression::Deflate(Default::default())),
        ("packbits", Compression::Packbits),
    ] {
        let tiff = encoded(compression, |encoder| {
            encoder.write_image::<colortype::RGB16>(20, 15, &ramp(20 * 15 * 3, 16)).unwrap()
        });
        files.push((format!("tiff {name}"), tiff));
    }
    let tile = || pack(&ramp(256, 8), 8, false);
    let planar = TiffPage::new(20, 18, 8, 3, 1).tag(284, &[2]).tag(338, &[0, 0]);
    files.push(seed("tiles", tiff(&[planar.tiles(16, 16, (0..12).map(|_| tile()).collect())], true)));
    files.push(seed("12 bit", tiff(&[TiffPage::new(9, 9, 12, 1, 1).strip(vec![0x5a; 9 * 14])], true)));
    let map: Vec<u32> = (0..48).map(|i| i * 1000).collect();
    let indexed = TiffPage::new(20, 4, 4, 1, 3).tag(320, &map).strip(pack(&ramp(80, 4), 4, false));
    files.push(seed("palette", tiff(&[indexed], false)));
    let page = || TiffPage::new(9, 9, 1, 1, 0).strip(vec![0x5a; 18]);
    for (name, description) in [
        (
            "ome",
            "<OME xmlns='x'><Pixels SizeC='3' SizeZ='1' SizeT='1'><Channel Color='255'/><TiffData IFD='1' FirstC='2'/></Pixels></OME>\0",
        ),
        ("imagej", "ImageJ=1.53\nimages=3\nchannels=3\n\0"),
        ("shape", "{\"shape\": [3, 9, 9], \"axes\": \"CYX\"}\0"),
    ] {
        let text: Vec<u32> = description.bytes().map(u32::from).collect();
        let described = page().tag(270, &text).tag(50_838, &[12, 768]).tag(50_839, &[7; 200]);
        files.push(seed(name, tiff(&[described, page(), page()], false)));
    }
    files
}

fn label_images() -> Vec<Seed> {
    let annotated = annotated();
    let masks = || annotated.objects.iter().map(|object| object.mask.as_ref());
    let labels = LabelImage::from_masks(96, 80, masks()).unwrap();
    let pieces: Vec<u16> = (0..64 * 48).map(|i| if i % 64 % 9 < 4 && i / 64 % 9 < 4 { 300 } else { 0 }).collect();
    let palette: Vec<u8> = (0..48).map(|i| i * 5).collect();
    let indexed = Png { palette: &palette, ..Png::new(19, 17, 4, 3) };
    let wide: Vec<u32> = (0..32 * 24).map(|i| if i % 32 < 10 { 70_000 } else { i % 32 / 12 }).collect();
    let floats: Vec<f32> = wide.iter().map(|value| (value % 1000) as f32).collect();
    vec![
        ("png".to_owned(), labels.encode_png().unwrap()),
        ("16 bit".to_owned(), LabelImage::new(64, 48, pieces).unwrap().encode_png().unwrap()),
        ("palette".to_owned(), indexed.file(&(0..19 * 17).map(|i| i / 60).collect::<Vec<_>>())),
        ("1 bit".to_owned(), Png { interlaced: true, ..Png::new(19, 17, 1, 0) }.file(&ramp(19 * 17, 1))),
        seed(
            "tiff 32 bit",
            encoded(Compression::Uncompressed, |encoder| {
                encoder.write_image::<colortype::Gray32>(32, 24, &wide).unwrap()
            }),
        ),
        seed(
            "tiff floats",
            encoded(Compression::Lzw, |encoder| {
                encoder.write_image::<colortype::Gray32Float>(32, 24, &floats).unwrap()
            }),
        ),
        seed("tiff 4 bit", tiff(&[TiffPage::new(20, 4, 4, 1, 1).strip(pack(&[3; 80], 4, false))], true)),
    ]
}

fn state() -> StateDict<'static> {
    let tensor = |shape: &[usize]| {
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| i as f32 * 0.25 - 1.0).collect();
        RawTensor::from_f32(shape.to_vec(), &values)
    };
    let tensors: BTreeMap<_, _> = [
        ("backbone.body.conv1.weight", tensor(&[2, 3, 3, 3])),
        ("backbone.body.bn1.running_var", tensor(&[2])),
        ("roi_heads.box_predictor.cls_score.weight", tensor(&[2, 4])),
        ("roi_heads.box_predictor.cls_score.bias", tensor(&[2]).to_f16().unwrap()),
    ]
    .map(|(name, tensor)| (name.to_owned(), tensor))
    .into();
    StateDict { tensors, config: Some(DetectorConfig::default().to_json().unwrap()), ..StateDict::default() }
}

/// What a training script saves: weights among other things.
fn script() -> Py {
    dict([
        ("model", torch_files::state_dict(&state(), "module.")),
        ("optimizer", dict([("state", Py::Dict(vec![(0.into(), dict([("step", 3.into())]))]))])),
        ("args", object("argparse", "Namespace", dict([("lr", Py::Float(0.02)), ("name", "run".into())]))),
        ("epoch", 12.into()),
        ("shape", Py::Tuple(vec![Py::None, Py::Bool(true), Py::Bytes(vec![1, 2, 3])])),
    ])
}

fn detectors() -> Vec<Seed> {
    vec![
        ("safetensors".to_owned(), safetensors::write("a", &state()).unwrap()),
        ("archive".to_owned(), torch_files::zip(&script(), 2)),
        ("archive, protocol 4".to_owned(), torch_files::zip(&script(), 4)),
        ("deflated".to_owned(), torch_files::deflated(&torch_files::state_dict(&state(), ""))),
        ("old".to_owned(), torch_files::old(&script())),
        ("old, plain".to_owned(), torch_files::old(&torch_files::state_dict(&state(), ""))),
    ]
}

/// The second pickle of an old file's parts is its state dict; reading goes from one to the next.
fn pickles() -> Vec<Seed> {
    let mut pickle = Vec::new();
    torch_files::old_of(|writer| {
        writer.write(&script());
        pickle = writer.out.clone();
    });
    pickle.push(b'.');
    let new = b"\x80\x04\x8c\x05model}\x94(\x8c\x01a\x94K\x05M\x34\x12J\xff\xff\xff\xff\x8a\x01\x07G\x3f\xf0\0\0\0\0\0\0ue\x86.".to_vec();
    vec![("old".to_owned(), pickle), ("protocol 4".to_owned(), new)]
}

fn checkpoint() -> Vec<u8> {
    let (mut rng, mut sampler) = (TrainRng::new(3), EpochSampler::new(5));
    sampler.batch(3, &mut rng);
    let state = State {
        version: VERSION,
        detector: DetectorConfig::default(),
        train: TrainConfig::from_scratch(),
        images: vec!["a".into(), "b".into()],
        step: 7,
        optimizer_steps: 7,
        seconds: 1.5,
        folded: false,
        folded_at: 0,
        rng,
        sampler,
        best: Some((0.25, 0.1)),
        smoothed: None,
        validated: 2,
        finished: false,
        restored: 1,
    };
    let tensors = [("network:a".to_owned(), vec![1.0, -0.0, 1e-40]), ("first:a".to_owned(), vec![2.0; 3])];
    Checkpoint { state, tensors: tensors.into() }.to_bytes().unwrap()
}
