//! What differs between two configurations, and what of that a running node can take over.

use std::{error, fmt};

use super::{ClusterConfig, Config, ProcessSettings};

/// What cannot change while a node runs; then nothing else did either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRefused {
    keys: Vec<&'static str>,
}

impl ConfigRefused {
    /// The keys of the configuration file that have another value.
    pub fn keys(&self) -> &[&'static str] {
        &self.keys
    }
}

impl fmt::Display for ConfigRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot change while the server runs: {}", self.keys.join(", "))
    }
}

impl error::Error for ConfigRefused {}

/// Keys with another value: those that a running node can take over, and the others.
#[derive(Debug, Default)]
struct Difference {
    free: Vec<&'static str>,
    fixed: Vec<&'static str>,
}

impl Config {
    /// The keys that a running node takes over to become `new`.
    ///
    /// # Errors
    /// Something differs that cannot change.
    pub(crate) fn changes_to(&self, new: &Self) -> Result<Vec<&'static str>, ConfigRefused> {
        let mut difference = Difference::default();
        self.compare(new, &mut difference);
        match (&self.cluster, &new.cluster) {
            (Some(old), Some(new)) => old.compare(new, &mut difference),
            (None, None) => {}
            _ => difference.fixed.push("cluster"),
        }
        difference.judge()
    }

    fn compare(&self, new: &Self, difference: &mut Difference) {
        // Whoever adds a field has to decide here.
        let Self {
            server_name,
            host,
            port,
            client_advertise,
            max_connections,
            max_subscriptions,
            max_subject_tokens,
            max_payload,
            max_control_line,
            max_pending,
            ping_interval,
            ping_max,
            write_deadline,
            authorization,
            no_auth_user,
            is_global_account_open,
            mappings,
            accounts,
            tls,
            allow_non_tls,
            auth_timeout,
            proxy_protocol,
            no_header_support,
            max_closed_clients,
            connect_error_reports,
            reconnect_error_reports,
            cluster: _,
            lone_cluster_name,
            lame_duck_duration,
            lame_duck_grace_period,
            system_account,
            no_system_account,
            server_tags,
            queue_affinity,
            server_metadata,
            http_base_path,
            monitoring,
            websocket,
            rehearsed_transport,
            seed,
            secret_seed,
            discovery,
        } = self;
        difference.note_free(&[
            ("max_connections", *max_connections != new.max_connections),
            ("max_subscriptions", *max_subscriptions != new.max_subscriptions),
            ("max_sub_tokens", *max_subject_tokens != new.max_subject_tokens),
            ("max_payload", *max_payload != new.max_payload),
            ("max_control_line", *max_control_line != new.max_control_line),
            ("max_pending", *max_pending != new.max_pending),
            ("ping_interval", *ping_interval != new.ping_interval),
            ("ping_max", *ping_max != new.ping_max),
            ("write_deadline", *write_deadline != new.write_deadline),
            ("tls", *tls != new.tls),
            ("authorization.timeout", *auth_timeout != new.auth_timeout),
            ("allow_non_tls", *allow_non_tls != new.allow_non_tls),
            ("server_tags", *server_tags != new.server_tags),
            ("server_metadata", *server_metadata != new.server_metadata),
            ("rehearsed_transport", *rehearsed_transport != new.rehearsed_transport),
        ]);
        difference.note_fixed(&[
            ("server_name", *server_name != new.server_name),
            ("host", *host != new.host),
            ("port", *port != new.port),
            ("client_advertise", *client_advertise != new.client_advertise),
            ("authorization", *authorization != new.authorization),
            ("no_auth_user", *no_auth_user != new.no_auth_user),
            ("mappings", *mappings != new.mappings),
            ("accounts", *accounts != new.accounts || *is_global_account_open != new.is_global_account_open),
            ("proxy_protocol", *proxy_protocol != new.proxy_protocol),
            ("no_header_support", *no_header_support != new.no_header_support),
            ("max_closed_clients", *max_closed_clients != new.max_closed_clients),
            ("connect_error_reports", *connect_error_reports != new.connect_error_reports),
            ("reconnect_error_reports", *reconnect_error_reports != new.reconnect_error_reports),
            ("cluster.name", *lone_cluster_name != new.lone_cluster_name),
            ("lame_duck_duration", *lame_duck_duration != new.lame_duck_duration),
            ("lame_duck_grace_period", *lame_duck_grace_period != new.lame_duck_grace_period),
            ("system_account", *system_account != new.system_account),
            ("no_system_account", *no_system_account != new.no_system_account),
            // Peers hear of it once, when they connect; of all other tags never.
            (
                "queue_affinity",
                *queue_affinity != new.queue_affinity || self.affinity_tag() != new.affinity_tag(),
            ),
            ("http_base_path", *http_base_path != new.http_base_path),
            ("monitoring", *monitoring != new.monitoring),
            ("websocket", *websocket != new.websocket),
            ("discovery", *discovery != new.discovery),
            ("seed", *seed != new.seed || *secret_seed != new.secret_seed),
        ]);
    }
}

