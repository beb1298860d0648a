//! What all connections with the same settings share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, UnbufferedServerConnection};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};

use super::certificate::not_after;
use super::facts::TlsFacts;
use super::keys::Keys;
use super::session::TlsSession;
use super::settings::{TlsError, TlsSettings, TlsVersion};
use super::suites::provider;
use super::trust::{ClientTrust, ServerTrust, Trusted};

/// TLS as it is set for one port, ready to be spoken. It is shared, not copied, and equal to what has the same settings.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    settings: TlsSettings,
    server: Arc<ServerConfig>,
    /// Of routes only.
    client: Option<(Arc<ClientConfig>, ServerTrust)>,
    clock: Arc<Clock>,
    not_after: Option<u64>,
}

/// The calendar's time, as whoever began a session last knew it: what certificates are judged by.
#[derive(Debug, Default)]
struct Clock(AtomicU64);

impl Tls {
    /// For a port that clients connect to. `system` is asked for the certificates that the system trusts, in DER, where
    /// certificates are verified and no authorities are set.
    ///
    /// # Errors
    /// The certificates and keys are no such, or do not belong together; or there is nothing that both sides could speak.
    pub fn for_clients(
        settings: TlsSettings,
        system: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> Result<Self, TlsError> {
        Self::new(settings, system, false)
    }

    /// For routes, where each side wants a certificate of the other.
    ///
    /// # Errors
    /// As [`Tls::for_clients`].
    pub fn for_routes(
        settings: TlsSettings,
        system: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> Result<Self, TlsError> {
        Self::new(settings, system, true)
    }

    fn new(
        settings: TlsSettings,
        system: impl FnOnce() -> Vec<Vec<u8>>,
        is_route: bool,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(provider(&settings)?);
        let clock = Arc::<Clock>::default();
        let keys = Arc::new(Keys::load(&settings.certificates, &provider)?);
        let not_after = keys.first().and_then(not_after);
        let verifies = is_route || settings.verifies();
        let trusted =
            if verifies { Some(Trusted::load(settings.authorities.as_ref(), system)?) } else { None };
        let server = server(&settings, &provider, &clock, keys.clone(), trusted.as_ref())?;
        let client = match &trusted {
            Some(trusted) if is_route => {
                let trust = match settings.insecure {
                    true => ServerTrust::in_anybody(&provider),
                    false => ServerTrust::new(trusted, &provider)?,
                };
                Some((Arc::new(client(&settings, &provider, &clock, keys, trust.clone())?), trust))
            }
            _ => None,
        };
        Ok(Self(Arc::new(Shared { settings, server: Arc::new(server), client, clock, not_after })))
    }

    /// What it was made of.
    pub fn settings(&self) -> &TlsSettings {
        &self.0.settings
    }

    /// When this side's certificate ends to be valid, in seconds since 1970.
    pub fn not_after(&self) -> Option<u64> {
        self.0.not_after
    }

    /// The session of a connection that was accepted, at this time since 1970.
    ///
    /// # Errors
    /// The settings are such that there can be none.
    pub fn accept(&self, now: Duration) -> Result<TlsSession, TlsError> {
        self.0.clock.set(now);
        UnbufferedServerConnection::new(self.0.server.clone())
            .map(TlsSession::of_server)
            .map_err(TlsError::of)
    }

    /// The session of a connection to a server that is known by this name or address, at this time since 1970. Who is known by
    /// an address may show a certificate for one of the names of `known_hosts` instead: those of the routes that are configured.
    ///
    /// # Errors
    /// There is nothing to dial with, where this is for clients; or no certificate can have such a name.
    pub fn connect(&self, host: &str, known_hosts: &[&str], now: Duration) -> Result<TlsSession, TlsError> {
        self.0.clock.set(now);
        let Some((config, trust)) = &self.0.client else {
            return Err(TlsError("nothing to dial with".to_owned()));
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TlsError(format!("{host:?} is no name that a certificate could have")))?;
        let mut config = config.clone();
        if let (ServerName::IpAddress(_), Some(trust)) = (&name, trust.clone().in_names(known_hosts)) {
            Arc::make_mut(&mut config).dangerous().set_certificate_verifier(Arc::new(trust));
        }
        UnbufferedClientConnection::new(config, name).map(TlsSession::of_client).map_err(TlsError::of)
    }

    /// Judges what a peer showed beyond what its certificate is good for.
    ///
    /// # Errors
    /// Why it is not let in, for the log.
    pub(crate) fn judge(&self, facts: &TlsFacts) -> Result<(), &'static str> {
        let pinned_keys = &self.settings().pinned_keys;
        let own = facts.peer.first();
        if !pinned_keys.is_empty() && !own.is_some_and(|own| pinned_keys.contains(&own.key_hash)) {
            return Err("certificate not pinned");
        }
        Ok(())
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.0.settings == other.0.settings && self.0.client.is_some() == other.0.client.is_some()
    }
}

impl Eq for Tls {}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.settings).finish()
    }
}

impl Clock {
    fn set(&self, now: Duration) {
        self.0.store(now.as_secs(), Ordering::Relaxed);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

impl TlsError {
    pub(super) fn of(error: rustls::Error) -> Self {
        Self(error.to_string())
    }
}

fn versions(settings: &TlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    match settings.min_version {
        TlsVersion::V1_2 => vec![&TLS13, &TLS12],
        TlsVersion::V1_3 => vec![&TLS13],
    }
}

fn server(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    clock: &Arc<Clock>,
    keys: Arc<Keys>,
    trusted: Option<&Trusted>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_details(provider.clone(), clock.clone())
        .with_protocol_versions(&versions(settings))
        .map_err(TlsError::of)?;
    let builder = match trusted {
        Some(trusted) => builder.with_client_cert_verifier(Arc::new(ClientTrust::new(trusted, provider)?)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(keys);
    config.ignore_client_order = true;
    // Clients keep their connections; tickets and what they stand for would only take memory.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

fn client(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    clock: &Arc<Clock>,
    keys: Arc<Keys>,
    trust: ServerTrust,
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_details(provider.clone(), clock.clone())
        .with_protocol_versions(&versions(settings))
        .map_err(TlsError::of)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust))
        .with_client_cert_resolver(keys);
    config.resumption = Resumption::disabled();
    Ok(config)
}
