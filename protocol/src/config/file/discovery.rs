//! The `discovery` block, which is not one of nats-server's: where the first address of the cluster may come from
//! (wire.md 14.5).

use std::time::Duration;

use zeroize::Zeroizing;

use super::fields::{Fault, Field, Report, faulty_address, read_fields};
use super::value::Value;
use crate::config::discovery::{
    check_command, check_dht, check_dns, check_frp, check_interval, check_peers_file,
};
use crate::config::{ConfigError, Dht, Discovery, Frp, HostPort, NoSharedSecret, SharedSecret};

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
            discovery.dns = names(field, "dns")?;
            check_dns(&discovery.dns).map_err(fault)?;
        }
        "mdns" => discovery.mdns = field.bool()?,
        "dht" => {
            discovery.dht = read_dht(field, report)?;
            discovery.dht.as_ref().map_or(Ok(()), check_dht).map_err(fault)?;
        }
        "secret" => discovery.secret = Some(secret(field, field.string()?)?),
        "secret_file" => {
            let text = report.sources().file(field.string()?)?;
            let text = Zeroizing::new(String::from_utf8(text).unwrap_or_default());
            discovery.secret = Some(secret(field, &text)?);
        }
        "command" => {
            discovery.command = field.texts()?.into_iter().map(str::to_owned).collect();
            check_command(&discovery.command).map_err(fault)?;
        }
        "frp" => {
            discovery.frp = read_frp(field, report)?;
            discovery.frp.as_ref().map_or(Ok(()), check_frp).map_err(fault)?;
        }
        "interval" => {
            discovery.interval = field.duration_or(defaults.interval, report)?;
            check_interval(discovery.interval).map_err(fault)?;
        }
        _ => return Err(Fault::UnknownField),
    }
    Ok(())
}

/// Whether it is used, or how.
fn read_dht(field: &Field<'_>, report: &mut Report<'_>) -> Result<Option<Dht>, Fault> {
    if let Value::Bool(is_on) = field.value {
        return Ok(is_on.then(Dht::default));
    }
    let mut dht = Dht::default();
    read_fields(field.map()?, report, |field, _| {
        match field.key.as_str() {
            "bootstrap" => dht.bootstrap = names(field, "bootstrap")?,
            "local_addresses" => dht.local_addresses = field.bool()?,
            _ => return Err(Fault::UnknownField),
        }
        Ok(())
    });
    Ok(Some(dht))
}

/// Whether its web server is asked, or how.
fn read_frp(field: &Field<'_>, report: &mut Report<'_>) -> Result<Option<Frp>, Fault> {
    if let Value::Bool(is_on) = field.value {
        return Ok(is_on.then(Frp::default));
    }
    let mut frp = Frp::default();
    read_fields(field.map()?, report, |field, report| {
        match field.key.as_str() {
            "url" => frp.address = Frp::at(field.string()?).map_err(|error| error.to_string())?.address,
            "user" => frp.user = field.string()?.to_owned(),
            "password" => frp.password = field.string()?.into(),
            "interval" => {
                // 0 means the default, that of the block around it.
                let interval = field.duration_or(Duration::ZERO, report)?;
                frp.interval = Some(interval).filter(|interval| !interval.is_zero());
            }
            _ => return Err(Fault::UnknownField),
        }
        Ok(())
    });
    Ok(Some(frp))
}

/// The text itself is not told again.
fn secret(field: &Field<'_>, text: &str) -> Result<SharedSecret, Fault> {
    text.parse().map_err(|error: NoSharedSecret| format!("invalid {}: {error}", field.key).into())
}

/// One or several, each once.
fn names(field: &Field<'_>, what: &str) -> Result<Vec<HostPort>, Fault> {
    let mut names = Vec::new();
    for text in field.texts()? {
        let name = text.parse().map_err(|error| faulty_address(what, text, error))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}
