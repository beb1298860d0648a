//! Life after registration: newcomers are introduced, gossip is heard, connections are lost.

use std::time::Duration;

use super::*;
use crate::gossip::{self, Arrival};
use crate::routes::Solicited;

impl Cluster {
    /// Tells the others of a connection that was just registered, where it is the first of its kind (wire.md
    /// 3.2).
    pub(super) fn introduce(&mut self, connection: ConnectionId, arrival: Arrival, info: &Info, seat: &Seat) {
        let Some(newcomer) = self.peers.get(&info.server_id) else {
            return;
        };
        let account = if let Seat::Dedicated(account) = seat { Some(account.as_str()) } else { None };
        let is_first = account.is_some() || newcomer.is_only_carrier(connection);
        if !is_first {
            return;
        }
        let others = || self.peers.iter().filter(|(id, _)| **id != info.server_id);
        if account.is_some_and(|account| !others().any(|(_, peer)| peer.dedicated(account).is_some())) {
            return;
        }
        // What stands in the newcomer's INFO is what it is gossiped by; which account, only this connection says.
        let told = Info { route_account: account.unwrap_or_default().to_owned(), ..info.clone() };
        let newcomer_mode = GossipMode::from_wire(info.gossip_mode);
        // At most two modes differ among the peers, and the line of one is the same for all that are told so.
        let mut lines: Vec<(GossipMode, Option<Vec<u8>>)> = Vec::new();
        for (id, peer) in others() {
            let Some(mode) = gossip::mode_onward(arrival, newcomer_mode, peer.is_explicit()) else {
                continue;
            };
            let over = match account {
                None => peer.first(),
                Some(_) if !peer.is_pooled() => None,
                Some(account) => peer.dedicated(account).or_else(|| peer.first()),
            };
            let Some(over) = over else {
                continue;
            };
            let known = lines.iter().position(|(of, _)| *of == mode).unwrap_or_else(|| {
                lines.push((mode, gossip::line(&told, &info.ip, mode)));
                lines.len() - 1
            });
            if let Some(line) = &lines[known].1 {
                debug!("Telling {id} of {} with gossip mode {mode:?}", info.server_id);
                self.outputs.push_back(Output::Send(over, line.clone()));
            }
        }
        if account.is_none() && !info.connect_urls.is_empty() {
            self.outputs.push_back(Output::ConnectUrlsChanged);
        }
    }

    /// Hears an INFO on a registered route (wire.md 2.10, in its order).
    pub(crate) fn handle_info(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        info: Info,
    ) -> Result<(), CloseReason> {
        let Some(Link { progress: Progress::Registered { peer, .. }, .. }) = self.links.get(&connection)
        else {
            return Ok(());
        };
        let peer = peer.clone();
        if info.server_id == self.server_id {
            return Err(CloseReason::DuplicateRoute);
        }
        if !info.cluster.is_empty() && !self.agrees_on_name(&info.cluster, info.cluster_dynamic, &peer) {
            return Err(CloseReason::ClusterNameConflict);
        }
        if !info.route_acc_add_reqid.is_empty() {
            // The peer moves an account to a connection of its own and waits for this echo. Without an account it is
            // such an echo, which this node never waits for, and echoing it would have no end (wire.md 4.5).
            if !info.route_account.is_empty() {
                let echo = Info { route_account: String::new(), ..info };
                self.outputs.push_back(Output::Send(connection, echo.to_gossip_line()));
            }
        } else if !info.gateway.is_empty() {
            // Topology of gateways, which this node has none of.
        } else if info.server_id != peer {
            self.handle_gossip(now, &peer, &info);
        } else if info.ldm {
            if let Some(peer) = self.peers.get_mut(&peer) {
                peer.leaves = true;
                peer.connect_urls.clear();
                self.outputs.push_back(Output::ConnectUrlsChanged);
            }
        } else {
            self.handle_comparison(now, &peer, info);
        }
        Ok(())
    }

