//! A tunnel of FRP that leads to this server: the client of FRP, which runs beside it, knows by which address others come in.
//!
//! Its web server is asked for `/api/status` (FRP 0.70). The port at the far end of a tunnel may be one that the FRP server chose
//! (`remotePort = 0`), another one each time, and only this page knows it.

mod http;
mod status;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use data_encoding::BASE64;
use log::{Level, info, log};
use onehop::config::{Discovery, Frp as Settings, HostPort, Source};
use onehop::discovery::ReachedAt;

use self::status::Tunnel;
use crate::audience::{Audience, pause};
use crate::{FRP_TIMEOUT, MAX_FRP_ANSWER_BYTES, MAX_QUICK_LOOKS, Own};

/// How often it is asked, and what an answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Between two looks while no tunnel leads to the route port.
    pub(crate) quick: Duration,
    pub(crate) timeout: Duration,
    pub(crate) bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { quick: Duration::from_secs(1), timeout: FRP_TIMEOUT, bytes: MAX_FRP_ANSWER_BYTES }
    }
}

/// Starts a thread that looks again and again. Nobody waits for it: an answer may take [`FRP_TIMEOUT`], and a name minutes.
pub(crate) fn start(
    settings: &Settings,
    discovery: &Discovery,
    own: &Own,
    limits: Limits,
    audience: Arc<Audience>,
) -> io::Result<()> {
    let watch = Watch {
        settings: settings.clone(),
        interval: settings.interval.unwrap_or(discovery.interval),
        limits,
        ports: [own.route_port, own.client_port],
        route: Held::default(),
        client: Held::default(),
        quick_looks: 0,
    };
    thread::Builder::new().name("onehop-frp".to_owned()).spawn(move || watch.run(&audience))?;
    Ok(())
}

/// What the client of FRP is asked for, and what it said.
struct Watch {
    settings: Settings,
    interval: Duration,
    limits: Limits,
    /// Where this server listens for others, and for clients.
    ports: [u16; 2],
    route: Held,
    client: Held,
    /// How many looks in a row found no tunnel to the route port.
    quick_looks: u32,
}

/// An address that holds until it was lacking twice in a row: the client of FRP may be asked while it connects anew.
#[derive(Debug, Default)]
struct Held {
    address: Option<HostPort>,
    is_doubted: bool,
}

impl Held {
    fn follow(&mut self, heard: Option<HostPort>) {
        let is_lacking = heard.is_none();
        if !is_lacking || self.is_doubted {
            self.address = heard;
        }
        self.is_doubted = is_lacking;
    }
}

impl Watch {
    fn run(mut self, audience: &Audience) {
        let mut last = ReachedAt::default();
        loop {
            let reached = self.look();
            let next_pause = self.pause(reached.failure.is_some());
            if reached != last {
                // Whoever reads of it in the log finds it so.
                audience.tell_reached_at(Source::Frp, reached.clone());
            }
            log_change(&last, &reached);
            last = reached;
            if !audience.wait(next_pause) {
                return;
            }
        }
    }

    /// Asks once.
    fn look(&mut self) -> ReachedAt {
        let [route, client] = match self.ask() {
            Ok(tunnels) => {
                let held = [&self.route, &self.client].map(|held| held.address.as_ref());
                let quote = |text: &str| self.quote(text);
                [0, 1].map(|at| status::leading_to(&tunnels, self.ports[at], held[at], &quote))
            }
            Err(failure) => [Err(failure.clone()), Err(failure)],
        };
        let failure = route.as_ref().err().cloned();
        self.route.follow(route.ok());
        // Not everybody wants clients by a tunnel.
        self.client.follow(client.ok());
        ReachedAt { route: self.route.address.clone(), client: self.client.address.clone(), failure }
    }

    /// All tunnels that it has.
    fn ask(&self) -> Result<Vec<Tunnel>, String> {
        let Settings { address, .. } = &self.settings;
        let cannot = |why: &dyn std::fmt::Display| format!("cannot ask {address}: {why}");
        let answer = http::get(address, PATH, self.credentials().as_deref(), self.limits);
        match answer {
            Err(fault) => Err(cannot(&fault)),
            Ok(http::Answer { status: 200, body }) => status::read(&body).map_err(|why| cannot(&why)),
            Ok(http::Answer { status: 401, .. }) => Err(cannot(&"it wants another user or password (401)")),
            Ok(http::Answer { status: 404, .. }) => {
                Err(cannot(&"it has no such page (404), so it is none of FRP"))
            }
            Ok(http::Answer { status, .. }) => Err(cannot(&format_args!("it answers {status}"))),
        }
    }

    /// Nobody is named where everybody may ask.
    fn credentials(&self) -> Option<String> {
        let Settings { user, password, .. } = &self.settings;
        let is_anybody = user.is_empty() && password.expose().is_empty();
        (!is_anybody).then(|| BASE64.encode(format!("{user}:{}", password.expose()).as_bytes()))
    }

    /// What the other end wrote, as logs and pages may show it: its start, on one line, and nothing if a secret stands in it.
    fn quote(&self, text: &str) -> String {
        let credentials = self.credentials();
        let mut secrets =
            [Some(self.settings.password.expose()), credentials.as_deref()].into_iter().flatten();
        if secrets.any(|secret| !secret.is_empty() && text.contains(secret)) {
            return REDACTED.to_owned();
        }
        let start: String = text.chars().take(QUOTED_CHARS).collect();
        format!("{start:?}{}", if start.len() < text.len() { "…" } else { "" })
    }

    /// How long to wait after a look: not long while the tunnel may be about to come up.
    fn pause(&mut self, has_failed: bool) -> Duration {
        self.quick_looks = if has_failed { self.quick_looks.saturating_add(1) } else { 0 };
        let is_quick = (1..=MAX_QUICK_LOOKS).contains(&self.quick_looks);
        pause(if is_quick { self.limits.quick.min(self.interval) } else { self.interval })
    }
}

fn log_change(before: &ReachedAt, now: &ReachedAt) {
    if let Some(failure) = &now.failure {
        let level = if before.failure == now.failure { Level::Debug } else { Level::Warn };
        log!(level, "Cannot tell by FRP where other servers reach this one: {failure}");
    }
    for (who, before, now) in
        [("Other servers", &before.route, &now.route), ("Clients", &before.client, &now.client)]
    {
        match now {
            Some(address) if before != now => info!("{who} reach this server at {address}, says FRP"),
            None if before.is_some() => info!("{who} reach this server no more by FRP"),
            _ => {}
        }
    }
}

const PATH: &str = "/api/status";

const REDACTED: &str = "[REDACTED]";

const QUOTED_CHARS: usize = 128;
