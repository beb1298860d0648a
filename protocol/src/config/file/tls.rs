//! `tls` blocks (wire.md 6.3), and the files that they name.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fields::{Fault, Field, Report, read_fields, type_name};
use super::scalar::parse_duration;
use super::value::{Item, Value};
use crate::config::DEFAULT_AUTH_TIMEOUT;
use crate::transport::{
    CertificateFiles, DEFAULT_HANDSHAKE_FIRST_WAIT, DEFAULT_TLS_TIMEOUT, HandshakeFirst, KeyHash, Pem, Tls,
    TlsSettings, TlsVersion, is_spoken_group, is_spoken_suite,
};

/// The block of a port for clients.
pub(super) fn of_clients(block: &Field<'_>, report: &mut Report<'_>) -> Result<Option<Tls>, Fault> {
    let Some(settings) = read(block, report)? else { return Ok(None) };
    if settings.verify_known_urls {
        return Err("verify_cert_and_check_known_urls not supported in this context".into());
    }
    Tls::for_clients(settings, || report.sources().system_authorities())
        .map(Some)
        .map_err(|error| error.to_string().into())
}

/// The block of the cluster.
pub(super) fn of_routes(block: &Field<'_>, report: &mut Report<'_>) -> Result<Option<Tls>, Fault> {
    let Some(settings) = read(block, report)? else { return Ok(None) };
    Tls::for_routes(settings, || report.sources().system_authorities())
        .map(Some)
        .map_err(|error| error.to_string().into())
}

/// How long it may take to authenticate where nothing is said of that.
pub(super) fn auth_timeout(tls: Option<&Tls>) -> Duration {
    tls.map_or(DEFAULT_AUTH_TIMEOUT, |tls| tls.settings().auth_timeout())
}

/// What is written before it is known what belongs together.
#[derive(Default)]
struct Block {
    settings: TlsSettings,
    cert_file: Option<String>,
    key_file: Option<String>,
    ca_file: Option<String>,
    certs: Vec<CertificateFiles>,
    insecure_suites: Vec<String>,
    allows_insecure_suites: bool,
}

/// The settings; none where the block is faulty and that is reported.
fn read(block: &Field<'_>, report: &mut Report<'_>) -> Result<Option<TlsSettings>, Fault> {
    let errors_before = report.error_count();
    let mut read = Block::default();
    read_fields(block.map()?, report, |field, report| read_field(field, &mut read, report));
    if report.error_count() > errors_before {
        return Ok(None);
    }
    let Block { mut settings, cert_file, key_file, ca_file, certs, insecure_suites, allows_insecure_suites } =
        read;
    if !insecure_suites.is_empty() && !allows_insecure_suites {
        let option = "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set";
        return Err(format!("{option}: {}", insecure_suites.join(", ")).into());
    }
    settings.certificates = match (cert_file, key_file) {
        (Some(_), _) if !certs.is_empty() => {
            return Err(
                "error parsing tls config, cannot combine 'cert_file' option with 'certs' option".into()
            );
        }
        (Some(chain), Some(key)) => {
            let file = |path: &str| {
                pem(path, report).map_err(|why| format!("error parsing X509 certificate/key pair: {why}"))
            };
            vec![CertificateFiles { chain: file(&chain)?, key: file(&key)? }]
        }
        (Some(_), None) => return Err("missing 'key_file' in TLS configuration".into()),
        (None, Some(_)) => return Err("missing 'cert_file' in TLS configuration".into()),
        (None, None) => certs,
    };
    settings.authorities = ca_file.map(|path| pem(&path, report)).transpose()?;
    Ok(Some(settings))
}

