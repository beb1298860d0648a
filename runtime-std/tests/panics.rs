//! A panic on a connection's thread, provoked by a logger that panics while an operation is handled.

mod common;

use common::{Client, alone, wait_until};
use log::{Level, LevelFilter, Log, Metadata, Record};
use onehop::hub::Kind;
use onehop_std::Server;

struct Bomb;

impl Log for Bomb {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() == Level::Trace
    }

    fn log(&self, record: &Record<'_>) {
        assert!(!record.args().to_string().contains("bomb"), "this is provoked");
    }

    fn flush(&self) {}
}

#[test]
fn a_panic_ends_its_connection_and_no_other() {
    log::set_logger(&Bomb).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let server = Server::start(alone()).unwrap();
    let mut bystander = Client::connect(&server);
    bystander.send("SUB a 1\r\n");
    bystander.flush();
    let mut victim = Client::connect(&server);
    victim.send("SUB b 1\r\nPUB a 1\r\nx\r\nSUB bomb 2\r\n");
    assert_eq!(victim.drain(), 0);
    bystander.expect(&["MSG a 1 1", "x"]);
    wait_until("the victim is cleared away", || server.node().hub().directory().count(Kind::Client) == 1);
    assert_eq!(server.node().hub().global_account().index().len(), 1, "its subscription is gone");
    bystander.flush();
    let mut later = Client::connect(&server);
    later.send("PUB a 1\r\ny\r\n");
    bystander.expect(&["MSG a 1 1", "y"]);
}
