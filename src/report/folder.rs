//! The report of a folder: how many cells of which class on which image, how they are distributed, what the best of them look
//! like, and what they were found with. One self-contained HTML file.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use super::{escaped, figure, histogram};
use crate::channels::crop_to_jpeg;
use crate::error::Result;
use crate::export::MeasuredCells;
use crate::measure::Table;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin-top:2rem}h3{font-size:1rem;margin:1rem 0 .25rem}\
.scroll{overflow-x:auto;max-height:34rem;overflow-y:auto}table{border-collapse:collapse;margin:.5rem 0}\
td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left;font-variant-numeric:tabular-nums}\
thead th{position:sticky;top:0;background:#fff}td.n,th.n{text-align:right}td.w{overflow-wrap:anywhere}\
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:1rem}figure{margin:0}\
figure svg{width:100%;height:auto}figcaption{color:#555;font-size:.8rem;overflow-wrap:anywhere}\
.cells{display:grid;grid-template-columns:repeat(auto-fill,96px);gap:.5rem}.cells img{display:block;background:#000}";

/// Pictures of one class: a glance at what counts as it.
pub const PICTURES: usize = 12;
/// Quantities of a shape whose distribution is shown, in µm² rather than px² where the size of the pixels is known.
const SHOWN: [&str; 4] = ["area", "major axis", "eccentricity", "solidity"];
/// The quantity of a channel whose distribution is shown.
const SHOWN_OF_CHANNEL: &str = "mean";

/// What stands above the numbers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FolderFacts {
    pub title: String,
    /// Names and values, in order: detector, settings, hashes.
    pub facts: Vec<(String, String)>,
    /// What is missing, as sentences.
    pub problems: Vec<String>,
}

/// One cell to look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    pub image: String,
    pub label: String,
    /// NaN for what people annotated.
    pub score: f32,
    /// In pixels.
    pub side: u32,
    /// RGBA8.
    #[serde(with = "serde_bytes")]
    pub rgba: Vec<u8>,
}

/// Collects the cells of one image after another.
#[derive(Debug, Default)]
pub struct FolderReport {
    facts: FolderFacts,
    /// In the order of adding: the image, and its cells by class.
    images: Vec<(String, BTreeMap<String, usize>)>,
    /// By quantity and class.
    values: Vec<(String, BTreeMap<String, Vec<f64>>)>,
    /// By class, the best first.
    pictures: BTreeMap<String, Vec<Picture>>,
}

impl FolderReport {
    pub fn new(facts: FolderFacts) -> Self {
        Self { facts, ..Self::default() }
    }

    /// Adds the cells of an image, whose table may be empty.
    ///
    /// # Errors
    /// A table with half a row.
    pub fn add(&mut self, cells: &MeasuredCells) -> Result<()> {
        let names: Vec<(&str, f32)> =
            cells.labels.iter().map(String::as_str).zip(cells.scores.iter().copied()).collect();
        self.add_table(&cells.image, &names, &cells.table.unpack()?);
        Ok(())
    }

    /// As [`Self::add`]: `cells` has the class and score of each row of the table.
    pub fn add_table(&mut self, image: &str, cells: &[(&str, f32)], table: &Table) {
        let mut counts = BTreeMap::new();
        for (label, score) in cells {
            *counts.entry((*label).to_owned()).or_default() += 1;
            if score.is_finite() {
                self.value("score", label, f64::from(*score));
            }
        }
        self.images.push((image.to_owned(), counts));
        for (at, column) in table.columns().iter().enumerate() {
            let is_shown = match &column.channel {
                None => SHOWN.contains(&column.name.as_str()),
                Some(_) => column.name == SHOWN_OF_CHANNEL,
            };
            if is_shown {
                let header = column.header();
                for ((label, _), row) in cells.iter().zip(table.rows()) {
                    if let Some(value) = row.get(at).and_then(|value| value.number()) {
                        self.value(&header, label, value);
                    }
                }
            }
        }
    }

