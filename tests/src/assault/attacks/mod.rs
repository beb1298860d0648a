//! The attacks: what each does to a server, whichever that is.
//!
//! Each starts its own server, does its worst, and says in figures what came of it. The numbers are those of scale 1.

pub mod burst;
pub mod handshakes;
pub mod herd;
pub mod interest;
pub mod liars;
pub mod logs;
pub mod pages;
pub mod passwords;
pub mod secrets;
pub mod stopping;

use std::io;

use super::figure::Figure;
use super::victim::Arena;

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// What `--row` calls it.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Does it.
    pub run: fn(&Arena) -> io::Result<Vec<Figure>>,
}

/// All attacks, in the order of the table.
pub const ALL: &[Attack] = &[
    attack("herd", "2,000 clients connect at once", herd::at_once),
    attack("connects", "20,000 connects in a row, nobody waits for INFO", herd::in_a_row),
    attack(
        "connect-close",
        "connect and close 30,000 times, as fast as one thread can",
        herd::connect_and_close,
    ),
    attack("descriptors", "200 clients where 64 files may be open; then they go", herd::descriptors),
    attack("hearsay", "a member names 5,000 dead servers, then a real one restarts", liars::hearsay),
    attack("routez", "a route with 50,000 interests asks ROUTEZ in detail 60 times", liars::routez),
    attack("routez-unread", "the same by one that does not read", liars::routez_unread),
    attack("long-info", "300 members with INFO of 60 KB", liars::long_info),
    attack("many-urls", "60 members with 250 connect_urls each", liars::many_urls),
    attack("changing-urls", "a member changes its connect_urls 5,000 times", liars::changing_urls),
    attack("silent-servers", "2,000 connections to the route port say nothing", liars::silent_servers),
    attack("route-ends", "a route with 500,000 interests ends", interest::route_ends),
    attack("client-ends", "a client with 500,000 subscriptions ends", interest::client_ends),
    attack("route-begins", "a route begins where there are 500,000 subscriptions", interest::route_begins),
    attack("route-flaps", "a route comes and goes 200 times, 50,000 subscriptions", interest::route_flaps),
    attack(
        "same-subject-ends",
        "a client with 100,000 subscriptions to one subject ends",
        interest::same_subject_ends,
    ),
    attack(
        "queue-group-ends",
        "a client that is 100,000 members of a queue group ends",
        interest::queue_group_ends,
    ),
    attack("churn", "SUB and UNSUB for 4 s, a route is told", interest::churn),
    attack("leftovers", "2,000 clients with 64 subscriptions of 4 KB each are gone", interest::leftovers),
    attack("subsz-unread", "12 pages /subsz of 500,000 subscriptions, unread", pages::subsz_unread),
    attack("half-requests", "300 half HTTP requests, then /healthz", pages::half_requests),
    attack("stop-slow-reader", "SIGTERM while a subscriber reads at 5 MB/s", stopping::slow_reader),
    attack("stop-mesh", "SIGTERM to one of three members under load", stopping::in_a_mesh),
    attack("multiplied", "20,000 subscriptions to one subject, 2,000 messages", burst::multiplied),
    attack("readers-asleep", "20 subscribers never read, one publisher for 5 s", burst::readers_asleep),
    attack("pongs-unread", "8 clients send PING for 5 s and read nothing", burst::pongs_unread),
    attack("unfinished", "500 messages of 1 MiB that lack one byte", burst::unfinished_messages),
    attack(
        "many-filters",
        "131,072 filters that all match, 40 messages, each to a subject of its own",
        burst::many_filters,
    ),
    attack("new-subjects", "2,000,000 messages, each to a subject of its own", burst::new_subjects),
    attack("log-bad-subject", "SUB a..b repeated for 4 s", logs::bad_subjects),
    attack("log-wrong-password", "5,000 clients with a wrong password", logs::wrong_passwords),
    attack(
        "guessed-passwords",
        "32 clients of one host guess passwords for 5 s, of bcrypt hashes",
        passwords::guessed,
    ),
    attack("handshakes", "500 TLS handshakes per second for 5 s", handshakes::storm),
    attack(
        "log-unknown-operation",
        "5,000 clients with a long line that is no operation",
        logs::unknown_operations,
    ),
    attack("secret-number", "CONNECT with a number as password", secrets::number_as_password),
    attack("secret-dial", "-V on a node that dials with a password", secrets::traced_dial),
    attack("secrets", "secrets in all places where there can be any, -DV", secrets::everywhere),
];

/// The attacks called `names`, where a name also stands for all that begin with it; an unknown name is the error.
pub fn choose(names: &[String]) -> Result<Vec<Attack>, String> {
    let exact = |name: &str| ALL.iter().any(|attack| attack.name == name);
    let meant =
        |name: &str, attack: &Attack| attack.name == name || !exact(name) && attack.name.starts_with(name);
    if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|attack| meant(name, attack))) {
        return Err(format!("there is no attack {unknown:?}; --list shows all"));
    }
    let chosen = ALL.iter().filter(|attack| names.is_empty() || names.iter().any(|name| meant(name, attack)));
    Ok(chosen.copied().collect())
}

const fn attack(
    name: &'static str,
    what: &'static str,
    run: fn(&Arena) -> io::Result<Vec<Figure>>,
) -> Attack {
    Attack { name, what, run }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        choose(&names).unwrap().iter().map(|attack| attack.name).collect()
    }

    #[test]
    fn a_whole_name_means_that_attack_and_a_beginning_means_all_with_it() {
        assert_eq!(chosen(&["routez"]), ["routez"]);
        assert_eq!(chosen(&["route-"]), ["route-ends", "route-begins", "route-flaps"]);
        assert_eq!(chosen(&[]).len(), ALL.len());
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        assert!(choose(&["nothing".to_owned()]).is_err());
    }
}
