//! What a connection may do in one turn, before others have theirs (design.md 3).
//!
//! Work is counted, not timed: the same input takes as many turns wherever and whenever it is handled. A unit is what one
//! delivery costs, its part of the system calls included: about 80 ns.

use crate::forwarding::Work;
use crate::interest::{Extent, MAX_LISTED};
use crate::outbox::SHARE_AT_BYTES;

/// After so much work a connection lets others go on: about two and a half milliseconds.
pub(super) const TURN: u32 = 32 * 1024;

/// What the last step of a handshake costs: a signature, and others to be checked.
pub(super) const HANDSHAKE: u32 = 4 * 1024;

/// What reading one operation costs.
pub(super) const OPERATION: u32 = 1;

/// What a change of interest costs, in the indexes and to be announced to routes.
pub(super) fn change(extent: Extent) -> u32 {
    let times = |count, each| u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(each);
    let made = times(extent.indexes, CHANGE).saturating_add(times(extent.told, ANNOUNCEMENT));
    made.saturating_add(times(extent.compared, COMPARISON))
}

/// What delivering a message took beside its targets: what ended with it, and what went to other accounts.
pub(super) fn beside(work: &Work, links: usize) -> u32 {
    let passed_on = work.passed_on * PASSING_ON + work.copied_bytes / COPIED_PER_UNIT;
    let passed_on = u32::try_from(passed_on).unwrap_or(u32::MAX);
    let found = look_up(work.looked_at).saturating_add(deliveries(work.listed, 0, links));
    change(work.ended).saturating_add(passed_on).saturating_add(found)
}

/// What it costs to deliver a message of `bytes` to so many: each copies it, unless it is shared. Where something is staged
/// for more links than a processor has at hand, each delivery waits for memory.
pub(super) fn deliveries(targets: usize, bytes: usize, links: usize) -> u32 {
    let copied = if bytes < SHARE_AT_BYTES { bytes } else { 0 };
    let each = if links > LINKS_AT_HAND { FAR_DELIVERY } else { 1 };
    u32::try_from(targets * (each + copied / COPIED_PER_UNIT)).unwrap_or(u32::MAX)
}

/// What it costs to find who wants a subject that was not at hand.
pub(super) fn look_up(looked_at: usize) -> u32 {
    let look_up = if looked_at == 0 { 0 } else { LOOK_UP + looked_at * LOOKED_AT };
    u32::try_from(look_up).unwrap_or(u32::MAX)
}

/// What it costs to make so many plain bytes of those of a socket: a few of these may stand for very many.
pub(super) fn decoding(bytes: usize) -> u32 {
    u32::try_from(bytes / DECODED_PER_UNIT).unwrap_or(u32::MAX)
}

/// More links than these that something is staged for end a turn: to hand them their part takes one to two milliseconds. As
/// many as a subject's list may name, so that its messages are handed over together.
pub(super) const MAX_STAGED_LINKS: usize = MAX_LISTED;

/// Where there are very many: most of it is waiting for memory.
const CHANGE: u32 = 60;

const ANNOUNCEMENT: u32 = 4;

/// Of an import with what somebody subscribes to.
const COMPARISON: u32 = 2;

/// To make a message for another account of one for this: a subject for its answer, and the line about who asks.
const PASSING_ON: usize = 24;

/// Once, for the list and its place among those at hand.
const LOOK_UP: usize = 16;

/// For each subscription that is listed, and each node on the way there.
const LOOKED_AT: usize = 2;

const LINKS_AT_HAND: usize = 512;

const FAR_DELIVERY: usize = 4;

/// So many bytes are copied in the time of a unit.
const COPIED_PER_UNIT: usize = 1024;

