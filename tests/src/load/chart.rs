//! A comparison as a drawing: for each load a bar per server.

use super::reading::Metric;
use super::run::{Comparison, Side};
use super::statistics::Spread;

/// Bars by the number of their server; further ones are drawn as the last.
const COLOURS: [&str; 5] = ["#e8590c", "#1c7ed6", "#c92a2a", "#7048e8", "#868e96"];

/// Colours that suit a page in light and in dark.
const STYLE: &str = "text{font:12px sans-serif;fill:#212529}.load{font-weight:bold}.name,.value{font-size:11px}\
    .note{font-size:11px;fill:#6c757d}.page{fill:#fff}.spread{stroke:#212529}\
    @media(prefers-color-scheme:dark){text{fill:#e9ecef}.note{fill:#adb5bd}.page{fill:#0d1117}.spread{stroke:#e9ecef}}";

const WIDTH: usize = 820;
const MARGIN: usize = 16;
const LINE_HEIGHT: usize = 17;
const GROUP_GAP: usize = 12;

/// Where the names of servers end and their bars begin.
const BARS_LEFT: usize = 300;

/// The length of the longest bar; behind it there is room for its value.
const BAR_LENGTH: f64 = 400.0;

/// What the bars of a load show, the most telling first.
const METRICS: [Metric; 3] = [Metric::CpuPerMessage, Metric::CpuPerRequest, Metric::Memory];

/// How many of the servers decide on the scale, the first ones: one that takes fifty times as much would leave nothing to
/// see of them, so its bar is cut.
const SCALED_BY: usize = 2;

/// Draws the medians as an SVG under a few lines of text.
pub fn draw(sides: &[Side], comparisons: &[Comparison], title: &str, notes: &[String]) -> String {
    let mut canvas = Canvas { body: String::new(), y: MARGIN };
    canvas.text_line("load", title);
    notes.iter().for_each(|note| canvas.text_line("note", note));
    for comparison in comparisons {
        for metric in METRICS {
            canvas.group(sides, comparison, metric);
        }
    }
    let height = canvas.y + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n{}</svg>\n",
        canvas.body
    )
}

/// What is drawn so far, and how far down.
struct Canvas {
    body: String,
    y: usize,
}

impl Canvas {
    fn text_line(&mut self, class: &str, text: &str) {
        self.text(class, MARGIN, text);
        self.y += LINE_HEIGHT;
    }

    /// The bars of one load; nothing if the first servers have no such metric there. Each group has a scale of its own.
    fn group(&mut self, sides: &[Side], comparison: &Comparison, metric: Metric) {
        let spread = |index| comparison.spread(index, metric);
        let bars: Vec<_> = (0..sides.len()).filter_map(|index| Some((index, spread(index)?))).collect();
        let scale = bars.iter().filter(|(index, _)| *index < SCALED_BY).map(|(_, spread)| spread.high);
        let longest = scale.fold(0.0, f64::max);
        if longest <= 0.0 {
            return;
        }
        self.y += GROUP_GAP;
        let top = self.y;
        self.text_line("load", comparison.load.name);
        self.text_line("note", metric.title());
        let heading_end = std::mem::replace(&mut self.y, top);
        for (index, spread) in bars {
            self.bar(index, &sides[index].name, spread, longest, &metric.format(spread.median));
        }
        self.y = self.y.max(heading_end);
    }

    fn bar(&mut self, index: usize, name: &str, spread: Spread, longest: f64, value: &str) {
        let x = |value: f64| BARS_LEFT as f64 + BAR_LENGTH * value.min(longest) / longest;
        let value = if spread.median > longest { format!("{value} (bar is cut)") } else { value.to_owned() };
        let colour = COLOURS[index.min(COLOURS.len() - 1)];
        let (top, middle) = (self.y + 2, self.y + LINE_HEIGHT / 2);
        let (length, height) = (x(spread.median) - x(0.0), LINE_HEIGHT - 4);
        self.add(format_args!(
            "<rect x=\"{BARS_LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
        ));
        let (low, high) = (x(spread.low), x(spread.high));
        self.add(format_args!("<path class=\"spread\" d=\"M{low:.1} {middle}H{high:.1}\"/>"));
        let baseline = self.baseline();
        let (end, name) = (BARS_LEFT - 8, escape(name));
        self.add(format_args!(
            "<text class=\"name\" x=\"{end}\" y=\"{baseline}\" text-anchor=\"end\">{name}</text>"
        ));
        self.text("value", x(spread.high) as usize + 6, &value);
        self.y += LINE_HEIGHT;
    }

    fn text(&mut self, class: &str, x: usize, text: &str) {
        let (baseline, text) = (self.baseline(), escape(text));
        self.add(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{baseline}\">{text}</text>"));
    }

    /// Where the letters of the line at hand stand.
    fn baseline(&self) -> usize {
        self.y + LINE_HEIGHT - 5
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        self.body.push_str(&format!("{element}\n"));
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::dialect::Dialect;
    use crate::load::node::Binary;
    use crate::load::plan::{all, choose};
    use crate::load::reading::Reading;

    fn drawn(names: &[&str], cpu: &[&[f64]]) -> String {
        let binary = Binary { dialect: Dialect::Nats, path: "x".into(), arguments: Vec::new() };
        let side = |&name: &&str| Side { name: name.to_owned(), binary: binary.clone() };
        let sides: Vec<Side> = names.iter().map(side).collect();
        let round =
            |&cpu: &f64| Ok(Reading { values: [(Metric::CpuPerMessage, cpu)].into(), ..Reading::default() });
        let rounds = cpu.iter().map(|values| values.iter().map(round).collect()).collect();
        let load = choose(all(false), &["queue-3".to_owned()]).unwrap()[0];
        draw(&sides, &[Comparison { load, rounds }], "title", &["note".to_owned()])
    }

    #[test]
    fn a_bar_is_as_long_as_its_median_and_a_line_goes_from_the_least_to_the_most() {
        let svg = drawn(&["onehop", "other"], &[&[1.0, 2.0, 3.0], &[4.0]]);
        assert!(svg.contains("width=\"200.0\"") && svg.contains("width=\"400.0\""), "{svg}");
        assert!(svg.contains("d=\"M400.0 ") && svg.contains("H600.0\""), "{svg}");
        assert!(svg.contains(">2.00</text>") && svg.contains(">4.00</text>"), "{svg}");
    }

    #[test]
    fn a_server_without_the_load_has_no_bar() {
        let bars = |svg: String| svg.matches("class=\"spread\"").count();
        assert_eq!(bars(drawn(&["onehop", "other"], &[&[1.0], &[4.0]])), 2);
        assert_eq!(bars(drawn(&["onehop", "other"], &[&[1.0], &[]])), 1);
        assert_eq!(bars(drawn(&["onehop"], &[&[]])), 0);
    }

    #[test]
    fn a_bar_that_is_much_longer_than_those_of_the_first_servers_is_cut_and_said_to_be() {
        let svg = drawn(&["onehop", "other", "slow"], &[&[1.0], &[4.0], &[100.0]]);
        assert!(svg.contains("width=\"100.0\""), "{svg}");
        assert_eq!(svg.matches("width=\"400.0\"").count(), 2, "{svg}");
        assert!(svg.contains(">100 (bar is cut)</text>"), "{svg}");
    }

    #[test]
    fn names_cannot_break_the_drawing() {
        let svg = drawn(&["a<b>&c"], &[&[1.0]]);
        assert!(svg.contains(">a&lt;b&gt;&amp;c</text>"), "{svg}");
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }
}
