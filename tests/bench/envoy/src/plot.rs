//! The plots, as SVG.

use std::{
    collections::BTreeMap,
    fmt::Display,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    plan::{Group, thousands},
    report::median,
    run::{Percentiles, Results},
    subject::Variant,
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws what there are figures for, and returns the files with what each shows.
///
/// # Errors
/// If a file cannot be written.
pub fn all(results: &Results, folder: &Path) -> Result<Vec<(PathBuf, &'static str)>> {
    std::fs::create_dir_all(folder)?;
    let mut files = Vec::new();
    let mut drawn = |name: &str, what, done: bool| {
        files.extend(done.then(|| (folder.join(name), what)));
    };
    let at = |name: &str| folder.join(name);
    let done =
        bars(results, Group::Peers, "CPU time a request, beside other programs", &at(PEERS))?;
    drawn(PEERS, "CPU time a request: bare Envoy, the gate, the Collector and Rotel", done);
    let done = bars(results, Group::Gates, "CPU time a request, part by part", &at(GATES))?;
    drawn(GATES, "CPU time a request: what each part of the gate costs", done);
    let done = records(results, &at(RECORDS))?;
    drawn(RECORDS, "CPU time a request against the records in it", done);
    let done = latency(results, &at(LATENCY))?;
    drawn(LATENCY, "latency against load", done);
    Ok(files)
}

const PEERS: &str = "peers.svg";
const GATES: &str = "gates.svg";
const RECORDS: &str = "records.svg";
const LATENCY: &str = "latency.svg";

const WIDTH: i32 = 860;
const BAR: i32 = 17;
const LEFT: i32 = 150;
const TEXT: i32 = 13;

fn colour(variant: Variant) -> RGBColor {
    match variant {
        Variant::Bare => RGBColor(150, 150, 150),
        Variant::NoLog => RGBColor(185, 185, 185),
        Variant::Buffer => RGBColor(110, 110, 110),
        Variant::Gate => RGBColor(0, 114, 178),
        Variant::NoLua => RGBColor(86, 180, 233),
        Variant::NotHeld => RGBColor(60, 150, 200),
        Variant::TenantAlone => RGBColor(140, 200, 230),
        Variant::SendersOff => RGBColor(110, 170, 210),
        Variant::RecordsOff => RGBColor(120, 190, 220),
        Variant::Collector => RGBColor(213, 94, 0),
        Variant::Rotel => RGBColor(230, 159, 0),
    }
}

/// Bars in groups, one for each row, with its figure beside each.
fn bars(results: &Results, group: Group, title: &str, file: &Path) -> Result<bool> {
    let rows: Vec<_> = results.rows.iter().filter(|row| row.row.group == group).collect();
    let most =
        rows.iter().flat_map(|row| &row.cells).map(|cell| median(&cell.us)).fold(0.0, f64::max);
    if most <= 0.0 {
        return Ok(false);
    }
    let bars: usize = rows.iter().map(|row| row.cells.len()).sum();
    let height = 50 + i32::try_from(bars)? * BAR + i32::try_from(rows.len())? * 34;
    let root = area(file, height)?;
    write(&root, title, (20, 14), 18, HPos::Left)?;
    let scale = f64::from(WIDTH - LEFT - 110) / most;
    let mut y = 50;
    for row in rows {
        let name = row.row.name.trim_end_matches(", beside others");
        write(&root, name, (20, y), TEXT + 1, HPos::Left)?;
        y += 20;
        for (setup, cell) in row.row.setups.iter().zip(&row.cells) {
            let us = median(&cell.us);
            write(&root, setup.variant.name(), (LEFT - 8, y + 1), TEXT, HPos::Right)?;
            #[expect(clippy::cast_possible_truncation, reason = "a part of the width")]
            let end = LEFT + (us * scale) as i32;
            let shape = [(LEFT, y), (end.max(LEFT + 1), y + BAR - 4)];
            root.draw(&Rectangle::new(shape, colour(setup.variant).filled())).map_err(failed)?;
            let figure = format!("{} us", thousands(us.round() as usize));
            write(&root, &figure, (end + 6, y + 1), TEXT, HPos::Left)?;
            y += BAR;
        }
        y += 14;
    }
    root.present().map_err(failed)?;
    Ok(true)
}

fn area(file: &Path, height: i32) -> Result<Area<'_>> {
    let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    Ok(root)
}

fn write(root: &Area<'_>, text: &str, at: (i32, i32), size: i32, side: HPos) -> Result<()> {
    let style = ("sans-serif", size).into_text_style(root).pos(Pos::new(side, VPos::Top));
    root.draw_text(text, &style, at).map_err(failed)
}

/// Draws a line with its points and its name. The chart's coordinates have no name that a function could take.
macro_rules! draw_line {
    ($chart:ident, $name:ident, $colour:ident, $points:ident) => {{
        let points = $points.iter().map(|&at| Circle::new(at, 3, $colour.filled()));
        $chart.draw_series(points).map_err(failed)?;
        $chart
            .draw_series(LineSeries::new($points.clone(), $colour.stroke_width(2)))
            .map_err(failed)?
            .label($name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 14, y + 4)], $colour.filled()));
    }};
}

