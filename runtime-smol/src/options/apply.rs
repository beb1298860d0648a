//! Flags override the configuration file.

use std::fmt;
use std::str::FromStr;

use onehop::config::{
    AddressError, Authorization, ClusterConfig, Config, ConfigError, DEFAULT_AUTH_TIMEOUT,
    DEFAULT_CLIENT_PORT, DEFAULT_HOST, Discovery, Frp, HostPort, Listen, ListenUrl, NoSharedSecret, Port,
    Sources, UserPassword,
};
use onehop::discovery::DEFAULT_ROUTE_PORT;
use onehop::transport::{CertificateFiles, Pem, Tls, TlsSettings};

use super::{Failure, Flags, Options};

impl Flags {
    pub(super) fn apply(self, options: &mut Options, sources: &dyn Sources) -> Result<(), Failure> {
        self.apply_process(options);
        self.apply_addresses(&mut options.config)?;
        self.apply_authorization(&mut options.config)?;
        self.apply_tls(&mut options.config, sources)?;
        self.apply_cluster(options)?;
        self.apply_discovery(&mut options.config)?;
        self.apply_secret(&mut options.config, sources)
    }

    fn apply_process(&self, options: &mut Options) {
        let process = &mut options.process;
        override_with(&mut process.debug, self.debug_and_trace.then_some(true).or(self.debug));
        override_with(&mut process.trace, self.debug_and_trace.then_some(true).or(self.trace));
        override_with(&mut process.logtime, self.logtime);
        override_with(&mut process.logtime_utc, self.logtime_utc);
        override_text(&mut process.log_file, &self.log_file);
        // A negative limit is none.
        override_with(
            &mut process.log_size_limit,
            self.log_size_limit.map(|limit| limit.try_into().unwrap_or(0)),
        );
        override_text(&mut process.pid_file, &self.pid_file);
        override_text(&mut process.ports_file_dir, &self.ports_file_dir);
    }

    fn apply_addresses(&self, config: &mut Config) -> Result<(), Failure> {
        override_text(&mut config.server_name, &self.server_name);
        override_with(&mut config.host, self.host.clone());
        if let Some(port) = self.port {
            config.port = parse_port("port", port)?.unwrap_or(Port::Fixed(DEFAULT_CLIENT_PORT));
        }
        if let Some(port) = self.http_port {
            let host = config.monitoring.take().map(|listen| listen.host).unwrap_or_default();
            config.monitoring = parse_port("http_port", port)?.map(|port| Listen { host, port });
        }
        if let Some(advertise) = &self.client_advertise {
            config.client_advertise = parse_advertise("client_advertise", advertise)?;
        }
        Ok(())
    }

    fn apply_authorization(&self, config: &mut Config) -> Result<(), Failure> {
        let has_user = self.user.is_some() || self.password.is_some();
        if let Some(token) = &self.token {
            if has_user {
                return Err(Failure::new("Cannot have a user/pass and token"));
            }
            config.authorization = Authorization::Token(token.as_str().into());
        }
        if has_user {
            let (mut user, mut password) = match std::mem::take(&mut config.authorization) {
                Authorization::User { user, password } => (user, password),
                Authorization::None
                | Authorization::Token(_)
                | Authorization::Users(_)
                | Authorization::External => Default::default(),
            };
            override_with(&mut user, self.user.clone());
            override_with(&mut password, self.password.clone().map(Into::into));
            if user.is_empty() {
                return Err(Failure::new("Cannot have a password without a user"));
            }
            config.authorization = Authorization::User { user, password };
        }
        Ok(())
    }

    /// TLS for clients, in the place of what the file says of it.
    fn apply_tls(&self, config: &mut Config, sources: &dyn Sources) -> Result<(), Failure> {
        let files = [&self.tls_cert, &self.tls_key, &self.tls_authorities];
        if !self.tls && !self.tls_verify && files.iter().all(|file| file.is_none()) {
            return Ok(());
        }
        let of_pair = |why| Failure::new(format!("error parsing X509 certificate/key pair: {why}"));
        let read = |path: &String| sources.file(path).map(Pem::new);
        let missing = |what| Failure::new(format!("TLS Server {what} must be present and valid"));
        let chain = self.tls_cert.as_ref().ok_or_else(|| missing("certificate"))?;
        let key = self.tls_key.as_ref().ok_or_else(|| missing("private key"))?;
        let pair =
            CertificateFiles { chain: read(chain).map_err(of_pair)?, key: read(key).map_err(of_pair)? };
        let authorities = self.tls_authorities.as_ref().map(read).transpose().map_err(Failure::new)?;
        let settings = TlsSettings {
            certificates: vec![pair],
            authorities,
            verify: self.tls_verify,
            ..TlsSettings::default()
        };
        if config.auth_timeout == DEFAULT_AUTH_TIMEOUT {
            config.auth_timeout = settings.auth_timeout();
        }
        config.tls = Some(Tls::for_clients(settings, || sources.system_authorities()).map_err(Failure::new)?);
        Ok(())
    }

