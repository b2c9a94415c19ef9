//! Curves as SVG, for the page and the report.

mod text_size;

use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use text_size::{EstimatedText, text_width};

/// Okabe and Ito's palette, which is safe for colour-blind readers; grey last.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(140, 140, 140),
];
/// Points per curve. More points than pixels would only slow the page down.
const POINTS: usize = 400;
/// Font size, and the position of the legend above the curves.
const FONT: i32 = 12;
const LEGEND_LEFT: i32 = 50;
const LEGEND_TOP: i32 = 12;

/// One curve; points ordered by x.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// A chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chart {
    pub x_label: String,
    pub y_label: String,
    /// Upper end of the y axis; from the data when absent.
    #[serde(default)]
    pub y_max: Option<f64>,
    pub series: Vec<Series>,
    pub width: u32,
    pub height: u32,
    /// For a dark page.
    #[serde(default)]
    pub dark: bool,
}

/// The chart as an SVG document with a transparent background. Values that are not finite are left out.
///
/// # Errors
/// Those of the drawing library; the data cannot cause any.
pub fn svg(chart: &Chart) -> Result<String> {
    let fault = |e: &dyn std::fmt::Display| Error::Usage(format!("the chart could not be drawn: {e}"));
    let series: Vec<Series> = chart.series.iter().map(thinned).collect();
    let points = || series.iter().flat_map(|s| &s.points);
    let x_min = points().map(|p| p.0).fold(f64::INFINITY, f64::min);
    let x_max = points().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
    let (x_min, x_max) = if x_min < x_max { (x_min, x_max) } else { (0.0, 1.0) };
    let y_max = chart.y_max.unwrap_or_else(|| points().map(|p| p.1).fold(0.0, f64::max) * 1.05);
    let y_max = if y_max > 0.0 { y_max } else { 1.0 };
    let ink = if chart.dark { RGBColor(205, 205, 205) } else { RGBColor(60, 60, 60) };
    let mut text = String::new();
    {
        let size = (chart.width.clamp(120, 4000), chart.height.clamp(90, 4000));
        let area = EstimatedText(SVGBackend::with_string(&mut text, size)).into_drawing_area();
        let legend = legend(&series, size.0 as i32);
        let font = |points: i32| ("sans-serif", points).into_font().color(&ink);
        let mut drawn = ChartBuilder::on(&area)
            .margin(6)
            .margin_top(legend.last().map_or(0, |place| place.1) + LEGEND_TOP + FONT / 2)
            .margin_right(12)
            .x_label_area_size(34)
            .y_label_area_size(44)
            .build_cartesian_2d(x_min..x_max, 0.0..y_max)
            .map_err(|e| fault(&e))?;
        drawn
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(ink.mix(0.18))
            .light_line_style(TRANSPARENT)
            .axis_style(ink.mix(0.6))
            .x_labels(6)
            .y_labels(6)
            .x_desc(&chart.x_label)
            .y_desc(&chart.y_label)
            .label_style(font(FONT))
            .axis_desc_style(font(FONT))
            .x_label_formatter(&|v| short(*v))
            .y_label_formatter(&|v| short(*v))
            .draw()
            .map_err(|e| fault(&e))?;
        for (one, colour) in series.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(one.points.iter().copied(), colour.stroke_width(2));
            drawn.draw_series(line).map_err(|e| fault(&e))?;
            if one.points.len() == 1 {
                let dot = |p: &(f64, f64)| Circle::new(*p, 3, colour.filled());
                drawn.draw_series(one.points.iter().map(dot)).map_err(|e| fault(&e))?;
            }
        }
        for ((one, colour), (left, top)) in series.iter().zip(COLOURS.iter().cycle()).zip(legend) {
            let line = PathElement::new(vec![(left, top), (left + 14, top)], colour.stroke_width(2));
            area.draw(&line).map_err(|e| fault(&e))?;
            let name = Text::new(one.name.clone(), (left + 18, top - FONT / 2), font(FONT));
            area.draw(&name).map_err(|e| fault(&e))?;
        }
        area.present().map_err(|e| fault(&e))?;
    }
    Ok(text)
}

/// The position of each series' legend entry, in as many rows as needed.
fn legend(series: &[Series], width: i32) -> Vec<(i32, i32)> {
    let (mut left, mut top) = (LEGEND_LEFT, LEGEND_TOP);
    let mut places = Vec::with_capacity(series.len());
    for one in series {
        let wide = 34 + text_width(&one.name, f64::from(FONT)) as i32;
        if left > LEGEND_LEFT && left + wide > width {
            (left, top) = (LEGEND_LEFT, top + FONT + 4);
        }
        places.push((left, top));
        left += wide;
    }
    places
}

/// Reduces a curve to at most [`POINTS`] points by averaging neighbours.
fn thinned(series: &Series) -> Series {
    let finite: Vec<(f64, f64)> =
        series.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let each = finite.len().div_ceil(POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let n = part.len() as f64;
        (part.iter().map(|p| p.0).sum::<f64>() / n, part.iter().map(|p| p.1).sum::<f64>() / n)
    };
    Series { name: series.name.clone(), points: finite.chunks(each).map(mean).collect() }
}

/// A short decimal: 0, 0.25, 1500.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(series: Vec<Series>) -> Chart {
        let (x_label, y_label) = ("step".to_owned(), "loss <a>".to_owned());
        Chart { x_label, y_label, y_max: None, series, width: 400, height: 200, dark: false }
    }

    #[test]
    fn a_chart_is_a_valid_document() {
        let line = |name: &str, n: usize| Series {
            name: name.into(),
            points: (0..n).map(|i| (i as f64, if i == 3 { f64::NAN } else { 1.0 / (i + 1) as f64 })).collect(),
        };
        let text = svg(&chart(vec![line("mask & box", 10_000), line("b", 1)])).unwrap();
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
        assert!(text.contains("mask &amp; box") && text.contains("loss &lt;a&gt;"), "names are text, never markup");
        assert!(!text.contains("NaN") && text.len() < 60_000, "{}", text.len());
    }

    #[test]
    fn a_chart_without_data_has_empty_axes() {
        assert!(svg(&chart(Vec::new())).unwrap().contains("</svg>"));
        let lone = Series { name: "a".into(), points: vec![(5.0, f64::INFINITY)] };
        assert!(svg(&chart(vec![lone])).unwrap().contains("</svg>"));
    }
}
