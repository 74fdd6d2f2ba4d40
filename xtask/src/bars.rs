//! Bar charts as SVG.

use std::fmt::Write as _;

/// Groups of bars, all to the same scale.
pub(crate) struct Chart {
    pub(crate) title: String,
    /// Unit, machine and command, below the bars.
    pub(crate) note: String,
    pub(crate) groups: Vec<Group>,
}

/// Bars with a heading.
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) bars: Vec<Bar>,
}

/// One value.
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    /// Whether it stands out.
    pub(crate) ours: bool,
}

const WIDTH: f64 = 860.0;
const LABELS: f64 = 230.0;
const ROW: f64 = 20.0;
const MARGIN: f64 = 16.0;
/// Room for the figure behind the longest bar.
const FIGURE: f64 = 70.0;

impl Chart {
    /// The picture. Colours and text are readable on white and on black.
    pub(crate) fn svg(&self) -> String {
        let rows: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        let height = MARGIN * 3.0 + ROW * (rows as f64 + 2.0 * self.groups.len() as f64 + 2.0);
        let most = self.groups.iter().flat_map(|group| &group.bars).map(|bar| bar.value).fold(1.0, f64::max);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
             font-size=\"13\" fill=\"#808080\" role=\"img\">\n<title>{0}</title>\n\
             <text x=\"{MARGIN}\" y=\"{1}\" font-size=\"17\" font-weight=\"bold\">{0}</text>\n",
            escaped(&self.title),
            MARGIN + ROW,
        );
        let mut y = MARGIN + 2.0 * ROW;
        for group in &self.groups {
            y += ROW;
            let _ = writeln!(
                svg,
                "<text x=\"{MARGIN}\" y=\"{y}\" font-weight=\"bold\">{}</text>",
                escaped(&group.label)
            );
            y += ROW / 3.0;
            for bar in &group.bars {
                let length = bar.value / most * (WIDTH - LABELS - FIGURE - MARGIN);
                let color = if bar.ours { "#2f81f7" } else { "#8b949e" };
                let baseline = y + ROW * 0.7;
                let _ = writeln!(
                    svg,
                    "<text x=\"{}\" y=\"{baseline}\" text-anchor=\"end\">{}</text>\
                     <rect x=\"{LABELS}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" fill=\"{color}\"/>\
                     <text x=\"{:.1}\" y=\"{baseline}\">{:.0}</text>",
                    LABELS - 8.0,
                    escaped(&bar.label),
                    y + 2.0,
                    ROW - 4.0,
                    LABELS + length + 6.0,
                    bar.value,
                );
                y += ROW;
            }
        }
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{}\" font-size=\"11\">{}</text>\n</svg>",
            y + ROW,
            escaped(&self.note)
        );
        svg
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_ends_before_its_figure_and_names_are_escaped() {
        let bar = |label: &str, value| Bar { label: label.to_owned(), value, ours: true };
        let groups = vec![Group { label: "g".to_owned(), bars: vec![bar("<a>", 50.0), bar("b", 100.0)] }];
        let svg = Chart { title: "R&D".to_owned(), note: String::new(), groups }.svg();
        assert!(svg.contains("width=\"544.0\"") && svg.contains("width=\"272.0\""), "{svg}");
        assert!(svg.contains("R&amp;D") && svg.contains("&lt;a>"), "{svg}");
    }
}