    fn apply_cluster(&self, options: &mut Options) -> Result<(), Failure> {
        let config = &mut options.config;
        self.place_cluster(config)?;
        let routes = self.routes.as_deref().map(|urls| parse_all("routes", urls)).transpose()?;
        let Some(cluster) = &mut config.cluster else {
            if routes.is_some_and(|routes| !routes.is_empty()) {
                return Err(Failure::new(ConfigError::RoutesWithoutCluster));
            }
            override_text(&mut config.lone_cluster_name, &self.cluster_name);
            options.warnings.extend(self.idle_cluster_flag());
            return Ok(());
        };
        override_with(&mut cluster.routes, routes);
        override_text(&mut cluster.name, &self.cluster_name);
        override_with(&mut cluster.no_advertise, self.no_advertise);
        let retries = self.connect_retries.map(|retries| u32::try_from(retries.max(0)).unwrap_or(u32::MAX));
        override_with(&mut cluster.connect_retries, retries);
        if let Some(advertise) = &self.cluster_advertise {
            cluster.advertise = parse_advertise("cluster_advertise", advertise)?;
        }
        Ok(())
    }

    /// Where the cluster listens; no cluster where that is nowhere.
    fn place_cluster(&self, config: &mut Config) -> Result<(), Failure> {
        match self.cluster.as_deref() {
            None if config.cluster.is_none()
                && (self.discovered_cluster().is_some() || self.secret_file().is_some()) =>
            {
                if let Some(name) = &config.lone_cluster_name {
                    let flag = if self.discovered_cluster().is_some() { "discover" } else { "secret" };
                    // What the file says besides of who may be in it was not even read.
                    let text = format!("flag -{flag} needs a port for the cluster {name:?} of the file");
                    return Err(Failure::new(text));
                }
                let port = Port::Fixed(DEFAULT_ROUTE_PORT);
                config.cluster = Some(ClusterConfig { port, ..ClusterConfig::default() });
            }
            None => {}
            Some("") => {
                let name = config.cluster.take().and_then(|cluster| cluster.name);
                config.lone_cluster_name = name.or(config.lone_cluster_name.take());
            }
            Some(url) => {
                let name = config.lone_cluster_name.take();
                let new = || ClusterConfig { name, ..ClusterConfig::default() };
                let mut cluster = config.cluster.take().unwrap_or_else(new);
                if listen(url, &mut cluster)? {
                    config.cluster = Some(cluster);
                } else {
                    config.lone_cluster_name = cluster.name;
                }
            }
        }
        Ok(())
    }

    /// Where other servers of the cluster are looked for, once it is known what the cluster is called.
    fn apply_discovery(&self, config: &mut Config) -> Result<(), Failure> {
        override_text(&mut config.discovery.peers_file, &self.peers_file);
        let names = self.discover_dns.as_ref().map(|names| names.join(","));
        let names = names.map(|names| parse_all("discover_dns", &names)).transpose()?;
        override_with(&mut config.discovery.dns, names);
        self.apply_frp(&mut config.discovery)?;
        override_with(&mut config.discovery.mdns, self.discover.as_ref().map(|name| !name.is_empty()));
        let Some((name, cluster)) = self.discovered_cluster().zip(config.cluster.as_mut()) else {
            return Ok(());
        };
        let own = cluster.name.get_or_insert_with(|| name.to_owned());
        if own == name {
            return Ok(());
        }
        let text = format!("invalid value {name:?} for flag -discover: the name of the cluster is {own:?}");
        Err(Failure::new(text))
    }