    /// Hears of another server, and dials it if that is news (wire.md 3.3).
    fn handle_gossip(&mut self, now: Instant, teller: &str, info: &Info) {
        let account = Some(info.route_account.as_str()).filter(|account| !account.is_empty());
        if self.knows(&info.server_id, account) {
            return;
        }
        if account.is_some_and(|account| !self.pinned_accounts().contains(&account)) {
            return;
        }
        let Some(url) = self.dialable(&info.ip) else {
            return;
        };
        if self.is_configured(&info.host, info.port) {
            return;
        }
        let teller = self.peers.get(teller);
        let teller_pools = teller.is_some_and(Peer::is_pooled);
        // A onehop teller lets the newcomer hear of this node too, so that either may dial.
        let either_may = info.onehop > 0 && teller.is_some_and(|teller| teller.info.onehop > 0);
        let accounts = match account {
            // The teller cannot tell of dedicated connections, so they are dialed along (wire.md 3.3, rule 5).
            None if !teller_pools => self.kinds_of_connection(),
            _ => vec![account.map(str::to_owned)],
        };
        let mode = GossipMode::from_wire(info.gossip_mode);
        for account in accounts {
            self.want(now, &info.server_id, &url, account, mode, either_may);
        }
    }

    /// Where gossip says that a server can be dialed; none if that is no address, or a configured one, which is dialed
    /// anyway.
    pub(super) fn dialable(&self, url: &str) -> Option<RouteUrl> {
        let Ok(url) = url.trim_end_matches('/').parse::<RouteUrl>() else {
            error!("Cannot parse the route address \"{url}\"");
            return None;
        };
        // Credentials are this node's own, whatever the teller says.
        (!self.is_configured(&url.host, url.port)).then_some(RouteUrl { user: None, password: None, ..url })
    }

    /// Dials a server that was heard of. If the other may as well hear of this node, only one of the two dials at once;
    /// the other waits, and does not if a connection came meanwhile.
    pub(super) fn want(
        &mut self,
        now: Instant,
        id: &str,
        url: &RouteUrl,
        account: Option<String>,
        gossip_mode: GossipMode,
        either_may: bool,
    ) {
        if id.len() + url.host.len() > MAX_WANTED_BYTES {
            return debug!("Too long a name to dial a server by");
        }
        let healing = &self.config.healing;
        let waits = either_may && healing.arbitrate && healing.compare && self.server_id.as_str() > id;
        let at = if waits { now + healing.arbitration_delay + jitter(&mut self.rng) } else { now };
        let until = self.remembered_until(now);
        let dial = Dial::new(url.clone(), account, at);
        self.next_dial = None;
        self.dials.add(Dial { gossip_mode, peer: Some(id.to_owned()), until, ..dial });
    }

    /// Whether there is such a connection already. One that is dedicated to an account stands for no other.
    pub(super) fn knows(&self, server_id: &str, account: Option<&str>) -> bool {
        self.peers.get(server_id).is_some_and(|peer| match account {
            Some(account) => peer.dedicated(account).is_some(),
            // The connection for the system account may come first and carries nothing else.
            None => peer.first().is_some(),
        })
    }

    fn is_configured(&self, host: &str, port: u16) -> bool {
        self.config.routes.iter().any(|url| url.leads_to(host, port))
    }

    /// Hears a PONG: if the connection waited for one, the next slot of its pool is dialed. One by one, so that a
    /// peer that refuses the first is not flooded (wire.md 2.3, 12).
    pub(crate) fn handle_pong(&mut self, now: Instant, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        link.probed_until = None;
        let Progress::Registered { peer, seat: Seat::Slot(_), .. } = &link.progress else {
            return;
        };
        if !std::mem::take(&mut link.armed) {
            return;
        }
        let gossip_mode = link.origin.as_ref().map_or(GossipMode::Default, |origin| origin.gossip_mode);
        let id = peer.clone();
        let Some(peer) = self.peers.get(&id).filter(|peer| peer.empty_slot().is_some()) else {
            return;
        };
        if let Some(Solicited { url, explicit }) = peer.solicited.clone() {
            self.next_dial = None;
            let until = self.remembered_until(now);
            let dial = Dial::new(url, None, now);
            self.dials.add(Dial { explicit, gossip_mode, peer: Some(id), until, fills: true, ..dial });
        }
    }

