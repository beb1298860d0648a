//! What happens when a client says nothing: timers, with short settings (wire.md 1.9).

use std::time::Duration;

use onehop_tests::script::{To, case, compare};
use onehop_tests::server::Options;

use super::terse;

const LONG: Duration = Duration::from_secs(8);

#[test]
fn a_client_that_never_answers_pings_is_stale() {
    let options = Options::configured("ping_interval: \"1s\"\nping_max: 2\n");
    let cases = [case("silence after CONNECT")
        .client(0, terse(""))
        .await_close(To::Client(0), LONG)
        .with_keep_alive()
        .whole_only()];
    compare(&options, &cases);
}

#[test]
fn a_client_that_never_connects_is_stale_too() {
    let options = Options::configured("ping_interval: \"1s\"\nping_max: 1\n");
    let cases = [case("silence from the start")
        .raw(To::Client(0), "")
        .await_close(To::Client(0), LONG)
        .with_keep_alive()
        .whole_only()];
    compare(&options, &cases);
}

#[test]
fn credentials_must_come_in_time() {
    let options = Options::configured("authorization { user: u, password: p, timeout: 1 }\n");
    let cases = [
        case("silence").raw(To::Client(0), "").await_close(To::Client(0), LONG).whole_only(),
        case("half a CONNECT")
            .raw(To::Client(0), "CONNECT {\"us")
            .await_close(To::Client(0), LONG)
            .whole_only(),
    ];
    compare(&options, &cases);
}
