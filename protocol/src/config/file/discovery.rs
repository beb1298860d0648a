//! The `discovery` block, which is not one of nats-server's: where the first address of the cluster may come from
//! (wire.md 14.5).

use super::fields::{Fault, Field, Report, faulty_address, read_fields};
use crate::config::discovery::{check_command, check_dns, check_interval, check_peers_file};
use crate::config::{ConfigError, Discovery, HostPort};

/// A block of sources, none of which is asked unless it is set.
pub(super) fn read(block: &Field<'_>, report: &mut Report<'_>) -> Result<Discovery, Fault> {
    let mut discovery = Discovery::default();
    read_fields(block.map()?, report, |field, report| read_field(field, &mut discovery, report));
    Ok(discovery)
}

fn read_field(field: &Field<'_>, discovery: &mut Discovery, report: &mut Report<'_>) -> Result<(), Fault> {
    let defaults = Discovery::default();
    let fault = |error: ConfigError| error.to_string();
    match field.key.as_str() {
        "peers_file" => {
            discovery.peers_file = Some(field.string()?.to_owned());
            check_peers_file(discovery.peers_file.as_deref()).map_err(fault)?;
        }
        "dns" => {
            discovery.dns = names(field)?;
            check_dns(&discovery.dns).map_err(fault)?;
        }
        "mdns" => discovery.mdns = field.bool()?,
        "command" => {
            discovery.command = field.texts()?.into_iter().map(str::to_owned).collect();
            check_command(&discovery.command).map_err(fault)?;
        }
        "interval" => {
            discovery.interval = field.duration_or(defaults.interval, report)?;
            check_interval(discovery.interval).map_err(fault)?;
        }
        _ => return Err(Fault::UnknownField),
    }
    Ok(())
}

/// One or several, each once.
fn names(field: &Field<'_>) -> Result<Vec<HostPort>, Fault> {
    let mut names = Vec::new();
    for text in field.texts()? {
        let name = text.parse().map_err(|error| faulty_address("dns", text, error))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}
