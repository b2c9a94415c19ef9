//! What the pages of a TIFF file are: channels where the file or the user says so, and their colours where the file states
//! them.
#![cfg(not(target_arch = "wasm32"))]

mod common;
mod image_files;

use common::real_data;
use cytobox::channels::{self, Channel, ChannelSet, Merge, Pages, ReadOptions, assemble, decode, merge};
use cytobox::{Error, Result};
use image_files::{TiffPage, tiff};

/// Grey pages of two pixels, of which the first has that description.
fn pages(description: &[u8], count: u32) -> Vec<TiffPage> {
    let page = |n: u32| TiffPage::new(2, 1, 8, 1, 1).strip(vec![n as u8 * 10, 200]);
    let text: Vec<u32> = description.iter().copied().chain([0]).map(u32::from).collect();
    let mut pages: Vec<TiffPage> = (0..count).map(page).collect();
    if !description.is_empty() {
        let first = pages.remove(0).tag(270, &text);
        pages.insert(0, first);
    }
    pages
}

fn read(pages: &[TiffPage]) -> Result<ChannelSet> {
    assemble("x", &[(None, "x.tif".to_owned(), tiff(pages, false))], &ReadOptions::default())
}

fn refused(description: &[u8], count: u32) -> String {
    match read(&pages(description, count)) {
        Ok(set) => panic!("{} was taken for {:?}", description.escape_ascii(), set.channels()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn stacks_of_every_program_and_spelling_are_recognised() {
    let ome = "<OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\"><Image><Pixels SizeC=\"1\" SizeZ=\"5\" SizeT=\"1\" \
               PhysicalSizeXUnit=\"@\"/></Image></OME>";
    let latin1: Vec<u8> = ome.bytes().map(|b| if b == b'@' { 0xb5 } else { b }).collect();
    let utf16: Vec<u8> = ome.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for description in [
        ome.as_bytes(),
        &latin1,
        &utf16,
        ome.replace('@', "µm").as_bytes(),
        ome.replace('"', "'").as_bytes(),
        ome.replace(" Size", "\n\tSize").as_bytes(),
        ome.replace("<Pixels", "<ome:Pixels").replace("OME", "ome:OME").as_bytes(),
        b"{\"shape\": [5, 1, 2], \"axes\": \"ZYX\"}",
        b"{\"axes\":\"ZCYX\",\"shape\":[5,1,1,2]}",
        b"ImageJ=1.53t\nimages=5\nslices=5\nloop=false\n",
        b"ImageJ=1.53t\r\nimages=5\r\n",
        b"SCIFIO=0.46.0\nimages=5\nslices=5\n",
    ] {
        let sentence = refused(description, 5);
        assert!(sentence.contains("x.tif: the file is a stack of 5 slices"), "{sentence}");
    }
    let film = refused(b"{\"shape\": [3, 1, 2], \"axes\": \"TYX\"}", 3);
    assert!(film.contains("1 slice and 3 time points"), "{film}");
    let positions =
        b"<OME><Image><Pixels SizeC='1' SizeZ='1' SizeT='1'/></Image><Image><Pixels SizeC='1'/></Image></OME>";
    assert!(refused(positions, 2).contains("holds 2 images"));
    // The more so where there are more pages than are looked at.
    assert!(refused(b"ImageJ=1.53t\nimages=70\nframes=70\n", 70).contains("70 time points"));
}

#[test]
fn unexplained_pages_need_a_choice() {
    for description in [
        &b""[..],
        b"Leica SP8",
        b"{\"shape\": [5, 1, 2]}",
        b"{\"shape\": [5, 1, 2], \"axes\": \"QYX\"}",
        b"{\"shape\": [5, ",
        b"<OME><Pixels SizeC='5' SizeZ='1' SizeT=",
        b"<OME><Pixels SizeC='4' SizeZ='1' SizeT='1'/></OME>",
        b"ImageJ=1.53t\nmin=0.0\n",
        b"\xff\xfe\x00\xd8\xff",
    ] {
        let file = tiff(&pages(description, 5), false);
        let what = description.escape_ascii();
        match decode("x.tif", &file, Pages::Ask) {
            Err(Error::PagesUnknown { pages: 5, .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(decode("x.tif", &file, Pages::Channels).unwrap().planes.len(), 5, "{what}");
    }
    let sentence = refused(b"", 5);
    assert!(sentence.contains("does not say whether they are channels") && sentence.contains("--pages channels"));
    // The user's word is for what the file leaves open.
    let stack = tiff(&pages(b"{\"shape\": [5, 1, 2], \"axes\": \"ZYX\"}", 5), false);
    assert!(decode("x.tif", &stack, Pages::Channels).unwrap_err().to_string().contains("stack of 5 slices"));
}

#[test]
fn described_channels_are_read() {
    for description in [
        &b"ImageJ=1.53t\nimages=3\nchannels=3\nhyperstack=true\nmode=grayscale\n"[..],
        b"{\"shape\": [3, 1, 2], \"axes\": \"CYX\"}",
        b"{\"shape\": [1, 3, 1, 1, 2], \"axes\": \"TCZYX\"}",
        b"<OME><Image><Pixels SizeC='3' SizeZ='1' SizeT='1'/></Image></OME>",
    ] {
        let set = read(&pages(description, 3)).unwrap();
        assert_eq!(set.channels(), [1, 2, 3].map(Channel::Index), "{}", description.escape_ascii());
    }
    // One plane of a set of files says what the others are, too.
    let one = b"<OME><Image><Pixels SizeC='1' SizeZ='5' SizeT='1'/></Image></OME>";
    assert_eq!(read(&pages(one, 1)).unwrap().channels(), [Channel::Grey]);
    let samples = TiffPage::new(1, 1, 8, 3, 1).tag(338, &[0, 0]).strip(vec![1, 2, 3]);
    assert_eq!(read(&[samples]).unwrap().channels().len(), 3);
}

#[test]
fn planes_behind_one_directory_are_found() {
    let file = |description: &str, planes: u8| {
        let text: Vec<u32> = description.bytes().chain([0]).map(u32::from).collect();
        let samples = (0..planes).flat_map(|plane| [plane + 1; 6]).collect();
        TiffPage::new(3, 2, 8, 1, 1).tag(270, &text).tag(278, &[2]).strip(samples)
    };
    for big_endian in [false, true] {
        let bytes = tiff(&[file("ImageJ=1.53t\nimages=3\nchannels=3\n", 3)], big_endian);
        let planes = decode("x.tif", &bytes, Pages::Ask).unwrap().planes;
        let first: Vec<_> = planes.iter().map(|plane| plane.samples.clone()).collect();
        assert_eq!(first, [1, 2, 3].map(|v| channels::Samples::U8(vec![v; 6])));
    }
    let sentence = |page: TiffPage| read(&[page]).unwrap_err().to_string();
    assert!(sentence(file("ImageJ=1.53t\nimages=5\nslices=5\n", 5)).contains("stack of 5 slices"));
    assert!(sentence(file("{\"shape\": [5, 2, 3], \"axes\": \"ZYX\"}", 5)).contains("stack of 5 slices"));
    // MetaMorph has as many values of this tag as there are planes.
    assert!(sentence(file("", 4).tag(33_629, &[0; 4])).contains("stack of 4 slices"));
    // One slice that was saved with the description of its stack is one slice.
    assert_eq!(read(&[file("ImageJ=1.53t\nimages=5\nslices=5\n", 1)]).unwrap().channels(), [Channel::Grey]);
}

/// ImageJ's private tags with one look-up table a channel, each from black to a colour, in the byte order of the file.
fn with_luts(page: TiffPage, colours: &[[u8; 3]], big_endian: bool) -> TiffPage {
    let word = |n: u32| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut kinds = (*b"IJIJ", *b"luts");
    if !big_endian {
        kinds.0.reverse();
        kinds.1.reverse();
    }
    let mut data = [&kinds.0[..], &kinds.1, &word(colours.len() as u32)].concat();
    let mut counts = vec![data.len() as u32];
    for colour in colours {
        counts.push(768);
        data.extend(colour.iter().flat_map(|part| (0..=255u32).map(move |i| (i * u32::from(*part) / 255) as u8)));
    }
    page.tag(50_838, &counts).tag(50_839, &data.into_iter().map(u32::from).collect::<Vec<_>>())
}

#[test]
fn colours_that_the_file_states_decide_and_not_the_order() {
    let (red, green, blue, magenta) = ([255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 0, 255]);
    for big_endian in [false, true] {
        let mut file = pages(b"ImageJ=1.53t\nimages=3\nchannels=3\nmode=composite\n", 3);
        file[0].tags.retain(|(tag, _)| *tag != 0);
        let first = with_luts(file.remove(0), &[blue, magenta, green], big_endian);
        file.insert(0, first);
        let bytes = tiff(&file, big_endian);
        let set = assemble("x", &[(None, "x.tif".to_owned(), bytes)], &ReadOptions::default()).unwrap();
        assert_eq!(set.channels(), [Channel::Green, Channel::Blue, Channel::Index(2)]);
        // The planes are 0, 10 and 20 in their first pixel: blue, magenta at half its strength, green.
        let merged_image = merge(&set, &Merge::for_set(&set)).unwrap();
        let expected = [5.0, 20.0, 5.0].map(|v: f32| v / 255.0);
        assert_eq!(merged_image.rgb[..3], expected);
    }
    let packed = |[r, g, b]: [u8; 3]| i32::from_be_bytes([r, g, b, 255]);
    let ome = |channels: &str| {
        format!("<OME><Image><Pixels SizeC='2' SizeZ='1' SizeT='1'>{channels}</Pixels></Image></OME>").into_bytes()
    };
    let channels = |channels: &str| read(&pages(&ome(channels), 2)).unwrap();
    let coloured = format!("<Channel Color='{}'/>\n<Channel Color=\"{}\"/>", packed(blue), packed(red));
    let set = channels(&coloured);
    assert_eq!(set.channels(), [Channel::Red, Channel::Blue]);
    assert_eq!(merge(&set, &Merge::for_set(&set)).unwrap().rgb[..3], [10.0 / 255.0, 0.0, 0.0]);
    let named = "<Channel Name='DAPI' Color='-1'/><Channel Name='Alexa Fluor 488' Color='-1'/>";
    assert_eq!(channels(named).channels(), [Channel::Green, Channel::Blue]);
    assert_eq!(channels("<Channel Name='a'/><Channel Name='b'/>").channels(), [1, 2].map(Channel::Index));
}

#[test]
fn real_stacks() {
    let Some(data) = real_data() else { return };
    let folder = data.join("field/04-stacks-read-as-channels");
    for file in ["a_axes_zyx.tif", "c_micron_latin1.ome.tif"] {
        let Ok(bytes) = std::fs::read(folder.join(file)) else { continue };
        for pages in [Pages::Ask, Pages::Channels] {
            let sentence = decode(file, &bytes, pages).unwrap_err().to_string();
            assert!(sentence.contains("stack of 5 slices"), "{sentence}");
        }
    }
}
