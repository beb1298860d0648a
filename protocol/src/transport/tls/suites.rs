//! Which cipher suites and groups are spoken, by the names that they are set by.

use rustls::CipherSuite;
use rustls::crypto::ring::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};

use super::settings::{TlsError, TlsSettings};

/// Whether this cipher suite is spoken, by the name that it is registered under.
pub fn is_spoken_suite(name: &str) -> bool {
    default_provider().cipher_suites.iter().any(|suite| name_of_suite(suite.suite()) == name)
}

/// Whether keys are exchanged in this group, by the name that nats-server has for it.
pub fn is_spoken_group(name: &str) -> bool {
    group(name).is_some()
}

/// The registered name of a cipher suite.
pub(super) fn name_of_suite(suite: CipherSuite) -> String {
    let name = suite.as_str().unwrap_or("unknown");
    name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"))
}

fn group(name: &str) -> Option<&'static dyn SupportedKxGroup> {
    match name {
        "X25519" => Some(kx_group::X25519),
        "CurveP256" => Some(kx_group::SECP256R1),
        "CurveP384" => Some(kx_group::SECP384R1),
        _ => None,
    }
}

/// What is spoken, as it is set.
pub(super) fn provider(settings: &TlsSettings) -> Result<CryptoProvider, TlsError> {
    let mut provider = default_provider();
    // As nats-server prefers them: shorter keys are as good, and take less time.
    provider.cipher_suites.sort_by_key(|suite| !name_of_suite(suite.suite()).contains("AES_128"));
    if !settings.cipher_suites.is_empty() {
        let all = std::mem::take(&mut provider.cipher_suites);
        let (of_1_3, of_1_2): (Vec<_>, Vec<_>) = all.into_iter().partition(|suite| suite.tls13().is_some());
        let chosen = settings
            .cipher_suites
            .iter()
            .filter_map(|name| of_1_2.iter().find(|suite| name_of_suite(suite.suite()) == *name).copied());
        provider.cipher_suites = of_1_3.into_iter().chain(chosen).collect();
    }
    if !settings.curve_preferences.is_empty() {
        provider.kx_groups = settings.curve_preferences.iter().filter_map(|name| group(name)).collect();
        if provider.kx_groups.is_empty() {
            return Err(TlsError("none of the curve_preferences is supported".to_owned()));
        }
    }
    Ok(provider)
}
