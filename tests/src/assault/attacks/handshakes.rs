//! Clients that shake hands and go.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::assault::figure::Figure;
use crate::assault::victim::{Arena, Watch};
use crate::certificates::Authority;
use crate::server::Options;
use crate::tls::{Begin, TlsConn};

/// How many of each second.
const PER_SECOND: u32 = 500;

/// Threads that shake hands, so that one that waits holds the others up no more than that.
const THREADS: u32 = 4;

/// How long that goes on.
const TIME: Duration = Duration::from_secs(5);

/// A storm of handshakes at a steady pace, beside clients that do without TLS.
pub fn storm(arena: &Arena) -> io::Result<Vec<Figure>> {
    let authority = Authority::new("A");
    let own = authority.sign("server");
    let config = format!("allow_non_tls: true\n{}", authority.block(&own, ""));
    let server = arena.start(Options::configured(&config))?;
    let client = authority.client(None);
    let watch = Watch::begin(&server)?;
    let (done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let pause = Duration::from_secs(1) * THREADS / PER_SECOND;
    let rounds = arena.time(TIME).as_micros() / pause.as_micros();
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..rounds as u32 {
                    thread::sleep((start + pause * round).saturating_duration_since(Instant::now()));
                    match TlsConn::connect(server.ports().client, client.clone(), Begin::AfterInfo) {
                        Ok(_) => done.fetch_add(1, Ordering::Relaxed),
                        Err(_) => failed.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
    });
    watch.end(vec![
        Figure::rate("handshakes", done.load(Ordering::Relaxed), start.elapsed()),
        Figure::broken("handshakes that failed", failed.load(Ordering::Relaxed)),
    ])
}
