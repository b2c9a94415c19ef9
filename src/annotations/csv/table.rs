//! Rows of fields: the separator is found, and formulas are escaped.
//!
//! A spreadsheet runs a cell that starts with `=`, `+`, `-` or `@` as a formula; such a text is written behind a `'`, which
//! the reader takes off again.

use std::borrow::Cow;

use csv::{QuoteStyle, ReaderBuilder, Trim, WriterBuilder};

use crate::error::{Error, Result};

/// Rows of fields, and what stands between fields.
pub(super) struct Table<'a> {
    pub reader: csv::Reader<&'a [u8]>,
    pub separator: u8,
}

/// The separator that the first line has most often; Excel may name it in a line of its own.
pub(super) fn table(text: &str) -> Table<'_> {
    let text = text.trim_start_matches(['\r', '\n']);
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let named = first.trim().strip_prefix("sep=").and_then(|named| named.bytes().next());
    let text = if named.is_some() { rest } else { text };
    let separator = named.unwrap_or_else(|| separator_of(first.as_bytes()).0);
    let reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(separator)
        .from_reader(text.as_bytes());
    Table { reader, separator }
}

/// Of a line, and how often it stands there.
pub(in crate::annotations) fn separator_of(line: &[u8]) -> (u8, usize) {
    // What stands within quotes is part of a name.
    let bare: Vec<u8> = line.split(|b| *b == b'"').step_by(2).flatten().copied().collect();
    let count = |separator: u8| bare.iter().filter(|b| **b == separator).count();
    let mut best = (b',', count(b','));
    for separator in [b';', b'\t', b'|'] {
        let found = count(separator);
        if found > best.1 {
            best = (separator, found);
        }
    }
    best
}

/// Rows of fields as text with commas, quoted where needed: all of them where a name holds what else may stand between
/// fields, since a reader would have to guess.
pub(crate) fn write_rows<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Result<Vec<u8>> {
    let failed = |reason: String| Error::Io { path: "table".to_owned(), reason };
    let rows: Vec<_> = rows.into_iter().collect();
    let is_ambiguous = rows.iter().flatten().any(|field| field.contains([';', '\t', '|']));
    let style = if is_ambiguous { QuoteStyle::Always } else { QuoteStyle::Necessary };
    let mut writer = WriterBuilder::new().quote_style(style).from_writer(Vec::new());
    for row in rows {
        writer.write_record(&row).map_err(|e| failed(e.to_string()))?;
    }
    writer.into_inner().map_err(|e| failed(e.to_string()))
}

fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// The text so that no spreadsheet runs it.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// Undoes [`guarded`].
pub(super) fn unguarded(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(inner) if is_formula(text) => inner,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_escaped_and_labels_survive() {
        for label in ["=1+1", "+x", "-x", "@SUM(A1)", "'=1", "''x", "'", "x", "\"=1\"", "a,b"] {
            assert!(!guarded(label).starts_with(['=', '+', '-', '@']), "{label}");
            assert_eq!(unguarded(&guarded(label)), label);
        }
    }
}
