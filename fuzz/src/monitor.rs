//! Monitoring: whatever is asked for, the answer is a page of valid JSON or says what was wrong, and shows what is there.

mod request;

use std::collections::BTreeMap;
use std::time::Duration;

use onehop::config::{Authorization, ClusterConfig, Config};
use onehop::hub::Kind;
use onehop::monitor::{Facts, Response, respond};
use onehop::{CloseReason, ConnectionId, Engine, Instant, Listening};
use serde_json::Value;

use crate::subject::matches;
use crate::{Choices, logging};
use request::Request;

/// A program: who connects and what they say, and what is asked for meanwhile.
pub fn run(data: &[u8]) {
    logging::enable();
    let mut choices = Choices::new(data);
    let mut world = World::new(&mut choices);
    while !choices.is_empty() {
        world.step(&mut choices);
    }
}

struct World {
    engine: Engine,
    now: Instant,
    clients: Vec<ConnectionId>,
    routes: Vec<ConnectionId>,
    /// How often each page was asked for.
    requests: BTreeMap<&'static str, u64>,
}

/// No page shows it.
const SECRET: &str = "hWq7-secret-Zu3k";

impl World {
    fn new(choices: &mut Choices<'_>) -> Self {
        let bits = choices.byte();
        let route = format!("nats://u:{SECRET}@10.0.0.9:6222");
        let cluster = ClusterConfig {
            name: Some("C<&>".to_owned()),
            routes: vec![route.parse().expect("a URL")],
            ..ClusterConfig::default()
        };
        let user = || Authorization::User { user: "u".to_owned(), password: SECRET.to_owned().into() };
        let config = Config {
            cluster: (bits & 1 == 0).then_some(cluster),
            authorization: if bits & 2 == 0 { Authorization::None } else { user() },
            max_closed_clients: 1 + usize::from(bits >> 2 & 3),
            server_name: Some("n\"\u{2028}".to_owned()),
            ..Config::default()
        };
        let listening = Listening { client_port: 4222, route_port: 6222, ..Listening::default() };
        Self {
            engine: Engine::new(config, &listening, Instant::ZERO),
            now: Instant::ZERO,
            clients: Vec::new(),
            routes: Vec::new(),
            requests: BTreeMap::new(),
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(12) {
            0 => self.accept_client(),
            1 | 2 => self.client_says(choices),
            3 => self.accept_route(choices),
            4 => self.route_says(choices),
            5 => self.close(choices),
            6 => {
                // Up to seven years, and beyond what a clock can hold at the start of the next.
                let seconds = choices.pick(&[0, 1, 59, 4000, 100_000, 20_000_000]);
                self.now += Duration::from_secs(seconds * u64::from(choices.byte()) % 220_000_000)
                    + Duration::from_nanos(u64::from(choices.byte()));
            }
            _ => self.ask(choices),
        }
        while let Some((id, _)) = self.engine.poll_closed() {
            self.forget(id);
        }
    }

    fn accept_client(&mut self) {
        if self.clients.len() < 8 {
            let remote = ([10, 0, 1, 1], self.clients.len() as u16).into();
            self.clients.push(self.engine.handle_accept_client(self.now, remote));
        }
    }

    fn client_says(&mut self, choices: &mut Choices<'_>) {
        let Some(id) = pick(choices, &self.clients) else { return };
        let text = String::from_utf8_lossy(choices.bytes()).replace(['"', '\\', '\n', '\r'], "<");
        let line = match choices.below(6) {
            0 => format!(
                "CONNECT {{\"verbose\":false,\"user\":\"u\",\"pass\":\"{SECRET}\",\"name\":\"{text}\",\
                 \"lang\":\"{text}\"}}\r\n"
            ),
            1 => format!("CONNECT {{\"auth_token\":\"{SECRET}\",\"version\":\"{text}\"}}\r\n"),
            2 => format!("SUB {} {}\r\n", choices.pick(SUBJECTS), choices.byte()),
            3 => format!("SUB {} q {}\r\nUNSUB 1 5\r\n", choices.pick(SUBJECTS), choices.byte()),
            4 => format!("PUB {} 5\r\nhello\r\nPING\r\n", choices.pick(SUBJECTS)),
            _ => format!("{text}\r\n"),
        };
        self.engine.handle_input(self.now, id, line.as_bytes()).expect("an open socket");
    }

    /// A peer that says all that it takes to be one, or nothing yet.
    fn accept_route(&mut self, choices: &mut Choices<'_>) {
        if self.routes.len() >= 8 {
            return;
        }
        let remote = ([10, 0, 2, 1], self.routes.len() as u16).into();
        let Ok(id) = self.engine.handle_accept_route(self.now, remote) else { return };
        let (peer, slot) = (choices.pick(&["NA", "NB", "N<\u{e9}"]), choices.below(5));
        let account = choices.pick(&["", ",\"route_account\":\"$SYS\""]);
        let lines = format!(
            "CONNECT {{\"verbose\":false,\"name\":\"{peer}\",\"cluster\":\"C<&>\"}}\r\n\
             INFO {{\"server_id\":\"{peer}\",\"server_name\":\"{peer}&\",\"cluster\":\"C<&>\",\"port\":6222,\
             \"headers\":true,\"route_pool_size\":3,\"route_pool_idx\":{slot},\"compression\":\"off\",\
             \"import\":{{\"allow\":[\"{peer}\"]}}{account}}}\r\n"
        );
        if slot < 4 {
            self.engine.handle_input(self.now, id, lines.as_bytes()).expect("an open socket");
        }
        self.routes.push(id);
    }

    fn route_says(&mut self, choices: &mut Choices<'_>) {
        let Some(id) = pick(choices, &self.routes) else { return };
        let subject = choices.pick(SUBJECTS);
        let line = match choices.below(4) {
            0 => format!("RS+ $G {subject}\r\n"),
            1 => format!("RS+ $G {subject} q {}\r\n", choices.byte()),
            2 => format!("LS+ leaf $G {subject}\r\n"),
            _ => format!("RMSG $G {subject} 2\r\nhi\r\n"),
        };
        self.engine.handle_input(self.now, id, line.as_bytes()).expect("an open socket");
    }

    fn close(&mut self, choices: &mut Choices<'_>) {
        let all: Vec<_> = self.clients.iter().chain(&self.routes).copied().collect();
        let Some(id) = pick(choices, &all) else { return };
        let reason =
            choices.pick(&[CloseReason::ClientClosed, CloseReason::ReadError, CloseReason::StaleConnection]);
        self.engine.handle_closed(self.now, id, reason).expect("an open socket");
        self.forget(id);
    }

    fn forget(&mut self, id: ConnectionId) {
        self.clients.retain(|known| *known != id);
        self.routes.retain(|known| *known != id);
    }

    fn ask(&mut self, choices: &mut Choices<'_>) {
        let request = Request::new(choices);
        let facts = |unix_nanos_at_zero: u64| Facts {
            now: self.now,
            start: Instant::ZERO,
            unix_nanos_at_zero,
            memory_bytes: unix_nanos_at_zero,
            cpu_percent: 12.5,
            cores: 4,
            workers: 2,
            http_host: "<host>",
            http_port: 8222,
            config_digest: "",
            longest_turns: &[],
            pending_bytes: &|id| id.index() as u64,
        };
        let facts = facts(choices.pick(&[1_700_000_000_000_000_000, 0, u64::MAX]));
        let target = request.target();
        let response = respond(self.engine.node(), &facts, &target);
        if let Some(path) = request.path(&response) {
            *self.requests.entry(path).or_default() += 1;
            if !matches!(path, "/varz" | "/") {
                assert_eq!(
                    respond(self.engine.node(), &facts, &target),
                    response,
                    "asking changes what is there"
                );
                *self.requests.entry(path).or_default() += 1;
            }
        }
        assert!(!response.body.contains(SECRET) || target.contains(SECRET), "{}", response.body);
        self.assert_response(&request, &response);
    }

    fn assert_response(&self, request: &Request, response: &Response) {
        let Response { status, content_type, body } = response;
        match (status, *content_type) {
            (200 | 400, "application/json") => {
                assert!(!body.contains(['<', '>', '&', '\u{2028}']), "as it stands in HTML: {body}");
                let page: Value = serde_json::from_str(body).expect("JSON");
                assert_eq!(page["status"] == "error", *status == 400, "{body}");
                if *status == 200 {
                    self.assert_page(request, &page);
                }
            }
            (200, "text/html; charset=utf-8") => assert!(body.starts_with("<!DOCTYPE html>")),
            (400, "text/plain; charset=utf-8") => {
                let is_known = REFUSALS.iter().any(|start| body.starts_with(start));
                assert!(is_known && !request.is_plain(), "{body}");
            }
            (404, "text/plain; charset=utf-8") => assert_eq!(body, "404 page not found\n"),
            _ => panic!("{status} {content_type}"),
        }
    }

    fn assert_page(&self, request: &Request, page: &Value) {
        let hub = self.engine.node().hub();
        let clients = hub.directory().count(Kind::Client);
        let list = |name: &str| page[name].as_array().map_or(0, Vec::len);
        if page.get("num_connections").is_some() {
            assert_eq!(list("connections"), number(page, "num_connections"));
            assert_pages(request, page, list("connections"));
            if request.is_plain() {
                assert_eq!(number(page, "total"), clients);
            }
            self.assert_connections(page);
        } else if page.get("num_routes").is_some() {
            assert_eq!(list("routes"), number(page, "num_routes"));
            let routes = hub.directory().list(Kind::Route);
            let registered = routes.iter().filter(|entry| !entry.about().remote_id.is_empty());
            assert_eq!(list("routes"), registered.count());
        } else if page.get("num_inserts").is_some() {
            let listed = list("subscriptions_list");
            assert_pages(request, page, listed);
            let rest = number(page, "total").saturating_sub(number(page, "offset"));
            assert_eq!(listed, rest.min(number(page, "limit")));
            self.assert_subscriptions(request, page);
        } else if page.get("total_connections").is_some() {
            assert_eq!(number(page, "connections"), clients);
            let subscriptions: usize =
                hub.accounts().list().iter().map(|account| account.index().len()).sum();
            assert_eq!(number(page, "subscriptions"), subscriptions);
            let requests = page["http_req_stats"].as_object().expect("a map");
            let counted = requests.iter().filter_map(|(path, count)| Some((path.as_str(), count.as_u64()?)));
            assert!(counted.eq(self.requests.iter().map(|(path, count)| (*path, *count))), "{requests:?}");
        }
    }

    /// Each connection once, with what it has.
    fn assert_connections(&self, page: &Value) {
        let connections = page["connections"].as_array().map_or(&[][..], Vec::as_slice);
        let mut cids: Vec<_> = connections.iter().map(|each| number(each, "cid")).collect();
        let count = cids.len();
        cids.sort_unstable();
        cids.dedup();
        assert_eq!(cids.len(), count, "a connection comes twice");
        for each in connections {
            for name in ["subscriptions_list", "subscriptions_list_detail"] {
                let listed = each[name].as_array().map(Vec::len);
                assert!(listed.is_none_or(|listed| listed == number(each, "subscriptions")), "{each}");
            }
        }
    }

    fn assert_subscriptions(&self, request: &Request, page: &Value) {
        let listed = page["subscriptions_list"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(test) = request.option("test").filter(|test| !test.is_empty()) {
            for each in listed {
                let subject = each["subject"].as_str().expect("a text");
                assert!(matches(subject.as_bytes(), test.as_bytes()), "{subject} does not match {test}");
            }
        }
    }
}

/// A list is as long as was asked for, and begins where it was.
fn assert_pages(request: &Request, page: &Value, listed: usize) {
    assert!(listed <= number(page, "limit"), "{page}");
    assert!(listed <= number(page, "total").saturating_sub(number(page, "offset")), "{page}");
    let wanted = |name: &str| request.option(name).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    if request.option("cid").is_none() && request.is_readable() {
        assert_eq!(number(page, "offset") as i64, wanted("offset").max(0));
        let limit = wanted("limit");
        assert_eq!(number(page, "limit") as i64, if limit > 0 { limit } else { 1024 });
    }
}

fn number(page: &Value, name: &str) -> usize {
    page[name].as_u64().expect("a number") as usize
}

fn pick(choices: &mut Choices<'_>, ids: &[ConnectionId]) -> Option<ConnectionId> {
    (!ids.is_empty()).then(|| choices.pick(ids))
}

const SUBJECTS: &[&str] = &["a", "a.b", "*", "a.*", ">", "a.>", "<b>", "\u{e9}"];

/// How the words begin that say what is wrong with a request.
const REFUSALS: &[&str] = &[
    "400 Bad Request",
    "Error decoding boolean for '",
    "Error decoding int for '",
    "Error decoding uint64 for '",
    "Error decoding state for ",
    "invalid sorting option: ",
    "sort by ",
    "invalid test subject, must be valid publish subject: ",
];