fn read_field(field: &Field<'_>, block: &mut Block, report: &mut Report<'_>) -> Result<(), Fault> {
    let settings = &mut block.settings;
    match field.key.as_str() {
        "cert_file" => block.cert_file = path(field, "filename")?,
        "key_file" => block.key_file = path(field, "filename")?,
        "ca_file" => block.ca_file = path(field, "filename")?,
        "certs" | "certificates" => block.certs = certs(field, report)?,
        "insecure" => settings.insecure = switch(field)?,
        "verify" => settings.verify = switch(field)?,
        "verify_and_map" => settings.verify_and_map = switch(field)?,
        "verify_cert_and_check_known_urls" => settings.verify_known_urls = switch(field)?,
        "allow_insecure_cipher_suites" => block.allows_insecure_suites = switch(field)?,
        // Less than nothing is no time at all.
        "timeout" if field.is_below_zero() => settings.timeout = Duration::ZERO,
        "timeout" => settings.timeout = field.timeout_or("tls", DEFAULT_TLS_TIMEOUT)?,
        "handshake_first" | "first" | "immediate" => settings.handshake_first = handshake_first(field)?,
        "min_version" | "minimum_version" => settings.min_version = min_version(field)?,
        "cipher_suites" => (settings.cipher_suites, block.insecure_suites) = cipher_suites(field, report)?,
        "curve_preferences" => settings.curve_preferences = curve_preferences(field, report)?,
        "pinned_certs" => settings.pinned_keys = pinned_keys(field, report)?,
        "connection_rate_limit" => settings.connection_rate_limit = field.at_most(i64::from(u32::MAX))?,
        "cert_store" | "cert_match" | "cert_match_by" | "cert_match_skip_invalid" | "ca_certs_match" => {
            return Err("certificate stores are those of Windows, and are not read".into());
        }
        "ocsp_peer" => return Err(Fault::UnsupportedField),
        _ => {
            return Err(Fault::UnknownFieldIn(|key| {
                format!("error parsing tls config, unknown field {key:?}")
            }));
        }
    }
    Ok(())
}

fn switch(field: &Field<'_>) -> Result<bool, Fault> {
    field
        .bool()
        .map_err(|_| format!("error parsing tls config, expected '{}' to be a boolean", field.key).into())
}

fn path(field: &Field<'_>, what: &str) -> Result<Option<String>, Fault> {
    field
        .optional_string()
        .map_err(|_| format!("error parsing tls config, expected '{}' to be {what}", field.key).into())
}

fn pem(path: &str, report: &Report<'_>) -> Result<Pem, String> {
    report.sources().file(path).map(Pem::new)
}

fn certs(field: &Field<'_>, report: &mut Report<'_>) -> Result<Vec<CertificateFiles>, Fault> {
    let mut certs = Vec::new();
    for item in field.array()? {
        let Value::Map(map) = &item.value else {
            return Err(format!(
                "error parsing certificates config: unsupported type {}",
                type_name(&item.value)
            )
            .into());
        };
        let (mut cert_file, mut key_file) = (None, None);
        read_fields(map, report, |field, _| {
            match field.key.as_str() {
                "cert_file" => cert_file = path(field, "filename")?,
                "key_file" => key_file = path(field, "filename")?,
                _ => {
                    let unknown =
                        |key: &str| format!("error parsing tls certs config, unknown field {key:?}");
                    return Err(Fault::UnknownFieldIn(unknown));
                }
            }
            Ok(())
        });
        match (cert_file, key_file) {
            (Some(chain), Some(key)) => {
                certs.push(CertificateFiles { chain: pem(&chain, report)?, key: pem(&key, report)? });
            }
            _ => {
                let both = "both 'cert_file' and 'cert_key' options are required";
                report.error(item.position, format!("error parsing certificates config: {both}"));
            }
        }
    }
    Ok(certs)
}

/// Seconds, or a duration. 0 asks for the default, and less than that is no time at all.
fn handshake_first(field: &Field<'_>) -> Result<HandshakeFirst, Fault> {
    let text = match field.value {
        Value::Bool(true) => return Ok(HandshakeFirst::Always),
        Value::Bool(false) => return Ok(HandshakeFirst::Never),
        Value::String(text) => text,
        other => {
            let (key, got) = (&field.key, type_name(other));
            return Err(format!("field {key:?} should be a boolean or a string, got {got}").into());
        }
    };
    Ok(match text.trim().to_lowercase().as_str() {
        "true" | "on" => HandshakeFirst::Always,
        "false" | "off" => HandshakeFirst::Never,
        "auto" | "auto_fallback" => HandshakeFirst::Within(DEFAULT_HANDSHAKE_FIRST_WAIT),
        duration => match parse_duration(duration.trim_start_matches('-')) {
            // No time at all is no wait for who does it otherwise.
            Ok(wait) if wait.is_zero() || duration.starts_with('-') => HandshakeFirst::Always,
            Ok(wait) => HandshakeFirst::Within(wait),
            Err(_) => return Err(format!("field {:?}'s value {text:?} is invalid", field.key).into()),
        },
    })
}

