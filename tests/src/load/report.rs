//! Tables of a comparison, and the verdict.

use super::dialect::Dialect;
use super::plan::{CHECKED, Kind};
use super::reading::Metric;
use super::run::{Comparison, Side};
use super::statistics::Spread;

/// What stands where nothing was measured.
const NOTHING: &str = "–";

/// All tables, and below them why rounds failed.
pub fn render(sides: &[Side], comparisons: &[Comparison], markdown: bool) -> String {
    let sections: [(&str, &[Metric]); 5] = [
        ("Messages", &[Metric::CpuPerMessage, Metric::MessagesPerSecond]),
        ("Requests, one at a time", &[Metric::CpuPerRequest, Metric::LatencyP50, Metric::LatencyP99]),
        ("Memory", &[Metric::Memory]),
        ("Bytes between servers", &[Metric::RouteBytes]),
        ("Many accounts", &[Metric::StartUp, Metric::Memory]),
    ];
    let mut text = String::new();
    let rivals = &sides[..rivals(sides)];
    for (index, (title, metrics)) in sections.into_iter().enumerate() {
        let members: Vec<_> =
            comparisons.iter().filter(|comparison| section(comparison.load.kind) == index).collect();
        if !members.is_empty() {
            text.push_str(&titled(title, &table(rivals, &members, metrics), markdown));
        }
    }
    for metric in [Metric::CpuPerMessage, Metric::MessagesPerSecond, Metric::Memory] {
        let table = wide_table(sides, comparisons, metric);
        if table.len() > 1 {
            let title = format!("Beside other servers: {}", metric.title());
            text.push_str(&titled(&title, &table, markdown));
        }
    }
    for failure in failures(sides, comparisons) {
        text.push_str(&format!("{failure}\n"));
    }
    text
}

/// How many of the servers, the first ones, are set against each other on all loads.
fn rivals(sides: &[Side]) -> usize {
    sides.iter().take_while(|side| side.binary.dialect == Dialect::Nats).count()
}

fn titled(title: &str, table: &[Vec<String>], markdown: bool) -> String {
    format!("{}{title}\n\n{}\n", if markdown { "### " } else { "" }, layout(table, markdown))
}

/// Everything that makes the comparison a failure of the first server; empty if it passes.
///
/// `check` is the highest allowed ratio of CPU time per message on the loads of [`CHECKED`] that ran.
pub fn problems(comparisons: &[Comparison], check: Option<f64>) -> Vec<String> {
    let mut problems = Vec::new();
    for comparison in comparisons {
        let name = comparison.load.name;
        if comparison.faults(0).any() {
            problems.push(format!("{name}: messages went wrong: {}", comparison.faults(0)));
        }
        problems.extend(comparison.failures(0).map(|failure| format!("{name}: a round failed: {failure}")));
    }
    if let Some(limit) = check {
        problems.extend(missed(comparisons, limit));
    }
    problems
}

/// The checked loads whose ratio is above `limit` or unknown; that none ran is a miss too.
fn missed(comparisons: &[Comparison], limit: f64) -> Vec<String> {
    let checked = |comparison: &&Comparison| CHECKED.contains(&comparison.load.name);
    if !comparisons.iter().any(|comparison| checked(&comparison)) {
        return vec![format!("none of the checked loads ran: {}", CHECKED.join(", "))];
    }
    let miss = |comparison: &Comparison| match comparison.ratio(Metric::CpuPerMessage) {
        Some(ratio) if ratio.median <= limit => None,
        Some(ratio) => {
            Some(format!("{}: CPU ratio {:.3} is above {limit}", comparison.load.name, ratio.median))
        }
        None => Some(format!("{}: there is no CPU ratio to check", comparison.load.name)),
    };
    comparisons.iter().filter(checked).filter_map(miss).collect()
}

fn section(kind: Kind) -> usize {
    match kind {
        Kind::Traffic(_) => 0,
        Kind::Requests => 1,
        Kind::MemoryAtStart
        | Kind::MemoryPerConnection(_)
        | Kind::MemoryPerTlsConnection(_)
        | Kind::MemoryPerSubscription(_) => 2,
        Kind::RouteBytes(_) => 3,
        Kind::Accounts(_) => 4,
    }
}

