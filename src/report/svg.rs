//! What pictures are made of: their frame, images, lines and words, as SVG.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::html::escape;

pub(super) const MIDDLE: &str = r#"text-anchor="middle""#;

/// The opening tag of an SVG of this size, with `label` for screen readers; `</svg>` closes it. The background is white
/// paper. A page whose style says `.paper { fill: none }` shows its own background instead, with lines and text in the
/// page's colour.
pub(super) fn open((width, height): (f64, f64), label: &str) -> String {
    let label = escape(label);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{label}" font-family="system-ui, sans-serif" font-size="11" fill="currentColor">
<rect class="paper" width="{width}" height="{height}" fill="white"/>
"#
    )
}

pub(super) fn image(png: &[u8], (x, y): (f64, f64), (width, height): (f64, f64), style: &str) -> String {
    let data = STANDARD.encode(png);
    format!(
        r#"<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none"{style} href="data:image/png;base64,{data}"/>
"#
    )
}

pub(super) fn line((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    format!("<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"currentColor\"/>\n")
}

pub(super) fn text((x, y): (f64, f64), style: &str, words: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{}</text>\n", escape(words))
}
