//! The server that is attacked, and what an attack costs it and those who use it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::bystander::Bystanders;
use super::figure::Figure;
use crate::load::process::{CpuTime, peak_resident_bytes};
use crate::server::{Kind, Options, Server};

/// Whom an attack is made on, and how large it is.
#[derive(Clone, Copy, Debug)]
pub struct Arena {
    /// The program.
    pub kind: Kind,
    /// How much of each number of the list is done.
    pub scale: f64,
}

impl Arena {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// That its program cannot be had here.
    ///
    /// # Panics
    ///
    /// If it does not become ready, with its log.
    pub fn start(&self, options: Options) -> io::Result<Server> {
        Server::start(self.kind, options).ok_or_else(|| io::Error::other("the program is not here"))
    }

    /// The part of `full` that the scale leaves, at least one.
    pub fn part(&self, full: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(1)
    }

    /// The part of a time that the scale leaves: never more than all of it, and never so little that nothing happens.
    pub fn time(&self, full: Duration) -> Duration {
        full.mul_f64(self.scale.clamp(0.1, 1.0))
    }
}

/// The options of a server that routes can join.
pub fn clustered() -> Options {
    Options::member("C", "victim", &[])
}

/// Where the clients of a server connect.
pub fn clients_of(server: &Server) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, server.ports().client).into()
}

/// What is looked at while an attack goes on.
pub struct Watch<'a> {
    cost: Cost<'a>,
    bystanders: Bystanders,
}

impl<'a> Watch<'a> {
    /// Begins to look; the bystanders are there already.
    pub fn begin(server: &'a Server) -> io::Result<Self> {
        let bystanders = Bystanders::begin(clients_of(server), server.ports().monitor)?;
        Ok(Self { cost: Cost::begin(server)?, bystanders })
    }

    /// Behind the attack's own figures: what the bystanders met, and what the attack cost.
    pub fn end(self, mut figures: Vec<Figure>) -> io::Result<Vec<Figure>> {
        figures.extend(self.bystanders.end());
        self.cost.end(figures)
    }
}

/// What an attack costs a server, where bystanders would be in the way.
pub struct Cost<'a> {
    server: &'a Server,
    cpu: CpuTime,
    log_bytes: usize,
}

impl<'a> Cost<'a> {
    /// Begins to count.
    pub fn begin(server: &'a Server) -> io::Result<Self> {
        Ok(Self { server, cpu: CpuTime::of(server.pid())?, log_bytes: server.log_bytes() })
    }

    /// Behind the attack's own figures: CPU time and log since then, and the most memory and the longest turn that the server
    /// ever had.
    pub fn end(self, mut figures: Vec<Figure>) -> io::Result<Vec<Figure>> {
        let pid = self.server.pid();
        let turn = longest_turn(self.server);
        figures.extend([
            Figure::wait("CPU time", Some(CpuTime::of(pid)?.since(&self.cpu))),
            Figure::bytes("peak memory", peak_resident_bytes(pid)?),
            Figure::bytes("log", (self.server.log_bytes() - self.log_bytes) as u64),
            Figure::told("longest turn", turn.map(|(_, time)| time)),
            Figure::which("longest turn: thread", turn.map(|(thread, _)| thread)),
        ]);
        Ok(figures)
    }
}

/// Which of a server's threads, the cluster's at last, was kept by one turn for longest, and how long, if the server tells that.
fn longest_turn(server: &Server) -> Option<(usize, Duration)> {
    let page = server.monitor("/varz").ok()?;
    let turns = page["onehop_longest_turns"].as_array()?.iter().filter_map(Value::as_u64);
    let (thread, nanos) = turns.enumerate().max_by_key(|(_, nanos)| *nanos)?;
    Some((thread, Duration::from_nanos(nanos)))
}
