//! Which column of a table of boxes holds what, by the headers that people use.

use csv::StringRecord;

use crate::error::{Error, Result};

/// How the corners stand in a row.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// `x1, y1, x2, y2`.
    Corners([usize; 4]),
    /// The upper left corner, width and height.
    Sides([usize; 4]),
    /// The centre, width and height.
    Centre([usize; 4]),
    /// One field with `[x, y, width, height]`.
    List(usize),
}

/// Where a box table keeps what; the default is keras-frcnn's order.
pub(super) struct Columns {
    pub file: usize,
    pub place: Place,
    /// `None` where all objects are of one class.
    pub class: Option<usize>,
    /// Width and height of the image.
    pub size: Option<[usize; 2]>,
}

const FILES: &[&str] = &[
    "file",
    "filepath",
    "filename",
    "path",
    "image",
    "imageid",
    "imagename",
    "imagepath",
    "imagefile",
    "img",
    "imgname",
    "location",
    "frame",
];
const CLASSES: &[&str] = &[
    "class",
    "label",
    "name",
    "classname",
    "labelname",
    "category",
    "categoryname",
    "classid",
    "labels",
    "celltype",
    "type",
    "species",
];
const X1: &[&str] = &["x1", "xmin", "minx", "left", "xtl", "x0", "bboxx1", "bboxxmin", "boxxmin"];
const Y1: &[&str] = &["y1", "ymin", "miny", "top", "ytl", "y0", "bboxy1", "bboxymin", "boxymin"];
const X2: &[&str] = &["x2", "xmax", "maxx", "right", "xbr", "bboxx2", "bboxxmax", "boxxmax"];
const Y2: &[&str] = &["y2", "ymax", "maxy", "bottom", "ybr", "bboxy2", "bboxymax", "boxymax"];
const X: &[&str] = &["x", "bboxx", "boxx", "left", "xmin", "x1", "topleftx"];
const Y: &[&str] = &["y", "bboxy", "boxy", "top", "ymin", "y1", "toplefty"];
const CENTRE_X: &[&str] = &["xcenter", "centerx", "xcentre", "centrex", "cx", "xc"];
const CENTRE_Y: &[&str] = &["ycenter", "centery", "ycentre", "centrey", "cy", "yc"];
const WIDTHS: &[&str] = &["w", "bboxw", "bboxwidth", "boxw", "boxwidth", "width"];
const HEIGHTS: &[&str] = &["h", "bboxh", "bboxheight", "boxh", "boxheight", "height"];
const IMAGE_WIDTHS: &[&str] = &["imagewidth", "imgwidth", "imgw", "imagew", "width"];
const IMAGE_HEIGHTS: &[&str] = &["imageheight", "imgheight", "imgh", "imageh", "height"];

impl Columns {
    /// `None` if the row is not a header: its second field is a number, or nothing.
    pub fn from_header(file: &str, row: &StringRecord) -> Result<Option<Self>> {
        let is_number = |i: usize| row.get(i).is_none_or(|field| field.is_empty() || field.parse::<f64>().is_ok());
        if is_number(1) && is_number(2) {
            return Ok(None);
        }
        let fields: Vec<String> = row.iter().take(256).map(bare).collect();
        let find = |names: &[&str]| names.iter().find_map(|name| fields.iter().position(|field| field == name));
        let four = |names: [&[&str]; 4]| {
            let found: Option<Vec<usize>> = names.into_iter().map(find).collect();
            found.and_then(|found| <[usize; 4]>::try_from(found).ok())
        };
        let corners = four([X1, Y1, X2, Y2]).map(Place::Corners);
        let sides = || four([X, Y, WIDTHS, HEIGHTS]).map(Place::Sides);
        let centre = || four([CENTRE_X, CENTRE_Y, WIDTHS, HEIGHTS]).map(Place::Centre);
        let list = || find(&["bbox", "box"]).map(Place::List);
        let place = corners.or_else(sides).or_else(centre).or_else(list);
        let missing =
            |what: &str| Error::annotation(file, format!("is not a table of boxes: its header has no column {what}"));
        let size = match place {
            Some(Place::Corners(_) | Place::List(_)) => find(IMAGE_WIDTHS).zip(find(IMAGE_HEIGHTS)),
            _ => None,
        };
        Ok(Some(Self {
            file: find(FILES).ok_or_else(|| missing("file or filepath or filename or path or image"))?,
            place: place.ok_or_else(|| missing("x1 or xmin, y1, x2 and y2, nor x, y, width and height"))?,
            class: find(CLASSES),
            size: size.map(|(width, height)| [width, height]),
        }))
    }
}

/// A header's field without case, spaces and signs.
fn bare(field: &str) -> String {
    field.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(40).collect()
}
