//! Cells as QuPath reads them: a GeoJSON FeatureCollection (RFC 7946) of detections with class, name and measurements.
//!
//! Coordinates are pixels of the image, with the corner of the first one at (0, 0), as in QuPath.

use serde_json::{Map, Value as Json, json};

use super::cells;
use super::rings::{self, Ring};
use crate::detections::ImageDetections;
use crate::error::{Error, Result};
use crate::measure::Table;

/// One feature a cell, with its row of `table`; a cell without pixels has no place and is left out, and so is a measurement that
/// is undefined, for which QuPath has no value.
///
/// # Errors
/// A mask of another size than the image.
pub(super) fn collection(image: &ImageDetections, table: &Table) -> Result<Vec<u8>> {
    let mut features = Vec::new();
    for (i, (cell, detection)) in cells(image).iter().zip(&image.detections).enumerate() {
        let polygons = rings::polygons(&*cell.pixels(image.width, image.height)?);
        if polygons.is_empty() {
            continue;
        }
        let mut coordinates: Vec<Json> = polygons
            .iter()
            .map(|polygon| [&polygon.outer].into_iter().chain(&polygon.holes).map(closed).collect())
            .collect();
        let geometry = match coordinates.len() {
            1 => json!({ "type": "Polygon", "coordinates": coordinates.remove(0) }),
            _ => json!({ "type": "MultiPolygon", "coordinates": coordinates }),
        };
        let values = table.columns().iter().zip(table.rows().get(i).into_iter().flatten());
        // Annotations have none.
        let score = Some(super::score(detection.score)).filter(|score| score.is_finite());
        let score = score.map(|score| ("score".to_owned(), json!(score)));
        let measurements: Map<String, Json> = score
            .into_iter()
            .chain(values.filter_map(|(column, value)| Some((column.header(), json!(value.number()?)))))
            .collect();
        features.push(json!({
            "type": "Feature",
            "geometry": geometry,
            "properties": {
                "objectType": "detection",
                "name": (i + 1).to_string(),
                "classification": { "name": detection.label },
                "measurements": measurements,
            },
        }));
    }
    let whole = json!({ "type": "FeatureCollection", "features": features });
    serde_json::to_vec(&whole).map_err(|e| Error::Io { path: "GeoJSON".to_owned(), reason: e.to_string() })
}

/// A ring with its first corner again at the end, in whole pixels. GeoJSON's outer rings are counterclockwise where y points up, as
/// these are clockwise where it points down.
fn closed(ring: &Ring) -> Json {
    let corner = |[x, y]: &[f32; 2]| json!([*x as i64, *y as i64]);
    ring.iter().chain(ring.first()).map(corner).collect()
}
