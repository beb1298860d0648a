//! What is asked of a name server, and what it answers (RFC 1035 and 2782). Whatever an answer says, reading it ends soon.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use simple_dns::rdata::{RData, SRV};
use simple_dns::{
    CLASS, Name, OPCODE, Packet, PacketFlag, Question, RCODE, ResourceRecord, SimpleDnsError, TYPE,
    header_buffer,
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
    if least_bytes <= packet.len() { Ok(()) } else { Err(SimpleDnsError::InvalidHeaderData) }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simple_dns::rdata::{A, AAAA, CNAME, TXT};

    use super::*;

    const NAME: &str = "_nats-route._tcp.example";

    fn question(name: &str) -> Vec<u8> {
        query(1, name).unwrap()
    }

    fn record<'a>(name: &'a str, ttl: u32, rdata: RData<'a>) -> ResourceRecord<'a> {
        ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, ttl, rdata)
    }

    fn srv(priority: u16, weight: u16, port: u16, target: &str) -> RData<'_> {
        RData::SRV(SRV { priority, weight, port, target: Name::new_unchecked(target) })
    }

    fn alias(target: &str) -> RData<'_> {
        RData::CNAME(CNAME(Name::new_unchecked(target)))
    }

    fn a(last: u8) -> RData<'static> {
        RData::A(A { address: Ipv4Addr::new(10, 0, 0, last).into() })
    }

    fn aaaa() -> RData<'static> {
        RData::AAAA(AAAA { address: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into() })
    }

    fn reply<'a>(answers: &[ResourceRecord<'a>], additional_records: &[ResourceRecord<'a>]) -> Packet<'a> {
        let mut packet = Packet::new_reply(1);
        let name = Name::new_unchecked(NAME);
        packet.questions.push(Question::new(name, TYPE::SRV.into(), CLASS::IN.into(), false));
        packet.answers.extend_from_slice(answers);
        packet.additional_records.extend_from_slice(additional_records);
        packet
    }

    fn bytes(answers: &[ResourceRecord<'_>], additional_records: &[ResourceRecord<'_>]) -> Vec<u8> {
        reply(answers, additional_records).build_bytes_vec_compressed().unwrap()
    }

    fn targets(answers: &[ResourceRecord<'_>]) -> Vec<String> {
        let service = read(&bytes(answers, &[])).unwrap();
        service.targets.into_iter().map(|target| format!("{}:{}", target.host, target.port)).collect()
    }

    #[test]
    fn the_lowest_priority_is_first_then_the_greatest_weight() {
        let answers = [
            record(NAME, 1, srv(2, 9, 5, "d.example")),
            record(NAME, 1, srv(1, 5, 7, "c.example")),
            record(NAME, 1, srv(1, 5, 6, "B.example")),
            record(NAME, 1, srv(1, 6, 8, "a.example")),
            record(NAME, 1, srv(3, 0, 6, "b.example")),
        ];
        assert_eq!(targets(&answers), ["a.example:8", "b.example:6", "c.example:7", "d.example:5"]);
    }

    #[test]
    fn what_is_no_host_at_a_port_is_left_out() {
        let strange = Name::new_with_labels(&[simple_dns::Label::new_unchecked(&b"a.b\0"[..])]);
        let strange = RData::SRV(SRV { priority: 0, weight: 0, port: 1, target: strange });
        assert_eq!(targets(&[record(NAME, 1, srv(0, 0, 0, "a.example"))]), [""; 0]);
        assert_eq!(targets(&[record(NAME, 1, srv(0, 0, 1, ""))]), [""; 0]);
        assert_eq!(targets(&[record(NAME, 1, srv(0, 0, 1, "\u{e9}.example"))]), [""; 0]);
        assert_eq!(targets(&[record(NAME, 1, strange)]), [""; 0]);
    }

    #[test]
    fn only_so_many_hosts_of_a_service_are_told_of() {
        let hosts: Vec<_> = (0..2 * MAX_TARGETS).map(|number| format!("{number:03}.example")).collect();
        let hosts: Vec<_> = hosts.iter().rev().map(|host| record(NAME, 1, srv(0, 0, 1, host))).collect();
        let targets = targets(&hosts);
        assert_eq!(targets.len(), MAX_TARGETS);
        assert_eq!(targets[0], "000.example:1");
    }

    #[test]
    fn records_of_others_say_nothing() {
        let mut chaos = record(NAME, 1, srv(0, 0, 1, "a.example"));
        chaos.class = CLASS::CH;
        let others =
            [chaos, record("_nats-route._udp.example", 1, srv(0, 0, 1, "a.example")), record(NAME, 1, a(1))];
        assert_eq!(read(&bytes(&others, &[])), Err(Failure::NoRecords));
        assert_eq!(read(&bytes(&[], &[record(NAME, 1, srv(0, 0, 1, "a.example"))])), Err(Failure::NoRecords));
        let own = record("_NATS-ROUTE._tcp.EXAMPLE", 1, srv(0, 0, 1, "a.example"));
        assert_eq!(targets(&[own]), ["a.example:1"]);
    }

    #[test]
    fn addresses_that_came_along_are_taken_for_the_hosts_that_have_them() {
        let answers =
            [record(NAME, 9, srv(0, 0, 1, "a.example")), record(NAME, 9, srv(1, 0, 2, "b.example"))];
        let along =
            [record("A.example", 7, a(1)), record("a.example", 8, aaaa()), record("c.example", 1, a(3))];
        let service = read(&bytes(&answers, &along)).unwrap();
        let ips = |index: usize| service.targets[index].ips.iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(ips(0), ["10.0.0.1", "fd00::1"]);
        assert_eq!(ips(1), [""; 0]);
        assert_eq!(service.ttl, Duration::from_secs(7), "that of c.example is of no use");
    }

    #[test]
    fn aliases_are_followed_as_far_as_the_answer_goes() {
        let answers = [
            record("_b.example", 5, alias("_c.example")),
            record(NAME, 9, alias("_b.example")),
            record("_c.example", 9, srv(0, 0, 1, "a.example")),
        ];
        assert_eq!(read(&bytes(&answers, &[])).unwrap().ttl, Duration::from_secs(5));
        assert_eq!(targets(&answers), ["a.example:1"]);
        assert_eq!(read(&bytes(&answers[..2], &[])), Err(Failure::NoRecords));
        let round = [record(NAME, 9, alias("_b.example")), record("_b.example", 9, alias(NAME))];
        assert_eq!(read(&bytes(&round, &[])), Err(Failure::NoRecords));
    }

    #[test]
    fn the_smallest_ttl_counts_and_one_that_is_too_large_means_none() {
        let ttl = |ttls: &[u32]| {
            let answers: Vec<_> =
                ttls.iter().map(|ttl| record(NAME, *ttl, srv(0, 0, 1, "a.example"))).collect();
            read(&bytes(&answers, &[])).unwrap().ttl.as_secs()
        };
        assert_eq!(ttl(&[300, 20, 40]), 20);
        assert_eq!(ttl(&[i32::MAX as u32]), i32::MAX as u64);
        assert_eq!(ttl(&[300, 1 << 31]), 0);
    }

    #[test]
    fn a_failure_is_told_with_the_code_that_the_server_gave() {
        let failure = |code| {
            let mut packet = reply(&[], &[]);
            *packet.rcode_mut() = code;
            read(&packet.build_bytes_vec().unwrap()).unwrap_err()
        };
        assert_eq!(failure(RCODE::NameError), Failure::NoSuchName);
        assert_eq!(failure(RCODE::ServerFailure), Failure::Refused(RCODE::ServerFailure));
        assert!(failure(RCODE::NameError).is_final() && !failure(RCODE::ServerFailure).is_final());
    }

    #[test]
    fn only_an_answer_to_the_question_is_one() {
        let good = bytes(&[], &[]);
        assert!(is_reply(&question(NAME), &good));
        assert!(
            is_reply(&question("_NATS-route._TCP.example."), &good),
            "case and the last dot mean nothing"
        );
        assert!(!is_reply(&question("_nats-route._udp.example"), &good));
        assert!(!is_reply(&question("_nats-route._tcp.example2"), &good));
        assert!(!is_reply(&query(2, NAME).unwrap(), &good));
        assert!(!is_reply(&question(NAME), &question(NAME)), "a question is no answer");
        for (at, bits) in [(2, 0x08), (5, 1), (good.len() - 3, 1), (good.len() - 1, 2)] {
            let mut other = good.clone();
            other[at] ^= bits;
            assert!(!is_reply(&question(NAME), &other), "{at}");
        }
        (0..good.len()).for_each(|length| assert!(!is_reply(&question(NAME), &good[..length])));
    }

    #[test]
    fn what_cannot_be_a_name_is_not_asked_for() {
        let long = format!("_{}.example", "a".repeat(63));
        assert!(matches!(query(1, &long), Err(Failure::NoName(_))));
        assert!(matches!(query(1, &"_a.".repeat(100)), Err(Failure::NoName(_))));
    }

    #[test]
    fn more_records_than_there_can_be_are_refused_before_there_is_room_for_them() {
        let mut packet = bytes(&[], &[]);
        packet[6..12].fill(0xff);
        assert_eq!(read(&packet), Err(Failure::Unreadable(SimpleDnsError::InvalidHeaderData)));
    }

    /// Each record is named by a pointer to the last of a chain of them, as long as a packet can have it.
    #[test]
    fn pointers_that_lead_far_or_nowhere_end() {
        let mut chain = bytes(&[], &[]);
        let (record, chain_end) = ([0xc0_u8, 0, 0, 1, 0, 1, 0, 0, 0, 1], 0x3f00_u16);
        // One record of an unknown type has the chain as its data.
        chain.extend([0, 0xff, 0, 0, 1, 0, 0, 0, 1]);
        let data_bytes = chain_end - chain.len() as u16 - 2;
        chain.extend(data_bytes.to_be_bytes());
        chain.extend([1, b'a', 0]);
        let mut target = chain.len() as u16 - 3;
        while chain.len() + 2 <= usize::from(chain_end) {
            let here = chain.len() as u16;
            chain.extend((0xc000 | target).to_be_bytes());
            target = here;
        }
        chain.resize(chain_end.into(), 0);
        let mut answers = 1_u16;
        while chain.len() + record.len() + 6 < u16::MAX.into() {
            chain.extend((0xc000 | target).to_be_bytes());
            chain.extend(&record[2..]);
            chain.extend([0, 4, 1, 2, 3, 4]);
            answers += 1;
        }
        chain[6..8].copy_from_slice(&answers.to_be_bytes());
        assert_eq!(read(&chain), Err(Failure::NoRecords));
        let mut to_itself = bytes(&[record_of_pointer()], &[]);
        let at = to_itself.len() - 2;
        to_itself[at..].copy_from_slice(&(0xc000 | at as u16).to_be_bytes());
        assert!(matches!(read(&to_itself), Err(Failure::Unreadable(_))));
    }

    /// The target ends the packet with a pointer to the name.
    fn record_of_pointer() -> ResourceRecord<'static> {
        record(NAME, 1, srv(0, 0, 1, NAME))
    }

    fn sample() -> Vec<u8> {
        let text = TXT::new().with_string("v=1").unwrap();
        let answers = [
            record(NAME, 9, alias("_b.example")),
            record("_b.example", 9, srv(0, 0, 1, "a.example")),
            record("_b.example", 9, srv(0, 0, 1, "b.example")),
        ];
        let along =
            [record("a.example", 7, a(1)), record("b.example", 8, aaaa()), record("b", 1, RData::TXT(text))];
        bytes(&answers, &along)
    }

    /// Zeros, pointers and lengths of labels are what leads anywhere.
    fn likely_byte(number: u16) -> u8 {
        let [kind, byte] = number.to_be_bytes();
        match kind % 4 {
            0 => 0,
            1 => 0xc0,
            2 => byte % 64,
            _ => byte,
        }
    }

    fn check_read(packet: &[u8]) {
        if let Ok(service) = read(packet) {
            assert!(service.targets.len() <= MAX_TARGETS);
            for target in service.targets {
                assert!(target.port != 0 && !target.host.is_empty() && target.ips.len() <= MAX_ADDRESSES);
                assert!(target.host.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
        is_reply(&question(NAME), packet);
        is_truncated(packet);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn any_bytes_are_an_answer_or_a_failure(
            counts in prop::array::uniform4(0_u8..4),
            body in prop::collection::vec(any::<u16>().prop_map(likely_byte), 0..150),
        ) {
            let mut packet = vec![0, 1, 0x80, 0];
            packet.extend(counts.into_iter().flat_map(|count| [0, count]));
            packet.extend(&body);
            check_read(&packet);
            check_read(&body);
        }

        #[test]
        fn any_damage_to_an_answer_is_borne(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            length in any::<prop::sample::Index>(),
            is_cut in any::<bool>(),
        ) {
            let mut packet = sample();
            for (at, byte) in changes {
                let at = at.index(packet.len());
                packet[at] = byte;
            }
            if is_cut {
                packet.truncate(length.index(packet.len()));
            }
            check_read(&packet);
        }

        /// All types of records that the parser knows, each with whatever data.
        #[test]
        fn any_record_is_borne(kind in 0_u16..300, data in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut packet = bytes(&[], &[]);
            packet[7] = 1;
            packet.extend([0xc0, 12]);
            packet.extend(kind.to_be_bytes());
            packet.extend([0, 1, 0, 0, 0, 1, 0, data.len() as u8]);
            packet.extend(data);
            check_read(&packet);
        }
    }
}
