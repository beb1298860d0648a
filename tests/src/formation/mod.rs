//! How long servers that start at once take to become a full mesh, and what that costs.
//!
//! Nobody asks while it goes on: each server tells afterwards when its connections were made, and its log when it listened.

pub mod moment;
pub mod options;
pub mod report;

use std::thread;
use std::time::Duration;

use serde_json::Value;

use self::moment::Moment;
use crate::load::process::CpuTime;
use crate::mesh::{self, Topology};
use crate::server::{Kind, Options, Server};

/// What one formation was like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Formation {
    /// From the moment when all listened to the one when the last connection that stayed was made.
    pub whole_after: Duration,
    /// How many connections were closed because there was another.
    pub duplicates: usize,
    /// The CPU time of all servers together, from their start until the mesh had been whole for a while.
    pub cpu: Duration,
}

/// Starts that many servers of a kind at once and looks at the mesh that they form; `None` if the kind cannot be had here.
///
/// # Errors
///
/// What is missing after half a minute, or what a server does not tell.
///
/// # Panics
///
/// If a server does not start.
pub fn form(kind: Kind, topology: Topology, nodes: usize) -> Option<Result<Formation, String>> {
    let utc = |options: Options| options.with(&["--logtime_utc"]);
    let servers = mesh::start_at_once_with("formation", topology, &vec![kind; nodes], utc)?;
    thread::sleep(SETTLED);
    Some(look_at(&servers))
}

fn look_at(servers: &[Server]) -> Result<Formation, String> {
    let all: Vec<&Server> = servers.iter().collect();
    mesh::wait_for_mesh_or_fault(&all, PATIENCE)?;
    let listening = last(servers.iter().map(listened_at))?;
    let pages: Vec<Value> =
        servers.iter().map(|server| server.monitor("/routez")).collect::<Result<_, _>>()?;
    let routes = pages.iter().flat_map(|page| page["routes"].as_array().into_iter().flatten());
    let whole = last(routes.map(|route| Moment::of_page(route["start"].as_str().unwrap_or_default())))?;
    let cpu = servers.iter().map(|server| CpuTime::of(server.pid()).map(|time| time.total()));
    Ok(Formation {
        whole_after: whole.since(listening),
        duplicates: servers.iter().map(|server| server.log().matches("Duplicate Route").count()).sum(),
        cpu: cpu.sum::<std::io::Result<_>>().map_err(|fault| fault.to_string())?,
    })
}

fn listened_at(server: &Server) -> Result<Moment, String> {
    let log = server.log();
    let line = log.lines().find(|line| line.contains("Server is ready"));
    let clock = line.and_then(|line| line.split_whitespace().nth(2)).unwrap_or_default();
    Moment::of_clock(clock)
}

fn last(moments: impl Iterator<Item = Result<Moment, String>>) -> Result<Moment, String> {
    let moments: Vec<Moment> = moments.collect::<Result<_, _>>()?;
    Moment::last(&moments).ok_or_else(|| "nothing happened".to_owned())
}

/// How long the servers are left alone: nothing that they do later has to do with how they began.
const SETTLED: Duration = Duration::from_secs(6);

/// How much longer a mesh may take.
const PATIENCE: Duration = Duration::from_secs(25);
