//! The gossip machine itself.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use log::debug;

use super::comparison::{Rhythm, digest};
use super::member::{MAX_CONNECT_URLS, Member, kept};
use super::naming;
use super::pairs::{Pairs, tell_again};
use super::questions::{ASK_PAUSE, Questions};
use super::rule::{line, mode_onward};
use super::said::{Heard, Joined, Output};
use crate::config::{ClusterConfig, RouteUrl};
use crate::id::ConnectionId;
use crate::quote::{brief, without_user_info};
use crate::time::Instant;
use crate::wire::system::{Neighbour, question, question_to};
use crate::wire::{GossipMode, Info, KnownServer};

/// Who is a member, what members were told, and what they are to be told.
#[derive(Debug)]
pub(crate) struct Gossip {
    config: Arc<ClusterConfig>,
    /// An INFO that says nothing but from whom it is.
    own: Info,
    /// What the cluster calls the system account.
    system_account: Arc<str>,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) pairs: Pairs,
    pub(super) questions: Questions,
    pub(super) rhythm: Rhythm,
    outputs: VecDeque<Output>,
}

impl Gossip {
    /// The gossip of a node of which its own INFO says who it is.
    pub(crate) fn new(
        config: Arc<ClusterConfig>,
        own_info: &Info,
        system_account: &str,
        now: Instant,
    ) -> Self {
        let Info { server_id, server_name, onehop, .. } = own_info.clone();
        Self {
            config,
            own: Info { server_id, server_name, onehop, ..Info::default() },
            system_account: system_account.into(),
            members: BTreeMap::new(),
            pairs: Pairs::new(now),
            questions: Questions::default(),
            rhythm: Rhythm::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Hears of another configuration.
    pub(crate) fn handle_config(&mut self, config: Arc<ClusterConfig>) {
        self.config = config;
    }

    /// What follows from what was heard. Poll until `None` after every other call.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Notes a connection that was registered, and tells the others of the peer, where it is the first of its kind (wire.md
    /// 3.2).
    pub(crate) fn handle_joined(&mut self, now: Instant, joined: Joined<'_>) {
        let info = &kept(joined.info);
        let joined = Joined { info, ..joined };
        let Joined { account, carrier, is_pooled, is_explicit, .. } = joined;
        let new = || Member::new(info.clone(), is_pooled, is_explicit, now);
        let member = self.members.entry(info.server_id.clone()).or_insert_with(new);
        let is_first = account.is_some() || member.carrier.is_none();
        if account.is_none() && member.carrier.is_none() {
            // Those that are dedicated to an account may be there already.
            let dedicated = std::mem::take(&mut member.dedicated);
            *member = Member { dedicated, ..new() };
        }
        member.info.ip.clone_from(&info.ip);
        member.is_explicit = is_explicit;
        match account {
            Some(account) => member.dedicated.extend(carrier.map(|carrier| (account.to_owned(), carrier))),
            None => {
                member.carrier = carrier;
                member.compared.doubt();
            }
        }
        if is_first {
            self.introduce(joined);
        }
        if is_first && account.is_none() {
            self.want_comparison(now);
        }
    }

    /// Notes that this node is configured to have a route to a peer.
    pub(crate) fn handle_explicit(&mut self, peer: &str) {
        if let Some(member) = self.members.get_mut(peer) {
            member.is_explicit = true;
        }
    }

    /// Notes that a connection ended, and which one carries now what is about its account (or about no single one), if any.
    pub(crate) fn handle_left(
        &mut self,
        now: Instant,
        peer: &str,
        account: Option<&str>,
        carrier: Option<ConnectionId>,
    ) {
        let Some(member) = self.members.get_mut(peer) else {
            return;
        };
        let was_open = member.is_open();
        match account {
            Some(account) => drop(member.dedicated.remove(account)),
            None => member.carrier = carrier,
        }
        let is_lost = account.is_none() && carrier.is_none();
        if was_open && !member.is_open() && member.info.has_urls() {
            self.outputs.push_back(Output::ConnectUrlsChanged);
        }
        if member.is_gone() {
            self.members.remove(peer);
        }
        if is_lost {
            self.want_comparison(now);
        }
    }

    /// Hears an INFO that a peer sent over a registered connection (wire.md 2.10, in its order), which is not about accounts that
    /// move.
    pub(crate) fn handle_info(&mut self, now: Instant, peer: &str, info: Info) {
        if !info.gateway.is_empty() {
            // Topology of gateways, which this node has none of.
        } else if info.server_id != peer {
            self.handle_gossip(peer, &info);
        } else if info.ldm {
            if let Some(member) = self.members.get_mut(peer).filter(|member| !member.leaves) {
                member.leaves = true;
                self.outputs.push_back(Output::Leaves(peer.to_owned()));
                self.outputs.push_back(Output::ConnectUrlsChanged);
            }
        } else if info.onehop == 0 {
            self.handle_permissions(peer, &info);
        } else if self.config.healing.compare {
            self.handle_comparison(now, peer, info);
        }
    }

    /// Hears where a peer and its port for clients are from now on.
    pub(crate) fn handle_address(&mut self, now: Instant, peer: &str, info: Info) {
        let Some(member) = self.members.get_mut(peer) else { return };
        let Info { host, port, ip, connect_urls, ws_connect_urls, .. } = info;
        let info = Info { host, port, ip, connect_urls, ws_connect_urls, ..member.info.clone() };
        let before = std::mem::replace(&mut member.info, kept(&info));
        let changes = [false, true]
            .map(|by_websocket| before.urls_of(by_websocket) != member.info.urls_of(by_websocket));
        if member.is_open() && changes.contains(&true) {
            self.outputs.push_back(Output::ConnectUrlsChanged);
        }
        if before.ip != member.info.ip {
            // Who lacks it was perhaps just told where it was.
            self.members.values_mut().for_each(|member| member.compared.told_servers = None);
            self.want_comparison(now);
        }
    }

    /// Hears which servers a peer has routes to that was asked. `is_local` says that it is on this host.
    pub(crate) fn handle_neighbours(&mut self, peer: &str, is_local: bool, mut neighbours: Vec<Neighbour>) {
        if self.questions.handle_answered(peer) {
            neighbours.retain(|server| is_sensible(server, is_local) && !self.knows(&server.id, None));
            self.outputs.push_back(Output::HeardNeighbours { teller: peer.to_owned(), neighbours });
        }
    }

    /// Whether an answer of this peer is waited for, so that it is worth reading.
    pub(crate) fn awaits_answer(&self, peer: &str) -> bool {
        self.questions.awaits(peer)
    }

    /// When [`Gossip::handle_timeout`] is to be called next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.rhythm.poll_timeout()
    }

    /// Compares with other onehop nodes, if it is time since something changed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.compare(now);
        }
    }

    /// Does what is to be done again and again. To be called once in [`interval`](crate::config::Healing::interval).
    pub(crate) fn handle_round(&mut self, now: Instant) {
        if self.config.healing.compare {
            self.compare(now);
        }
        if self.config.healing.regossip {
            let (healing, pinned) = (&self.config.healing, self.config.accounts.len());
            let due = self.pairs.take_due(now, healing, pinned, self.members.values());
            let system_account = &*self.system_account;
            let tell = |(told, newcomer)| tell_again(told, newcomer, system_account);
            self.outputs.extend(due.into_iter().flat_map(tell));
        }
        if self.config.healing.ask {
            self.ask(now);
        }
    }

    /// What a peer says of itself.
    pub(crate) fn info_of(&self, peer: &str) -> Option<&Info> {
        self.members.get(peer).map(|member| &member.info)
    }

    /// Addresses of the peers for one kind of clients, in the order of their ids; some may stand there twice. As many of each as fit into
    /// `max_bytes` if all have so many, so that nobody's many addresses leave no room for another's first.
    pub(crate) fn connect_urls(&self, by_websocket: bool, max_bytes: usize) -> impl Iterator<Item = &String> {
        let all = move |of_each: usize| {
            let members = self.members.values();
            members.flat_map(move |member| member.connect_urls(by_websocket).iter().take(of_each))
        };
        let fits = |of_each: &usize| all(*of_each).map(|url| url_bytes(url)).sum::<usize>() <= max_bytes;
        let of_each = (1..=MAX_CONNECT_URLS).rev().find(fits).unwrap_or(1);
        let mut bytes = 0;
        all(of_each).take_while(move |url| {
            bytes += url_bytes(url);
            bytes <= max_bytes
        })
    }

    /// Tells the others of a peer, if they are to be told.
    fn introduce(&mut self, joined: Joined<'_>) {
        let Joined { info, arrival, account, .. } = joined;
        let others = || self.members.iter().filter(|(id, _)| **id != info.server_id);
        if account.is_some_and(|account| !others().any(|(_, other)| other.dedicated(account).is_some())) {
            return;
        }
        // What stands in the newcomer's INFO is what it is gossiped by; which account, only this connection says.
        let newcomer = Info { route_account: account.unwrap_or_default().to_owned(), ..info.clone() };
        let newcomer_mode = GossipMode::from_wire(info.gossip_mode);
        // At most two modes differ among the peers, and the line of one is the same for all that are told so.
        let mut lines: Vec<(GossipMode, Option<Bytes>)> = Vec::new();
        let mut told = Vec::new();
        for (id, other) in others() {
            if account.is_some() && info.onehop > 0 && other.is_onehop() {
                // Whoever of the two dials the other does so for all kinds of connections.
                continue;
            }
            let mode = mode_onward(arrival, newcomer_mode, other.is_explicit);
            let (Some(mode), Some(over)) = (mode, other.carrier_about(account, &self.system_account)) else {
                continue;
            };
            let known = lines.iter().position(|(of, _)| *of == mode).unwrap_or_else(|| {
                lines.push((mode, line(&newcomer, &info.ip, mode)));
                lines.len() - 1
            });
            if let Some(line) = &lines[known].1 {
                debug!("Telling {id} of {} with gossip mode {mode:?}", info.server_id);
                self.outputs.push_back(Output::Tell(over, line.clone()));
                told.push(other);
            }
        }
        if account.is_none()
            && self.config.healing.compare
            && info.onehop > 0
            && let Some(over) = joined.carrier
        {
            let named = told.into_iter().filter_map(Member::named).filter(|named| named.onehop);
            let lines = naming::lines(&self.own, named);
            self.outputs.extend(lines.into_iter().map(|line| Output::Tell(over, line)));
        }
        if account.is_none() && info.has_urls() {
            self.outputs.push_back(Output::ConnectUrlsChanged);
        }
    }

    /// Hears of another server (wire.md 3.3).
    fn handle_gossip(&mut self, teller: &str, info: &Info) {
        let account = Some(info.route_account.as_str()).filter(|account| !account.is_empty());
        if self.knows(&info.server_id, account) {
            return;
        }
        let Some(url) = self.dialable(&info.ip).filter(|_| !self.is_configured(&info.host, info.port)) else {
            return;
        };
        let told_by = self.members.get(teller);
        // A onehop teller lets the newcomer hear of this node too.
        let either_may = info.onehop > 0 && told_by.is_some_and(Member::is_onehop);
        // The teller cannot tell of dedicated connections (wire.md 3.3, rule 5), or does not, so they are dialed along.
        let all_kinds = account.is_none() && (either_may || !told_by.is_some_and(|teller| teller.is_pooled));
        self.outputs.push_back(Output::Heard(Heard {
            is_named: false,
            teller: teller.to_owned(),
            server: info.server_id.clone(),
            url,
            account: account.map(str::to_owned),
            all_kinds,
            gossip_mode: GossipMode::from_wire(info.gossip_mode),
            either_may,
        }));
    }

    /// Hears what a peer imports and exports from now on.
    fn handle_permissions(&mut self, peer: &str, info: &Info) {
        if let Some(member) = self.members.get_mut(peer) {
            let Info { import, export, .. } = kept(&Info { ip: member.info.ip.clone(), ..info.clone() });
            (member.info.import, member.info.export) = (import, export);
        }
    }

    /// Hears what another onehop node knows.
    fn handle_comparison(&mut self, now: Instant, teller: &str, info: Info) {
        let digest = self.digest();
        if let Some(member) = self.members.get_mut(teller) {
            member.compared.handle_digest(info.onehop_digest);
            if member.compared.lacks_servers(&digest, now) {
                self.want_comparison(now);
            }
        }
        for KnownServer { id, url, onehop } in info.onehop_peers.into_iter().take(naming::SERVERS_PER_LINE) {
            if self.knows(&id, None) {
                continue;
            }
            if let Some(url) = self.dialable(&url) {
                self.outputs.push_back(Output::Heard(Heard {
                    is_named: true,
                    teller: teller.to_owned(),
                    server: id,
                    url,
                    account: None,
                    all_kinds: true,
                    gossip_mode: GossipMode::Disabled,
                    either_may: onehop,
                }));
            }
        }
    }

    /// Tells other onehop nodes a digest of the servers that this node has routes to, when it changed; and names the
    /// servers to those whose digest differs. Whoever lacks one of them dials it.
    fn compare(&mut self, now: Instant) {
        let digest = self.digest();
        let others = self.members.values().filter(|member| member.carrier.is_some()).count();
        let (mut digest_to, mut lacking) = (Vec::new(), Vec::new());
        for member in self.members.values_mut() {
            let Some(over) = member.carrier.filter(|_| member.is_onehop()) else {
                continue;
            };
            let compared = &mut member.compared;
            if compared.lacks_digest(&digest, now) {
                compared.told_digest = Some((digest.clone(), now));
                digest_to.push(over);
            }
            if others > 1 && !member.leaves && compared.lacks_servers(&digest, now) {
                lacking.push((over, compared));
            }
        }
        // Those that were not named any for longest come first.
        lacking.sort_by_key(|(_, compared)| compared.told_servers.as_ref().map(|(_, at)| *at));
        lacking.truncate(SERVERS_TO_AT_ONCE);
        let servers_to = lacking.into_iter().map(|(over, compared)| {
            compared.told_servers = Some((digest.clone(), now));
            over
        });
        let servers_to: Vec<_> = servers_to.collect();
        let mut sent = digest_to.len();
        if !digest_to.is_empty() {
            let line = Bytes::from(Info { onehop_digest: digest, ..self.own.clone() }.to_gossip_line());
            self.outputs.extend(digest_to.into_iter().map(|over| Output::Tell(over, line.clone())));
        }
        if !servers_to.is_empty() {
            // The same for all: whoever finds himself among them thinks nothing of it.
            let lines = naming::lines(&self.own, self.servers());
            sent += lines.len() * servers_to.len();
            let tell = |over| lines.iter().map(move |line| Output::Tell(over, line.clone()));
            self.outputs.extend(servers_to.into_iter().flat_map(tell));
        }
        self.rhythm.handle_compared(now, sent, self.config.healing.interval);
    }

    fn want_comparison(&mut self, now: Instant) {
        if self.config.healing.compare {
            self.rhythm.want(now);
        }
    }

    /// Asks the next nats-server peer for its routes, if it is time.
    fn ask(&mut self, now: Instant) {
        if !self.questions.is_due(now, self.config.healing.ask_interval) {
            return;
        }
        let is_ready = |(id, member): (&String, &Member)| {
            member.is_ready_to_be_asked(now, &self.system_account).then(|| id.clone())
        };
        let last = self.questions.last().map_or(Bound::Unbounded, Bound::Excluded);
        let mut after_last = self.members.range::<str, _>((last, Bound::Unbounded));
        let next = after_last.find_map(is_ready).or_else(|| self.members.iter().find_map(is_ready));
        next.into_iter().for_each(|id| self.ask_member(now, &id));
    }

    /// Asks a member out of turn which routes it has, if it may be asked, and none was just now.
    pub(crate) fn ask_again(&mut self, now: Instant, peer: &str) {
        let is_ready = |member: &Member| member.is_ready_to_be_asked(now, &self.system_account);
        if self.questions.is_due(now, ASK_PAUSE) && self.members.get(peer).is_some_and(is_ready) {
            self.ask_member(now, peer);
        }
    }

    fn ask_member(&mut self, now: Instant, id: &str) {
        let carrier = self.members.get(id).and_then(|member| member.carrier_of(&self.system_account));
        if let Some((over, account)) = carrier {
            let subject = question_to(id);
            let line = question(&subject, &self.own.server_id, account);
            self.outputs.push_back(Output::Ask { over, subject, line });
            self.questions.handle_asked(now, id);
        }
    }

    /// Whether a member has said that it leaves.
    pub(crate) fn is_leaving(&self, peer: &str) -> bool {
        self.members.get(peer).is_some_and(|member| member.leaves)
    }

    /// Whether there is such a connection already, or it would lead to this node itself. One that is dedicated to an account
    /// stands for no other.
    fn knows(&self, server: &str, account: Option<&str>) -> bool {
        let has = |member: &Member| match account {
            Some(account) => member.dedicated(account).is_some(),
            // The connection for the system account may come first and carries nothing else.
            None => member.carrier.is_some(),
        };
        server == self.own.server_id || self.members.get(server).is_some_and(has)
    }

    /// Where gossip says that a server can be dialed; none if that is no address, or a configured one, which is dialed
    /// anyway.
    fn dialable(&self, url: &str) -> Option<RouteUrl> {
        let Ok(url) = url.trim_end_matches('/').parse::<RouteUrl>() else {
            debug!("Cannot parse the route address \"{}\"", brief(without_user_info(url)));
            return None;
        };
        // Credentials are this node's own, whatever the teller says.
        (!self.is_configured(&url.host, url.port)).then_some(RouteUrl { user: None, password: None, ..url })
    }

    fn is_configured(&self, host: &str, port: u16) -> bool {
        self.config.routes.iter().any(|url| url.leads_to(host, port))
    }

    /// A digest of the servers that this node has routes to and itself.
    fn digest(&self) -> String {
        let present = self.members.iter().filter(|(_, member)| member.carrier.is_some());
        digest(present.map(|(id, _)| id.as_str()).chain([self.own.server_id.as_str()]))
    }

    /// The servers that this node has routes to and whose address others may hear.
    fn servers(&self) -> impl Iterator<Item = KnownServer> {
        self.members.values().filter_map(Member::named)
    }
}

/// What an address takes on the line that clients are told.
fn url_bytes(url: &str) -> usize {
    url.len() + "\"\",".len()
}

/// Whether a server may be where a peer has a route to it. What the peer calls its own host is another for this node, unless
/// both are on one host.
fn is_sensible(server: &Neighbour, peer_is_local: bool) -> bool {
    !server.ip.is_unspecified() && !server.ip.is_multicast() && (peer_is_local || !server.ip.is_loopback())
}

/// To so many peers servers are named each time.
const SERVERS_TO_AT_ONCE: usize = 8;
