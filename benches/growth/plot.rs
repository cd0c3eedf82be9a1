//! Points as a picture (SVG), and how near to a straight line they lie.

use std::fmt::Write;

/// One plot: what grows to the right, and what with it.
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) across: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// The straight line through points that misses them least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) base: f64,
    pub(crate) slope: f64,
    /// The part of the differences that the line explains; 1 when the points lie on it.
    pub(crate) explained: f64,
}

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 38.0;
const TOP: f64 = 28.0;
const RIGHT: f64 = 12.0;
/// Readable on white and on black.
const GREY: &str = "#6e7781";
const BLUE: &str = "#3b82f6";

impl Line {
    pub(crate) fn through(points: &[(f64, f64)]) -> Self {
        let count = points.iter().map(|_| 1.0).sum::<f64>().max(1.0);
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let spread = points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>();
        let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread.max(f64::EPSILON);
        let base = y - slope * x;
        let left = points.iter().map(|point| (point.1 - base - slope * point.0).powi(2)).sum::<f64>();
        let all = points.iter().map(|point| (point.1 - y).powi(2)).sum::<f64>();
        Self { base, slope, explained: 1.0 - left / all.max(f64::EPSILON) }
    }
}

/// How the later half of the points grows beside the earlier half: 1 for a straight line, above it when it bends up.
pub(crate) fn bend(points: &[(f64, f64)]) -> Option<f64> {
    let (first, middle, last) = (points.first()?, points.get(points.len() / 2)?, points.last()?);
    let slope = |from: &(f64, f64), to: &(f64, f64)| (to.1 - from.1) / (to.0 - from.0);
    Some(slope(middle, last) / slope(first, middle))
}

/// The plots in rows of `columns`.
pub(crate) fn svg(plots: &[Plot], columns: usize) -> String {
    let rows = plots.len().div_ceil(columns);
    let size = |count: usize, one: f64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) * one;
    let (width, height) = (size(columns, WIDTH), size(rows, HEIGHT));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
        font-family=\"sans-serif\" font-size=\"11\" role=\"img\" aria-label=\"Time and memory against what grows\">\n"
    );
    for (index, plot) in plots.iter().enumerate() {
        let (x, y) = (size(index % columns, WIDTH), size(index / columns, HEIGHT));
        let _infallible = write!(out, "<g transform=\"translate({x} {y})\">\n{}</g>\n", panel(plot));
    }
    out.push_str("</svg>\n");
    out
}

fn panel(plot: &Plot) -> String {
    let most = |of: fn(&(f64, f64)) -> f64| plot.points.iter().map(of).fold(0.0, f64::max);
    let (right, top) = (round_up(most(|point| point.0)), round_up(most(|point| point.1)));
    let across = |x: f64| LEFT + x / right * (WIDTH - LEFT - RIGHT);
    let up = |y: f64| HEIGHT - BOTTOM - y / top * (HEIGHT - BOTTOM - TOP);
    let mut out = String::new();
    let mut text = |x: f64, y: f64, anchor: &str, words: &str| {
        let _infallible =
            writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{GREY}\">{words}</text>");
    };
    text(LEFT, 16.0, "start", plot.title);
    text(WIDTH - RIGHT, HEIGHT - 6.0, "end", plot.across);
    for part in [0.0, 0.5, 1.0] {
        text(LEFT - 5.0, up(top * part) + 4.0, "end", &number(top * part));
        text(across(right * part), HEIGHT - BOTTOM + 14.0, "middle", &number(right * part));
    }
    for part in [0.0, 0.5, 1.0] {
        let (y, end) = (up(top * part), WIDTH - RIGHT);
        let _infallible = writeln!(
            out,
            "<path d=\"M{LEFT} {y:.1}H{end}\" stroke=\"{GREY}\" stroke-opacity=\"{}\"/>",
            if part == 0.0 { 1.0 } else { 0.25 }
        );
    }
    let Line { base, slope, .. } = Line::through(&plot.points);
    let _infallible = writeln!(
        out,
        "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{GREY}\" stroke-dasharray=\"4 3\"/>",
        across(0.0),
        up(base.clamp(0.0, top)),
        across(right),
        up((base + slope * right).clamp(0.0, top))
    );
    for (x, y) in &plot.points {
        let _infallible =
            writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{BLUE}\"/>", across(*x), up(*y));
    }
    out
}

/// The next of 1, 2, 2.5, 5 and 10 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10.0_f64.powf(value.max(f64::MIN_POSITIVE).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

fn number(value: f64) -> String {
    match value {
        thousands if thousands >= 10_000.0 => format!("{}k", thousands / 1_000.0),
        value => format!("{}", (value * 1_000.0).round() / 1_000.0),
    }
}
