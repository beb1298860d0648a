//! Who answers for the program around the node.

use std::fmt;
use std::sync::Arc;

use log::error;

use super::contain;
use crate::config::{Authorization, Config};
use crate::connection::{Credentials, EffectAnswer, Verdict};

/// Says which clients may come in, where [`Authorization::External`] leaves that to the program around the node. All
/// connections of a runtime share it.
#[derive(Clone)]
pub struct Authenticator(Arc<dyn Fn(&Credentials) -> Verdict + Send + Sync>);

impl Authenticator {
    /// Asks `judge` for each CONNECT that names credentials. It may take its time: no other connection waits for it, and the
    /// client no longer than [`Config::auth_timeout`](crate::config::Config::auth_timeout).
    pub fn new(judge: impl Fn(&Credentials) -> Verdict + Send + Sync + 'static) -> Self {
        Self(Arc::new(judge))
    }

    /// Answers an [`Effect::Authenticate`](crate::connection::Effect::Authenticate): for runtimes, on a thread that no other
    /// connection needs. If the judge panics, the client is refused, and nobody else is concerned.
    pub fn answer(&self, credentials: &Credentials) -> EffectAnswer {
        let verdict = contain(|| (self.0)(credentials)).unwrap_or_else(|fault| {
            error!("internal error while a client was judged, which is refused: {fault}");
            Verdict::Refused
        });
        EffectAnswer::Authentication(verdict)
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}

/// A configuration that leaves it to somebody else who may come in, where there is nobody else: no client ever could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NobodyJudges;

impl fmt::Display for NobodyJudges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("authorization is external, and there is no authenticator to be asked")
    }
}

impl std::error::Error for NobodyJudges {}

/// Whether somebody can be asked for all that connections ask for under this configuration. For runtimes, before they start;
/// what it depends on cannot change later.
///
/// # Errors
/// Nobody would answer.
pub fn check_authenticator(config: &Config, given: Option<&Authenticator>) -> Result<(), NobodyJudges> {
    let is_needed = config.authorization == Authorization::External;
    if is_needed && given.is_none() { Err(NobodyJudges) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(user: &str) -> EffectAnswer {
        let authenticator = Authenticator::new(|credentials| match credentials.user.as_str() {
            "joe" => Verdict::Accepted { account: "$G".to_owned() },
            "cause" => panic!("a fault of the judge"),
            _ => Verdict::Refused,
        });
        let (password, token) = Default::default();
        authenticator.answer(&Credentials { user: user.to_owned(), password, token })
    }

    #[test]
    fn the_judge_is_asked_and_refuses_by_a_panic_too() {
        let accepted = Verdict::Accepted { account: "$G".to_owned() };
        assert_eq!(answer("joe"), EffectAnswer::Authentication(accepted));
        assert_eq!(answer("moe"), EffectAnswer::Authentication(Verdict::Refused));
        assert_eq!(answer("cause"), EffectAnswer::Authentication(Verdict::Refused));
    }

    #[test]
    fn nobody_needs_to_be_there_but_where_it_is_somebody_elses_business_who_may_come_in() {
        let external = Config { authorization: Authorization::External, ..Config::default() };
        let nobody = Authenticator::new(|_| Verdict::Refused);
        assert_eq!(check_authenticator(&Config::default(), None), Ok(()));
        assert_eq!(check_authenticator(&external, None), Err(NobodyJudges));
        assert_eq!(check_authenticator(&external, Some(&nobody)), Ok(()));
    }
}