/// A header and one row per load: for each metric both servers and their ratio, then what went wrong.
fn table(sides: &[Side], comparisons: &[&Comparison], metrics: &[Metric]) -> Vec<Vec<String>> {
    let names: Vec<&str> = sides.iter().map(|side| side.name.as_str()).collect();
    let counts_messages = !metrics.contains(&Metric::Memory);
    let mut header = vec!["load".to_owned()];
    for metric in metrics {
        header.extend(names.iter().map(|name| format!("{} {name}", metric.title())));
        header.extend((sides.len() == 2).then(|| "ratio".to_owned()));
    }
    if counts_messages {
        header.extend(names.iter().map(|name| format!("lost {name}")));
    }
    let row = |comparison: &&Comparison| {
        let mut row = vec![comparison.load.name.to_owned()];
        for &metric in metrics {
            row.extend(
                (0..sides.len())
                    .map(|side| cell(comparison.spread(side, metric), |value| metric.format(value))),
            );
            row.extend(
                (sides.len() == 2).then(|| cell(comparison.ratio(metric), |value| format!("{value:.2}"))),
            );
        }
        if counts_messages {
            row.extend((0..sides.len()).map(|side| faults_cell(comparison, side)));
        }
        row
    };
    [vec![header], comparisons.iter().map(row).collect()].concat()
}

/// A header and one row per load that other servers than the rivals ran: the metric of every server.
fn wide_table(sides: &[Side], comparisons: &[Comparison], metric: Metric) -> Vec<Vec<String>> {
    let mut table = vec![vec!["load".to_owned()]];
    table[0].extend(sides.iter().map(|side| side.name.clone()));
    let others = rivals(sides)..sides.len();
    for comparison in comparisons {
        if others.clone().any(|side| comparison.spread(side, metric).is_some()) {
            let cells = (0..sides.len())
                .map(|side| cell(comparison.spread(side, metric), |value| metric.format(value)));
            table.push([comparison.load.name.to_owned()].into_iter().chain(cells).collect());
        }
    }
    table
}

/// `median (low–high)`, or the median alone when there is nothing around it to show.
fn cell(spread: Option<Spread>, format: impl Fn(f64) -> String) -> String {
    let Some(spread) = spread else { return NOTHING.to_owned() };
    let (median, low, high) = (format(spread.median), format(spread.low), format(spread.high));
    if low == high { median } else { format!("{median} ({low}–{high})") }
}

/// What went wrong in the rounds that ended, and how many did not.
fn faults_cell(comparison: &Comparison, side: usize) -> String {
    match comparison.failures(side).count() {
        0 => comparison.faults(side).to_string(),
        failed => format!("{}, {failed} rounds failed", comparison.faults(side)),
    }
}

/// Columns of equal width; the first row is the header.
fn layout(rows: &[Vec<String>], markdown: bool) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        text.push_str(&line(row, &widths, markdown));
        if index == 0 {
            text.push_str(&line(&rule, &widths, markdown));
        }
    }
    text
}

fn line(cells: &[String], widths: &[usize], markdown: bool) -> String {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
    if markdown {
        format!("| {} |\n", padded.join(" | "))
    } else {
        format!("{}\n", padded.join("  ").trim_end())
    }
}

