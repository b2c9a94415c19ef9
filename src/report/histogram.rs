//! Distributions of one quantity by class, as a chart of steps.

use std::collections::BTreeMap;

use crate::plot::{Chart, Series};

const BINS: usize = 30;
/// Share of the values at each end that the axis leaves to the outermost bins, so that one outlier does not squeeze the rest.
const TAIL: f64 = 0.005;
/// Decimals of a median.
const DIGITS: i32 = 3;

/// How many cells of each class are in each bin.
pub(super) fn chart(quantity: &str, by_class: &BTreeMap<String, Vec<f64>>) -> Chart {
    let mut all: Vec<f64> = by_class.values().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let (low, high) = (quantile(&all, TAIL), quantile(&all, 1.0 - TAIL));
    let (low, high) = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
    let width = (high - low) / BINS as f64;
    let steps = |values: &Vec<f64>| {
        let mut counts = [0usize; BINS];
        for value in values {
            counts[(((value - low) / width).max(0.0) as usize).min(BINS - 1)] += 1;
        }
        let edges = |(i, count): (usize, &usize)| [i, i + 1].map(|edge| (low + edge as f64 * width, *count as f64));
        [(low, 0.0)].into_iter().chain(counts.iter().enumerate().flat_map(edges)).chain([(high, 0.0)]).collect()
    };
    let series = by_class.iter().map(|(label, values)| Series { name: label.clone(), points: steps(values) }).collect();
    let (x_label, y_label) = (quantity.to_owned(), "cells".to_owned());
    Chart { x_label, y_label, y_max: None, series, width: 420, height: 240, dark: false }
}

/// The median of each class, in words.
pub(super) fn medians(by_class: &BTreeMap<String, Vec<f64>>) -> String {
    let median = |(label, values): (&String, &Vec<f64>)| {
        let mut values = values.clone();
        values.sort_by(f64::total_cmp);
        format!("{label} {}", short(quantile(&values, 0.5)))
    };
    format!("median of {}", by_class.iter().map(median).collect::<Vec<_>>().join(", "))
}

/// Linear between the values, which are sorted; 0 for none.
fn quantile(values: &[f64], share: f64) -> f64 {
    let at = share * values.len().saturating_sub(1) as f64;
    let value = |i: usize| values.get(i).or(values.last()).copied().unwrap_or(0.0);
    value(at as usize) + (value(at as usize + 1) - value(at as usize)) * at.fract()
}

/// With as many decimals as three digits need.
fn short(value: f64) -> String {
    let decimals = if value == 0.0 { 0 } else { (DIGITS - 1 - value.abs().log10().floor() as i32).clamp(0, 6) };
    format!("{value:.*}", decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_one_bin() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i * i % 997)).chain([1e9]).collect();
        let by_class = BTreeMap::from([("a".to_owned(), values), ("b".to_owned(), vec![3.0])]);
        let chart = chart("area", &by_class);
        // Each bin has two ends.
        let counted = |i: usize| chart.series[i].points.iter().map(|p| p.1).sum::<f64>() / 2.0;
        assert_eq!((counted(0), counted(1)), (1001.0, 1.0));
        assert!(chart.series[0].points.iter().all(|p| p.0 < 1000.0), "an outlier does not stretch the axis");
    }

    #[test]
    fn values_that_are_all_the_same_have_a_chart() {
        let by_class = BTreeMap::from([("a".to_owned(), vec![7.0; 5])]);
        assert!(chart("x", &by_class).series[0].points.iter().any(|p| p.1 == 5.0));
        assert_eq!(medians(&by_class), "median of a 7.00");
    }

    #[test]
    fn numbers_are_as_long_as_they_need_be() {
        assert_eq!([0.0, 0.01234, 12.345, 1234.5].map(short), ["0", "0.0123", "12.3", "1234"]);
    }
}
