//! The fields of the top level and of its `authorization` block (wire.md 9.2).

use std::collections::BTreeMap;
use std::time::Duration;

use super::absent::{TOP_LEVEL, asks_for_nothing};
use super::accounts::{Accounts, Single};
use super::credentials::Credentials;
use super::fields::{Fault, Field, Report, read_fields};
use super::users::Known;
use super::value::Map;
use super::{FileSettings, cluster, discovery, mappings, tls, websocket};
use crate::config::validate::{MAX_PAYLOAD, check_queue_affinity, check_server_name};
use crate::config::{Authorization, Config, Listen, Port};

pub(super) fn read(root: &Map, settings: &mut FileSettings, report: &mut Report<'_>) {
    let mut known = Known::default();
    let mut has_authorization = false;
    let mut auth_timeout = None;
    let mut affinity_at = None;
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
            "authorization" => {
                has_authorization = true;
                auth_timeout = authorization(field, config, &mut known, report)?;
            }
            "mappings" | "maps" => config.mappings.extend(mappings::read(field, report)?),
            // They depend on authorization, wherever that stands.
            "accounts" => {}
            "queue_affinity" => {
                config.queue_affinity = Some(queue_affinity(field)?);
                affinity_at = Some(field.position);
            }
            "no_auth_user" => config.no_auth_user = field.optional_string()?,
            "cluster" => cluster::read(field, config, report)?,
            "discovery" => config.discovery = discovery::read(field, report)?,
            "tls" => config.tls = tls::of_clients(field, report)?,
            "allow_non_tls" => config.allow_non_tls = field.bool()?,
            "websocket" | "ws" => config.websocket = websocket::read(field, report)?,
            "ports_file_dir" => process.ports_file_dir = field.optional_string()?,
            _ if address(field, config)? || limit(field, config, report)? || lame_duck(field, config)? => {}
            key => field.accept_if(asks_for_nothing(TOP_LEVEL, key, field.value))?,
        }
        Ok(())
    });
    let config = &mut settings.config;
    config.auth_timeout = auth_timeout.unwrap_or_else(|| tls::auth_timeout(config.tls.as_ref()));
    read_fields(root, report, |field, report| match field.key.as_str() {
        "accounts" => accounts(field, &mut settings.config, &mut known, report),
        _ => Ok(()),
    });
    if let Some(position) = affinity_at
        && settings.config.affinity_tag().is_none()
    {
        let advice = "no tag of server_tags has this key, so nothing is preferred";
        report.warning(position, format!("invalid use of field \"queue_affinity\": {advice}"));
    }
    settings.config.is_global_account_open =
        !has_authorization && leaves_global_account_open(&settings.config);
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
        "client_advertise" => config.client_advertise = field.advertised("client_advertise")?,
        "http" => {
            let (host, port) = field.listen()?;
            set_monitoring(config, host, port);
        }
        "server_tags" => config.server_tags = tags(field)?,
        "server_metadata" => config.server_metadata = metadata(field)?,
        "http_base_path" => config.http_base_path = field.string()?.to_owned(),
        "http_port" | "monitor_port" => set_monitoring(config, None, field.port()?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// One or several, each once, without blanks around it and in lower case.
fn tags(field: &Field<'_>) -> Result<Vec<String>, Fault> {
    let mut tags: Vec<String> = Vec::new();
    for tag in field.texts()?.into_iter().map(|text| text.trim().to_lowercase()) {
        if !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// The key of a tag, in lower case as tags are.
fn queue_affinity(field: &Field<'_>) -> Result<String, Fault> {
    let key = field.string()?.trim().to_lowercase();
    check_queue_affinity(Some(&key)).map_err(|error| error.to_string())?;
    Ok(key)
}

fn metadata(field: &Field<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let entries = field.map()?.iter();
    entries.map(|(key, entry)| Ok((key.clone(), field.text_of(&entry.value)?.to_owned()))).collect()
}

/// Takes a field about how clients are sent away before a stop; false if it is another one.
fn lame_duck(field: &Field<'_>, config: &mut Config) -> Result<bool, Fault> {
    match field.key.as_str() {
        "lame_duck_duration" => {
            let duration = field.go_duration()?;
            if duration < MIN_LAME_DUCK_DURATION {
                let text = field.string()?;
                return Err(format!("invalid lame_duck_duration of {text}, minimum is 30 seconds").into());
            }
            config.lame_duck_duration = duration;
        }
        "lame_duck_grace_period" => config.lame_duck_grace_period = field.go_duration()?,
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
        "system_account" | "system" => config.system_account = system_account(field)?,
        "no_system_account" | "no_sys_acc" => config.no_system_account = field.bool()?,
        "proxy_protocol" => config.proxy_protocol = field.bool()?,
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

/// Returns how long a client may take, if that is said.
fn authorization(
    field: &Field<'_>,
    config: &mut Config,
    known: &mut Known,
    report: &mut Report<'_>,
) -> Result<Option<Duration>, Fault> {
    let credentials = Credentials::read(field, known, report)?;
    let timeout = credentials.timeout;
    config.authorization = credentials.into_authorization()?;
    Ok(timeout)
}

fn accounts(
    field: &Field<'_>,
    config: &mut Config,
    known: &mut Known,
    report: &mut Report<'_>,
) -> Result<(), Fault> {
    let single = match config.authorization {
        Authorization::User { .. } => Some(Single::User),
        Authorization::Token(_) => Some(Single::Token),
        Authorization::None | Authorization::Users(_) | Authorization::External => None,
    };
    let Accounts { accounts, users, .. } = Accounts::read(field, single, known, report)?;
    config.accounts = accounts;
    match &mut config.authorization {
        Authorization::Users(all) => all.extend(users),
        Authorization::None if !users.is_empty() => config.authorization = Authorization::Users(users),
        _ => {}
    }
    Ok(())
}

fn system_account(field: &Field<'_>) -> Result<Option<String>, Fault> {
    field.optional_string().map_err(|_| "system account name must be a string".into())
}

/// Whether nothing is said of clients but what concerns the system account.
fn leaves_global_account_open(config: &Config) -> bool {
    let [only] = &config.accounts[..] else { return false };
    config.system_account_name() == Some(&only.name) && config.no_auth_user.is_none()
}

/// A file cannot ask for less, as in nats-server.
const MIN_LAME_DUCK_DURATION: Duration = Duration::from_secs(30);