    /// Other servers are found through the DHT by a secret that stands in a file, so that nobody sees it among the processes.
    fn apply_secret(&self, config: &mut Config, sources: &dyn Sources) -> Result<(), Failure> {
        let Some(path) = self.secret_file() else {
            if self.secret.is_some() {
                (config.discovery.secret, config.discovery.dht) = (None, None);
            }
            return Ok(());
        };
        let fault =
            |why: &dyn fmt::Display| Failure::new(format!("invalid value {path:?} for flag -secret: {why}"));
        let text = sources.file(path).map_err(|why| fault(&why))?;
        let secret = String::from_utf8_lossy(&text).parse().map_err(|why: NoSharedSecret| fault(&why))?;
        config.discovery.secret = Some(secret);
        config.discovery.dht.get_or_insert_default();
        Ok(())
    }

    fn secret_file(&self) -> Option<&str> {
        self.secret.as_deref().filter(|path| !path.is_empty())
    }

    /// Where the client of FRP is asked. In whose name the configuration file says, since others see command lines.
    fn apply_frp(&self, discovery: &mut Discovery) -> Result<(), Failure> {
        let Some(url) = &self.discover_frp else { return Ok(()) };
        if url.is_empty() {
            discovery.frp = None;
            return Ok(());
        }
        let fault = |error| Failure::new(format!("invalid value for flag -discover_frp: {error}"));
        let Frp { address, .. } = Frp::at(url).map_err(fault)?;
        discovery.frp = Some(Frp { address, ..discovery.frp.take().unwrap_or_default() });
        Ok(())
    }

    /// The cluster whose servers are looked for, in which the node is then itself.
    fn discovered_cluster(&self) -> Option<&str> {
        self.discover.as_deref().filter(|name| !name.is_empty())
    }

    /// What to say of a flag for a cluster where there is no cluster.
    fn idle_cluster_flag(&self) -> Option<String> {
        let flags = [
            ("cluster_advertise", self.cluster_advertise.is_some()),
            ("connect_retries", self.connect_retries.is_some()),
            ("no_advertise", self.no_advertise.is_some()),
        ];
        let (name, _) = flags.into_iter().find(|(_, is_given)| *is_given)?;
        Some(format!("flag -{name} has no effect without -cluster"))
    }
}

/// Lets a cluster listen at this URL instead; false where that is nowhere.
fn listen(url: &str, cluster: &mut ClusterConfig) -> Result<bool, Failure> {
    let url: ListenUrl = parse_address("cluster", url)?;
    let Some(listen) = url.listen else { return Ok(false) };
    cluster.host = if listen.host.is_empty() { DEFAULT_HOST.to_owned() } else { listen.host };
    cluster.port = listen.port;
    match (url.user, url.password) {
        (Some(user), Some(password)) => cluster.authorization = Some(UserPassword { user, password }),
        // What the configuration file says of peers holds: no flag opens the port without a word (wire.md 13).
        (None, None) => {}
        (Some(_), None) => return Err(Failure::new("expected cluster password to be set")),
        (None, Some(_)) => return Err(Failure::new("expected cluster user to be set")),
    }
    Ok(true)
}

/// The comma-separated addresses, without repetitions.
fn parse_all<T: FromStr<Err = AddressError> + PartialEq>(flag: &str, text: &str) -> Result<Vec<T>, Failure> {
    let mut addresses = Vec::new();
    for text in text.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let address = parse_address(flag, text)?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// The address is not repeated in the message: it may hold a password.
fn parse_address<T: FromStr<Err = AddressError>>(flag: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::new(format!("invalid value for flag -{flag}: {error}")))
}

/// What others are told to connect to; `None` where it is empty.
fn parse_advertise(flag: &str, text: &str) -> Result<Option<HostPort>, Failure> {
    if text.is_empty() { Ok(None) } else { parse_address(flag, text).map(Some) }
}

/// A port; `None` where it is 0.
fn parse_port(flag: &str, port: i64) -> Result<Option<Port>, Failure> {
    match port {
        -1 => Ok(Some(Port::Any)),
        0 => Ok(None),
        _ => u16::try_from(port).map(|port| Some(Port::Fixed(port))).map_err(|_| {
            let expected = "a number from 1 to 65535, or -1 for any port";
            Failure::new(format!("invalid value \"{port}\" for flag -{flag}: expected {expected}"))
        }),
    }
}

/// The empty text says that there is to be none.
fn override_text(target: &mut Option<String>, value: &Option<String>) {
    if let Some(value) = value {
        *target = Some(value.clone()).filter(|value| !value.is_empty());
    }
}

fn override_with<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}
