//! Two ends of TLS, and a network between them that divides their bytes, damages them and cuts them off: each end reads a beginning
//! of what the other said, and nothing else, and nobody waits for what cannot come.

use std::sync::OnceLock;
use std::time::Duration;

use onehop::transport::{
    CertificateFiles, DecodeError, Decoder, Encoder, Pem, Tls, TlsProgress, TlsSession, TlsSettings,
};

use crate::Choices;

/// The input chooses who says what, how much of it arrives at a time, and which bytes of it are damaged.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let tls = tls();
    let client = tls.connect("fuzz.example", &[], NOW).expect("a name that it has");
    let mut ends = [End::new(client), End::new(tls.accept(NOW).expect("a certificate"))];
    let mut is_damaged = false;
    while !choices.is_empty() {
        let from = choices.below(2);
        match choices.below(6) {
            0 => {
                let said = choices.bytes().repeat(choices.pick(&[1, 1, 40, 2000]));
                ends[from].say(&said);
            }
            1 if !ends[from].sent.is_empty() => {
                let place = usize::from(choices.byte()) * 7 % ends[from].sent.len();
                let change = choices.byte();
                ends[from].sent[place] ^= change;
                is_damaged |= change != 0;
            }
            2 => {
                let end = &mut ends[from];
                end.encoder.finish(&mut end.sent);
                // Nothing is said nor read behind that.
                is_damaged = true;
            }
            _ => pass(&mut ends, from, usize::from(choices.byte()) * 3),
        }
    }
    for _ in 0..MAX_ROUNDS {
        for from in [0, 1] {
            pass(&mut ends, from, usize::MAX);
        }
    }
    let [client, server] = &ends;
    assert!(server.said.starts_with(&client.read) && client.said.starts_with(&server.read));
    if !is_damaged {
        assert_eq!([client, server].map(|end| end.session.progress()), [TlsProgress::Open; 2]);
        assert!(server.said == client.read && client.said == server.read, "something was lost");
    }
}

/// One end.
struct End {
    session: TlsSession,
    decoder: Decoder,
    encoder: Encoder,
    said: Vec<u8>,
    /// Of it, what was not encoded yet.
    to_encode: Vec<u8>,
    sent: Vec<u8>,
    read: Vec<u8>,
    fault: Option<DecodeError>,
}

impl End {
    fn new(session: TlsSession) -> Self {
        let (decoder, encoder) = (session.decoder(), session.encoder());
        let nothing = Vec::new;
        Self {
            session,
            decoder,
            encoder,
            said: nothing(),
            to_encode: nothing(),
            sent: nothing(),
            read: nothing(),
            fault: None,
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.said.extend_from_slice(bytes);
        self.to_encode.extend_from_slice(bytes);
    }

    fn encode(&mut self) {
        loop {
            let before = self.sent.len();
            let taken = self.encoder.encode(&self.to_encode, &mut self.sent);
            self.to_encode.drain(..taken);
            if taken == 0 && self.sent.len() == before {
                return;
            }
        }
    }

    fn decode(&mut self, mut bytes: &[u8]) {
        while self.fault.is_none() {
            let mut plain = Vec::new();
            match self.decoder.decode(bytes, &mut plain) {
                Ok(0) if plain.is_empty() => return assert!(bytes.is_empty(), "it waits for what is there"),
                Ok(taken) => bytes = &bytes[taken..],
                Err(fault) => self.fault = Some(fault),
            }
            assert!(plain.len() <= MOST_AT_ONCE, "{}", plain.len());
            self.read.append(&mut plain);
        }
        let mut more = Vec::new();
        assert!(self.decoder.decode(b"more", &mut more).is_err() && more.is_empty());
    }
}

/// Lets some bytes of one end arrive at the other.
fn pass(ends: &mut [End; 2], from: usize, at_most: usize) {
    let sender = &mut ends[from];
    sender.encode();
    let count = at_most.min(sender.sent.len());
    let bytes: Vec<u8> = sender.sent.drain(..count).collect();
    let receiver = &mut ends[1 - from];
    receiver.decode(&bytes);
    // What it says meanwhile is no reason to read less.
    receiver.encode();
}

/// Each end believes the other, whose certificate is its own.
fn tls() -> &'static Tls {
    static TLS: OnceLock<Tls> = OnceLock::new();
    TLS.get_or_init(|| {
        let pem = |text: &[u8]| Pem::new(text.to_vec());
        let chain = pem(include_bytes!("tls/cert.pem"));
        let settings = TlsSettings {
            authorities: Some(chain.clone()),
            certificates: vec![CertificateFiles { chain, key: pem(include_bytes!("tls/key.pem")) }],
            ..TlsSettings::default()
        };
        Tls::for_routes(settings, Vec::new).expect("files that belong together")
    })
}

/// A time at which the certificate is valid.
const NOW: Duration = Duration::from_secs(1_800_000_000);

/// As often as this, what one end says needs an answer of the other.
const MAX_ROUNDS: usize = 12;

/// What one call may append: what is enough, and one record.
const MOST_AT_ONCE: usize = 64 * 1024 + 16 * 1024;
