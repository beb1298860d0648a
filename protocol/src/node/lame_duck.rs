//! Lame duck mode: before a stop clients are told to go elsewhere, and those who stay are sent away one after another, so
//! that they do not all connect to another server at once (wire.md 3.10).

use std::time::Duration;

use log::info;

use super::Node;
use crate::close::CloseReason;
use crate::config::Config;
use crate::hub::Kind;
use crate::sink::Sink;
use crate::time::Instant;

/// How far the clients of a lame duck are sent away.
#[derive(Debug)]
pub(super) struct Leaving {
    /// When the next is.
    next_at: Instant,
    /// In how long all are, from the first on.
    within: Duration,
    /// How long after one the next is, once there is a first.
    pause: Option<Duration>,
    /// Where the next is found ([`ConnectionId::index`]).
    ///
    /// [`ConnectionId::index`]: crate::ConnectionId::index
    next: usize,
}

impl Leaving {
    fn new(now: Instant, config: &Config) -> Self {
        let grace_period = config.lame_duck_grace_period;
        let within = config.lame_duck_duration.saturating_sub(grace_period);
        Self { next_at: now + grace_period, within, pause: None, next: 0 }
    }

    /// When somebody is to be sent away.
    pub(super) fn next_at(&self) -> Instant {
        self.next_at
    }

    /// How long after one of so many the next is sent away.
    fn pause(&mut self, clients: usize) -> Duration {
        let even = self.within / u32::try_from(clients).unwrap_or(u32::MAX);
        *self.pause.get_or_insert_with(|| {
            info!("Closing existing clients");
            even.min(LONGEST_PAUSE)
        })
    }
}

impl Node {
    /// Becomes a lame duck, if it is none: peers and clients are told that this server leaves, and where else clients may
    /// connect to. After `lame_duck_grace_period` its clients are closed, evenly over what is left of
    /// `lame_duck_duration`, and at least one a second. The caller accepts no clients from now on, and shuts down once
    /// [`Node::has_sent_all_away`]; peers are still accepted.
    pub fn handle_lame_duck<S: Sink>(&self, now: Instant, sink: &mut S) {
        if !self.news.begin_leaving(|| Leaving::new(now, &self.hub.config())) {
            return;
        }
        self.with_cluster(now, sink, |cluster, _| cluster.handle_lame_duck());
        self.tell_clients(now, sink);
        self.hub.want_attention();
    }

    /// Whether [`Node::handle_lame_duck`] was called.
    pub fn is_lame_duck(&self) -> bool {
        self.news.with_leaving(|_| ()).is_some()
    }

    /// Whether this is a lame duck without clients. To be asked after each call of [`Node::handle_timeout`].
    pub fn has_sent_all_away(&self) -> bool {
        self.is_lame_duck() && self.hub.directory().count(Kind::Client) == 0
    }

    /// Sends clients away, if it is time for some.
    pub(super) fn send_away<S: Sink>(&self, now: Instant, sink: &mut S) {
        self.news.with_leaving(|leaving| {
            for _ in 0..AT_ONCE {
                if now < leaving.next_at || self.is_stopping() {
                    return;
                }
                let clients = self.hub.directory().count(Kind::Client);
                if clients == 0 {
                    leaving.next_at = now + LONGEST_PAUSE;
                    return;
                }
                let pause = leaving.pause(clients);
                leaving.next_at += pause;
                self.send_one_away(leaving, sink);
            }
        });
    }

    /// Those that were sent away and are still there when all were are asked again.
    fn send_one_away<S: Sink>(&self, leaving: &mut Leaving, sink: &mut S) {
        loop {
            let (clients, after) = self.hub.directory().slice(Kind::Client, leaving.next);
            if let Some(client) = clients.first() {
                leaving.next = client.id().index() + 1;
                return sink.close(client.id(), CloseReason::ServerShutdown);
            }
            leaving.next = after.unwrap_or(0);
            if after.is_none() {
                return;
            }
        }
    }
}

/// Where there are few clients, they need not wait for each other for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// So many are sent away in one turn.
const AT_ONCE: usize = 64;
