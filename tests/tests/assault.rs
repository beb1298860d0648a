//! The attacks of the program `assault` in small, on both runtimes: what is counted and limited, never how long it takes,
//! but where that is a hundred times too long.
//!
//! How fast it has to be is the program's to say. What other files look at more closely is not attacked here again: `stop.rs`
//! stops servers, and `herd.rs` takes their descriptors away. That no turn is long is counted in `turns`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use onehop_tests::assault::attacks::{choose, secrets};
use onehop_tests::assault::victim::Arena;
use onehop_tests::server::Kind;

/// Each attack takes much of the machine and of the files that a process may open.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;

/// What came of an attack, by the names of the figures.
type Figures = BTreeMap<&'static str, f64>;

/// Makes the attack on both runtimes, and checks what came of it on each. No bystander may be lost in any.
fn attack(name: &str, scale: f64, check: impl Fn(&Figures)) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in Kind::RUNTIMES {
        check(&attack_one(kind, name, scale));
    }
}

fn attack_one(kind: Kind, name: &str, scale: f64) -> Figures {
    let attacks = choose(&[name.to_owned()]).expect("the attack is in the list");
    let outcome = (attacks[0].run)(&Arena { kind, scale }).expect("the attack can be made");
    let figures: Figures = outcome.iter().map(|figure| (figure.name, figure.value)).collect();
    println!("{name} on {kind}: {figures:?}");
    assert!(figures.get("bystanders lost").is_none_or(|lost| *lost == 0.0));
    figures
}

#[test]
fn clients_that_connect_one_after_the_other_all_have_their_info() {
    attack("connects", 0.03, |figures| assert_eq!(figures["INFO"], figures["clients"]));
}

#[test]
fn nobody_is_lost_in_a_storm_of_handshakes_and_all_of_them_succeed() {
    attack("handshakes", 0.2, |figures| assert_eq!(figures["handshakes that failed"], 0.0));
}

#[test]
fn nobody_is_lost_while_others_connect_and_close() {
    attack("connect-close", 0.2, |figures| assert!(figures["log"] < 64.0 * KIB));
}

#[test]
fn a_member_that_asks_for_all_routes_again_and_again_costs_little() {
    attack("routez", 0.1, |figures| assert!(figures["peak memory"] < 128.0 * MIB));
    attack("routez-unread", 0.1, |figures| assert!(figures["peak memory"] < 128.0 * MIB));
}

#[test]
fn members_that_say_much_of_themselves_are_heard_and_cost_little() {
    attack("long-info", 0.1, |figures| {
        assert_eq!(figures["joined"], figures["members"]);
        assert!(figures["peak memory"] < 128.0 * MIB);
    });
    attack("many-urls", 0.2, |figures| {
        assert_eq!(figures["joined"], figures["members"]);
        assert!(figures["peak memory"] < 128.0 * MIB);
    });
}

#[test]
fn clients_are_not_told_of_every_change_of_addresses() {
    attack("changing-urls", 0.2, |figures| assert!(figures["told to each client"] < 200.0));
}

#[test]
fn connections_that_say_nothing_keep_no_member_out() {
    attack("silent-servers", 0.1, |figures| assert_eq!(figures["another joined"], 1.0));
}

#[test]
fn interest_that_ends_at_once_is_forgotten_and_interest_that_is_there_is_told() {
    for name in ["route-ends", "client-ends", "same-subject-ends", "queue-group-ends"] {
        attack(name, 0.1, |figures| assert_eq!(figures["all are forgotten"], 1.0, "{name}"));
    }
    attack("route-begins", 0.1, |figures| {
        assert_eq!(figures["interest told"], figures["subscriptions"]);
    });
}

#[test]
fn nobody_is_lost_while_routes_and_subscriptions_come_and_go() {
    attack("route-flaps", 0.1, |figures| assert!(figures["peak memory"] < 128.0 * MIB));
    attack("churn", 0.2, |figures| assert!(figures["peak memory"] < 128.0 * MIB));
}

#[test]
fn those_who_do_not_read_cost_only_so_much() {
    attack("readers-asleep", 0.2, |figures| assert!(figures["peak memory"] < 20.0 * 64.0 * MIB));
    attack("pongs-unread", 0.1, |figures| assert!(figures["peak memory"] < 8.0 * 64.0 * MIB));
    attack("unfinished", 0.1, |figures| assert!(figures["peak memory"] < 128.0 * MIB));
}

#[test]
fn messages_to_ever_new_subjects_arrive_and_leave_nothing_behind() {
    attack("new-subjects", 0.1, |figures| {
        assert_eq!(figures["arrived"], figures["subjects"]);
        assert!(figures["peak memory"] < 64.0 * MIB);
    });
}

#[test]
fn a_client_that_is_sent_away_leaves_one_short_line_in_the_log() {
    for name in ["log-wrong-password", "log-unknown-operation"] {
        attack(name, 0.1, |figures| assert!(figures["log"] < 256.0 * figures["clients"], "{name}"));
    }
}

#[test]
fn clients_that_connect_at_once_all_have_their_info() {
    attack("herd", 0.3, |figures| assert_eq!(figures["INFO within 12 s"], figures["clients"]));
}

#[test]
fn a_member_that_restarts_is_dialed_whatever_a_liar_has_said() {
    attack("hearsay", 1.0, |figures| assert_eq!(figures["redialed"], 1.0));
}

#[test]
fn pages_that_nobody_reads_cost_only_so_much() {
    attack("subsz-unread", 0.2, |figures| assert!(figures["peak memory"] < 160.0 * MIB));
}

#[test]
fn half_requests_do_not_hide_whether_a_server_is_well() {
    attack("half-requests", 1.0, |figures| assert!(figures["/healthz"] < 20.0));
}

#[test]
fn a_new_client_is_greeted_however_many_addresses_it_is_to_be_told() {
    attack("many-urls", 1.0, |figures| assert!(figures["new client: INFO"].is_finite()));
}

#[test]
fn a_client_that_repeats_a_fault_does_not_fill_the_log() {
    attack("log-bad-subject", 0.5, |figures| assert!(figures["log"] < 64.0 * KIB));
}

#[test]
fn clients_that_are_gone_are_remembered_by_little() {
    attack("leftovers", 0.05, |figures| assert!(figures["memory afterwards"] < 32.0 * MIB));
}

#[test]
fn no_log_shows_a_secret() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in Kind::RUNTIMES {
        let arena = Arena { kind, scale: 1.0 };
        assert_eq!(secrets::leaks(&arena).expect("secrets can be told"), [""; 0], "{kind}");
        for attack in [secrets::number_as_password, secrets::traced_dial] {
            assert_eq!(attack(&arena).expect("secrets can be told")[0].value, 0.0, "{kind}");
        }
    }
}

/// No limit on turns holds for a process that may be preempted at any moment; but what is not cut takes a second here, since
/// nothing is optimized. A thread of `onehop-std` serves one connection, whose long turn is nobody else's.
#[test]
fn what_ends_or_begins_with_very_much_keeps_no_worker_for_long() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for name in ["route-ends", "client-ends", "route-begins"] {
        let turns = (0..3).map(|_| attack_one(Kind::Onehop, name, 0.2)["longest turn"]);
        assert!(turns.into_iter().any(|seconds| seconds < 0.4), "{name}");
    }
}
