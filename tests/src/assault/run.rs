//! Attacks on servers, one at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::attacks::Attack;
use super::figure::Figure;
use super::victim::Arena;
use crate::load::statistics::Spread;

/// What one attack did to one server, or why it could not be made.
pub type Outcome = Result<Vec<Figure>, String>;

/// One attack on all servers.
#[derive(Debug)]
pub struct Row {
    /// The attack.
    pub attack: Attack,
    /// What it did, in the order of the servers.
    pub outcomes: Vec<Outcome>,
}

/// Makes the attack `rounds` times on each of the servers in turn, and takes the median of each figure.
pub fn run(attack: Attack, arenas: &[Arena], rounds: usize) -> Row {
    let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); arenas.len()];
    for _ in 0..rounds {
        for (arena, outcomes) in arenas.iter().zip(&mut outcomes) {
            outcomes.push(once(attack, arena));
        }
    }
    Row { attack, outcomes: outcomes.into_iter().map(medians).collect() }
}

/// Makes the attack once. The harness panics where a server does not do what every server does.
pub fn once(attack: Attack, arena: &Arena) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| (attack.run)(arena))) {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err("panicked; see above".to_owned()),
    }
}

/// The median of each figure over the rounds; one round that failed makes all of them a failure.
fn medians(rounds: Vec<Outcome>) -> Outcome {
    let rounds = rounds.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut figures = rounds.first().cloned().unwrap_or_default();
    for (index, figure) in figures.iter_mut().enumerate() {
        let values = rounds.iter().filter_map(|round| round.get(index)).map(|figure| figure.value);
        figure.value = Spread::of(values).map_or(figure.value, |spread| spread.median);
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_the_median_of_its_rounds() {
        let rounds = [3, 1, 2].map(|count| Ok(vec![Figure::done("a", count), Figure::done("b", 7)]));
        assert_eq!(medians(rounds.into()), Ok(vec![Figure::done("a", 2), Figure::done("b", 7)]));
    }

    #[test]
    fn a_round_that_failed_is_not_hidden_by_the_others() {
        assert_eq!(medians(vec![Ok(Vec::new()), Err("no".to_owned())]), Err("no".to_owned()));
    }
}
