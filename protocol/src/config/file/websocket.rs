//! The fields of the `websocket` block.

use super::absent::{WEBSOCKET, asks_for_nothing};
use super::fields::{Fault, Field, Report, read_fields, type_name};
use super::tls;
use super::value::Value;
use crate::config::{Port, WebSocketConfig};
use crate::transport::Origin;

/// Without a port to listen on there is nothing.
pub(super) fn read(block: &Field<'_>, report: &mut Report<'_>) -> Result<Option<WebSocketConfig>, Fault> {
    let Value::Map(map) = block.value else {
        return Err(format!("Expected websocket to be a map, got {}", type_name(block.value)).into());
    };
    let mut websocket = WebSocketConfig::default();
    let mut port = None;
    read_fields(map, report, |field, report| read_field(field, &mut websocket, &mut port, report));
    Ok(port.map(|port| WebSocketConfig { port, ..websocket }))
}

fn read_field(
    field: &Field<'_>,
    websocket: &mut WebSocketConfig,
    port: &mut Option<Port>,
    report: &mut Report<'_>,
) -> Result<(), Fault> {
    let defaults = WebSocketConfig::default();
    match field.key.as_str() {
        "listen" => {
            let (host, listen_port) = field.listen()?;
            websocket.host = host.unwrap_or(defaults.host);
            *port = listen_port;
        }
        "host" | "net" => websocket.host = field.optional_string()?.unwrap_or(defaults.host),
        "port" => *port = field.port()?,
        "advertise" => websocket.advertise = field.advertised("advertise")?,
        "tls" => websocket.tls = tls::of_clients(field, report)?,
        "no_tls" => websocket.no_tls = field.bool()?,
        "same_origin" => websocket.same_origin = field.bool()?,
        "allowed_origins" | "allowed_origin" | "allow_origins" | "allow_origin" | "origins" | "origin" => {
            websocket.allowed_origins = origins(field)?;
        }
        "compression" => websocket.compression = field.bool()?,
        "handshake_timeout" => {
            websocket.handshake_timeout = field.duration_or(defaults.handshake_timeout, report)?;
        }
        "headers" => websocket.headers = headers(field)?,
        "ping_interval" => websocket.ping_interval = field.optional_duration(report)?,
        key => field.accept_if(asks_for_nothing(WEBSOCKET, key, field.value))?,
    }
    Ok(())
}

/// One, or a list of them.
fn origins(field: &Field<'_>) -> Result<Vec<Origin>, Fault> {
    let parse = |text: &str| {
        text.parse().map_err(|error| format!("unable to parse allowed origin: {text:?} is {error}").into())
    };
    field.texts()?.into_iter().map(parse).collect()
}

/// By name, so that their order is always the same.
fn headers(field: &Field<'_>) -> Result<Vec<(String, String)>, Fault> {
    let mut headers = Vec::new();
    for (name, entry) in field.map()? {
        let Value::String(value) = &entry.value else {
            let got = type_name(&entry.value);
            return Err(format!("error parsing header key {name}: unsupported type {got}").into());
        };
        headers.push((name.clone(), value.clone()));
    }
    headers.sort();
    Ok(headers)
}
