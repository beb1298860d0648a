//! Which addresses mean something to everybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use onehop::config::HostPort;

/// Whether an address leads to the same server from everywhere, as far as it shows.
pub(crate) fn is_public(address: &HostPort) -> bool {
    match address.host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => is_public_v4(ip),
        Ok(IpAddr::V6(ip)) => is_public_v6(ip),
        Err(_) => is_public_name(&address.host),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    // RFC 6598: networks of providers, whose customers share an address.
    let is_shared = matches!(ip.octets(), [100, 64..=127, ..]);
    let is_local = ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared;
    // 0.0.0.0/8 is this network, and from 224.0.0.0 on there are no single servers.
    !is_local && !ip.is_documentation() && (1..224).contains(&ip.octets()[0])
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // All that is given to anybody is in 2000::/3, but for what documents use.
    let segments = ip.segments();
    segments[0] & 0xe000 == 0x2000 && segments[..2] != [0x2001, 0xdb8]
}

/// A name without a dot is one of a local network, as are those of RFC 6761 and 6762.
fn is_public_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let is_local =
        ["localhost", "local", "internal", "lan"].contains(&name.rsplit('.').next().unwrap_or_default());
    name.contains('.') && !is_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_local_networks_mean_nothing_to_others() {
        let is_public = |host: &str| is_public(&HostPort { host: host.to_owned(), port: Some(1) });
        for host in [
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1",
            "a.example",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(host), "{host}");
        }
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.2.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "localhost",
            "nas",
            "nas.local",
            "NAS.Local.",
            "a.localhost",
            "",
        ] {
            assert!(!is_public(host), "{host}");
        }
    }
}