/// Why rounds failed, and what went wrong where no table has a column for it.
fn failures(sides: &[Side], comparisons: &[Comparison]) -> Vec<String> {
    let mut lines = Vec::new();
    for comparison in comparisons {
        for (index, side) in sides.iter().enumerate() {
            let failures = comparison.failures(index);
            lines.extend(
                failures
                    .map(|failure| format!("{} on {} failed: {failure}", comparison.load.name, side.name)),
            );
            if index >= rivals(sides) && comparison.faults(index).any() {
                lines.push(format!(
                    "{} on {}: {}",
                    comparison.load.name,
                    side.name,
                    comparison.faults(index)
                ));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::node::Binary;
    use crate::load::plan::{all, choose};
    use crate::load::reading::{Faults, Reading};
    use crate::load::run::Round;

    fn sides() -> Vec<Side> {
        let binary = Binary { dialect: Dialect::Nats, path: "x".into(), arguments: Vec::new() };
        ["onehop", "nats-server"].map(|name| Side { name: name.to_owned(), binary: binary.clone() }).into()
    }

    fn comparison(load: &str, rounds: Vec<Vec<Round>>) -> Comparison {
        Comparison { load: choose(all(false), &[load.to_owned()]).unwrap()[0], rounds }
    }

    fn round(cpu: f64, lost: u64) -> Round {
        let faults = Faults { lost, ..Faults::default() };
        Ok(Reading { values: [(Metric::CpuPerMessage, cpu)].into(), faults, generator_micros: 0.0 })
    }

    #[test]
    fn markdown_has_a_row_per_load_with_medians_and_extremes() {
        let rounds = vec![vec![round(0.1, 0), round(0.2, 0), round(0.3, 0)], vec![round(1.0, 0); 3]];
        let text = render(&sides(), &[comparison("one-to-one-16", rounds)], true);
        assert!(text.contains("| CPU µs/message onehop"), "{text}");
        assert!(text.contains("| one-to-one-16 | 0.200 (0.100–0.300)"), "{text}");
        assert!(text.contains("| 0.20 (0.10–0.30) |"), "{text}");
        assert!(text.lines().filter(|line| line.starts_with('|')).all(|line| line.ends_with('|')));
    }

    #[test]
    fn other_servers_have_tables_of_their_own_and_no_part_in_the_ratio() {
        let mut sides = sides();
        let binary = Binary { dialect: Dialect::Resp, ..sides[0].binary.clone() };
        sides.push(Side { name: "redis-server".to_owned(), binary });
        let comparisons = [
            comparison("one-to-one-16", vec![vec![round(0.1, 0)], vec![round(0.5, 0)], vec![round(0.7, 3)]]),
            comparison("queue-3", vec![vec![round(0.2, 0)], vec![round(0.8, 0)], Vec::new()]),
        ];
        let text = render(&sides, &comparisons, true);
        let (first, other) = text.split_once("### Beside other servers: CPU µs/message").unwrap();
        assert!(first.contains("0.20") && !first.contains("redis-server"), "{text}");
        assert!(other.contains("| one-to-one-16 | 0.100  | 0.500       | 0.700        |"), "{text}");
        assert!(!other.contains("queue-3"), "{text}");
        assert!(text.ends_with("one-to-one-16 on redis-server: 3 lost\n"), "{text}");
        assert!(problems(&comparisons, None).is_empty());
    }

    #[test]
    fn a_lost_message_or_a_failed_round_of_the_first_server_is_a_problem() {
        let fine = || vec![round(0.1, 0)];
        assert!(problems(&[comparison("queue-3", vec![fine(), fine()])], None).is_empty());
        assert_eq!(problems(&[comparison("queue-3", vec![vec![round(0.1, 1)], fine()])], None).len(), 1);
        assert_eq!(
            problems(&[comparison("queue-3", vec![vec![Err("x".to_owned())], fine()])], None).len(),
            1
        );
        assert!(problems(&[comparison("queue-3", vec![fine(), vec![round(0.1, 1)]])], None).is_empty());
    }

    #[test]
    fn the_check_looks_at_the_median_ratio_of_the_checked_loads_only() {
        let rounds = |ours: f64| vec![vec![round(ours, 0)], vec![round(1.0, 0)]];
        assert!(problems(&[comparison("route-16", rounds(0.25))], Some(0.25)).is_empty());
        let comparisons = [comparison("route-16", rounds(0.3)), comparison("queue-3", rounds(0.9))];
        let found = problems(&comparisons, Some(0.25));
        assert_eq!(found, ["route-16: CPU ratio 0.300 is above 0.25"]);
    }

    #[test]
    fn a_check_without_a_ratio_or_a_checked_load_does_not_pass() {
        assert_eq!(problems(&[comparison("route-16", vec![vec![round(0.1, 0)]])], Some(0.25)).len(), 1);
        assert_eq!(problems(&[comparison("queue-3", vec![vec![round(0.1, 0)]])], Some(0.25)).len(), 1);
    }
}
