//! What `formation` prints.

use std::fmt::Write as _;
use std::time::Duration;

use super::Formation;
use crate::load::statistics::Spread;
use crate::mesh::Topology;

/// What was found of one kind of server in one shape: a formation for each round, or why there was none.
pub type Rounds = Vec<Result<Formation, String>>;

/// A table with a line for each figure and a column for each server.
pub fn render(servers: &[String], shapes: &[(Topology, Vec<Rounds>)]) -> String {
    let mut text =
        format!("| shape | figure | {} |\n|---|---|{}\n", servers.join(" | "), "---|".repeat(servers.len()));
    for (shape, columns) in shapes {
        let mut line = |figure: &str, cell: &dyn Fn(&Rounds) -> String| {
            let cells: Vec<String> = columns.iter().map(cell).collect();
            let _ = writeln!(text, "| {shape:?} | {figure} | {} |", cells.join(" | "));
        };
        line("whole after", &|rounds| summary(rounds, |formation| seconds(formation.whole_after)));
        line("CPU time of all", &|rounds| summary(rounds, |formation| seconds(formation.cpu)));
        line("duplicates closed", &|rounds| summary(rounds, |formation| formation.duplicates as f64));
        line("never whole", &|rounds| rounds.iter().filter(|round| round.is_err()).count().to_string());
    }
    text
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// Median, lowest and highest.
fn summary(rounds: &Rounds, figure: impl Fn(&Formation) -> f64) -> String {
    let Some(Spread { median, low, high }) = Spread::of(rounds.iter().flatten().map(figure)) else {
        return "–".to_owned();
    };
    format!("{median:.2} ({low:.2} to {high:.2})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_rounds_that_came_to_an_end_is_shown() {
        let formation = |millis| {
            let (whole_after, cpu) = (Duration::from_millis(millis), Duration::from_secs(1));
            Ok(Formation { whole_after, duplicates: 3, cpu })
        };
        let rounds =
            vec![formation(900), Err("no".to_owned()), formation(100), formation(300), formation(500)];
        let table = render(&["onehop".to_owned()], &[(Topology::Chain, vec![rounds])]);
        assert!(table.contains("| Chain | whole after | 0.40 (0.10 to 0.90) |"), "{table}");
        assert!(table.contains("| Chain | duplicates closed | 3.00 (3.00 to 3.00) |"), "{table}");
        assert!(table.contains("| Chain | never whole | 1 |"), "{table}");
    }
}
