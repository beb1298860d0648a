//! The table of what attacks did, and the verdict of each.

use std::cmp::Ordering;

use super::figure::Figure;
use super::run::Row;

/// How the first server came through an attack beside the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is worse, and something is better.
    Better,
    /// Nothing is worse.
    Equal,
    /// These figures are worse.
    Worse(Vec<&'static str>),
    /// It could not be attacked.
    Failed,
    /// There is nothing to compare it with.
    Alone,
}

/// The table as Markdown: one line for each figure of each attack.
pub fn render(names: &[String], rows: &[Row]) -> String {
    let mut text = format!("| attack | figure | {} | verdict |\n", names.join(" | "));
    text.push_str(&format!("|---|---|{}---|\n", "---|".repeat(names.len())));
    rows.iter().for_each(|row| text.push_str(&render_row(row)));
    text
}

/// The lines of one attack.
pub fn render_row(row: &Row) -> String {
    let figures = row.outcomes.iter().flatten().next().map_or(&[][..], Vec::as_slice);
    let mut text = format!("| **{}**: {} | |", row.attack.name, row.attack.what);
    row.outcomes.iter().for_each(|outcome| match outcome {
        Ok(_) => text.push_str(" |"),
        Err(why) => text.push_str(&format!(" {why} |")),
    });
    text.push_str(&format!(" {} |\n", verdict(row)));
    for (index, figure) in figures.iter().enumerate() {
        text.push_str(&format!("| | {} |", figure.name));
        for outcome in &row.outcomes {
            let shown = outcome.as_ref().ok().and_then(|figures| figures.get(index)).map(Figure::show);
            text.push_str(&format!(" {} |", shown.unwrap_or_default()));
        }
        text.push_str(&format!(" {} |\n", mark(row, index)));
    }
    text
}

/// The verdict on the first server of the row, beside the last one.
pub fn verdict(row: &Row) -> Verdict {
    let Some((ours, theirs)) = compared(row) else {
        return if row.outcomes[0].is_err() { Verdict::Failed } else { Verdict::Alone };
    };
    let pairs = || ours.iter().zip(theirs);
    let worse: Vec<_> =
        pairs().filter(|(ours, theirs)| ours.is_worse_than(theirs)).map(|(ours, _)| ours.name).collect();
    if !worse.is_empty() {
        return Verdict::Worse(worse);
    }
    let is_better = pairs().any(|(ours, theirs)| theirs.is_worse_than(ours));
    if is_better { Verdict::Better } else { Verdict::Equal }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Better => f.write_str("better"),
            Self::Equal => f.write_str("equal"),
            Self::Worse(figures) => write!(f, "**WORSE**: {}", figures.join(", ")),
            Self::Failed => f.write_str("**FAILED**"),
            Self::Alone => Ok(()),
        }
    }
}

/// The figures of the first and of the last server, if there are two that both were attacked.
fn compared(row: &Row) -> Option<(&[Figure], &[Figure])> {
    match &row.outcomes[..] {
        [Ok(ours), .., Ok(theirs)] => Some((ours, theirs)),
        _ => None,
    }
}

/// `+` or `-` where the first server is better or worse than the last.
fn mark(row: &Row, index: usize) -> &'static str {
    let order = compared(row).and_then(|(ours, theirs)| {
        let (ours, theirs) = (ours.get(index)?, theirs.get(index)?);
        Some(ours.is_worse_than(theirs).cmp(&theirs.is_worse_than(ours)))
    });
    match order {
        Some(Ordering::Greater) => "-",
        Some(Ordering::Less) => "+",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assault::attacks::ALL;

    fn row(ours: Vec<Figure>, theirs: Vec<Figure>) -> Row {
        Row { attack: ALL[0], outcomes: vec![Ok(ours), Ok(theirs)] }
    }

    #[test]
    fn one_figure_that_is_worse_is_the_verdict_whatever_is_better() {
        let row = row(
            vec![Figure::done("arrived", 9), Figure::broken("lost", 0)],
            vec![Figure::done("arrived", 10), Figure::broken("lost", 5)],
        );
        assert_eq!(verdict(&row), Verdict::Worse(vec!["arrived"]));
        let text = render_row(&row);
        assert!(
            text.contains("| | arrived | 9 | 10 | - |") && text.contains("| | lost | 0 | 5 | + |"),
            "{text}"
        );
    }

    #[test]
    fn what_cannot_be_compared_has_no_verdict_but_a_failure() {
        let alone = Row { attack: ALL[0], outcomes: vec![Ok(Vec::new())] };
        assert_eq!(verdict(&alone), Verdict::Alone);
        let failed = Row { attack: ALL[0], outcomes: vec![Err("gone".to_owned()), Ok(Vec::new())] };
        assert_eq!(verdict(&failed), Verdict::Failed);
        assert!(render_row(&failed).contains("| gone |"));
    }
}
