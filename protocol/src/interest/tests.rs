//! The rules of the index, one by one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Change, Index, MAX_LISTED, Matches, Search, Source, Subscription, SubscriptionId, Walk};
use crate::id::ConnectionId;

fn subscription(id: u64, source: Source, subject: &str, queue: &str) -> Arc<Subscription> {
    let (subject, queue) = (subject.as_bytes(), queue.as_bytes());
    Arc::new(Subscription::new(SubscriptionId(id), ConnectionId::new(1, 1), source, subject, queue, b"1"))
}

fn local(id: u64, subject: &str) -> Arc<Subscription> {
    subscription(id, Source::Client, subject, "")
}

fn member(id: u64, subject: &str, queue: &str) -> Arc<Subscription> {
    subscription(id, Source::Client, subject, queue)
}

fn quiet(_: &[ConnectionId], _: Change<'_>) {}

/// An index with a local plain subscription to each filter; the ids count from 1.
fn index_of(filters: &[&str]) -> Index {
    let index = Index::new(1);
    for (id, filter) in (1..).zip(filters) {
        index.insert(local(id, filter), &mut quiet);
    }
    index
}

/// The filters of the plain subscriptions that match.
fn matching(index: &Index, subject: &str) -> Vec<String> {
    let mut matches = Matches::default();
    index.collect(subject.as_bytes(), &mut matches);
    if matches.is_cut {
        matches.clear();
        let mut search = Search::new(subject.as_bytes());
        while !search.is_over() {
            index.search(&mut search, &mut matches);
        }
        matches.plain.sort_by_key(|sub| sub.id());
    }
    assert!(matches.queues.is_empty());
    matches.plain.iter().map(|sub| String::from_utf8_lossy(sub.subject()).into_owned()).collect()
}

/// A change as the line that a route would get, without the account.
fn line(change: Change<'_>) -> String {
    let text = String::from_utf8_lossy;
    match change {
        Change::Added { subject, queue: None } => format!("RS+ {}", text(subject)),
        Change::Added { subject, queue: Some((name, members)) } => {
            format!("RS+ {} {} {members}", text(subject), text(name))
        }
        Change::Removed { subject, queue: None } => format!("RS- {}", text(subject)),
        Change::Removed { subject, queue: Some(name) } => format!("RS- {} {}", text(subject), text(name)),
    }
}

/// The lines that `change` announces.
fn lines<R>(change: impl FnOnce(&mut dyn FnMut(&[ConnectionId], Change<'_>)) -> R) -> Vec<String> {
    let mut lines = Vec::new();
    change(&mut |_, change| lines.push(line(change)));
    lines
}

#[test]
fn a_star_matches_exactly_one_token_and_a_tail_one_or_more() {
    let index = index_of(&["foo.*", "foo.>", ">", "*", "*.*", "foo.*.baz", "foo", "foo.bar"]);
    assert_eq!(matching(&index, "foo"), [">", "*", "foo"]);
    assert_eq!(matching(&index, "foo.bar"), ["foo.*", "foo.>", ">", "*.*", "foo.bar"]);
    assert_eq!(matching(&index, "foo.bar.baz"), ["foo.>", ">", "foo.*.baz"]);
    assert_eq!(matching(&index, "bar.foo"), [">", "*.*"]);
}

#[test]
fn wildcards_within_a_longer_token_are_ordinary_bytes() {
    let index = index_of(&["foo*bar", "foo*", "foo.x>", "a.*b.c"]);
    assert_eq!(matching(&index, "foo*bar"), ["foo*bar"]);
    assert_eq!(matching(&index, "fooxbar"), [""; 0]);
    assert_eq!(matching(&index, "foo.x>"), ["foo.x>"]);
    assert_eq!(matching(&index, "foo.x.y"), [""; 0]);
    assert_eq!(matching(&index, "a.*b.c"), ["a.*b.c"]);
}

#[test]
fn a_subject_with_an_empty_token_matches_nothing() {
    let index = index_of(&[">", "*", "*.>", "*.*", "a", "a.>", "a.*", "a.*.b"]);
    for subject in ["", ".", "..", "a.", ".a", "a..b", "a.b.", ".a.b"] {
        assert_eq!(matching(&index, subject), [""; 0], "{subject:?}");
    }
}

#[test]
fn a_published_wildcard_is_an_ordinary_token_and_is_delivered_once() {
    let index = index_of(&["foo.*", "foo.>", ">", "foo.bar", "*.*", "*.bar", "*"]);
    assert_eq!(matching(&index, "foo.*"), ["foo.*", "foo.>", ">", "*.*"]);
    assert_eq!(matching(&index, "foo.>"), ["foo.*", "foo.>", ">", "*.*"]);
    assert_eq!(matching(&index, ">"), [">", "*"]);
    assert_eq!(matching(&index, "*.bar"), [">", "*.*", "*.bar"]);
}

#[test]
fn tokens_may_be_any_bytes() {
    let index = Index::new(1);
    let odd = Subscription::new(
        SubscriptionId(1),
        ConnectionId::new(0, 0),
        Source::Client,
        b"\xff\x00.\x80.*",
        b"",
        b"",
    );
    index.insert(Arc::new(odd), &mut quiet);
    let mut matches = Matches::default();
    index.collect(b"\xff\x00.\x80.\x01", &mut matches);
    assert_eq!(matches.plain.len(), 1);
}

#[test]
fn plain_matches_are_in_order_of_their_ids_whatever_the_seed() {
    for seed in 0..20 {
        let index = Index::new(seed);
        for (id, filter) in [(5, "a.b"), (2, ">"), (4, "a.*"), (1, "*.b"), (3, "a.b"), (6, "a.>")] {
            index.insert(local(id, filter), &mut quiet);
        }
        let mut matches = Matches::default();
        index.collect(b"a.b", &mut matches);
        assert_eq!(matches.plain.iter().map(|sub| sub.id().0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn queue_members_with_different_filters_are_one_group() {
    let index = Index::new(1);
    for (id, filter, queue) in [(4, "foo.*", "q"), (2, "foo.bar", "r"), (1, ">", "q"), (3, "foo.bar", "q")] {
        index.insert(member(id, filter, queue), &mut quiet);
    }
    let mut matches = Matches::default();
    index.collect(b"foo.bar", &mut matches);
    let groups: Vec<(&[u8], Vec<u64>)> = matches
        .queues
        .iter()
        .map(|(name, members)| (&**name, members.iter().map(|sub| sub.id().0).collect()))
        .collect();
    assert_eq!(groups, [(b"q".as_slice(), vec![1, 3, 4]), (b"r", vec![2])]);
    assert!(matches.plain.is_empty());
    matches.clear();
    assert!(matches.is_empty());
}

#[test]
fn plain_interest_is_announced_with_the_first_and_withdrawn_with_the_last() {
    let index = Index::new(1);
    let (one, two) = (local(1, "foo"), local(2, "foo"));
    assert_eq!(lines(|announce| index.insert(Arc::clone(&one), announce)), ["RS+ foo"]);
    assert_eq!(lines(|announce| index.insert(Arc::clone(&two), announce)), [""; 0]);
    assert_eq!(lines(|announce| index.remove(&one, announce)), [""; 0]);
    assert_eq!(lines(|announce| index.remove(&two, announce)), ["RS- foo"]);
}

#[test]
fn a_queue_group_is_announced_at_every_change_with_its_members() {
    let index = Index::new(1);
    let (one, two) = (member(1, "foo", "q"), member(2, "foo", "q"));
    assert_eq!(lines(|announce| index.insert(Arc::clone(&one), announce)), ["RS+ foo q 1"]);
    assert_eq!(lines(|announce| index.insert(Arc::clone(&two), announce)), ["RS+ foo q 2"]);
    assert_eq!(lines(|announce| index.remove(&one, announce)), ["RS+ foo q 1"]);
    assert_eq!(lines(|announce| index.remove(&two, announce)), ["RS- foo q"]);
}

#[test]
fn members_that_leave_together_are_announced_once() {
    let index = Index::new(1);
    let x: Vec<_> = (1..4).map(|id| member(id, "x", "q")).collect();
    let y: Vec<_> = (4..8).map(|id| member(id, "y.*", "q")).collect();
    let plain: Vec<_> = (8..10).map(|id| local(id, "x")).collect();
    x.iter().chain(&y).chain(&plain).for_each(|sub| index.insert(Arc::clone(sub), &mut quiet));
    let leaving: Vec<_> = x.iter().chain(&y[..3]).chain(&plain).chain(&x).cloned().collect();
    let mut lines = lines(|announce| index.remove_all(leaving, announce));
    lines.sort();
    assert_eq!(lines, ["RS+ y.* q 1", "RS- x", "RS- x q"]);
}

#[test]
fn remote_interest_is_matched_but_never_announced() {
    let index = Index::new(1);
    let remote = [
        subscription(1, Source::Route, "foo", ""),
        subscription(2, Source::RouteLeaf, "foo", ""),
        subscription(3, Source::Route, "foo", "q"),
        subscription(4, Source::Route, "foo.*", "q"),
    ];
    for sub in &remote {
        assert_eq!(lines(|announce| index.insert(Arc::clone(sub), announce)), [""; 0]);
    }
    index.listen_and_show(ConnectionId::new(1, 1), &mut |change| panic!("emitted {change:?}"));
    let mut matches = Matches::default();
    index.collect(b"foo", &mut matches);
    assert_eq!((matches.plain.len(), matches.queues.len()), (2, 1));
    // Local interest next to it comes and goes as if it were alone.
    let own = local(5, "foo");
    assert_eq!(lines(|announce| index.insert(Arc::clone(&own), announce)), ["RS+ foo"]);
    assert_eq!(lines(|announce| index.remove(&own, announce)), ["RS- foo"]);
    assert_eq!(lines(|announce| index.remove_all(remote.to_vec(), announce)), [""; 0]);
    assert!(index.is_empty());
}

#[test]
fn a_listener_gets_what_there_is_and_then_every_change_until_it_ends() {
    let index = Index::new(1);
    for (id, queue) in [(1, "r"), (2, ""), (3, "q"), (4, "q"), (5, "")] {
        index.insert(member(id, "foo", queue), &mut quiet);
    }
    let listener = ConnectionId::new(3, 1);
    let mut emitted = Vec::new();
    index.listen_and_show(listener, &mut |change| emitted.push(line(change)));
    assert_eq!(emitted, ["RS+ foo", "RS+ foo q 2", "RS+ foo r 1"]);
    let mut heard = Vec::new();
    for sub in [local(6, "bar"), local(7, "*")] {
        index.insert(sub, &mut |listeners, _| heard.push(listeners.to_vec()));
    }
    index.unlisten(listener);
    index.insert(local(8, "baz"), &mut |listeners, _| heard.push(listeners.to_vec()));
    assert_eq!(heard, [vec![listener], vec![listener], vec![]]);
}

#[test]
fn a_subscription_is_removed_once() {
    let index = index_of(&["foo", "foo"]);
    let (first, never) = (local(1, "foo"), local(3, "foo"));
    assert!(index.remove(&first, &mut quiet));
    assert!(!index.remove(&first, &mut quiet));
    assert!(!index.remove(&never, &mut quiet));
    assert!(!index.remove(&local(4, "other.*.>"), &mut quiet));
    assert_eq!((index.len(), index.stats().inserts, index.stats().removes), (1, 2, 1));
    assert_eq!(index.node_count(), 0);
}

#[test]
fn a_change_makes_stale_what_begins_alike_and_nothing_else() {
    let index = Index::new(1);
    let (inbox, orders) = (index.stamp(b"_INBOX.a"), index.stamp(b"orders.new"));
    index.insert(local(1, "_INBOX.b"), &mut quiet);
    assert!(!index.is_current(inbox));
    assert!(index.is_current(orders));
    index.insert(local(2, "*.new"), &mut quiet);
    assert!(!index.is_current(orders));
    let orders = index.stamp(b"orders.new");
    assert!(!index.remove(&local(3, "orders.new"), &mut quiet));
    assert!(index.is_current(orders), "nothing was removed");
}

#[test]
fn another_weight_makes_results_stale_and_the_same_weight_does_not() {
    let index = Index::new(1);
    let remote = subscription(1, Source::Route, "foo", "q");
    index.insert(Arc::clone(&remote), &mut quiet);
    let stamp = index.stamp(b"foo");
    index.set_weight(&remote, 1);
    assert!(index.is_current(stamp));
    index.set_weight(&remote, 3);
    assert!(!index.is_current(stamp));
    assert_eq!(remote.weight(), 3);
}

#[test]
fn the_first_tokens_spread_over_all_parts() {
    let index = Index::new(5);
    let stamps: Vec<_> = (0..64 * 20).map(|i| index.stamp(format!("token{i}").as_bytes())).collect();
    index.insert(local(1, "token0"), &mut quiet);
    let stale = stamps.iter().filter(|stamp| !index.is_current(**stamp)).count();
    assert!((1..60).contains(&stale), "{stale} of {} share a part", stamps.len());
}

#[test]
fn nothing_is_left_when_all_have_left() {
    let filters = ["a.*.c", "a.*", "a.>", "*", ">", "a.b.*.d", "a.x.*.d", "a.b", "*.b.>", "*.b.c.*.e"];
    let index = index_of(&filters);
    assert!(index.node_count() > 10);
    for (id, filter) in (1..).zip(filters) {
        assert!(index.remove(&local(id, filter), &mut quiet));
    }
    assert_eq!((index.len(), index.node_count()), (0, 0));
}

#[test]
fn a_subject_of_65536_bytes_overflows_no_stack() {
    let deep = "a.".repeat(32_766) + "*.b";
    let deeper = "*.".repeat(32_766) + "*.>";
    let on_small_stack = thread::Builder::new().stack_size(128 * 1024).spawn(move || {
        let index = index_of(&[&deep, &deeper]);
        assert_eq!(matching(&index, &("a.".repeat(32_767) + "b")).len(), 2);
        assert!(index.remove(&local(1, &deep), &mut quiet));
        assert_eq!(index.node_count(), 32_767);
        assert!(index.remove(&local(2, &deeper), &mut quiet));
        assert_eq!(index.node_count(), 0);
        index.insert(local(3, &deep), &mut quiet);
        index.insert(local(4, &deeper), &mut quiet);
        drop(index);
    });
    on_small_stack.expect("a thread can be started").join().expect("no overflow");
}

#[test]
fn stars_and_literals_at_every_token_do_not_multiply_the_work() {
    // All 4096 mixtures of `a` and `*`: every node is visited once, although 2^12 ways lead through them.
    let index = Index::new(1);
    for mixture in 0..4096_u64 {
        let tokens: Vec<_> = (0..12).map(|bit| if mixture >> bit & 1 == 1 { "*" } else { "a" }).collect();
        index.insert(local(mixture, &tokens.join(".")), &mut quiet);
    }
    assert_eq!(matching(&index, &["a"; 12].join(".")).len(), 4096);
    assert_eq!(matching(&index, &["a"; 4000].join(".")).len(), 0);
}

#[test]
fn many_subscribers_of_one_subject_leave_one_by_one_in_any_order() {
    // Quadratic work would show as a test that hangs.
    let index = Index::new(1);
    let subs: Vec<_> = (0..100_000).map(|id| local(id, "busy")).collect();
    subs.iter().for_each(|sub| index.insert(Arc::clone(sub), &mut quiet));
    let (front, back) = subs.split_at(50_000);
    for sub in front.iter().chain(back.iter().rev()) {
        assert!(index.remove(sub, &mut quiet));
    }
    assert!(index.is_empty());
}

#[test]
fn a_panic_in_a_callback_hurts_nobody_else() {
    let index = Index::new(1);
    let sub = local(1, "foo");
    let result = catch_unwind(AssertUnwindSafe(|| {
        index.insert(Arc::clone(&sub), &mut |_, _| panic!("a bug elsewhere"));
    }));
    assert!(result.is_err());
    assert_eq!(matching(&index, "foo"), ["foo"]);
    assert!(index.remove(&sub, &mut quiet));
    assert!(index.is_empty());
}

/// Members by subject and queue, as a route on the other side counts them.
type View = BTreeMap<(Vec<u8>, Vec<u8>), u32>;

fn replay(view: &mut View, change: Change<'_>) {
    match change {
        Change::Added { subject, queue } => {
            let (name, members) = queue.unwrap_or((b"", 1));
            view.insert((subject.to_vec(), name.to_vec()), members);
        }
        Change::Removed { subject, queue } => {
            view.remove(&(subject.to_vec(), queue.unwrap_or_default().to_vec()));
        }
    }
}

/// Subscribes and leaves until `done`, in an order that depends on `salt`, and stays with some. Most filters
/// are used once, so that no later change makes up for one that a listener missed.
fn churn(index: &Index, salt: u64, done: &AtomicBool, announce: &mut dyn FnMut(&[ConnectionId], Change<'_>)) {
    let mut live = Vec::new();
    for step in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
        let id: u64 = step * 8 + salt;
        let pick = (id * 2_654_435_761) as usize >> 7;
        if pick.is_multiple_of(3) && !live.is_empty() {
            let sub: Arc<Subscription> = live.swap_remove(pick % live.len());
            assert!(index.remove(&sub, announce));
        } else if pick.is_multiple_of(997) {
            index.remove_all(std::mem::take(&mut live), announce);
        } else {
            let filter = match pick % 8 {
                0 => "a.*".to_owned(),
                1 => format!("*.{id}"),
                2 => format!("b.{id}.*"),
                _ => format!("a.{id}"),
            };
            let sub = member(id, &filter, ["", "q"][pick / 8 % 2]);
            live.push(Arc::clone(&sub));
            index.insert(sub, announce);
        }
    }
}

#[test]
fn an_index_that_is_withdrawn_says_so_once_and_falls_silent() {
    let index = index_of(&["foo", "foo.*"]);
    index.insert(member(3, "foo", "q"), &mut quiet);
    index.insert(member(4, "foo", "q"), &mut quiet);
    index.insert(subscription(5, Source::Route, "bar", ""), &mut quiet);
    let listener = ConnectionId::new(3, 1);
    index.listen(listener);
    let mut heard = Vec::new();
    index.withdraw(&mut |listeners, change| heard.push((listeners.to_vec(), line(change))));
    heard.sort();
    let expected = ["RS- foo", "RS- foo q", "RS- foo.*"].map(|line| (vec![listener], line.to_owned()));
    assert_eq!(heard, expected);
    index.listen_and_show(ConnectionId::new(4, 1), &mut |change| panic!("emitted {change:?}"));
    index.insert(local(6, "late"), &mut |listeners, _| assert_eq!(listeners, []));
    assert_eq!(index.len(), 6, "those who hold subscriptions take them out themselves");
}

#[test]
fn a_service_is_announced_as_a_client_is() {
    let index = Index::new(1);
    let (service, client) = (subscription(1, Source::Service, "foo", ""), local(2, "foo"));
    assert_eq!(lines(|announce| index.insert(Arc::clone(&service), announce)), ["RS+ foo"]);
    assert_eq!(lines(|announce| index.insert(Arc::clone(&client), announce)), [""; 0]);
    assert_eq!(lines(|announce| index.remove(&client, announce)), [""; 0]);
    assert_eq!(lines(|announce| index.remove(&service, announce)), ["RS- foo"]);
}

#[test]
fn whoever_listens_while_others_change_ends_with_the_true_interest() {
    let index = Index::new(1);
    // Some stay, in tables large enough to be shown in several slices.
    for id in 0..2_000 {
        for (kind, filter) in
            [format!("a.s{id}"), format!("*.s{id}"), format!("b.s{id}.*")].iter().enumerate()
        {
            index.insert(local(1_000_000_000 + 3 * id + kind as u64, filter), &mut quiet);
        }
    }
    let views: Vec<Mutex<View>> = (0..40).map(|_| Mutex::default()).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for salt in 0..4 {
            let (index, views, done) = (&index, &views, &done);
            scope.spawn(move || {
                churn(index, salt, done, &mut |listeners, change| {
                    for listener in listeners {
                        replay(&mut views[listener.index()].lock().unwrap(), change);
                    }
                });
            });
        }
        for (number, view) in (0..).zip(&views) {
            let listener = ConnectionId::new(number, 0);
            index.listen_and_show(listener, &mut |change| replay(&mut view.lock().unwrap(), change));
            thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
    let mut truth = View::new();
    index.for_each(&mut |sub| {
        let queue = sub.queue().unwrap_or_default();
        let members = truth.entry((sub.subject().to_vec(), queue.to_vec())).or_insert(0);
        *members = if queue.is_empty() { 1 } else { *members + 1 };
    });
    assert!(!truth.is_empty());
    views.iter().for_each(|view| assert_eq!(*view.lock().unwrap(), truth));
}

#[test]
fn a_current_stamp_never_hides_a_change_that_was_over_before() {
    // One thread subscribes and leaves, and says in between which it is; the other caches.
    let index = Index::new(1);
    let sub = local(1, "a.*");
    let (subscribed, done) = (Mutex::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5_000 {
                let mut subscribed = subscribed.lock().unwrap();
                match *subscribed {
                    false => index.insert(Arc::clone(&sub), &mut quiet),
                    true => assert!(index.remove(&sub, &mut quiet)),
                }
                *subscribed = !*subscribed;
            }
            done.store(true, Ordering::Relaxed);
        });
        let (mut stamp, mut cached) = (index.stamp(b"a.b"), Matches::default());
        while !done.load(Ordering::Relaxed) {
            if !index.is_current(stamp) {
                stamp = index.stamp(b"a.b");
                cached.clear();
                index.collect(b"a.b", &mut cached);
            }
            let subscribed = subscribed.lock().unwrap();
            if index.is_current(stamp) {
                assert_eq!(cached.plain.len(), usize::from(*subscribed));
            }
        }
    });
}

#[test]
fn what_is_there_is_shown_in_slices_and_once_if_nothing_changes() {
    let index = Index::new(1);
    let deep = format!("c.{}", "d.".repeat(2_000));
    let filters: Vec<String> = (0..3_000)
        .flat_map(|id| [format!("a.{id}"), format!("b.{id}.*"), format!("c.{id}.>"), format!("{deep}{id}.*")])
        .collect();
    for (id, filter) in filters.iter().enumerate() {
        index.insert(local(id as u64, filter), &mut quiet);
    }
    let (mut walk, mut shown, mut is_over) = (Walk::default(), Vec::new(), false);
    while !is_over {
        let before = shown.len();
        is_over = index.show(&mut walk, &mut |change| shown.push(line(change)));
        assert!(shown.len() - before < 2_500, "{}", shown.len() - before);
    }
    let mut expected: Vec<String> = filters.iter().map(|filter| format!("RS+ {filter}")).collect();
    expected.sort();
    shown.sort();
    assert!(shown == expected);
}

#[test]
fn very_many_subscriptions_of_clients_to_one_filter_are_named_and_had_in_slices() {
    for filter in ["a.b", "a.*", ">"] {
        let index = Index::new(1);
        let count = MAX_LISTED as u64 + 1;
        let subs: Vec<_> = (1..=count).map(|id| local(id, filter)).collect();
        for sub in &subs[1..] {
            index.insert(sub.clone(), &mut quiet);
        }
        for (id, source, queue) in [(count + 1, Source::Route, ""), (count + 2, Source::Client, "q")] {
            index.insert(subscription(id, source, filter, queue), &mut quiet);
        }
        let mut matches = Matches::default();
        index.collect(b"a.b", &mut matches);
        assert_eq!((matches.plain.len(), matches.crowds.len()), (MAX_LISTED + 1, 0));
        index.insert(subs[0].clone(), &mut quiet);
        matches.clear();
        index.collect(b"a.b", &mut matches);
        // The few that are no plain subscriptions of clients are listed as ever.
        assert_eq!((matches.plain.len(), matches.queues.len(), matches.crowds.len()), (1, 1, 1));
        let mut crowd = matches.crowds[0].clone();
        assert_eq!(crowd.filter(), filter.as_bytes());
        let (mut slices, mut had) = (0, Vec::new());
        while !crowd.is_over() {
            let mut slice = Vec::new();
            index.next_of(&mut crowd, &mut slice);
            assert!(slice.len() <= 512);
            had.extend(slice.iter().map(|sub| sub.id().0));
            // Some go before their turn, some after it, and one comes.
            if slices == 1 {
                assert!(index.remove(&subs[0], &mut quiet) && index.remove(&subs[3999], &mut quiet));
                index.insert(local(count + 3, filter), &mut quiet);
            }
            slices += 1;
        }
        assert!(had.into_iter().eq((1..=count).filter(|id| *id != 4000)), "{filter}");
        assert_eq!(slices, 8);
    }
}

#[test]
fn a_crowd_that_dwindles_meanwhile_is_over() {
    let subs: Vec<_> = (1..=MAX_LISTED as u64 + 1).map(|id| local(id, "a")).collect();
    for left in [0, 1, 2] {
        let index = Index::new(1);
        subs.iter().for_each(|sub| index.insert(sub.clone(), &mut quiet));
        let mut matches = Matches::default();
        index.collect(b"a", &mut matches);
        index.remove_all(subs[left..].to_vec(), &mut quiet);
        let mut slice = Vec::new();
        index.next_of(&mut matches.crowds[0], &mut slice);
        assert_eq!((slice.len(), matches.crowds[0].is_over()), (left, true));
    }
}
