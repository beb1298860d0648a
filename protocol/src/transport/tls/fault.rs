//! Why a handshake failed, in the words that nats-server logs, where it has any.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::trust::is_of_authority;
use crate::calendar;

/// What a log line says of it.
pub(super) fn describe(error: &Error) -> String {
    let known = match error {
        Error::NoCertificatesPresented => "tls: client didn't provide a certificate",
        Error::InvalidCertificate(fault) => return of_certificate(fault),
        Error::AlertReceived(alert) => return format!("remote error: tls: {}", of_alert(*alert)),
        Error::PeerIncompatible(fault) => return of_incompatible(fault),
        Error::DecryptError => "local error: tls: bad record MAC",
        Error::PeerSentOversizedRecord => "tls: oversized record received",
        _ if is_no_tls(error) => "tls: first record does not look like a TLS handshake",
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => {
            "local error: tls: unexpected message"
        }
        Error::General(text) => text,
        other => return format!("tls: {other}"),
    };
    known.to_owned()
}

/// Whether what came is no TLS: another protocol is spoken.
pub(super) fn is_no_tls(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion)
    )
}

fn of_certificate(fault: &CertificateError) -> String {
    let why = match fault {
        CertificateError::Expired | CertificateError::NotValidYet => {
            "certificate has expired or is not yet valid".to_owned()
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "certificate has expired or is not yet valid: current time {} is after {}",
            rfc3339(time.as_secs()),
            rfc3339(not_after.as_secs())
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "certificate has expired or is not yet valid: current time {} is before {}",
            rfc3339(time.as_secs()),
            rfc3339(not_before.as_secs())
        ),
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        CertificateError::NotValidForName => {
            "certificate is not valid for the name that was dialed".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            let presented = if names.is_empty() { "no names".to_owned() } else { names.join(", ") };
            format!("certificate is valid for {presented}, not {}", expected.to_str())
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate specifies an incompatible key usage".to_owned()
        }
        CertificateError::Revoked => "certificate has been revoked".to_owned(),
        CertificateError::Other(why) if is_of_authority(why) => {
            "certificate signed by unknown authority: it is an authority's own, and is not listed".to_owned()
        }
        other => other.to_string(),
    };
    format!("tls: failed to verify certificate: x509: {why}")
}

/// A name of which rustls says in which form it stands in a certificate.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}

fn of_incompatible(fault: &PeerIncompatible) -> String {
    let why = match fault {
        PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => "client offered only unsupported versions",
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite supported by both client and server",
        PeerIncompatible::NoKxGroupsInCommon => "no ECDHE curve supported by both client and server",
        other => return format!("tls: the peer is not compatible: {other:?}"),
    };
    format!("tls: {why}")
}

/// The names of RFC 8446 6.2, in the words that Go has for them.
fn of_alert(alert: AlertDescription) -> String {
    let known = match alert {
        AlertDescription::CloseNotify => "close notify",
        AlertDescription::UnexpectedMessage => "unexpected message",
        AlertDescription::BadRecordMac => "bad record MAC",
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::CertificateRevoked => "revoked certificate",
        AlertDescription::CertificateExpired => "expired certificate",
        AlertDescription::CertificateUnknown => "unknown certificate",
        AlertDescription::IllegalParameter => "illegal parameter",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::DecodeError => "error decoding message",
        AlertDescription::DecryptError => "error decrypting message",
        AlertDescription::ProtocolVersion => "protocol version not supported",
        AlertDescription::InsufficientSecurity => "insufficient security level",
        AlertDescription::InternalError => "internal error",
        AlertDescription::UserCanceled => "user canceled",
        AlertDescription::CertificateRequired => "certificate required",
        other => return format!("{other:?}"),
    };
    known.to_owned()
}

fn rfc3339(unix_seconds: u64) -> String {
    calendar::rfc3339_of(unix_seconds, 0)
}
