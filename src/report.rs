//! The report of a training run and its evaluation: one self-contained HTML file.

mod folder;
mod histogram;

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::evaluate::{Evaluation, Measure};
use crate::plot::{self, Chart, Series};
pub use folder::{FolderFacts, FolderReport, PICTURES, Picture};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;margin:.5rem 0}\
td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left;font-variant-numeric:tabular-nums}\
td.n,th.n{text-align:right}figure{margin:1rem 0}figcaption{color:#555;font-size:.9rem}";
/// Number of worst images listed.
const WORST: usize = 20;

/// The contents of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Material {
    pub title: String,
    /// Names and values, in order.
    pub facts: Vec<(String, String)>,
    /// Captions and charts.
    pub charts: Vec<(String, Chart)>,
}

/// The report as an HTML document.
///
/// # Errors
/// Those of the drawing library; the data cannot cause any.
pub fn html(material: &Material, evaluation: Option<&Evaluation>) -> Result<String> {
    let mut page = String::new();
    let title = escaped(&material.title);
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><h1>{title}</h1><table>"
    );
    for (name, value) in &material.facts {
        let _ = write!(page, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name), escaped(value));
    }
    page.push_str("</table>");
    for (caption, chart) in &material.charts {
        figure(&mut page, caption, chart)?;
    }
    if let Some(evaluation) = evaluation {
        evaluated(&mut page, evaluation)?;
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

fn evaluated(page: &mut String, e: &Evaluation) -> Result<()> {
    let what = if e.measure == Measure::Masks { "masks" } else { "boxes" };
    let _ = write!(page, "<h2>Evaluation on {1} images with {0} annotated {what}</h2>", e.boxes, e.images);
    page.push_str("<table><tr><th>Class</th><th class=n>Cells</th><th class=n>AP50</th><th class=n>AP50:95</th></tr>");
    for (label, class) in &e.per_class {
        row(page, label, Some(class.boxes), class.average.ap_50, class.average.ap_50_95);
    }
    row(page, "mean over classes", None, e.map_50, e.map_50_95);
    row(page, "class-agnostic", None, e.class_agnostic.ap_50, e.class_agnostic.ap_50_95);
    page.push_str("</table>");
    for sentence in e.limits() {
        let _ = write!(page, "<p>{}</p>", escaped(&sentence));
    }
    let chart = precision_recall(e, 640, 320, false);
    if !chart.series.is_empty() {
        figure(page, "Precision–recall curve at IoU 0.5", &chart)?;
    }
    page.push_str("<h2>Confusion matrix</h2><table><tr><th>annotated \\ detected</th>");
    for class in &e.confusion.classes {
        let _ = write!(page, "<th class=n>{}</th>", escaped(class));
    }
    page.push_str("</tr>");
    for (class, counts) in e.confusion.classes.iter().zip(&e.confusion.counts) {
        let _ = write!(page, "<tr><th scope=\"row\">{}</th>", escaped(class));
        for n in counts {
            let _ = write!(page, "<td class=n>{n}</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str(
        "</table><h2>Images with the most errors</h2><table><tr><th>Image</th><th class=n>true positive</th>\
        <th class=n>misclassified</th><th class=n>missed</th><th class=n>false positive</th></tr>",
    );
    for image in e.worst_images.iter().take(WORST) {
        let _ = write!(
            page,
            "<tr><td>{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td></tr>",
            escaped(&image.image),
            image.right,
            image.confused,
            image.missed,
            image.extra
        );
    }
    page.push_str("</table>");
    Ok(())
}

/// Precision over recall at IoU 0.5, one curve per class.
pub fn precision_recall(e: &Evaluation, width: u32, height: u32, dark: bool) -> Chart {
    let series = e.per_class.iter().filter(|(_, class)| !class.curve.precision.is_empty()).map(|(label, class)| {
        let last = (class.curve.precision.len() - 1).max(1) as f64;
        let points = class.curve.precision.iter().enumerate().map(|(i, p)| (i as f64 / last, *p)).collect();
        Series { name: label.clone(), points }
    });
    let (x_label, y_label) = ("recall".to_owned(), "precision".to_owned());
    Chart { x_label, y_label, y_max: Some(1.0), series: series.collect(), width, height, dark }
}

fn row(page: &mut String, name: &str, cells: Option<usize>, ap_50: Option<f64>, ap_50_95: Option<f64>) {
    let number = |v: Option<f64>| v.map_or_else(|| "—".to_owned(), |v| format!("{v:.3}"));
    let cells = cells.map_or_else(String::new, |n| n.to_string());
    let _ = write!(
        page,
        "<tr><td>{}</td><td class=n>{cells}</td><td class=n>{}</td><td class=n>{}</td></tr>",
        escaped(name),
        number(ap_50),
        number(ap_50_95)
    );
}

fn figure(page: &mut String, caption: &str, chart: &Chart) -> Result<()> {
    let _ = write!(page, "<figure>{}<figcaption>{}</figcaption></figure>", plot::svg(chart)?, escaped(caption));
    Ok(())
}

/// Escapes text from outside for HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::{ImageAnnotations, Object};
    use crate::boxes::BoxXyxy;
    use crate::detections::{Detection, ImageDetections};
    use crate::evaluate;

    #[test]
    fn names_are_escaped() {
        let bbox = BoxXyxy::new([1.0, 1.0, 5.0, 5.0], 10, 10).unwrap();
        let label = "<script>alert(1)</script>".to_owned();
        let object = Object { bbox, label: label.clone(), difficult: false, truncated: false, mask: None };
        let (image, file) = ("<b>a".to_owned(), String::new());
        let truth = ImageAnnotations {
            image: image.clone(),
            file: file.clone(),
            width: 10,
            height: 10,
            verified: false,
            objects: vec![object],
            ..ImageAnnotations::default()
        };
        let detections = vec![Detection { bbox, label, score: 0.9, mask: None }];
        let found = ImageDetections { image, file, width: 10, height: 10, detections, ..ImageDetections::default() };
        let evaluation = evaluate::evaluate(&[(&truth, &found)], &evaluate::Options::default()).unwrap();
        let charts = vec![("losses & more".to_owned(), precision_recall(&evaluation, 300, 200, false))];
        let facts = vec![("Seed".to_owned(), "1 < 2".to_owned())];
        let page = html(&Material { title: "A \"report\"".into(), facts, charts }, Some(&evaluation)).unwrap();
        assert!(!page.contains("<script") && !page.contains("<b>a"));
        assert!(page.contains("&lt;script&gt;") && page.contains("losses &amp; more") && page.contains("1.000"));
    }
}
