//! The configuration file: no text makes the parser panic, and what it accepts makes a node.

use onehop::config::{FileSettings, Included, Sources, parse_file};
use onehop::{Engine, Instant, Listening};

/// The text of a file. NULs divide it into the file and those that it may include, `1.conf`, `2.conf` and so on; each of
/// their names is also a variable, whose value is the file's first line.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let files = Files { texts: text.split('\0').collect() };
    match parse_file("0.conf", files.texts[0], &files) {
        Ok(settings) => assert_usable(settings),
        Err(error) => {
            assert!(!error.lines().is_empty(), "refused without a word");
            assert!(error.lines().iter().all(|line| !line.is_empty()));
        }
    }
}

struct Files<'a> {
    texts: Vec<&'a str>,
}

impl Files<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        let number: usize = name.strip_suffix(".conf").unwrap_or(name).parse().ok()?;
        self.texts.get(number).copied()
    }
}

impl Sources for Files<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.text(name.strip_prefix('V').unwrap_or(name))?.lines().next().map(str::to_owned)
    }

    fn include(&self, _from: &str, path: &str) -> Result<Included, String> {
        let text = self.text(path).ok_or_else(|| format!("open {path}: no such file"))?;
        Ok(Included { name: path.to_owned(), text: text.to_owned() })
    }
}

fn assert_usable(settings: FileSettings) {
    let _ = format!("{settings:?}");
    let FileSettings { config, .. } = settings;
    if let Err(error) = config.validate() {
        assert!(!error.to_string().is_empty(), "refused without a word");
        return;
    }
    let _ = config.monitoring_address();
    let listening = Listening { client_port: 4222, route_port: 6222, ..Listening::default() };
    let mut engine = Engine::new(config, &listening, Instant::ZERO);
    let somewhere = "127.0.0.1:1".parse().expect("an address");
    let client = engine.handle_accept_client(Instant::ZERO, somewhere);
    let line = engine.transmit(client).expect("the connection exists");
    assert!(line.is_empty() || line.starts_with(b"INFO {"), "a client is greeted with INFO first");
    engine.handle_input(Instant::ZERO, client, b"CONNECT {}\r\nPING\r\n").expect("the connection exists");
    engine.handle_timeout(Instant::ZERO);
    while engine.poll_dial(Instant::ZERO).is_some() {}
}
