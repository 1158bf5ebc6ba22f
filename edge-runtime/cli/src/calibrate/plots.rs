//! The report's curves as SVG text.

use anyhow::anyhow;
use fathom_calibration::report::Curve;
use plotters::prelude::*;

/// A vertical mark: an estimate with its sigma.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) sigma: f64,
}

/// A curve with the estimate, its sigma as a band, the old value dashed, and single frames' votes as ticks on the axis.
pub(super) fn curve(axis: &str, curve: &Curve, estimate: Option<Estimate>, old: Option<f64>, votes: &[f64]) -> anyhow::Result<String> {
    let (Some(low), Some(high)) = (curve.first().map(|p| p.0), curve.last().map(|p| p.0)) else { return Ok(String::new()) };
    let top = curve.iter().map(|p| p.1).fold(f64::MIN_POSITIVE, f64::max) * 1.05;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (620, 300)).into_drawing_area();
        let failed = |e: &dyn std::fmt::Display| anyhow!("drawing the curve over {axis}: {e}");
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(38)
            .y_label_area_size(64)
            .build_cartesian_2d(low..high, 0.0..top)
            .map_err(|e| failed(&e))?;
        chart
            .configure_mesh()
            .x_desc(axis)
            .y_desc("loss")
            .light_line_style(RGBColor(238, 240, 244))
            .bold_line_style(RGBColor(222, 226, 232))
            .label_style(("sans-serif", 12, &INK))
            .x_labels(8)
            .y_labels(5)
            .draw()
            .map_err(|e| failed(&e))?;
        if let Some(Estimate { value, sigma }) = estimate {
            let band = [(value - sigma).max(low), (value + sigma).min(high)];
            chart.draw_series([Rectangle::new([(band[0], 0.0), (band[1], top)], BAND.filled())]).map_err(|e| failed(&e))?;
            chart.draw_series(LineSeries::new([(value, 0.0), (value, top)], ACCENT.stroke_width(2))).map_err(|e| failed(&e))?;
        }
        if let Some(old) = old.filter(|old| (low..=high).contains(old)) {
            chart.draw_series(DashedLineSeries::new([(old, 0.0), (old, top)], 6, 5, GREY.stroke_width(2))).map_err(|e| failed(&e))?;
        }
        let inside = votes.iter().filter(|v| (low..=high).contains(v));
        chart.draw_series(inside.map(|v| PathElement::new([(*v, 0.0), (*v, 0.06 * top)], VOTE.stroke_width(2)))).map_err(|e| failed(&e))?;
        chart.draw_series(LineSeries::new(curve.iter().copied(), INK.stroke_width(2))).map_err(|e| failed(&e))?;
        if curve.len() < 20 {
            chart.draw_series(curve.iter().map(|p| Circle::new(*p, 4, INK.filled()))).map_err(|e| failed(&e))?;
        }
        area.present().map_err(|e| failed(&e))?;
    }
    Ok(svg)
}

const INK: RGBColor = RGBColor(31, 41, 55);
const ACCENT: RGBColor = RGBColor(14, 116, 144);
const BAND: RGBColor = RGBColor(207, 236, 243);
const GREY: RGBColor = RGBColor(148, 155, 166);
const VOTE: RGBColor = RGBColor(217, 119, 6);
