//! Golden texts and numbers are pycocotools 2.0's for the same masks.

use proptest::prelude::*;

use super::*;

/// The same pixels in Python: `s = (s * 1103515245 + 12345) % 2**31; (s >> 16) % 100 < percent`, row by row.
fn noise(seed: u64, width: u32, height: u32, percent: u64) -> Rle {
    let mut s = seed;
    let bitmap: Vec<bool> = (0..width * height)
        .map(|_| {
            s = (s * 1_103_515_245 + 12_345) % (1 << 31);
            (s >> 16) % 100 < percent
        })
        .collect();
    Rle::from_bitmap(width, height, &bitmap).unwrap()
}

fn any_mask() -> impl Strategy<Value = Rle> {
    (1u32..12, 1u32..12).prop_flat_map(|(w, h)| {
        prop::collection::vec(any::<bool>(), (w * h) as usize).prop_map(move |b| Rle::from_bitmap(w, h, &b).unwrap())
    })
}

/// Even-odd fill, tested at the centres of the pixels.
fn fill(width: u32, height: u32, polygons: &[Vec<[f32; 2]>]) -> Rle {
    let inside = |x: f32, y: f32| {
        let crossings = polygons.iter().flat_map(|p| p.iter().zip(p.iter().cycle().skip(1)));
        crossings.filter(|(a, b)| a[0] == b[0] && a[0] < x && (a[1] > y) != (b[1] > y)).count() % 2 == 1
    };
    let bitmap: Vec<bool> =
        (0..width * height).map(|i| inside((i % width) as f32 + 0.5, (i / width) as f32 + 0.5)).collect();
    Rle::from_bitmap(width, height, &bitmap).unwrap()
}

#[test]
fn text_is_that_of_pycocotools() {
    let mut ring = vec![false; 35];
    for (x, y) in (1..4).flat_map(|y| (2..6).map(move |x| (x, y))) {
        ring[y * 7 + x] = (x, y) != (3, 2);
    }
    let disc: Vec<bool> = (0..512 * 512).map(|i: i32| (i % 512 - 200).pow(2) + (i / 512 - 300).pow(2) < 900).collect();
    let cases = [
        (Rle::from_bitmap(7, 5, &ring).unwrap(), ";32NO012004"),
        (Rle::from_bitmap(4, 3, &[true; 12]).unwrap(), "0<"),
        (Rle::from_bitmap(4, 3, &[false; 12]).unwrap(), "<"),
        (
            noise(1, 20, 12, 50),
            "011001202OO0N011N1010N3O41KON011OO00010O32M00N40L015OL011N22MN20O1O0001O0002OO01041JO01030L10O1003015OJM010O32MO232",
        ),
        (
            Rle::from_bitmap(512, 512, &disc).unwrap(),
            "Uie2?^?6J6L2M4M2M4M2N2N2N2O0O2N2O0O2N2O000O2O000O2O0000000000000000000000000001N10001N10001N2N101N2N101N2N2N2N3L3N3L3N4J6Jnf\\4",
        ),
    ];
    for (mask, text) in cases {
        assert_eq!(mask.to_coco_string(), text);
        assert_eq!(Rle::from_coco_string(mask.width(), mask.height(), text), Ok(mask));
    }
}

#[test]
fn iou_area_and_box_are_those_of_pycocotools() {
    let (a, b) = (noise(1, 20, 12, 50), noise(2, 20, 12, 30));
    assert_eq!(a.area(), 116);
    assert_eq!(a.bbox(), Some([0, 0, 20, 12]));
    assert!((a.iou(&b).unwrap() - 0.177_215_189_873_417_72).abs() < 1e-15);
    assert!(a.iou(&noise(1, 12, 20, 50)).is_err(), "masks of different images have no overlap to speak of");
}