/// Draws the names of the lines.
macro_rules! legend {
    ($chart:ident) => {
        $chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(RGBColor(200, 200, 200))
            .draw()
            .map_err(failed)?
    };
}

type Lines = Vec<(String, RGBColor, Vec<(f64, f64)>)>;

fn records(results: &Results, file: &Path) -> Result<bool> {
    let mut lines = BTreeMap::<(Variant, bool), Vec<(f64, f64)>>::new();
    for row in &results.rows {
        let gzip = match row.row.group {
            Group::Records => false,
            Group::RecordsGzip => true,
            _ => continue,
        };
        for (setup, cell) in row.row.setups.iter().zip(&row.cells) {
            let points = lines.entry((setup.variant, gzip)).or_default();
            points.push((row.row.size as f64, median(&cell.us)));
        }
    }
    let lines: Lines = lines
        .into_iter()
        .map(|((variant, gzip), points)| {
            let name = format!("{}{}", variant.name(), if gzip { ", gzip" } else { "" });
            let RGBColor(red, green, blue) = colour(variant);
            let darker = |part: u8| if gzip { part / 2 } else { part };
            (name, RGBColor(darker(red), darker(green), darker(blue)), points)
        })
        .collect();
    let (Some(across), Some(up)) = (span(&lines, |point| point.0), span(&lines, |point| point.1))
    else {
        return Ok(false);
    };
    let root = area(file, 460)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("CPU time a request against its log records", ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(
            (across.0 * 0.9..across.1 * 1.1).log_scale(),
            (up.0 * 0.8..up.1 * 1.3).log_scale(),
        )
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("log records a request")
        .y_desc("us of CPU a request")
        .x_label_formatter(&|records| thousands(records.round() as usize))
        .y_label_formatter(&|us| thousands(us.round() as usize))
        .light_line_style(WHITE)
        .draw()
        .map_err(failed)?;
    for (name, colour, points) in lines {
        draw_line!(chart, name, colour, points);
    }
    legend!(chart);
    root.present().map_err(failed)?;
    Ok(true)
}

fn latency(results: &Results, file: &Path) -> Result<bool> {
    let curve: Vec<_> = results.latencies.iter().filter(|latency| latency.row.curve).collect();
    if curve.is_empty() {
        return Ok(false);
    }
    let milliseconds = |all: &[Duration]| {
        median(&all.iter().map(|one| one.as_secs_f64() * 1e3).collect::<Vec<_>>())
    };
    let line = |name: &str,
                colour,
                of: fn(&crate::run::Latency) -> &Percentiles,
                which: fn(&Percentiles) -> &[Duration]| {
        let point = |latency: &&crate::run::Latency| {
            (latency.row.load * 100.0, milliseconds(which(of(latency))))
        };
        (name.to_owned(), colour, curve.iter().map(point).collect::<Vec<_>>())
    };
    let lighter = |RGBColor(red, green, blue): RGBColor| {
        let part = |of: u8| u8::MAX - (u8::MAX - of) / 2;
        RGBColor(part(red), part(green), part(blue))
    };
    let (bare, gate) = (colour(Variant::Bare), colour(Variant::Gate));
    let lines: Lines = vec![
        line("bare Envoy, p50", lighter(bare), |of| &of.bare, |of| &of.p50),
        line("bare Envoy, p99", bare, |of| &of.bare, |of| &of.p99),
        line("gate, p50", lighter(gate), |of| &of.gate, |of| &of.p50),
        line("gate, p99", gate, |of| &of.gate, |of| &of.p99),
    ];
    let Some((least, most)) = span(&lines, |point| point.1) else { return Ok(false) };
    let root = area(file, 420)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Latency against load: 1,000 log records a request", ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..100.0, (least * 0.8..most * 1.3).log_scale())
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_label_formatter(&|percent| format!("{percent:.0}"))
        .x_desc("load, in % of what the gate can take on one core")
        .y_desc("milliseconds")
        .y_label_formatter(&|value| {
            if *value < 1.0 { format!("{value:.1}") } else { thousands(value.round() as usize) }
        })
        .light_line_style(WHITE)
        .draw()
        .map_err(failed)?;
    for (name, colour, points) in lines {
        draw_line!(chart, name, colour, points);
    }
    legend!(chart);
    root.present().map_err(failed)?;
    Ok(true)
}

/// The least and the most.
fn span(lines: &Lines, of: fn(&(f64, f64)) -> f64) -> Option<(f64, f64)> {
    let all =
        || lines.iter().flat_map(|(_, _, points)| points).map(of).filter(|value| *value > 0.0);
    Some((all().reduce(f64::min)?, all().reduce(f64::max)?))
}

fn failed(error: impl Display) -> anyhow::Error {
    anyhow!("a plot cannot be drawn: {error}")
}