fn min_version(field: &Field<'_>) -> Result<TlsVersion, Fault> {
    let faulty = "error parsing tls config:";
    let text = match field.value {
        Value::String(text) => text.as_str(),
        Value::Float(version) => return Err(format!("{faulty} 'min_version' wrong type: {version}").into()),
        _ => return Err(format!("{faulty} 'min_version' wrong type").into()),
    };
    match text {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        "1.0" | "1.1" => Err(format!("{faulty} unsupported TLS version: TLS {text}").into()),
        _ => Err(format!("{faulty} unknown version: {text}").into()),
    }
}

/// Those that are spoken, and those of all that are named which nobody should speak.
fn cipher_suites(field: &Field<'_>, report: &mut Report<'_>) -> Result<(Vec<String>, Vec<String>), Fault> {
    let (mut spoken, mut insecure) = (Vec::new(), Vec::new());
    for (item, name) in names(field, "cipher")? {
        if is_spoken_suite(name) || name.starts_with("TLS_AES") || name.starts_with("TLS_CHACHA20") {
            spoken.push(name.to_owned());
        } else if INSECURE_SUITES.contains(&name) {
            insecure.push(name.to_owned());
        } else if SUITES_OF_OTHERS.contains(&name) {
            report.warning(item.position, left_out(field, name));
        } else {
            report.error(item.position, format!("unrecognized cipher {name}"));
        }
    }
    Ok((spoken, insecure))
}

fn curve_preferences(field: &Field<'_>, report: &mut Report<'_>) -> Result<Vec<String>, Fault> {
    let mut spoken = Vec::new();
    for (item, name) in names(field, "curve")? {
        if is_spoken_group(name) {
            spoken.push(name.to_owned());
        } else if GROUPS_OF_OTHERS.contains(&name) {
            report.warning(item.position, left_out(field, name));
        } else {
            report.error(item.position, format!("unrecognized curve preference {name}"));
        }
    }
    if spoken.is_empty() {
        return Err("none of the curve_preferences is supported".into());
    }
    Ok(spoken)
}

fn left_out(field: &Field<'_>, name: &str) -> String {
    format!("invalid use of field {:?}: {name} is not supported and left out", field.key)
}

/// The names in a list that must not be empty.
fn names<'a>(field: &Field<'a>, what: &str) -> Result<Vec<(&'a Item, &'a str)>, Fault> {
    let items = field.array()?;
    if items.is_empty() {
        return Err(format!("error parsing tls config, '{}' cannot be empty", field.key).into());
    }
    let name = |item: &'a Item| match &item.value {
        Value::String(name) => Ok((item, name.as_str())),
        _ => Err(Fault::from(format!("error parsing tls config, expected a name of a {what}"))),
    };
    items.iter().map(name).collect()
}

fn pinned_keys(field: &Field<'_>, report: &mut Report<'_>) -> Result<BTreeSet<KeyHash>, Fault> {
    const WHAT: &str = "hex-encoded sha256 of DER encoded SubjectPublicKeyInfo";
    let items = field
        .array()
        .map_err(|_| format!("error parsing tls config, expected 'pinned_certs' to be a list of {WHAT}"))?;
    let mut keys = BTreeSet::new();
    for item in items {
        let Value::String(text) = &item.value else {
            report.error(item.position, format!("error parsing tls config, expected {WHAT}"));
            continue;
        };
        let key = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        match key.and_then(|key| KeyHash::try_from(key).ok()) {
            Some(key) => drop(keys.insert(key)),
            None => report.error(
                item.position,
                format!("error parsing tls config, 'pinned_certs' key {text} does not look like {WHAT}"),
            ),
        }
    }
    Ok(keys)
}

/// Cipher suites that nats-server speaks if it is let: without forward secrecy, or with ciphers of old.
const INSECURE_SUITES: &[&str] = &[
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

/// Cipher suites that nats-server speaks and this server does not.
const SUITES_OF_OTHERS: &[&str] = &[
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
];

/// The same of groups.
const GROUPS_OF_OTHERS: &[&str] = &["CurveP521", "X25519MLKEM768"];