    fn value(&mut self, quantity: &str, label: &str, value: f64) {
        let at = self.values.iter().position(|(name, _)| name == quantity).unwrap_or_else(|| {
            self.values.push((quantity.to_owned(), BTreeMap::new()));
            self.values.len() - 1
        });
        if let Some((_, by_class)) = self.values.get_mut(at) {
            match by_class.get_mut(label) {
                Some(values) => values.push(value),
                None => drop(by_class.insert(label.to_owned(), vec![value])),
            }
        }
    }

    /// Notes what is missing, as a sentence.
    pub fn problem(&mut self, sentence: String) {
        self.facts.problems.push(sentence);
    }

    /// Whether a cell would be among the pictures of its class.
    pub fn wants(&self, label: &str, score: f32) -> bool {
        let of = self.pictures.get(label).map_or(&[][..], Vec::as_slice);
        of.len() < PICTURES || of.last().is_some_and(|last| last.score < score)
    }

    /// Adds a picture, unless enough of its class have a higher score.
    pub fn show(&mut self, picture: Picture) {
        let of = self.pictures.entry(picture.label.clone()).or_default();
        let at = of.partition_point(|other| other.score.total_cmp(&picture.score).is_ge());
        of.insert(at, picture);
        of.truncate(PICTURES);
    }

