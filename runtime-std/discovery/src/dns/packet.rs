//! What is asked of a name server, and what it answers (RFC 1035 and 2782). Whatever an answer says, reading it ends soon.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use simple_dns::rdata::{RData, SRV};
use simple_dns::{
    CLASS, Name, OPCODE, Packet, PacketFlag, Question, RCODE, ResourceRecord, SimpleDnsError, TYPE, header_buffer,
};

use crate::{MAX_ADDRESSES, MAX_TARGETS};

/// What a name server told of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    /// Where it is, in the order in which to try it; [`MAX_TARGETS`] at the most. None if it is nowhere, expressly.
    pub(super) targets: Vec<Target>,
    /// So long this is true.
    pub(super) ttl: Duration,
}

/// A host that has a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// Those that the answer had along; [`MAX_ADDRESSES`] at the most.
    pub(super) ips: Vec<IpAddr>,
}

/// Why nothing is known of a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    NoName(SimpleDnsError),
    NoSuchName,
    NoRecords,
    Refused(RCODE),
    Unreadable(SimpleDnsError),
}

/// Asks for the SRV records of a name.
pub(super) fn query(id: u16, name: &str) -> Result<Vec<u8>, Failure> {
    let name = Name::new(name).map_err(Failure::NoName)?;
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(name, TYPE::SRV.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().map_err(Failure::NoName)
}

/// Whether a packet answers a query. Anybody may send one that does not, and hope.
pub(super) fn is_reply(query: &[u8], packet: &[u8]) -> bool {
    let is_about_that = header_buffer::id(packet) == header_buffer::id(query)
        && header_buffer::has_flags(packet, PacketFlag::RESPONSE) == Ok(true)
        && header_buffer::opcode(packet) == Ok(OPCODE::StandardQuery)
        && header_buffer::questions(packet) == Ok(1);
    // Of what is not a letter of the name, nothing looks like one.
    let question = packet.get(HEADER_BYTES..query.len());
    is_about_that && question.is_some_and(|question| question.eq_ignore_ascii_case(&query[HEADER_BYTES..]))
}

/// Whether the whole answer is to be had by TCP only. What there is of it may end anywhere.
pub(super) fn is_truncated(packet: &[u8]) -> bool {
    header_buffer::has_flags(packet, PacketFlag::TRUNCATION) == Ok(true)
}

/// Reads the answer to a query.
pub(super) fn read(packet: &[u8]) -> Result<Service, Failure> {
    // The code that `Packet` has takes bits of EDNS for a part of it.
    match header_buffer::rcode(packet).map_err(Failure::Unreadable)? {
        RCODE::NoError => {}
        RCODE::NameError => return Err(Failure::NoSuchName),
        code => return Err(Failure::Refused(code)),
    }
    check_counts(packet).map_err(Failure::Unreadable)?;
    let packet = Packet::parse(packet).map_err(Failure::Unreadable)?;
    let question = packet.questions.first().ok_or(Failure::Unreadable(SimpleDnsError::InvalidDnsPacket))?;
    let (name, alias_ttl) = follow_aliases(&question.qname, &packet.answers);
    let records: Vec<_> = of_name(name, &packet.answers).filter_map(service_record).collect();
    let record_ttl = records.iter().map(|(_, ttl)| *ttl).min().ok_or(Failure::NoRecords)?;
    let mut ttl = record_ttl.min(alias_ttl);
    let targets = targets(records.into_iter().map(|(record, _)| record).collect());
    let targets = targets.into_iter().map(|(host, record)| {
        let ips = of_name(&record.target, &packet.additional_records).filter_map(address).take(MAX_ADDRESSES);
        let (ips, ttls): (Vec<_>, Vec<_>) = ips.unzip();
        ttl = ttls.into_iter().fold(ttl, Duration::min);
        Target { host, port: record.port, ips }
    });
    let targets = targets.collect();
    Ok(Service { targets, ttl })
}

/// The parser takes memory for as many records as are announced, which is to be no more than the packet can have.
fn check_counts(packet: &[u8]) -> simple_dns::Result<()> {
    let records = [
        header_buffer::answers(packet)?,
        header_buffer::name_servers(packet)?,
        header_buffer::additional_records(packet)?,
    ];
    let least_bytes = records.into_iter().map(|count| usize::from(count) * LEAST_RECORD_BYTES).sum::<usize>();
    if least_bytes <= packet.len() { Ok(()) } else { Err(SimpleDnsError::InsufficientData) }
}

/// The name that a name stands for within the answer, and how long it does.
fn follow_aliases<'a>(mut name: &'a Name<'a>, answers: &'a [ResourceRecord<'a>]) -> (&'a Name<'a>, Duration) {
    let mut ttl = Duration::MAX;
    for _ in 0..MAX_ALIASES {
        let alias = of_name(name, answers).find_map(|record| match &record.rdata {
            RData::CNAME(alias) => Some((&alias.0, time_to_live(record))),
            _ => None,
        });
        let Some((target, alias_ttl)) = alias else {
            break;
        };
        (name, ttl) = (target, ttl.min(alias_ttl));
    }
    (name, ttl)
}

/// The records that belong to a name.
fn of_name<'a>(
    name: &'a Name<'a>,
    records: &'a [ResourceRecord<'a>],
) -> impl Iterator<Item = &'a ResourceRecord<'a>> {
    records.iter().filter(move |record| record.class == CLASS::IN && record.name == *name)
}