#[test]
fn polygons_fill_as_in_pycocotools() {
    let pairs = |flat: &[f64]| flat.chunks(2).map(|c| [c[0], c[1]]).collect::<Vec<_>>();
    let cases: [(&[f64], &str); 6] = [
        (
            &[10., 10., 50., 12., 30., 44.5],
            "j<1W11O2N2N2N1O2N2N2N101N2N2N1O2N2N1O2N0000000000O1N2O1N2N2O1N3M2O1N2N2O1N2O1N2N2OU<",
        ),
        (&[0., 0., 60., 0., 60., 40., 0., 40.], "0P[2"),
        (
            &[-5.5, 3.2, 20., -7., 70.3, 35.7, 12.1, 50.9],
            "1b0e04M3M2N3M3M2N3MRi0OoVO1O1O1O1O001O1O1O1O1O001O1O1O1O1O1O001O1O1O1O1O001O1O1N2O1O1OUO",
        ),
        (
            &[5., 5., 35., 5., 35., 35., 5., 35., 5., 20., 25., 20., 25., 15., 5., 15.],
            "]6:555KK55KK55KK55KK55KK55KK55KK55KK55KK55KK55KK55KK55KK55KK55KK55KK55KK55KK55KK55?000000000000000000So0",
        ),
        (&[3.3, 3.3, 3.3, 3.3, 9.9, 3.3, 9.9, 8.8], "S51W11O1O1O001\\n1"),
        (
            &[30., 2., 10., 38., 50., 14., 8., 14., 50., 38.],
            "f;1W10_O0J130N1O020M130J17OG39ND3=MA4`0M^O4b081C\\O6d0H_O6b0H@7j0OEKC4<NE191HM75IJ77JH4:=0_OF68II86GL:2FO;OD2>LB5g01HI^O9a0I]O7c0KZO7e0J[O6d0I_O5a0JA6>JD4<KG48LJ26MM22M03OM31d0OZ;",
        ),
    ];
    for (flat, text) in cases {
        assert_eq!(Rle::from_polygons(60, 40, &[pairs(flat)]).unwrap().to_coco_string(), text, "{flat:?}");
    }
    let two = [pairs(&[2., 2., 20., 2., 20., 20., 2., 20.]), pairs(&[15., 15., 40., 15., 40., 30., 15., 30.])];
    assert_eq!(
        Rle::from_polygons(60, 40, &two).unwrap().to_coco_string(),
        "b2b0f0000000000000000000000000:F0000000=C00000000000000000000000000000000000000ah0"
    );
}

