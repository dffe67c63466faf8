//! The comparison as horizontal bars, with a line from the smallest to the largest run.
//!
//! Deliberately absent: a plotting crate. It is rectangles and text.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::machine;
use crate::report::{Row, short};

const WIDTH: f64 = 760.0;
const LABEL: f64 = 190.0;
const BAR: f64 = 430.0;
const HEIGHT: f64 = 22.0;
const STEP: f64 = 30.0;
const TOP: f64 = 56.0;

/// Draws the rows that have values.
pub(crate) fn draw(rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().filter(|row| !row.samples.is_empty()).collect();
    let longest = rows.iter().map(|row| row.range().1).fold(f64::MIN_POSITIVE, f64::max);
    let height = TOP + rows.len() as f64 * STEP + 12.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    if let Some(row) = rows.first() {
        let title = format!("{} {}, {}", row.work_name(), row.pattern.name(), row.transport.name());
        let _ = writeln!(
            text,
            "<text x=\"12\" y=\"22\" font-size=\"16\">{title} ({})</text>",
            row.unit()
        );
    }
    let command = escape(&machine::command());
    let _ = writeln!(
        text,
        "<text x=\"12\" y=\"42\" font-size=\"11\" fill=\"#666\" \
         font-family=\"monospace\">{command}</text>"
    );
    for (index, row) in rows.iter().enumerate() {
        draw_row(&mut text, row, longest, TOP + index as f64 * STEP);
    }
    text.push_str("</svg>\n");
    text
}

fn draw_row(text: &mut String, row: &Row, longest: f64, top: f64) {
    let scaled = |value: f64| value / longest * BAR;
    let (min, max) = row.range();
    let color = if row.who.name().starts_with("zring") { "#c4572b" } else { "#7a8a99" };
    let (middle, base) = (top + HEIGHT / 2.0, top + HEIGHT * 0.72);
    let subscribers =
        if row.subscribers > 1 { format!(" ×{}", row.subscribers) } else { String::new() };
    let _ = writeln!(
        text,
        "<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{} {} B{subscribers}</text>\n\
         <rect x=\"{LABEL}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{HEIGHT}\" \
         fill=\"{color}\"/>\n\
         <line x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\" stroke=\"black\"/>\n\
         <text x=\"{:.1}\" y=\"{base:.1}\">{}</text>",
        LABEL - 8.0,
        row.who.name(),
        row.size,
        scaled(row.value()),
        LABEL + scaled(min),
        LABEL + scaled(max),
        LABEL + scaled(max) + 8.0,
        short(row.value()),
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
