//! The fields of the `cluster` block (wire.md 9.3), `healing`, `relay` and `limits`.

use std::num::NonZeroU16;
use std::time::Duration;

use super::absent::{CLUSTER, asks_for_nothing};
use super::credentials::Credentials;
use super::fields::{Fault, Field, Report, read_fields, type_name};
use super::users::Known;
use super::value::{Item, Value};
use super::{compression, healing, limits, permissions, relay, tls};
use crate::config::validate::{ConfigError, check_cluster_name};
use crate::config::{
    ClusterConfig, Config, MAX_CLUSTER_PING_INTERVAL, Permissions, Port, RoutePermissions, RouteUrl, Secret,
    SubjectRule, UserPassword,
};
use crate::quote::without_user_info;

/// Without a port to listen on there is no cluster, but its name is told.
pub(super) fn read(block: &Field<'_>, config: &mut Config, report: &mut Report<'_>) -> Result<(), Fault> {
    let mut cluster = ClusterConfig::default();
    let (mut port, mut auth_timeout, mut authorization_at) = (None, None, block.position);
    read_fields(block.map()?, report, |field, report| match field.key.as_str() {
        "authorization" => {
            authorization_at = field.position;
            auth_timeout = authorization(field, &mut cluster, report)?;
            Ok(())
        }
        _ => read_field(field, &mut cluster, &mut port, report),
    });
    if lacks_password(&cluster) {
        report.error(authorization_at, "expected cluster password to be set");
    }
    cluster.auth_timeout = auth_timeout.unwrap_or_else(|| tls::auth_timeout(cluster.tls.as_ref()));
    (config.cluster, config.lone_cluster_name) = match port {
        Some(port) => (Some(ClusterConfig { port, ..cluster }), None),
        None if cluster.routes.is_empty() => (None, cluster.name),
        None => return Err(ConfigError::RoutesWithoutCluster.to_string().into()),
    };
    Ok(())
}

fn read_field(
    field: &Field<'_>,
    cluster: &mut ClusterConfig,
    port: &mut Option<Port>,
    report: &mut Report<'_>,
) -> Result<(), Fault> {
    let defaults = ClusterConfig::default();
    if field.is_left_out(report) {
        return Ok(());
    }
    match field.key.as_str() {
        "name" => {
            cluster.name = field.optional_string()?;
            check_cluster_name(cluster.name.as_deref()).map_err(|error| error.to_string())?;
        }
        "listen" => {
            let (host, listen_port) = field.listen()?;
            cluster.host = host.unwrap_or(defaults.host);
            *port = listen_port;
        }
        "host" | "net" => cluster.host = field.optional_string()?.unwrap_or(defaults.host),
        "port" => *port = field.port()?,
        "cluster_advertise" | "advertise" => cluster.advertise = field.advertised("cluster_advertise")?,
        "no_advertise" => cluster.no_advertise = field.bool()?,
        "routes" => cluster.routes = routes(field.array()?, report),
        "connect_retries" if field.is_below_zero() => cluster.connect_retries = 0,
        "connect_retries" => cluster.connect_retries = field.at_most(i64::from(u32::MAX))?,
        "connect_backoff" => cluster.connect_backoff = field.bool()?,
        "pool_size" => cluster.pool_size = pool_size(field)?,
        "accounts" => cluster.accounts = accounts(field, report)?,
        "permissions" => cluster.permissions = route_permissions(field, report)?,
        "ping_interval" => cluster.ping_interval = ping_interval(field, report)?,
        "ping_max" => cluster.ping_max = Some(field.at_most(i64::from(i32::MAX))?).filter(|max| *max != 0),
        "write_deadline" => cluster.write_deadline = field.optional_duration(report)?,
        "compression" => cluster.compression = compression::read(field, report)?,
        "healing" => cluster.healing = healing::read(field, report)?,
        "relay" => cluster.relay = relay::read(field, report)?,
        "tls" => cluster.tls = tls::of_routes(field, report)?,
        "limits" => cluster.limits = limits::read(field, report)?,
        key => field.accept_if(asks_for_nothing(CLUSTER, key, field.value))?,
    }
    Ok(())
}