#[test]
fn other_values_than_masks_are_refused() {
    assert!(Rle::from_counts(3, 3, vec![4, 4]).is_err(), "too few pixels");
    assert!(Rle::from_counts(3, 3, vec![4, 6]).is_err(), "too many pixels");
    assert!(Rle::from_counts(3, 3, vec![u32::MAX, u32::MAX, 11]).is_err(), "a sum that wraps round");
    assert!(Rle::from_counts(0, 3, vec![]).is_err(), "no pixels");
    assert!(Rle::from_counts(1 << 20, 1 << 20, vec![0]).is_err(), "over the cap");
    for text in ["", "\u{7f}", "é", " ", "oooooooooooooooooooooooo", "o", "O"] {
        assert!(Rle::from_coco_string(3, 3, text).is_err(), "{text:?}");
    }
    for polygon in [vec![], vec![[0.0, 0.0], [1.0, 1.0]], vec![[0.0, f64::NAN]; 3], vec![[1e30, 0.0]; 3]] {
        assert!(Rle::from_polygons(9, 9, std::slice::from_ref(&polygon)).is_err(), "{polygon:?}");
    }
    assert!(Rle::from_polygons(9, 9, &[]).is_err());
    assert!(serde_json::from_str::<Rle>(r#"{"size":[3,3],"counts":[1,2]}"#).is_err());
    assert_eq!(
        serde_json::from_str::<Rle>(r#"{"size":[3,2],"counts":[1,0,2,3]}"#).unwrap(),
        Rle::from_counts(2, 3, vec![3, 3]).unwrap(),
        "runs without pixels say nothing"
    );
}

#[test]
fn outline_of_a_ring_has_two_rims() {
    let bitmap: Vec<bool> = (0..25).map(|i| i % 5 % 4 != 0 && i / 5 % 4 != 0 && i != 12).collect();
    let outlines = Rle::from_bitmap(5, 5, &bitmap).unwrap().outlines();
    let expected: [Vec<[f32; 2]>; 2] =
        [vec![[4.0, 1.0], [4.0, 4.0], [1.0, 4.0], [1.0, 1.0]], vec![[2.0, 3.0], [3.0, 3.0], [3.0, 2.0], [2.0, 2.0]]];
    assert_eq!(outlines, expected);
}

#[test]
fn label_images_hold_objects() {
    let labels: Vec<u16> = vec![0, 1, 1, 0, 300, 1, 0, 300, 300];
    let image = LabelImage::new(3, 3, labels).unwrap();
    let masks = image.masks();
    assert_eq!(masks.keys().copied().collect::<Vec<_>>(), [1, 300]);
    assert_eq!((masks[&1].area(), masks[&300].area()), (3, 3));
    assert_eq!(LabelImage::decode("x.png", &image.encode_png().unwrap()), Ok(image), "16 bits");
    let drawn = LabelImage::from_masks(3, 3, [Some(&masks[&1]), None, Some(&masks[&300])]).unwrap();
    assert_eq!(drawn.masks().keys().copied().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(LabelImage::decode("x.png", &drawn.encode_png().unwrap()), Ok(drawn), "8 bits");
    assert!(LabelImage::from_masks(4, 3, [Some(&masks[&1])]).is_err());
    assert!(LabelImage::decode("x.png", b"GIF89a").is_err());
    assert!(LabelImage::decode("x.png", b"").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn every_form_leads_back(mask in any_mask()) {
        let (w, h) = (mask.width(), mask.height());
        prop_assert_eq!(&Rle::from_bitmap(w, h, &mask.to_bitmap()).unwrap(), &mask);
        prop_assert_eq!(&Rle::from_counts(w, h, mask.counts().to_vec()).unwrap(), &mask);
        prop_assert_eq!(&Rle::from_coco_string(w, h, &mask.to_coco_string()).unwrap(), &mask);
        prop_assert_eq!(&fill(w, h, &mask.outlines()), &mask);
        prop_assert_eq!(&serde_json::from_str::<Rle>(&serde_json::to_string(&mask).unwrap()).unwrap(), &mask);
    }

    #[test]
    fn numbers_agree_with_the_bitmap(a in any_mask(), seed in 0u64..1000) {
        let b = noise(seed, a.width(), a.height(), 40);
        let (pa, pb) = (a.to_bitmap(), b.to_bitmap());
        let count = |f: &dyn Fn(bool, bool) -> bool| pa.iter().zip(&pb).filter(|(a, b)| f(**a, **b)).count();
        prop_assert_eq!(a.area() as usize, count(&|a, _| a));
        prop_assert_eq!(a.intersection(&b).unwrap() as usize, count(&|a, b| a && b));
        prop_assert_eq!(a.union(&b).unwrap().area() as usize, count(&|a, b| a || b));
        let corners = |i: usize| [i as u32 % a.width(), i as u32 / a.width()];
        let set: Vec<[u32; 2]> = (0..pa.len()).filter(|i| pa[*i]).map(corners).collect();
        let low = |k: usize| set.iter().map(|c| c[k]).min();
        let high = |k: usize| set.iter().map(|c| c[k] + 1).max();
        let expected = low(0).zip(low(1)).zip(high(0).zip(high(1))).map(|((x1, y1), (x2, y2))| [x1, y1, x2, y2]);
        prop_assert_eq!(a.bbox(), expected);
    }

    #[test]
    fn any_text_and_any_polygon_is_a_mask_or_an_error(
        text in "[0-p]{0,30}",
        polygon in prop::collection::vec([-30f64..70.0, -20f64..60.0], 0..12),
    ) {
        let _ = Rle::from_coco_string(7, 9, &text);
        let _ = Rle::from_polygons(30, 20, &[polygon]);
    }
}