    /// Forgets a connection that ended, and wants it back if this node made it.
    pub(crate) fn handle_closed(&mut self, now: Instant, connection: ConnectionId, reason: CloseReason) {
        let Some(link) = self.links.remove(&connection) else {
            return;
        };
        self.next_dial = None;
        if reason == CloseReason::ServerShutdown && self.config.healing.remember {
            // A last word, so that this node is not waited for.
            let info = Info { ldm: true, ..self.info_now() };
            self.outputs.push_back(Output::Send(connection, info.to_line()));
        }
        match link.progress {
            Progress::Handshake => {
                if let Some(dial) = link.dial {
                    self.handle_handshake_lost(now, dial, reason);
                }
            }
            Progress::Registered { peer, seat, since } => {
                let lived = now.since(since);
                self.handle_route_lost(now, &peer, &seat, reason, lived);
            }
        }
    }

    fn handle_handshake_lost(&mut self, now: Instant, dial: DialId, reason: CloseReason) {
        if reason == CloseReason::ServerShutdown {
            self.dials.remove(dial);
        } else {
            self.dials.fail(dial, now, &self.config, &mut self.rng);
        }
    }

    fn handle_route_lost(
        &mut self,
        now: Instant,
        id: &str,
        seat: &Seat,
        reason: CloseReason,
        lived: Duration,
    ) {
        let Some(peer) = self.peers.get_mut(id) else {
            return;
        };
        peer.unseat(seat);
        let was_dialed = peer.solicited.is_some() || peer.retry;
        // Who said that it leaves is not waited for, unless it is configured: then it may be back under the same address.
        let is_wanted =
            if peer.leaves { peer.is_explicit() } else { was_dialed || self.config.healing.remember };
        if is_wanted && reason != CloseReason::ServerShutdown {
            self.redial(now, id, seat, lived);
        }
        let Some(peer) = self.peers.get(id) else {
            return;
        };
        if peer.first().is_none() && !peer.connect_urls.is_empty() {
            self.outputs.push_back(Output::ConnectUrlsChanged);
        }
        if peer.is_gone() {
            self.peers.remove(id);
        }
    }

    /// Wants a lost connection back.
    fn redial(&mut self, now: Instant, id: &str, seat: &Seat, lived: Duration) {
        let Some(peer) = self.peers.get(id) else {
            return;
        };
        let Some(url) = peer.url() else {
            return;
        };
        let explicit = peer.is_explicit();
        // A configured route pauses. So does one that was only accepted: the other side is likely to dial. And one that
        // was refused as soon as it stood, since at once it would be again.
        let pauses = explicit || peer.solicited.is_none() || lived < RETRY_PAUSE;
        let fills = peer.first().is_some();
        let until = self.remembered_until(now).filter(|_| !peer.leaves);
        let accounts = match seat {
            Seat::Dedicated(account) => vec![Some(account.clone())],
            Seat::Slot(_) => vec![None],
            // It may come back as a server that pools, to which the accounts have connections of their own.
            Seat::Sole => self.kinds_of_connection(),
        };
        let mut at = now + jitter(&mut self.rng) + if pauses { RETRY_PAUSE } else { Duration::ZERO };
        if lived < RETRY_PAUSE && self.config.healing.remember {
            // Most likely both dialed at once and each kept its own. The usual jitter is less than a slow network's
            // round trip, so that they would collide again and again. Where both arbitrate, one goes first.
            at += match peer.info.onehop > 0 && self.config.healing.arbitrate {
                true if self.server_id.as_str() > id => self.config.healing.arbitration_delay,
                true => Duration::ZERO,
                false => RETRY_PAUSE.mul_f64(self.rng.f64()),
            };
        }
        for account in accounts {
            let dial = Dial::new(url.clone(), account, at);
            self.dials.add(Dial {
                explicit,
                peer: Some(id.to_owned()),
                reconnect: true,
                fills,
                until,
                ..dial
            });
        }
    }
}