impl ClusterConfig {
    fn compare(&self, new: &Self, difference: &mut Difference) {
        let Self {
            name,
            host,
            port,
            advertise,
            no_advertise,
            routes,
            authorization,
            tls,
            auth_timeout,
            connect_retries,
            connect_backoff,
            pool_size,
            accounts,
            permissions,
            ping_interval,
            ping_max,
            write_deadline,
            compression,
            healing,
            relay,
            limits,
        } = self;
        difference.note_free(&[
            ("cluster.tls", *tls != new.tls),
            ("cluster.authorization.timeout", *auth_timeout != new.auth_timeout),
            ("cluster.routes", *routes != new.routes),
            ("cluster.accounts", *accounts != new.accounts),
            ("cluster.connect_retries", *connect_retries != new.connect_retries),
            ("cluster.connect_backoff", *connect_backoff != new.connect_backoff),
            ("cluster.ping_interval", *ping_interval != new.ping_interval),
            ("cluster.ping_max", *ping_max != new.ping_max),
            ("cluster.write_deadline", *write_deadline != new.write_deadline),
            ("cluster.compression", *compression != new.compression),
            ("cluster.limits", *limits != new.limits),
        ]);
        difference.note_fixed(&[
            ("cluster.name", *name != new.name),
            ("cluster.host", *host != new.host),
            ("cluster.port", *port != new.port),
            ("cluster.advertise", *advertise != new.advertise),
            ("cluster.no_advertise", *no_advertise != new.no_advertise),
            ("cluster.authorization", *authorization != new.authorization),
            ("cluster.pool_size", *pool_size != new.pool_size),
            ("cluster.permissions", *permissions != new.permissions),
            ("cluster.healing", *healing != new.healing),
            ("cluster.relay", *relay != new.relay),
        ]);
    }
}

impl ProcessSettings {
    /// The keys that a running process takes over to become `new`.
    ///
    /// # Errors
    /// Something differs that cannot change.
    pub fn changes_to(&self, new: &Self) -> Result<Vec<&'static str>, ConfigRefused> {
        let Self {
            debug,
            trace,
            logtime,
            logtime_utc,
            log_file,
            log_size_limit,
            log_max_num,
            pid_file,
            ports_file_dir,
        } = self;
        let mut difference = Difference::default();
        difference.note_free(&[
            ("debug", *debug != new.debug),
            ("trace", *trace != new.trace),
            ("logtime", *logtime != new.logtime),
            ("logtime_utc", *logtime_utc != new.logtime_utc),
        ]);
        difference.note_fixed(&[
            ("log_file", *log_file != new.log_file),
            ("log_size_limit", *log_size_limit != new.log_size_limit),
            ("log_max_num", *log_max_num != new.log_max_num),
            ("pid_file", *pid_file != new.pid_file),
            ("ports_file_dir", *ports_file_dir != new.ports_file_dir),
        ]);
        difference.judge()
    }
}

