//! The fields of the top level and of its `authorization` block (wire.md 9.2).

use super::credentials::Credentials;
use super::fields::{Fault, Field, Report, faulty_address, read_fields};
use super::value::Map;
use super::{FileSettings, cluster};
use crate::config::validate::{MAX_PAYLOAD, check_server_name};
use crate::config::{Authorization, Config, Listen, Port};

/// Keys of nats-server for what is not here yet.
const UNSUPPORTED: &[&str] = &[
    "accounts",
    "allow_non_tls",
    "default_js_domain",
    "default_sentinel",
    "disable_sublist_cache",
    "feature_flags",
    "gateway",
    "http_base_path",
    "https",
    "https_port",
    "jetstream",
    "lame_duck_duration",
    "lame_duck_grace_period",
    "leaf",
    "leafnodes",
    "mappings",
    "maps",
    "max_traced_msg_len",
    "mqtt",
    "no_auth_user",
    "no_fast_producer_stall",
    "no_sys_acc",
    "no_system_account",
    "ocsp",
    "ocsp_cache",
    "operator",
    "operators",
    "ports_file_dir",
    "prof_block_rate",
    "prof_port",
    "proxies",
    "proxy_protocol",
    "remote_syslog",
    "resolver",
    "resolver_preload",
    "resolver_tls",
    "root",
    "roots",
    "server_metadata",
    "server_tags",
    "store_dir",
    "syslog",
    "system",
    "system_account",
    "tls",
    "trace_headers",
    "trace_verbose",
    "trusted",
    "trusted_keys",
    "websocket",
    "write_timeout",
    "ws",
];

pub(super) fn read(root: &Map, settings: &mut FileSettings, report: &mut Report<'_>) {
    read_fields(root, report, |field, report| {
        let config = &mut settings.config;
        let process = &mut settings.process;
        match field.key.as_str() {
            "debug" => process.debug = field.bool()?,
            "trace" => process.trace = field.bool()?,
            "logtime" => process.logtime = field.bool()?,
            "logtime_utc" => process.logtime_utc = field.bool()?,
            "log_file" | "logfile" => process.log_file = field.optional_string()?,
            "log_size_limit" | "logfile_size_limit" => process.log_size_limit = field.count(0)? as u64,
            "log_max_num" | "logfile_max_num" => process.log_max_num = field.count(0)?,
            "pid_file" | "pidfile" => process.pid_file = field.optional_string()?,
            "authorization" => authorization(field, config, report)?,
            "cluster" => cluster::read(field, config, report)?,
            _ if address(field, config)? || limit(field, config, report)? => {}
            key if UNSUPPORTED.contains(&key) => return Err(Fault::UnsupportedField),
            _ => return Err(Fault::UnknownField),
        }
        Ok(())
    });
    let Config { max_payload, max_pending, .. } = &mut settings.config;
    if *max_payload == ANY_PAYLOAD {
        *max_payload = MAX_PAYLOAD.min(*max_pending);
    }
}

/// A message may be as large as can be delivered.
const ANY_PAYLOAD: usize = usize::MAX;

/// Takes a field that says who and where the node is; false if it is another one.
fn address(field: &Field<'_>, config: &mut Config) -> Result<bool, Fault> {
    let defaults = Config::default();
    match field.key.as_str() {
        "server_name" => {
            config.server_name = field.optional_string()?;
            check_server_name(config.server_name.as_deref()).map_err(|error| error.to_string())?;
        }
        "listen" => {
            let (host, port) = field.listen()?;
            config.host = host.unwrap_or(defaults.host);
            config.port = port.unwrap_or(defaults.port);
        }
        "host" | "net" => config.host = field.optional_string()?.unwrap_or(defaults.host),
        "port" => config.port = field.port()?.unwrap_or(defaults.port),
        "client_advertise" => {
            let text = field.optional_string()?;
            let parse =
                |text: String| text.parse().map_err(|error| faulty_address("client_advertise", &text, error));
            config.client_advertise = text.map(parse).transpose()?;
        }
        "http" => {
            let (host, port) = field.listen()?;
            set_monitoring(config, host, port);
        }
        "http_port" | "monitor_port" => set_monitoring(config, None, field.port()?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn set_monitoring(config: &mut Config, host: Option<String>, port: Option<Port>) {
    let former_host = config.monitoring.take().map(|listen| listen.host);
    let host = host.or(former_host).unwrap_or_default();
    config.monitoring = port.map(|port| Listen { host, port });
}

/// Takes a field that is a number, a duration or a switch of the protocol; false if it is another one.
fn limit(field: &Field<'_>, config: &mut Config, report: &mut Report<'_>) -> Result<bool, Fault> {
    let defaults = Config::default();
    let most = i64::from(i32::MAX);
    if field.is_left_out(report) {
        return Ok(true);
    }
    match field.key.as_str() {
        "max_connections" | "max_conn" => config.max_connections = field.count(0)?,
        "max_subscriptions" | "max_subs" => config.max_subscriptions = field.count(usize::MAX)?,
        "max_sub_tokens" => config.max_subject_tokens = field.at_most(i64::from(u8::MAX))?,
        "max_payload" if field.is_below_zero() => config.max_payload = ANY_PAYLOAD,
        "max_payload" => config.max_payload = field.at_most_or(MAX_PAYLOAD as i64, defaults.max_payload)?,
        "max_control_line" => config.max_control_line = field.at_most_or(most, defaults.max_control_line)?,
        "max_pending" => config.max_pending = field.at_most_or(i64::MAX, defaults.max_pending)?,
        "max_closed_clients" => {
            config.max_closed_clients = field.at_most_or(most, defaults.max_closed_clients)?;
        }
        "ping_interval" => config.ping_interval = field.duration_or(defaults.ping_interval, report)?,
        "ping_max" => config.ping_max = field.at_most_or(most, defaults.ping_max)?,
        "write_deadline" => config.write_deadline = field.duration_or(defaults.write_deadline, report)?,
        "no_header_support" => config.no_header_support = field.bool()?,
        "connect_error_reports" => {
            config.connect_error_reports = field.every_or(defaults.connect_error_reports)?;
        }
        "reconnect_error_reports" => {
            config.reconnect_error_reports = field.every_or(defaults.reconnect_error_reports)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn authorization(field: &Field<'_>, config: &mut Config, report: &mut Report<'_>) -> Result<(), Fault> {
    let credentials = Credentials::read(field, report)?;
    config.auth_timeout = credentials.timeout;
    config.authorization = match (credentials.user, credentials.password, credentials.token) {
        (None, None, None) => Authorization::None,
        (None, None, Some(token)) => Authorization::Token(token),
        (Some(user), password, None) => Authorization::User { user, password: password.unwrap_or_default() },
        (None, Some(_), None) => return Err("Cannot have a password without a user".into()),
        (_, _, Some(_)) => return Err("Cannot have a user/pass and token".into()),
    };
    Ok(())
}
