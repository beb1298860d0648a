//! The attacks of the program `assault` in small, on both runtimes: what is counted and limited, never how long it takes.
//!
//! A test that waits for something to happen at all allows it half a minute; how fast it has to be is the program's to say.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use onehop_tests::assault::attacks::choose;
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
    attack_on(&Kind::RUNTIMES, name, scale, check);
}

/// The same where only these can be attacked so: signals are for the command alone.
fn attack_on(kinds: &[Kind], name: &str, scale: f64, check: impl Fn(&Figures)) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for &kind in kinds {
        let attacks = choose(&[name.to_owned()]).expect("the attack is in the list");
        let outcome = (attacks[0].run)(&Arena { kind, scale }).expect("the attack can be made");
        let figures: Figures = outcome.iter().map(|figure| (figure.name, figure.value)).collect();
        println!("{name} on {kind}: {figures:?}");
        assert!(figures.get("bystanders lost").is_none_or(|lost| *lost == 0.0));
        check(&figures);
    }
}

#[test]
fn clients_that_connect_one_after_the_other_all_have_their_info() {
    attack("connects", 0.03, |figures| assert_eq!(figures["INFO"], figures["clients"]));
}

#[test]
fn nobody_is_lost_while_others_connect_and_close() {
    attack("connect-close", 0.2, |figures| assert!(figures["log"] < 64.0 * KIB));
}

#[test]
fn a_server_without_files_serves_those_inside_and_afterwards_everybody() {
    attack("descriptors", 0.5, |figures| {
        assert_eq!((figures["served meanwhile"], figures["served afterwards"]), (1.0, 1.0));
        assert!(figures["log"] < 64.0 * KIB);
    });
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