/// The routes without repetitions, which earn a warning.
fn routes(items: &[Item], report: &mut Report<'_>) -> Vec<RouteUrl> {
    let mut routes: Vec<RouteUrl> = Vec::new();
    for item in items {
        let Value::String(text) = &item.value else {
            report.error(
                item.position,
                format!("expected a string for a route url, got {}", type_name(&item.value)),
            );
            continue;
        };
        match text.parse() {
            Ok(route) if routes.contains(&route) => {
                let advice = "Duplicate route entry detected";
                report.warning(item.position, format!("invalid use of field \"{route}\": {advice}"));
            }
            Ok(route) => routes.push(route),
            Err(error) => {
                report.error(item.position, format!("error parsing route url{}: {error}", shown(text)));
            }
        }
    }
    routes
}

/// A faulty URL as it may be shown: without what stands before an `@`, and only where nothing that may belong there is taken
/// for a host or a port.
fn shown(url: &str) -> String {
    let url = without_user_info(url);
    match url.rsplit_once(':') {
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => format!(" [{url:?}]"),
        _ => String::new(),
    }
}

/// Returns how long a peer may take, if that is said.
fn authorization(
    field: &Field<'_>,
    cluster: &mut ClusterConfig,
    report: &mut Report<'_>,
) -> Result<Option<Duration>, Fault> {
    let credentials = Credentials::read(field, &mut Known::default(), report)?;
    if credentials.users.is_some() {
        return Err("Cluster authorization does not allow multiple users".into());
    }
    if credentials.token.is_some() {
        return Err("Cluster authorization does not support tokens".into());
    }
    cluster.authorization = match (credentials.user, credentials.password) {
        (None, None) => None,
        (Some(user), Some(password)) => Some(UserPassword { user, password }),
        // It may be that certificates stand for it.
        (Some(user), None) => Some(UserPassword { user, password: Secret::default() }),
        (None, Some(_)) => return Err("expected cluster user to be set".into()),
    };
    Ok(credentials.timeout)
}

/// Whether a user is named who could be anybody: neither a password nor a certificate is asked for.
fn lacks_password(cluster: &ClusterConfig) -> bool {
    let is_named = cluster.authorization.as_ref().is_some_and(|own| own.password.expose().is_empty());
    is_named && !cluster.tls.as_ref().is_some_and(|tls| tls.settings().verify_and_map)
}

fn pool_size(field: &Field<'_>) -> Result<Option<NonZeroU16>, Fault> {
    match field.integer()? {
        ..0 => Ok(None),
        0 => Ok(ClusterConfig::default().pool_size),
        size => match u16::try_from(size) {
            Ok(size) => Ok(NonZeroU16::new(size)),
            Err(_) => Err("pool_size value is too big".into()),
        },
    }
}

/// One name, or a list of them.
fn accounts(field: &Field<'_>, report: &mut Report<'_>) -> Result<Vec<String>, Fault> {
    let items = match field.value {
        Value::String(name) => return Ok(vec![name.clone()]),
        Value::Array(items) => items,
        other => return Err(format!("error parsing accounts: unsupported type {}", go_type(other)).into()),
    };
    let mut accounts = Vec::new();
    for item in items {
        let Value::String(name) = &item.value else {
            let got = go_type(&item.value);
            report.error(item.position, format!("error parsing accounts: unsupported type in array {got}"));
            break;
        };
        accounts.push(name.clone());
    }
    Ok(accounts)
}

/// What users have, without what means nothing between servers.
fn route_permissions(field: &Field<'_>, report: &mut Report<'_>) -> Result<RoutePermissions, Fault> {
    let Permissions { publish: import, subscribe: export, responses } = permissions::read(field, report)?;
    if responses.is_some() {
        return Err("Cluster permissions do not support dynamic responses".into());
    }
    for (list, rules) in [("allow", export.allow.as_ref()), ("deny", Some(&export.deny))] {
        let of_group = |rule: &&SubjectRule| rule.queue.is_some();
        if let Some(SubjectRule { subject, queue: Some(queue) }) =
            rules.and_then(|it| it.iter().find(of_group))
        {
            let text = format!("{subject} {queue}");
            return Err(format!("cluster export {list}: subject {text:?} is not a valid subject").into());
        }
    }
    Ok(RoutePermissions { import, export })
}

/// A type's name as Go writes it.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Map(_) => "map[string]interface {}",
        Value::Array(_) => "[]interface {}",
        value => type_name(value),
    }
}

fn ping_interval(field: &Field<'_>, report: &mut Report<'_>) -> Result<Option<Duration>, Fault> {
    let interval = field.optional_duration(report)?;
    if interval > Some(MAX_CLUSTER_PING_INTERVAL) {
        let advice = "Cluster 'ping_interval' will reset to 30s which is the max for routes";
        report.warning(field.position, advice);
    }
    Ok(interval)
}