/// Id and host of a server that is dialed on hearsay; both together take about 300 bytes at most where they are true.
const MAX_WANTED_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::hash::KeyedState;
    use crate::wire::system::neighbours;

    const NOW: Instant = Instant::ZERO;

    fn cluster() -> Cluster {
        let config = ClusterConfig { name: Some("c".to_owned()), ..ClusterConfig::default() };
        let own = Info { server_id: "own".to_owned(), server_name: "own".to_owned(), ..Info::default() };
        Cluster::new(config, (1, 1), 1, own, 1, Vec::new(), NOW)
    }

    fn info(id: &str) -> Info {
        Info {
            server_id: id.to_owned(),
            server_name: id.to_owned(),
            cluster: "c".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 7,
            route_pool_size: 3,
            ..Info::default()
        }
    }

    fn accept(cluster: &mut Cluster, index: u32, info: Info) -> ConnectionId {
        let connection = ConnectionId::new(index, 0);
        cluster.handle_accepted(connection, SocketAddr::from(([127, 0, 0, 1], 7)));
        cluster.handle_first_info(NOW, connection, info).expect("it is registered");
        connection
    }

    #[test]
    fn an_answer_is_heard_once_and_only_from_whom_it_was_asked() {
        let mut cluster = cluster();
        let asked = accept(&mut cluster, 1, Info { route_pool_size: 0, ..info("asked") });
        let other = accept(&mut cluster, 2, Info { route_pool_size: 0, ..info("other") });
        let answer =
            br#"{"data":{"routes":[{"remote_id":"new","did_solicit":true,"ip":"10.0.0.9","port":6222}]}}"#;
        let later = NOW + Duration::from_secs(3);
        cluster.handle_answer(later, asked, neighbours(answer));
        assert_eq!(cluster.poll_dial(later), None, "nobody was asked yet");
        cluster.handle_timeout(later);
        cluster.handle_answer(later, other, neighbours(answer));
        assert_eq!(cluster.poll_dial(later), None, "another was asked");
        cluster.handle_answer(later, asked, neighbours(answer));
        let dialed = cluster.poll_dial(later).map(|dial| (dial.host, dial.port));
        assert_eq!(dialed, Some(("10.0.0.9".to_owned(), 6222)));
        while cluster.poll_dial(later).is_some() {}
        cluster.handle_answer(later, asked, neighbours(answer));
        assert_eq!(cluster.poll_dial(later), None, "it was answered already");
    }

    /// The servers that are dialed after an answer which names a hundred, heard at this time.
    fn dialed_after_answer(cluster: &mut Cluster, asked: ConnectionId, at: Instant) -> BTreeSet<String> {
        let routes = (0..100).map(|n| format!(r#"{{"remote_id":"N{n}","ip":"10.0.0.{n}","port":6222}}"#));
        let answer = format!(r#"{{"data":{{"routes":[{}]}}}}"#, routes.collect::<Vec<_>>().join(","));
        cluster.handle_timeout(at);
        cluster.handle_answer(at, asked, neighbours(answer.as_bytes()));
        let mut dialed = BTreeSet::new();
        for tenth in 0..30 {
            let now = at + Duration::from_millis(100) * tenth;
            while let Some(dial) = cluster.poll_dial(now) {
                cluster.handle_dial_failed(now, dial.id, &DialError::Failed("refused".to_owned()));
                dialed.insert(dial.host);
            }
        }
        dialed
    }

    #[test]
    fn servers_that_an_answer_names_are_tried_few_at_a_time_and_after_longer_and_longer_pauses() {
        let mut cluster = cluster();
        let asked = accept(&mut cluster, 1, Info { route_pool_size: 0, ..info("asked") });
        let mut tried: Vec<BTreeSet<String>> = Vec::new();
        for round in 1..=8 {
            let at = NOW + Duration::from_secs(11) * round;
            tried.push(dialed_after_answer(&mut cluster, asked, at));
        }
        assert!(tried.iter().all(|dialed| dialed.len() <= 16), "{tried:?}");
        let all: BTreeSet<&String> = tried.iter().flatten().collect();
        let times = |host: &String| tried.iter().filter(|dialed| dialed.contains(host)).count();
        assert!(all.len() > 40, "others have their turn: {}", all.len());
        assert!(all.iter().all(|host| times(host) <= 4), "{tried:?}");
    }

    #[test]
    fn what_another_host_calls_itself_is_not_dialed() {
        let dialed = |asked_at: [u8; 4], ip: &str| {
            let mut cluster = cluster();
            let connection = ConnectionId::new(1, 0);
            cluster.handle_accepted(connection, SocketAddr::from((asked_at, 7)));
            let asked = Info { route_pool_size: 0, ..info("asked") };
            cluster.handle_first_info(NOW, connection, asked).expect("it is registered");
            let later = NOW + Duration::from_secs(3);
            cluster.handle_timeout(later);
            let answer =
                format!(r#"{{"data":{{"routes":[{{"remote_id":"new","ip":"{ip}","port":6222}}]}}}}"#);
            cluster.handle_answer(later, connection, neighbours(answer.as_bytes()));
            cluster.poll_dial(later).is_some()
        };
        assert!(dialed([127, 0, 0, 1], "127.0.0.1"), "both are on this host");
        assert!(!dialed([10, 0, 0, 1], "127.0.0.1"));
        assert!(dialed([10, 0, 0, 1], "10.0.0.2"));
        assert!(!dialed([10, 0, 0, 1], "0.0.0.0") && !dialed([10, 0, 0, 1], "224.0.0.1"));
    }

    #[test]
    fn clients_are_told_each_address_once_and_not_endlessly_many_of_one_peer() {
        let mut cluster = cluster();
        let urls = |names: std::ops::Range<u32>| names.map(|name| format!("h{name}:4222")).collect();
        accept(&mut cluster, 0, Info { connect_urls: urls(0..2), ..info("a") });
        accept(&mut cluster, 1, Info { connect_urls: urls(1..9999), ..info("b") });
        let told = cluster.peer_urls(&KeyedState::new(1));
        assert_eq!(told[..3], ["h0:4222", "h1:4222", "h2:4222"]);
        assert_eq!(told.len(), 2 + 256 - 1);
    }

    #[test]
    fn a_newcomer_that_says_too_much_of_itself_is_not_passed_on() {
        for (name_bytes, lines) in [(60_000, 1), (66_000, 0)] {
            let mut cluster = cluster();
            accept(&mut cluster, 0, info("told"));
            while cluster.poll_output().is_some() {}
            accept(&mut cluster, 1, Info { server_name: "n".repeat(name_bytes), ..info("newcomer") });
            assert_eq!(std::iter::from_fn(|| cluster.poll_output()).count(), lines, "{name_bytes}");
        }
    }

    #[test]
    fn a_server_with_an_endless_name_is_not_dialed() {
        let mut cluster = cluster();
        let teller = accept(&mut cluster, 0, info("teller"));
        for (host_bytes, is_dialed) in [(2000, false), (200, true)] {
            let ip = format!("nats-route://{}:9/", "h".repeat(host_bytes));
            let _ = cluster.handle_info(NOW, teller, Info { ip, ..info("newcomer") });
            assert_eq!(cluster.poll_dial(NOW).is_some(), is_dialed, "{host_bytes}");
        }
    }

    #[test]
    fn gossip_of_a_pool_is_news_though_a_connection_for_one_account_came_first() {
        let mut cluster = cluster();
        let teller = accept(&mut cluster, 0, info("teller"));
        accept(&mut cluster, 1, Info { route_account: SYSTEM_ACCOUNT.to_owned(), ..info("newcomer") });
        let gossip = Info { ip: "nats-route://127.0.0.1:9/".to_owned(), ..info("newcomer") };
        let _ = cluster.handle_info(NOW, teller, gossip.clone());
        assert_eq!(cluster.poll_dial(NOW).map(|dial| dial.port), Some(9));

        accept(&mut cluster, 2, info("newcomer"));
        let again = Info { ip: "nats-route://127.0.0.1:10/".to_owned(), ..gossip };
        let _ = cluster.handle_info(NOW, teller, again);
        assert_eq!(cluster.poll_dial(NOW), None, "now it is known");
    }
}