    /// The report as an HTML document.
    ///
    /// # Errors
    /// Those of the drawing library; a picture of another size than it says.
    pub fn html(&self) -> Result<String> {
        let mut page = String::new();
        let title = escaped(&self.facts.title);
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width,initial-scale=1\"><title>{title}</title><style>{STYLE}</style></head><body>\
             <h1>{title}</h1><table>"
        );
        for (name, value) in &self.facts.facts {
            let _ =
                write!(page, "<tr><th scope=\"row\">{}</th><td class=w>{}</td></tr>", escaped(name), escaped(value));
        }
        page.push_str("</table>");
        if !self.facts.problems.is_empty() {
            page.push_str("<h2>Missing</h2><ul>");
            for sentence in &self.facts.problems {
                let _ = write!(page, "<li>{}</li>", escaped(sentence));
            }
            page.push_str("</ul>");
        }
        self.counts(&mut page);
        self.distributions(&mut page)?;
        self.gallery(&mut page)?;
        page.push_str("</body></html>\n");
        Ok(page)
    }

    fn counts(&self, page: &mut String) {
        let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
        for (label, count) in self.images.iter().flat_map(|(_, counts)| counts) {
            *totals.entry(label).or_default() += count;
        }
        let _ = write!(page, "<h2>Cells</h2><div class=scroll><table><thead><tr><th>Image</th>");
        for label in totals.keys() {
            let _ = write!(page, "<th class=n>{}</th>", escaped(label));
        }
        let all: usize = totals.values().sum();
        let _ = write!(
            page,
            "<th class=n>all</th></tr></thead><tbody><tr><th scope=\"row\">all {} images</th>",
            self.images.len()
        );
        for count in totals.values() {
            let _ = write!(page, "<td class=n>{count}</td>");
        }
        let _ = write!(page, "<td class=n>{all}</td></tr>");
        for (image, counts) in &self.images {
            let _ = write!(page, "<tr><td class=w>{}</td>", escaped(image));
            for label in totals.keys() {
                let _ = write!(page, "<td class=n>{}</td>", counts.get(*label).unwrap_or(&0));
            }
            let _ = write!(page, "<td class=n>{}</td></tr>", counts.values().sum::<usize>());
        }
        page.push_str("</tbody></table></div>");
    }

    fn distributions(&self, page: &mut String) -> Result<()> {
        let count = |by_class: &BTreeMap<String, Vec<f64>>| by_class.values().map(Vec::len).sum::<usize>();
        // What is known in µm for every cell need not be shown in pixels.
        let in_um = |name: &str, cells: usize| {
            let other = name.replace("[px²]", "[µm²]").replace("[px]", "[µm]");
            other != name && self.values.iter().any(|(name, by_class)| *name == other && count(by_class) == cells)
        };
        let shown: Vec<_> = self.values.iter().filter(|(name, of)| !in_um(name, count(of))).collect();
        if shown.is_empty() {
            return Ok(());
        }
        page.push_str("<h2>Distributions</h2><div class=charts>");
        for (name, by_class) in shown {
            let chart = histogram::chart(name, by_class);
            figure(page, &format!("{name}: {}", histogram::medians(by_class)), &chart)?;
        }
        page.push_str("</div>");
        Ok(())
    }

    fn gallery(&self, page: &mut String) -> Result<()> {
        if self.pictures.is_empty() {
            return Ok(());
        }
        page.push_str("<h2>Cells with the highest scores</h2>");
        for (label, pictures) in &self.pictures {
            let _ = write!(page, "<h3>{}</h3><div class=cells>", escaped(label));
            for picture in pictures {
                let jpeg = BASE64_STANDARD.encode(crop_to_jpeg(&picture.rgba, picture.side)?);
                let (label, image) = (escaped(label), escaped(&picture.image));
                let score = if picture.score.is_finite() { format!("{:.2} ", picture.score) } else { String::new() };
                let _ = write!(
                    page,
                    "<figure><img width=96 height=96 alt=\"{label} in {image}\" src=\"data:image/jpeg;base64,{jpeg}\">\
                     <figcaption>{score}{image}</figcaption></figure>"
                );
            }
            page.push_str("</div>");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Column, Value};

    fn picture(label: &str, score: f32) -> Picture {
        Picture { image: "a<b".into(), label: label.into(), score, side: 8, rgba: vec![200; 8 * 8 * 4] }
    }

    #[test]
    fn the_best_of_each_class_are_shown() {
        let mut report = FolderReport::new(FolderFacts::default());
        for i in 0..PICTURES as u32 + 5 {
            let score = i as f32 / 100.0;
            assert!(report.wants("x", score));
            report.show(picture("x", score));
        }
        assert!(!report.wants("x", 0.01) && report.wants("y", 0.01));
        let scores: Vec<f32> = report.pictures["x"].iter().map(|p| p.score).collect();
        assert_eq!((scores.len(), scores[0], scores[PICTURES - 1]), (PICTURES, 0.16, 0.05));
    }

    #[test]
    fn counts_distributions_and_names() {
        let facts = vec![("Detector".to_owned(), "<x>".to_owned())];
        let mut report = FolderReport::new(FolderFacts { title: "A & B".into(), facts, problems: vec!["gone".into()] });
        let mut table = Table::new(vec![Column::new("area", Some("px²")), Column::new("area", Some("µm²"))]);
        for i in 1..=50 {
            table.push([f64::from(i), f64::from(i) * 2.0].map(Value::from).to_vec());
        }
        let cells: Vec<(&str, f32)> = (0..50).map(|i| if i % 5 == 0 { ("<b>", 0.9) } else { ("y", 0.5) }).collect();
        report.add_table("one", &cells, &table);
        report.add_table("two", &[("y", f32::NAN)], &Table::default());
        report.show(picture("<b>", 0.9));
        let page = report.html().unwrap();
        assert!(page.contains("<th class=n>&lt;b&gt;</th>") && !page.contains("<b>") && page.contains("A &amp; B"));
        assert!(
            page.contains("<th scope=\"row\">all 2 images</th><td class=n>10</td><td class=n>41</td><td class=n>51")
        );
        assert!(page.contains("area [µm²]") && !page.contains("area [px²]"), "known in µm for all");
        assert!(page.contains("data:image/jpeg;base64,/9j/") && page.contains("<li>gone</li>"));
        let median = page.split("y 5").nth(1).unwrap();
        assert!(median.starts_with('1') || median.starts_with('2'), "the median of twice 1 to 50 but each fifth");
    }
}
