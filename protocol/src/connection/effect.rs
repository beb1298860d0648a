//! What a connection asks of the world, and waits for (design.md 2).

use super::{Connection, Interruption, Shared, Side};
use crate::auth::{Known, PasswordCheck};
use crate::config::Secret;
use crate::sink::Sink;
use crate::time::Instant;
use crate::wire::Connect;

/// One question of one connection. It is answered once; an answer that comes later, or for another, is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u32);

/// What takes long, or needs to know of the world: whoever drives the connection sees to it, on another thread if need be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Who is it, and may it come in? Answered by an [`EffectAnswer::Authentication`].
    Authenticate(Credentials),
    /// Is its password right? Answered by an [`EffectAnswer::Password`] with what [`PasswordCheck::run`] says.
    CheckPassword(PasswordCheck),
}

/// What a client presented in its CONNECT. What it did not name is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: Secret,
    /// A token instead of both.
    pub token: Secret,
}

/// What came of an [`Effect`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectAnswer {
    /// Of an [`Effect::Authenticate`].
    Authentication(Verdict),
    /// Of an [`Effect::CheckPassword`].
    Password(bool),
}

/// Whether a client may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Accepted {
        /// The account that it belongs to. Where there is none of this name, it is refused all the same.
        account: String,
    },
    /// It may not.
    Refused,
}

/// A connection that waits for an answer.
#[derive(Debug)]
pub(super) struct Question {
    ticket: Ticket,
    /// What is to be done, until somebody took it on.
    effect: Option<Effect>,
    /// What the connection goes on with.
    pub(super) connect: Connect,
    /// Who the client is, if its password is right.
    pub(super) user: Option<Known>,
}

impl Connection {
    /// What the connection wants done, to be answered with [`Connection::handle_effect`]. Poll after
    /// [`Connection::handle_input`] and [`Connection::handle_effect`].
    #[must_use]
    pub fn poll_effect(&mut self) -> Option<(Ticket, Effect)> {
        match &mut self.shared.interruption {
            Some(Interruption::Wait(question)) => question.take_on(),
            _ => None,
        }
    }

    /// Hears what came of an effect, and goes on with what was read meanwhile. An answer that nobody waits for is ignored, and
    /// so is one that comes when the time to authenticate is over.
    pub fn handle_effect<S: Sink>(
        &mut self,
        now: Instant,
        ticket: Ticket,
        answer: &EffectAnswer,
        sink: &mut S,
    ) {
        let is_late = self.shared.auth_deadline.is_some_and(|deadline| now >= deadline);
        let goes_on = !is_late && self.shared.close.is_none() && !self.shared.node.is_stopping();
        let Some(question) = self.shared.take_question(ticket).filter(|_| goes_on) else {
            return;
        };
        let mut context = self.shared.context(now, sink);
        match (&mut self.side, answer) {
            (Side::Client(client), EffectAnswer::Authentication(verdict)) => {
                client.handle_verdict(&mut context, &question.connect, verdict);
            }
            (Side::Client(client), EffectAnswer::Password(is_right)) => {
                client.handle_password(&mut context, *question, *is_right);
            }
            (Side::Route(_) | Side::Circuit(_), _) => {}
        }
        if self.inbound.is_some() && self.shared.close.is_none() {
            self.handle_rest(now, &[], sink);
        }
        self.shared.record_received(now);
    }
}

impl Shared {
    /// The question that is answered under this name, if the connection waits for that.
    fn take_question(&mut self, ticket: Ticket) -> Option<Box<Question>> {
        let is_asked = |interruption: &mut _| matches!(interruption, Interruption::Wait(question) if question.is(ticket));
        match self.interruption.take_if(is_asked)? {
            Interruption::Wait(question) => Some(question),
            Interruption::Switch(_) | Interruption::Circuit(_) | Interruption::Hold(_) => None,
        }
    }
}

impl Question {
    /// Asks the program about the credentials of a client. No other question of the connection has the same `number`.
    pub(super) fn authenticate(number: u32, connect: Connect) -> Self {
        let credentials = Credentials {
            user: connect.user.clone(),
            password: connect.pass.clone().into(),
            token: connect.auth_token.clone().into(),
        };
        Self::new(number, Effect::Authenticate(credentials), connect, None)
    }

    /// Asks whether the password of a client is right.
    pub(super) fn check_password(
        number: u32,
        connect: Connect,
        check: PasswordCheck,
        user: Option<Known>,
    ) -> Self {
        Self::new(number, Effect::CheckPassword(check), connect, user)
    }

    fn new(number: u32, effect: Effect, connect: Connect, user: Option<Known>) -> Self {
        Self { ticket: Ticket(number), effect: Some(effect), connect, user }
    }

    pub(super) fn take_on(&mut self) -> Option<(Ticket, Effect)> {
        Some((self.ticket, self.effect.take()?))
    }

    pub(super) fn is(&self, ticket: Ticket) -> bool {
        self.ticket == ticket
    }
}