fn service_record<'a>(record: &'a ResourceRecord<'a>) -> Option<(&'a SRV<'a>, Duration)> {
    match &record.rdata {
        RData::SRV(service) => Some((service, time_to_live(record))),
        _ => None,
    }
}

fn address(record: &ResourceRecord<'_>) -> Option<(IpAddr, Duration)> {
    let ip = match &record.rdata {
        RData::A(a) => Ipv4Addr::from(a.address).into(),
        RData::AAAA(aaaa) => Ipv6Addr::from(aaaa.address).into(),
        _ => return None,
    };
    Some((ip, time_to_live(record)))
}

/// The hosts that can be asked for by name, the lowest priority first, then the greatest weight. The same records are in the same
/// order each time.
fn targets<'a>(mut records: Vec<&'a SRV<'a>>) -> Vec<(String, &'a SRV<'a>)> {
    records.retain(|record| record.port != 0);
    let mut targets: Vec<_> =
        records.into_iter().filter_map(|record| Some((host(&record.target)?, record))).collect();
    targets.sort_by(|(a, a_record), (b, b_record)| {
        let order = |record: &SRV| (record.priority, Reverse(record.weight), record.port);
        order(a_record).cmp(&order(b_record)).then_with(|| a.cmp(b))
    });
    let mut seen = BTreeSet::new();
    targets.retain(|(host, record)| seen.insert((host.clone(), record.port)));
    targets.truncate(MAX_TARGETS);
    targets
}

/// A name as the system is asked for it, unless it is that of no host, such as the root, which means that there is none.
fn host(name: &Name<'_>) -> Option<String> {
    let is_of_host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let labels = name.as_bytes().map(|label| label.iter().all(is_of_host).then_some(label));
    let labels: Option<Vec<_>> = labels.map(|label| str::from_utf8(label?).ok()).collect();
    labels.filter(|labels| !labels.is_empty()).map(|labels| labels.join(".").to_ascii_lowercase())
}

/// More than 31 bits mean none (RFC 2181).
fn time_to_live(record: &ResourceRecord<'_>) -> Duration {
    Duration::from_secs(i32::try_from(record.ttl).unwrap_or(0).unsigned_abs().into())
}

impl Failure {
    /// Whether all name servers would say the same.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::NoName(_) | Self::NoSuchName | Self::NoRecords)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName(fault) => write!(f, "that is no name: {fault}"),
            Self::NoSuchName => f.write_str("there is no such name"),
            Self::NoRecords => f.write_str("the name has no SRV records"),
            Self::Refused(code) => write!(f, "it answers {code:?}"),
            Self::Unreadable(fault) => write!(f, "its answer cannot be read: {fault}"),
        }
    }
}

const HEADER_BYTES: usize = 12;

/// The root as its name, type, class, TTL, and length.
const LEAST_RECORD_BYTES: usize = 1 + 2 + 2 + 4 + 2;

/// Aliases of aliases may go round and round.
const MAX_ALIASES: usize = 8;