/// So many are decoded: less than a gigabyte in a second.
const DECODED_PER_UNIT: usize = 64;

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::connection::Connection;
    use crate::delivery::tests::World;
    use crate::driver::{self, Event};
    use crate::time::Instant;
    use crate::transport::Encoder;

    const NOW: Instant = Instant::ZERO;
    const CONNECT: &[u8] = b"CONNECT {\"verbose\":false}\r\n";

    /// Hands in what was read and goes on to the end; how many turns that took.
    fn input(world: &mut World, connection: &mut Connection, bytes: &[u8]) -> usize {
        let World { node, staging } = world;
        driver::handle(node, connection, NOW, Event::Input(bytes), staging);
        let mut turns = 1;
        while connection.wants_turn() {
            assert!(!connection.wants_input() || bytes.is_empty(), "there is more of it");
            driver::handle(node, connection, NOW, Event::Turn, staging);
            turns += 1;
        }
        turns
    }

    /// A client goes, and all that it leaves is done.
    fn leave(world: &mut World, mut client: Connection) {
        let World { node, staging } = world;
        driver::handle(node, &mut client, NOW, Event::EndOfInput, staging);
        let (_, mut left) = driver::end(node, client, NOW, staging);
        assert!(left.is_some(), "more than one turn is left to be done");
        while let Some(removal) = left {
            left = driver::remove(node, removal, NOW, staging);
        }
    }

    /// What a client has read since this was asked last.
    fn read_by(world: &mut World, client: &Connection) -> Vec<u8> {
        std::mem::take(&mut world.link(client.id()).read)
    }

    fn count(what: &[u8], read: &[u8]) -> usize {
        memchr::memmem::find_iter(read, what).count()
    }

    /// A server that says what it is when it connects.
    fn join(world: &mut World) -> Connection {
        let mut route = world.route();
        let info = r#"{"server_id":"NB","server_name":"B","cluster":"c","headers":true}"#;
        let lines = format!("CONNECT {info}\r\nINFO {info}\r\n");
        let World { node, staging } = world;
        driver::handle(node, &mut route, NOW, Event::Input(lines.as_bytes()), staging);
        route
    }

    fn subscriptions(count: usize) -> Vec<u8> {
        (0..count).flat_map(|sid| format!("SUB a {sid}\r\n").into_bytes()).collect()
    }

    #[test]
    fn a_read_that_multiplies_is_handled_in_turns_and_written_after_each() {
        let mut world = World::new(1_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        input(&mut world, &mut subscriber, CONNECT);
        assert_eq!(input(&mut world, &mut subscriber, &subscriptions(1_000)), 2);
        let batch = [CONNECT, &b"PUB a 1\r\nx\r\n".repeat(100), b"PING\r\n"].concat();
        let turns = input(&mut world, &mut publisher, &batch);
        assert!((3..=5).contains(&turns), "{turns}");
        assert_eq!(world.link(publisher.id()).read, b"PONG\r\n");
        // In the order of the messages, and far more than a backlog may hold.
        let read = read_by(&mut world, &subscriber);
        assert_eq!(count(b"MSG a ", &read), 100_000);
        assert!(
            read.starts_with(b"MSG a 0 1\r\nx\r\nMSG a 1 1\r\n") && read.ends_with(b"MSG a 999 1\r\nx\r\n")
        );
        assert!(read.len() > 1_000_000);
    }

    #[test]
    fn subscriptions_that_end_with_one_message_are_ended_in_slices_and_their_names_are_free_at_once() {
        let mut world = World::new(10_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        let once = |sid| format!("SUB a {sid}\r\nUNSUB {sid} 1\r\n");
        let lines: String = (0..4_000).map(once).collect();
        input(&mut world, &mut subscriber, &[CONNECT, lines.as_bytes()].concat());
        let World { node, staging } = &mut world;
        let messages = [CONNECT, b"PUB a 1\r\nx\r\nPUB a 1\r\ny\r\nPING\r\n"].concat();
        driver::handle(node, &mut publisher, NOW, Event::Input(&messages), staging);
        let index = world.node.hub().global_account().clone();
        assert!(index.index().len() > 3_000 && publisher.wants_turn());
        let names: String = (0..4_000).map(|sid| format!("SUB b {sid}\r\n")).collect();
        input(&mut world, &mut subscriber, names.as_bytes());
        input(&mut world, &mut publisher, b"");
        assert_eq!(index.index().len(), 4_000);
        input(&mut world, &mut publisher, b"PUB b 1\r\nz\r\n");
        let read = read_by(&mut world, &subscriber);
        let counts = [&b"1\r\nx"[..], b"1\r\ny", b"1\r\nz"].map(|what| count(what, &read));
        assert_eq!(counts, [4_000, 0, 4_000]);
    }

    #[test]
    fn what_is_left_of_a_read_when_the_node_stops_is_neither_handled_nor_answered() {
        let mut world = World::new(1_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        input(&mut world, &mut subscriber, &[CONNECT, &subscriptions(1_000)].concat());
        let batch = [CONNECT, &b"PUB a 1\r\nx\r\n".repeat(100), b"PING\r\n"].concat();
        let World { node, staging } = &mut world;
        driver::handle(node, &mut publisher, NOW, Event::Input(&batch), staging);
        assert!(publisher.wants_turn());
        node.handle_shutdown(NOW, staging);
        assert!(!publisher.wants_turn() && !publisher.wants_input());
        let before = world.link(subscriber.id()).read.len();
        for event in [Event::Turn, Event::Input(b"PUB a 1\r\ny\r\nPING\r\n")] {
            driver::handle(&world.node, &mut publisher, NOW, event, &mut world.staging);
        }
        assert_eq!(world.link(subscriber.id()).read.len(), before);
        assert_eq!(world.link(publisher.id()).read, b"");
    }

    #[test]
    fn nobody_waits_for_the_removal_of_subscriptions_when_the_node_stops() {
        let mut world = World::new(1_000_000);
        let mut client = world.client(true);
        input(&mut world, &mut client, &[CONNECT, &subscriptions(5_000)].concat());
        let World { node, staging } = &mut world;
        node.handle_shutdown(NOW, staging);
        driver::handle(node, &mut client, NOW, Event::EndOfInput, staging);
        assert!(driver::end(node, client, NOW, staging).1.is_none());
        assert_eq!(node.hub().global_account().index().len(), 5_000);
    }

    #[test]
    fn an_operation_that_came_in_pieces_is_handled_once_when_its_turn_comes() {
        let mut world = World::new(10_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        input(&mut world, &mut subscriber, CONNECT);
        input(&mut world, &mut subscriber, &subscriptions(5_000));
        let batch = [CONNECT, &b"PUB a 1\r\nx\r\nPUB a 1\r\ny\r\n".repeat(4), b"PING\r\n"].concat();
        for cut in 0..batch.len() {
            let (first, second) = batch.split_at(cut);
            input(&mut world, &mut publisher, first);
            input(&mut world, &mut publisher, second);
            assert_eq!(read_by(&mut world, &publisher), b"PONG\r\n", "cut at {cut}");
            let read = read_by(&mut world, &subscriber);
            assert_eq!(count(b"MSG a 7 ", &read), 8, "cut at {cut}");
        }
    }

    #[test]
    fn subscriptions_that_end_are_removed_in_slices_and_input_waits_where_others_may_follow() {
        let mut world = World::new(1_000_000);
        let mut client = world.client(true);
        input(&mut world, &mut client, &[CONNECT, &subscriptions(5_000)].concat());
        let index = world.node.hub().global_account().clone();
        assert_eq!(index.index().len(), 5_000);
        // A second CONNECT drops what was subscribed to.
        let turns = input(&mut world, &mut client, &[CONNECT, &subscriptions(3_000), b"PING\r\n"].concat());
        assert!(turns > 5, "{turns}");
        assert_eq!((index.index().len(), client.wants_input()), (3_000, true));
        let id = client.id();
        assert_eq!(world.link(id).read, b"PONG\r\n");
        let World { node, staging } = &mut world;
        driver::handle(node, &mut client, NOW, Event::EndOfInput, staging);
        let (_, mut left) = driver::end(node, client, NOW, staging);
        let mut slices = 0;
        while let Some(removal) = left {
            let before = index.index().len();
            left = driver::remove(node, removal, NOW, staging);
            assert!(before - index.index().len() <= 500);
            slices += 1;
        }
        assert!(slices >= 5, "{slices}");
        assert!(index.index().is_empty());
    }

    #[test]
    fn a_client_that_goes_while_its_old_subscriptions_are_removed_leaves_nothing() {
        let mut world = World::new(1_000_000);
        let mut client = world.client(true);
        input(&mut world, &mut client, &[CONNECT, &subscriptions(5_000)].concat());
        let World { node, staging } = &mut world;
        driver::handle(node, &mut client, NOW, Event::Input(CONNECT), staging);
        assert!(client.wants_turn() && !client.wants_input());
        leave(&mut world, client);
        assert!(world.node.hub().global_account().index().is_empty());
    }

    #[test]
    fn a_message_for_very_many_is_delivered_in_slices_to_those_that_were_there_and_stay() {
        let mut world = World::new(10_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        input(&mut world, &mut subscriber, &[CONNECT, &subscriptions(10_000)].concat());
        let World { node, staging } = &mut world;
        let messages = [CONNECT, b"PUB a 1\r\nx\r\nPUB a 1\r\ny\r\nPING\r\n"].concat();
        driver::handle(node, &mut publisher, NOW, Event::Input(&messages), staging);
        let mut turns = 1;
        // Of those that did not get it yet some go, and others come.
        input(&mut world, &mut subscriber, b"UNSUB 9000\r\nSUB a new\r\n");
        while publisher.wants_turn() {
            assert!(!publisher.wants_input() && world.link(publisher.id()).read.is_empty());
            let World { node, staging } = &mut world;
            driver::handle(node, &mut publisher, NOW, Event::Turn, staging);
            turns += 1;
        }
        assert!((20..=42).contains(&turns), "{turns}");
        assert_eq!(world.link(publisher.id()).read, b"PONG\r\n");
        let read = read_by(&mut world, &subscriber);
        assert_eq!((count(b"1\r\nx", &read), count(b"1\r\ny", &read)), (9_999, 10_000));
        assert_eq!(
            (count(b" 9000 ", &read), count(b" new 1\r\nx", &read), count(b" new 1\r\ny", &read)),
            (0, 0, 1)
        );
        assert!(memchr::memmem::find(&read, b"1\r\ny") > memchr::memmem::rfind(&read, b"1\r\nx"));
    }

    #[test]
    fn a_message_for_very_many_reaches_all_though_its_publisher_goes() {
        let mut world = World::new(10_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        input(&mut world, &mut subscriber, &[CONNECT, &subscriptions(10_000)].concat());
        let World { node, staging } = &mut world;
        let message = [CONNECT, b"SUB b 1\r\nPUB a 1\r\nx\r\n"].concat();
        driver::handle(node, &mut publisher, NOW, Event::Input(&message), staging);
        leave(&mut world, publisher);
        assert_eq!(world.node.hub().global_account().index().len(), 10_000);
        let read = read_by(&mut world, &subscriber);
        assert_eq!(count(b"1\r\nx", &read), 10_000);
    }

    #[test]
    fn who_wants_no_echo_and_who_wants_so_many_only_is_heeded_among_very_many_too() {
        let mut world = World::new(10_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        let limited: Vec<u8> =
            (0..5_000).flat_map(|sid| format!("SUB a {sid}\r\nUNSUB {sid} 1\r\n").into_bytes()).collect();
        input(&mut world, &mut subscriber, &[CONNECT, &limited].concat());
        let quiet = b"CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB a 1\r\n";
        input(&mut world, &mut publisher, quiet);
        input(&mut world, &mut publisher, b"PUB a 1\r\nx\r\nPUB a 1\r\ny\r\n");
        let read = read_by(&mut world, &subscriber);
        assert_eq!((count(b"1\r\nx", &read), count(b"1\r\ny", &read)), (5_000, 0));
        assert!(world.link(publisher.id()).read.is_empty());
        assert_eq!(world.node.hub().global_account().index().len(), 1);
    }

    #[test]
    fn of_a_group_with_very_many_members_each_is_as_likely_to_get_a_message() {
        let mut world = World::new(10_000_000);
        let mut publisher = world.client(true);
        // Two crowds, and a row that is short enough to be listed.
        let rows = [("a.b", 5_000), ("*.b", 5_000), ("a.>", 2_000)].map(|(filter, count)| {
            let mut subscriber = world.client(true);
            let lines = (0..count).flat_map(|sid| format!("SUB {filter} q {sid}\r\n").into_bytes());
            input(&mut world, &mut subscriber, &[CONNECT, &lines.collect::<Vec<_>>()].concat());
            (subscriber, count)
        });
        let messages = [CONNECT, &b"PUB a.b 1\r\nx\r\n".repeat(12_000), b"PING\r\n"].concat();
        input(&mut world, &mut publisher, &messages);
        let mut got = 0;
        for (subscriber, count) in &rows {
            let read = read_by(&mut world, subscriber);
            let text = String::from_utf8(read).expect("text");
            let sids: Vec<usize> =
                text.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok()).collect();
            got += sids.len();
            // Within five standard deviations, all of them and each half.
            let half = sids.iter().filter(|sid| **sid < count / 2).count();
            for (had, due) in [(sids.len(), *count), (half, count / 2)] {
                assert!(had.abs_diff(due) < 5 * due.isqrt(), "{had} of {due}");
            }
        }
        assert_eq!(got, 12_000);
    }

    #[test]
    fn a_group_of_very_many_gives_nothing_to_who_takes_no_more_and_forgets_who_goes() {
        let mut world = World::new(10_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        let limited = (0..5_000).flat_map(|sid| format!("SUB a q {sid}\r\nUNSUB {sid} 1\r\n").into_bytes());
        input(&mut world, &mut subscriber, &[CONNECT, &limited.collect::<Vec<_>>()].concat());
        let messages = [CONNECT, &b"PUB a 1\r\nx\r\n".repeat(5_001), b"PING\r\n"].concat();
        input(&mut world, &mut publisher, &messages);
        let read = read_by(&mut world, &subscriber);
        assert_eq!(count(b"MSG a ", &read), 5_000);
        assert!(world.node.hub().global_account().index().is_empty());
    }

    #[test]
    fn of_a_group_of_very_many_that_are_gone_and_not_yet_removed_who_stays_gets_all() {
        let mut world = World::new(10_000_000);
        let [mut crew, mut stays, mut publisher] = [(); 3].map(|()| world.client(true));
        let members = |from, to| (from..to).flat_map(|sid| format!("SUB a q {sid}\r\n").into_bytes());
        input(&mut world, &mut crew, &[CONNECT, &members(0, 9_000).collect::<Vec<_>>()].concat());
        input(&mut world, &mut stays, &[CONNECT, &members(0, 2).collect::<Vec<_>>()].concat());
        let World { node, staging } = &mut world;
        driver::handle(node, &mut crew, NOW, Event::EndOfInput, staging);
        let (_, left) = driver::end(node, crew, NOW, staging);
        assert!(left.is_some() && node.hub().global_account().index().len() > 8_000);
        input(&mut world, &mut publisher, &[CONNECT, &b"PUB a 1\r\nx\r\n".repeat(100), b"PING\r\n"].concat());
        assert_eq!(world.link(publisher.id()).read, b"PONG\r\n");
        assert_eq!(count(b"MSG a ", &read_by(&mut world, &stays)), 100);
    }

    #[test]
    fn of_a_group_in_which_nearly_all_are_the_publishers_who_wants_no_echo_the_others_get_all() {
        let mut world = World::new(10_000_000);
        let (mut publisher, mut other) = (world.client(true), world.client(true));
        let members =
            (0..9_000).flat_map(|sid| format!("SUB {}.b q {sid}\r\n", ["a", "*"][sid % 2]).into_bytes());
        let quiet = b"CONNECT {\"verbose\":false,\"echo\":false}\r\n";
        input(&mut world, &mut publisher, &[quiet, &members.collect::<Vec<_>>()[..]].concat());
        input(&mut world, &mut other, &[CONNECT, b"SUB a.b q 1\r\nSUB *.b q 2\r\n"].concat());
        input(&mut world, &mut publisher, &[&b"PUB a.b 1\r\nx\r\n".repeat(20)[..], b"PING\r\n"].concat());
        assert_eq!(read_by(&mut world, &publisher), b"PONG\r\n");
        assert_eq!(count(b"MSG a.b ", &read_by(&mut world, &other)), 20);
    }

    #[test]
    fn a_route_that_sends_to_very_many_without_end_is_told_of_interest_all_the_same() {
        let mut world = World::in_cluster(100_000_000);
        let mut subscriber = world.client(true);
        let wanted = (0..5_000).flat_map(|number| format!("SUB wanted.{number} w{number}\r\n").into_bytes());
        input(
            &mut world,
            &mut subscriber,
            &[CONNECT, &subscriptions(5_000), &wanted.collect::<Vec<_>>()].concat(),
        );
        let mut route = join(&mut world);
        let messages = b"RMSG $G a 1\r\nx\r\n".repeat(4);
        for _ in 0..100 {
            // There is always more to read as soon as it may be.
            let event = if route.wants_input() { Event::Input(&messages) } else { Event::Turn };
            let World { node, staging } = &mut world;
            driver::handle(node, &mut route, NOW, event, staging);
        }
        assert_eq!(count(b"RS+ $G wanted.", &read_by(&mut world, &route)), 5_000);
    }

    #[test]
    fn messages_to_subjects_that_very_many_filters_nearly_match_are_handled_in_turns() {
        let mut world = World::new(1_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        // Each of twelve tokens is a letter or any, and the last is one that nobody publishes.
        let token = |filter: usize, place: usize| if filter >> place & 1 == 0 { "a." } else { "*." };
        let filter = |filter| (0..12).map(|place| token(filter, place)).collect::<String>();
        let lines = (0..1 << 12).flat_map(|sid| format!("SUB {}end {sid}\r\n", filter(sid)).into_bytes());
        input(&mut world, &mut subscriber, &[CONNECT, &lines.collect::<Vec<_>>()].concat());
        let subject = "a.".repeat(12);
        let messages = (0..20).flat_map(|number| format!("PUB {subject}{number} 0\r\n\r\n").into_bytes());
        let turns = input(&mut world, &mut publisher, &[CONNECT, &messages.collect::<Vec<_>>()].concat());
        assert!((6..=10).contains(&turns), "{turns}");
    }

    /// Filters that all match `a.a.a.a.a.a.a.a.a.a.a.a.a.a.<anything>`: each of so many tokens is a letter or any.
    const MATCHING: usize = 1 << 14;

    fn matching_filter(number: usize) -> String {
        (0..14).map(|place| if number >> place & 1 == 0 { "a." } else { "*." }).chain(["*"]).collect()
    }

    fn matching_subject(number: usize) -> String {
        "a.".repeat(14) + &number.to_string()
    }

    /// Lines of `SUB`, one for each filter, by what stands behind it.
    fn to_all_filters(rest: impl Fn(usize) -> String) -> Vec<u8> {
        let line = |number| format!("SUB {} {}\r\n", matching_filter(number), rest(number));
        (0..MATCHING).flat_map(|number| line(number).into_bytes()).collect()
    }

    #[test]
    fn a_message_that_very_many_filters_match_is_delivered_once_to_each_in_slices() {
        let mut world = World::new(10_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        input(&mut world, &mut subscriber, &[CONNECT, &to_all_filters(|number| number.to_string())].concat());
        let messages = format!("PUB {} 1\r\nx\r\nPUB b 0\r\n\r\nPING\r\n", matching_subject(1));
        let turns = input(&mut world, &mut publisher, &[CONNECT, messages.as_bytes()].concat());
        assert!(turns > MATCHING / 800, "{turns}");
        assert_eq!(world.link(publisher.id()).read, b"PONG\r\n");
        let read = String::from_utf8(read_by(&mut world, &subscriber)).expect("text");
        let mut sids: Vec<usize> =
            read.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok()).collect();
        sids.sort_unstable();
        assert!(sids.into_iter().eq(0..MATCHING));
    }

    #[test]
    fn of_groups_whose_members_have_very_many_filters_each_gets_a_message_once() {
        let mut world = World::new(10_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        let lines = to_all_filters(|number| format!("q{} {number}", number % 3));
        input(&mut world, &mut subscriber, &[CONNECT, &lines].concat());
        let messages: Vec<u8> = (0..5)
            .flat_map(|number| format!("PUB {} 1\r\nx\r\n", matching_subject(number)).into_bytes())
            .collect();
        input(&mut world, &mut publisher, &[CONNECT, &messages].concat());
        let read = String::from_utf8(read_by(&mut world, &subscriber)).expect("text");
        let mut got: Vec<(String, usize)> = Vec::new();
        for line in read.lines().filter(|line| line.starts_with("MSG")) {
            let words: Vec<&str> = line.split(' ').collect();
            got.push((words[1].to_owned(), words[2].parse::<usize>().expect("a number") % 3));
        }
        got.sort_unstable();
        let expected = (0..5).flat_map(|number| (0..3).map(move |group| (matching_subject(number), group)));
        assert!(got.into_iter().eq(expected));
    }

    #[test]
    fn a_route_gets_a_message_that_very_many_of_its_filters_match_once() {
        let mut world = World::in_cluster(10_000_000);
        let (mut publisher, mut route) = (world.client(true), join(&mut world));
        let line = |number| format!("RS+ $G {}\r\n", matching_filter(number));
        let queue = |number| format!("RS+ $G {} crew 1\r\n", matching_filter(number));
        let lines: String = (0..MATCHING).map(|number| line(number) + &queue(number)).collect();
        input(&mut world, &mut route, b"");
        input(&mut world, &mut route, lines.as_bytes());
        read_by(&mut world, &route);
        let message = format!("PUB {} 1\r\nx\r\n", matching_subject(1));
        input(&mut world, &mut publisher, &[CONNECT, message.as_bytes()].concat());
        let read = String::from_utf8(read_by(&mut world, &route)).expect("text");
        assert_eq!(read, format!("RMSG $G {} | crew 1\r\nx\r\n", matching_subject(1)));
    }

    #[test]
    fn of_a_servers_message_only_the_named_groups_among_very_many_filters_get_one() {
        let mut world = World::in_cluster(10_000_000);
        let (mut subscriber, mut route) = (world.client(true), join(&mut world));
        // All interest is told, of which there is none.
        input(&mut world, &mut route, b"");
        let lines = to_all_filters(|number| match number % 4 {
            0 => number.to_string(),
            group => format!("q{group} {number}"),
        });
        input(&mut world, &mut subscriber, &[CONNECT, &lines].concat());
        let message = format!("RMSG $G {} | q1 q3 q9 1\r\nx\r\n", matching_subject(1));
        input(&mut world, &mut route, message.as_bytes());
        let read = String::from_utf8(read_by(&mut world, &subscriber)).expect("text");
        let mut got = [0; 4];
        for line in read.lines().filter(|line| line.starts_with("MSG")) {
            got[line.split(' ').nth(2).expect("a sid").parse::<usize>().expect("a number") % 4] += 1;
        }
        assert_eq!(got, [MATCHING / 4, 1, 0, 1]);
    }

    #[test]
    fn who_asks_where_very_many_filters_nearly_match_is_told_at_the_end_that_nobody_responds() {
        let mut world = World::new(10_000_000);
        let (mut subscriber, mut publisher) = (world.client(true), world.client(true));
        let lines = |number| format!("SUB {}.end {number}\r\n", matching_filter(number));
        let lines: String = (0..MATCHING).map(lines).collect();
        input(&mut world, &mut subscriber, &[CONNECT, lines.as_bytes()].concat());
        let connect =
            b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB reply 1\r\n";
        let ask = format!("PUB {}.other reply 0\r\n\r\nPING\r\n", matching_subject(1));
        input(&mut world, &mut publisher, &[connect, ask.as_bytes()].concat());
        let read = String::from_utf8(read_by(&mut world, &publisher)).expect("text");
        assert!(read.starts_with("HMSG reply 1 ") && read.contains("503"), "{read}");
        assert!(read.ends_with("PONG\r\n"), "{read}");
        // Where one is found nobody is told.
        input(&mut world, &mut subscriber, b"SUB > all\r\n");
        input(&mut world, &mut publisher, ask.as_bytes());
        assert_eq!(read_by(&mut world, &publisher), b"PONG\r\n");
    }

    #[test]
    fn messages_for_ever_other_connections_are_handled_in_turns() {
        let mut world = World::new(1_000_000);
        let mut publisher = world.client(true);
        for number in 0..5_000 {
            let mut subscriber = world.client(true);
            let subscription = format!("SUB a.{} 1\r\n", number / 100);
            input(&mut world, &mut subscriber, &[CONNECT, subscription.as_bytes()].concat());
        }
        let messages: Vec<u8> = (0..50).flat_map(|n| format!("PUB a.{n} 1\r\nx\r\n").into_bytes()).collect();
        assert_eq!(input(&mut world, &mut publisher, &[CONNECT, &messages, b"PING\r\n"].concat()), 2);
        assert_eq!(world.link(publisher.id()).read, b"PONG\r\n");
    }

    #[test]
    fn what_is_decoded_counts_however_few_operations_it_is() {
        let mut world = World::of(Config { rehearsed_transport: Some(7), ..Config::default() });
        let mut publisher = world.client(true);
        let message = [&b"PUB a 1000000\r\n"[..], &b"x".repeat(1_000_000), b"\r\n"].concat();
        let (mut bytes, mut encoder) = (CONNECT.to_vec(), Encoder::framed(7));
        for _ in 0..20 {
            let mut rest = &message[..];
            while !rest.is_empty() {
                rest = &rest[encoder.encode(rest, &mut bytes)..];
            }
        }
        let turns = input(&mut world, &mut publisher, &bytes);
        assert!((8..=12).contains(&turns), "{turns}");
        assert_eq!(publisher.entry().traffic().in_messages(), 20);
    }
}