impl Difference {
    /// What can change, if all of it can.
    fn judge(self) -> Result<Vec<&'static str>, ConfigRefused> {
        let Self { free, fixed } = self;
        if fixed.is_empty() { Ok(free) } else { Err(ConfigRefused { keys: fixed }) }
    }

    fn note_free(&mut self, keys: &[(&'static str, bool)]) {
        self.free.extend(differing(keys));
    }

    fn note_fixed(&mut self, keys: &[(&'static str, bool)]) {
        self.fixed.extend(differing(keys));
    }
}

fn differing(keys: &[(&'static str, bool)]) -> impl Iterator<Item = &'static str> {
    keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RouteLimits, WebSocketConfig};

    fn clustered() -> Config {
        Config { cluster: Some(ClusterConfig::default()), ..Config::default() }
    }

    #[test]
    fn what_can_change_is_named_by_its_key() {
        let limits = RouteLimits { max_peers: 1, ..RouteLimits::default() };
        let cluster = ClusterConfig {
            routes: vec!["nats://a:1".parse().expect("an address")],
            limits,
            ..ClusterConfig::default()
        };
        let new = Config { max_payload: 1, ping_max: 7, cluster: Some(cluster), ..Config::default() };
        let changes = ["max_payload", "ping_max", "cluster.routes", "cluster.limits"];
        assert_eq!(clustered().changes_to(&new), Ok(changes.to_vec()));
        assert_eq!(clustered().changes_to(&clustered()), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_change_is_named_and_nothing_else_is_taken_over() {
        let cluster = ClusterConfig { name: Some("other".to_owned()), ..ClusterConfig::default() };
        let new = Config { host: "::1".to_owned(), ping_max: 7, cluster: Some(cluster), ..Config::default() };
        let refused = clustered().changes_to(&new).expect_err("a host cannot change");
        assert_eq!(refused.keys(), ["host", "cluster.name"]);
        assert_eq!(refused.to_string(), "cannot change while the server runs: host, cluster.name");
        let new = Config { websocket: Some(WebSocketConfig::default()), ..clustered() };
        assert_eq!(clustered().changes_to(&new).expect_err("a port cannot come").keys(), ["websocket"]);
        let refused = clustered().changes_to(&Config::default()).expect_err("it would leave its cluster");
        assert_eq!(refused.keys(), ["cluster"]);
    }

    #[test]
    fn tags_can_change_but_the_one_that_peers_were_told() {
        let tagged = |key: Option<&str>, tags: [&str; 2]| Config {
            queue_affinity: key.map(str::to_owned),
            server_tags: tags.map(str::to_owned).to_vec(),
            ..Config::default()
        };
        let old = tagged(Some("az"), ["az:1", "disk:ssd"]);
        assert_eq!(old.changes_to(&tagged(Some("az"), ["disk:hdd", "az:1"])), Ok(vec!["server_tags"]));
        let others = [(Some("az"), ["az:2", "disk:ssd"]), (None, ["az:1", "disk:ssd"])];
        for new in others.map(|(key, tags)| tagged(key, tags)) {
            assert_eq!(old.changes_to(&new).expect_err("peers were told").keys(), ["queue_affinity"]);
        }
        assert_eq!(
            tagged(None, ["az:1", ""]).changes_to(&tagged(None, ["az:2", ""])),
            Ok(vec!["server_tags"])
        );
    }

    #[test]
    fn a_process_logs_more_or_less_but_nowhere_else() {
        let old = ProcessSettings::default();
        let new = ProcessSettings { debug: true, logtime: false, ..old.clone() };
        assert_eq!(old.changes_to(&new), Ok(vec!["debug", "logtime"]));
        let new = ProcessSettings { trace: true, log_file: Some("x.log".to_owned()), ..old.clone() };
        assert_eq!(old.changes_to(&new).expect_err("the file cannot change").keys(), ["log_file"]);
    }
}
