//! The route protocol (wire.md 2): the handshake, interest and messages of another server.
//!
//! Whether a route is accepted, which seat it gets and what is gossiped about it is for the cluster to say.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use log::Level;

use super::carried::{Carried, CarriedAccount};
use super::chore::{Chore, Removal};
use super::compressed::Compressed;
use super::context::Context;
use super::turn;
use crate::close::CloseReason;
use crate::cluster::{
    self, Claimed, Compressing, FirstInfo, InfoHeard, Refusal, Registered, Void, WrongServer,
};
use crate::config::{Compression, RouteLimits};
use crate::forwarding::{self, Courier, LongDelivery, Sender, Trace};
use crate::hub::{About, Entry, Flag, Told, TooMuchInterest};
use crate::interest::{Extent, Source};
use crate::permissions::Permissions;
use crate::quote::QuotedInLog;
use crate::routes::{DialId, Seat};
use crate::sink::Sink;
use crate::transport::{Decoder, Encoder};
use crate::wire::encode::{OK, PONG};
use crate::wire::subject::is_valid_filter;
use crate::wire::{
    CircuitWord, Connect, Info, LeafOrigin, Op, ProtocolError, RoutedMessage, RoutedSub, RoutedUnsub,
};

/// Another server, by which of its operations are understood now. How far the connection is for the cluster, the route table
/// says alone; this follows its answers.
#[derive(Debug)]
pub(super) enum Route {
    /// It dialed this node and must present itself; until then it may say nothing else ([`Dialect::connect_only`]).
    ///
    /// [`Dialect::connect_only`]: crate::wire::Dialect::connect_only
    AwaitsConnect,
    /// It is a connection of a circuit, of which nothing counts but whether that stands.
    AwaitsCircuit,
    /// What it is will stand in its INFO.
    AwaitsInfo {
        /// Whether its CONNECT asked for `+OK` after each operation; `None` if this node dialed it and so hears no CONNECT.
        verbose: Option<bool>,
        /// How many PINGs of it were answered.
        pings: usize,
        /// What it says may come before that: its interest and messages count, as with nats-server.
        peer: Box<Peer>,
        /// Another INFO had said that the route is to be compressed, and it is since.
        compressed: Option<Compressed>,
    },
    /// It is to have the seat of a circuit as soon as the peer agrees.
    Claims(Box<Claims>),
    /// A member of the cluster.
    Peer(Peer),
}

/// What is known of a server on a connection that is not registered yet.
#[derive(Debug)]
pub(super) struct Claims {
    info: Info,
    verbose: bool,
    pings: usize,
    compressed: Option<Compressed>,
}

/// A route that the cluster registered.
#[derive(Debug)]
pub(super) struct Peer {
    /// The account of lines that name none.
    dedicated: Option<Box<[u8]>>,
    /// What it may want of this node; none if that is everything.
    exports: Option<Arc<Permissions>>,
    /// A hash of what it says that it lets others want of it.
    its_export: u64,
    /// What it wanted of the account that this connection is dedicated to, over others: to be forgotten once it says anything
    /// here. Who is dialed may refuse the connection yet.
    void: Option<Void>,
    verbose: bool,
    carried: Carried,
    /// How many messages had come when the last PING was due.
    messages_at_ping: u64,
    key: Vec<u8>,
    /// How it is compressed, if it is.
    compressed: Option<Compressed>,
}

impl Route {
    /// Greets a peer: with INFO if it dialed this node, with CONNECT if this node dialed it; unless it may be that it wants a
    /// circuit, and is greeted later.
    pub(super) fn new<S: Sink>(context: &mut Context<'_, S>, dial: Option<DialId>, greets: bool) -> Self {
        let (id, remote) = (context.entry().id(), context.entry().remote());
        context.log(Level::Info, "Route connection created");
        let greeting = context.shared.node.with_cluster(context.now, context.sink, |cluster, _| match dial {
            None => cluster.handle_accepted(id, remote),
            Some(dial) => cluster.handle_dialed(dial, id, remote),
        });
        let Some(greeting) = greeting else {
            // A node without a cluster has no route port; whoever made this connection was mistaken.
            context.close(CloseReason::RouteRemoved);
            return Self::AwaitsConnect;
        };
        if greeting.displaces {
            context.hit_limit("limits.max_unregistered");
        }
        if greets {
            greet(context, &greeting.lines);
        }
        Self::greeted(context, dial.is_some())
    }

    /// Greets the server at the other end of a circuit.
    pub(super) fn of_circuit<S: Sink>(context: &mut Context<'_, S>, dials: bool, lines: &[u8]) -> Self {
        context.log(Level::Info, "Route connection created, through another server");
        greet(context, lines);
        Self::greeted(context, dials)
    }

    fn greeted<S: Sink>(context: &mut Context<'_, S>, dials: bool) -> Self {
        context.entry().set_permissions(context.shared.node.exports());
        let route = if dials { Self::awaits_info(context, None) } else { Self::AwaitsConnect };
        route.handle_open(context);
        route
    }

    /// Greets a peer that dialed this node, and did not want a circuit.
    pub(super) fn greet_late<S: Sink>(context: &mut Context<'_, S>) {
        let lines = context.shared.node.cluster().map(|cluster| cluster.greeting());
        greet(context, &lines.unwrap_or_default());
    }

    /// What the peer says from now on are operations, and its handshake may not take long.
    pub(super) fn handle_open<S: Sink>(&self, context: &mut Context<'_, S>) {
        let shared = &mut *context.shared;
        shared.keepalive.begin(context.now, FIRST_PING_AFTER, &mut shared.rng);
        let cluster = context.config().cluster.as_ref();
        let auth_timeout = cluster.filter(|cluster| cluster.authorization.is_some()).map(|c| c.auth_timeout);
        let is_to_authenticate = matches!(self, Self::AwaitsConnect);
        let timeout = auth_timeout.filter(|_| is_to_authenticate).unwrap_or(HANDSHAKE_TIMEOUT);
        context.shared.auth_deadline = Some(context.now + timeout);
    }

    fn awaits_info<S: Sink>(context: &Context<'_, S>, verbose: Option<bool>) -> Self {
        let carried = Carried::new(context.hub().hasher());
        let peer = Peer {
            dedicated: None,
            exports: context.shared.node.exports(),
            its_export: 0,
            void: None,
            verbose: verbose.unwrap_or(false),
            carried,
            messages_at_ping: 0,
            key: Vec::new(),
            compressed: None,
        };
        Self::AwaitsInfo { verbose, pings: 0, peer: Box::new(peer), compressed: None }
    }

    #[inline]
    pub(super) fn handle<S: Sink>(&mut self, context: &mut Context<'_, S>, op: &Op<'_>) {
        match (&mut *self, op) {
            (Self::AwaitsCircuit, Op::Ok) => self.handle_circuit(context),
            (Self::AwaitsCircuit, Op::Info(json)) => self.handle_greeting(context, json),
            (Self::AwaitsCircuit, Op::Err(_)) => context.close(CloseReason::RouteRemoved),
            (Self::AwaitsCircuit, _) => {}
            (Self::AwaitsInfo { peer, .. }, Op::RoutedMessage(message)) => {
                peer.handle_message(context, message)
            }
            (Self::AwaitsInfo { peer, .. }, Op::RoutedSub(sub)) => peer.handle_sub(context, sub),
            (Self::AwaitsInfo { peer, .. }, Op::RoutedUnsub(unsub)) => peer.handle_unsub(context, unsub),
            (Self::Peer(peer), Op::RoutedMessage(message)) => {
                peer.handle_message(context, message);
                peer.ok(context);
            }
            (Self::Peer(peer), Op::RoutedSub(sub)) => {
                context.shared.is_active = true;
                peer.forget_void(context);
                peer.handle_sub(context, sub);
                peer.ok(context);
            }
            (Self::Peer(peer), Op::RoutedUnsub(unsub)) => {
                context.shared.is_active = true;
                peer.handle_unsub(context, unsub);
                peer.ok(context);
            }
            (_, Op::Ping) => self.handle_ping(context),
            (_, Op::Pong) => self.handle_pong(context),
            (_, Op::Info(json)) => self.handle_info(context, json),
            (Self::AwaitsConnect, Op::Connect(json)) => self.handle_connect(context, json),
            (_, Op::Err(text)) => {
                context.log_told("Route Error", text);
                context.handle_error(&ProtocolError::Told);
            }
            // What means nothing on a route.
            _ => {}
        }
    }

    /// Whether the cluster registered it.
    pub(super) fn is_member(&self) -> bool {
        matches!(self, Self::Peer(_))
    }

    /// Which limit its messages are held to, and how large they may be by that.
    pub(super) fn payload_limit(&self, limits: &RouteLimits) -> (&'static str, usize) {
        match self {
            Self::Peer(_) => ("limits.max_payload", limits.max_payload),
            Self::AwaitsConnect | Self::AwaitsCircuit | Self::AwaitsInfo { .. } | Self::Claims(_) => {
                ("limits.max_unregistered_in_bytes", limits.max_unregistered_in_bytes)
            }
        }
    }

    /// Whether it is going over to compressed bytes. Until the peer has said so too, nothing may be sent behind the INFO that announces
    /// that: nats-server takes what it reads together with that for plain bytes (wire.md 5.3).
    pub(super) fn is_going_over(&self) -> bool {
        matches!(self, Self::AwaitsInfo { compressed: Some(_), .. })
    }

    /// Follows what is wanted of compression now, where it is compressed (wire.md 5.6).
    pub(super) fn follow_compression(&mut self, entry: &Entry, wanted: &Compression) {
        let compressed = match self {
            Self::AwaitsInfo { compressed, .. } | Self::Peer(Peer { compressed, .. }) => compressed,
            Self::Claims(claims) => &mut claims.compressed,
            Self::AwaitsConnect | Self::AwaitsCircuit => return,
        };
        let (Some(compressed), Some(writing)) = (compressed, cluster::wanted(wanted)) else { return };
        if compressed.follow(writing) {
            show_level(entry, compressed);
        }
    }

    /// Frees what only an active peer needs, if it sent no message since the last call.
    pub(super) fn handle_ping_due(&mut self, entry: &Entry) {
        if let Self::Peer(peer) = self {
            let messages = entry.traffic().in_messages();
            if std::mem::replace(&mut peer.messages_at_ping, messages) == messages {
                peer.carried.clear();
            }
        }
    }

    /// Returns what is to be removed.
    pub(super) fn handle_closed<S: Sink>(
        &mut self,
        context: &mut Context<'_, S>,
        reason: CloseReason,
    ) -> Removal {
        context.log_closed(reason);
        let id = context.entry().id();
        if let Self::Peer(_) = self {
            if reason == CloseReason::SlowConsumerPendingBytes {
                context.hit_limit("limits.max_pending or limits.max_pending_control");
            }
            context.shared.node.end_interest(id);
        }
        let has_said_all = context.shared.chores.iter().any(|chore| matches!(chore, Chore::LastLine { .. }));
        let mut early = context.shared.node.bequeath_at_end(&context.shared.entry, has_said_all);
        let shared = &*context.shared;
        let now = context.now;
        shared.node.with_cluster(now, context.sink, |cluster, _| cluster.handle_closed(now, id, reason));
        let mut removal = Removal::of_route(&shared.node, &shared.entry);
        removal.absorb(Removal::of_interest(&shared.node, &mut early));
        removal
    }

    /// Answers a PING. Who is not registered yet may not be read fast enough to be slowed, so it has no endless supply.
    fn handle_ping<S: Sink>(&mut self, context: &mut Context<'_, S>) {
        let pings = match self {
            Self::AwaitsInfo { pings, .. } => Some(pings),
            Self::Claims(claims) => Some(&mut claims.pings),
            Self::AwaitsConnect | Self::AwaitsCircuit | Self::Peer(_) => None,
        };
        if let Some(pings) = pings {
            *pings += 1;
            if *pings * PONG.len() > context.route_limits().max_unregistered_out_bytes {
                context.hit_limit("limits.max_unregistered_out_bytes");
                return context.handle_error(&ProtocolError::EndlessHandshake);
            }
        }
        context.handle_ping();
    }

    fn handle_pong<S: Sink>(&mut self, context: &mut Context<'_, S>) {
        if let Self::Peer(peer) = self {
            peer.forget_void(context);
        }
        context.handle_pong();
        if let Self::Peer(Peer { compressed: Some(compressed), .. }) = self {
            adapt(context, compressed);
        }
        let (id, now) = (context.entry().id(), context.now);
        context.shared.node.with_cluster(now, context.sink, |cluster, _| cluster.handle_pong(now, id));
    }

    /// Whoever is at the other end is ready for the circuit, or says that it stands.
    fn handle_circuit<S: Sink>(&mut self, context: &mut Context<'_, S>) {
        let (id, remote) = (context.entry().id(), context.entry().remote());
        let step = context.shared.node.cluster().and_then(|mut it| it.handle_circuit_ready(id, remote));
        match step {
            Some(step) => context.shared.join_circuit(step),
            None => context.close(CloseReason::RouteRemoved),
        }
    }

    /// Who was dialed for a circuit says who it is: if this node is to speak to it for another it must be the one that is meant, and
    /// else it does not matter.
    fn handle_greeting<S: Sink>(&mut self, context: &mut Context<'_, S>, json: &[u8]) {
        let (id, server) = (context.entry().id(), Info::from_json(json).map(|info| info.server_id));
        let server = server.unwrap_or_default();
        match context.shared.node.cluster().map(|mut it| it.handle_circuit_greeting(id, &server)) {
            Some(Ok(Some(step))) => context.shared.join_circuit(step),
            Some(Ok(None)) => {}
            Some(Err(WrongServer)) | None => context.close(CloseReason::RouteRemoved),
        }
    }

    fn handle_connect<S: Sink>(&mut self, context: &mut Context<'_, S>, json: &[u8]) {
        let connect = match Connect::from_json(json) {
            Ok(connect) => connect,
            Err(fault) => {
                context.log(Level::Error, format_args!("invalid CONNECT: {fault}"));
                return context.handle_error(&ProtocolError::InvalidJson);
            }
        };
        if !connect.onehop_circuit.is_empty() {
            let (id, token) = (context.entry().id(), &connect.onehop_circuit);
            let step = context.shared.node.cluster().and_then(|mut it| it.handle_circuit_token(id, token));
            return match step {
                Some(step) => context.shared.join_circuit(step),
                None => context.report(&ProtocolError::UnknownCircuit),
            };
        }
        let entry = context.shared.entry.clone();
        if context.config().cluster.as_ref().is_some_and(|it| it.tls.is_some()) && entry.tls().is_none() {
            // Who wants a circuit may do without, nobody else.
            context
                .log_failed_handshake(Level::Debug, "tls: first record does not look like a TLS handshake");
            return context.close(CloseReason::TlsHandshakeFailure);
        }
        let shown = entry.shown_certificate();
        let verdict = context
            .shared
            .node
            .with_cluster(context.now, context.sink, |cluster, _| cluster.handle_connect(&connect, shown));
        match verdict {
            Some(Ok(())) => {
                context.shared.auth_deadline = Some(context.now + HANDSHAKE_TIMEOUT);
                context.shared.dialect.connect_only = false;
                context.rehearse_input();
                *self = Self::awaits_info(context, Some(connect.verbose));
            }
            Some(Err(ProtocolError::Authorization)) => {
                context.log_refused(&connect);
                context.handle_error(&ProtocolError::Authorization);
            }
            Some(Err(error)) => context.report(&error),
            None => context.close(CloseReason::RouteRemoved),
        }
    }

    fn handle_info<S: Sink>(&mut self, context: &mut Context<'_, S>, json: &[u8]) {
        let info = match Info::from_json(json) {
            Ok(info) => info,
            Err(fault) => {
                context.log(Level::Error, format_args!("invalid INFO: {fault}"));
                return context.handle_error(&ProtocolError::InvalidJson);
            }
        };
        let (id, now) = (context.entry().id(), context.now);
        match self {
            Self::AwaitsConnect | Self::AwaitsCircuit => {}
            Self::AwaitsInfo { verbose, compressed, .. } => {
                if verbose.is_none() && compressed.is_none() {
                    context.rehearse_input();
                }
                let (verbose, compressed) = (verbose.unwrap_or(false), compressed.take());
                self.handle_first_info(context, info, verbose, compressed);
            }
            Self::Claims(claims) => {
                if let Some(CircuitWord::Replaced { .. }) = &info.onehop_circuit {
                    let Claims { info: first, verbose, compressed, pings: _ } = &mut **claims;
                    let (verbose, compressed) = (*verbose, compressed.take());
                    let info = Info { onehop_circuit: info.onehop_circuit, ..std::mem::take(first) };
                    self.handle_first_info(context, info, verbose, compressed);
                }
            }
            Self::Peer(peer) => {
                let is_widened = peer.hear_export(context, &info);
                let node = context.shared.node.clone();
                let is_account = |name: &str| node.hub().accounts().find(name.as_bytes()).is_some();
                let verdict = node.with_cluster(now, context.sink, |cluster, _| {
                    cluster.handle_info(now, id, info, is_account)
                });
                match verdict {
                    Some(Err(reason)) => context.close(reason),
                    Some(Ok(InfoHeard::Moved(void))) => forget(context, &void),
                    Some(Ok(InfoHeard::Excess(limit))) => context.hit_limit(limit),
                    Some(Ok(InfoHeard::LastLine)) => {
                        context.begin_chore(Chore::LastLine { is_next_turn: false });
                    }
                    Some(Ok(InfoHeard::UnknownAccount(account))) => {
                        let error = ProtocolError::UnknownAccount { account };
                        context.log_fault(&error);
                    }
                    _ if is_widened => {
                        context.shared.chores.retain(|chore| !matches!(chore, Chore::Tell(_)));
                        let untold = context.shared.node.repeat_interest(id);
                        context.begin_chore(Chore::Tell(untold));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Makes the peer a member of the cluster, if the cluster agrees; or goes over to compressed bytes before.
    fn handle_first_info<S: Sink>(
        &mut self,
        context: &mut Context<'_, S>,
        info: Info,
        verbose: bool,
        compressed: Option<Compressed>,
    ) {
        let (id, now) = (context.entry().id(), context.now);
        let its_export = context.hub().hasher().hash_one(&info.export);
        let node = context.shared.node.clone();
        let is_account = |name: &str| node.hub().accounts().find(name.as_bytes()).is_some();
        let is_compressed = compressed.is_some();
        let verdict = node.with_cluster(now, context.sink, |cluster, sink| {
            let first = cluster.handle_first_info(now, id, info, is_compressed, is_account)?;
            if let FirstInfo::Registered(registered) = &first {
                // While the cluster is held: what it wants said over this route from now on must come after.
                sink.announce(id, &registered.lines);
            }
            Ok(first)
        });
        match verdict {
            Some(Ok(FirstInfo::Registered(registered))) => {
                self.register(context, registered, its_export, verbose, compressed);
            }
            Some(Ok(FirstInfo::Compress(compressing))) => self.compress(context, compressing),
            Some(Ok(FirstInfo::Claimed(Claimed { lines, info }))) => {
                context.send(&lines);
                *self = Self::Claims(Box::new(Claims { info: *info, verbose, pings: 0, compressed }));
            }
            Some(Err(refusal)) => refuse(context, &refusal),
            None => context.close(CloseReason::RouteRemoved),
        }
    }

    /// Goes over to compressed bytes in both directions (wire.md 5.3). The peer does the same, at its own level.
    fn compress<S: Sink>(&mut self, context: &mut Context<'_, S>, compressing: Compressing) {
        let Self::AwaitsInfo { compressed, .. } = self else { return };
        let Compressing { writing, plain, compressed: behind } = compressing;
        let rtt = context.now.since(context.shared.began);
        let most = context.route_limits().max_unregistered_in_bytes;
        let new = compressed.insert(Compressed::new(writing, rtt, most));
        if !plain.is_empty() {
            context.send(&plain);
        }
        context.switch_output(Encoder::s2(new.setting()));
        if !behind.is_empty() {
            context.send(&behind);
        }
        context.switch_input(Decoder::s2(new.limit()));
    }

    /// Makes the peer a member of the cluster.
    fn register<S: Sink>(
        &mut self,
        context: &mut Context<'_, S>,
        registered: Registered,
        its_export: u64,
        verbose: bool,
        compressed: Option<Compressed>,
    ) {
        let limits = context.route_limits();
        let shared = &mut *context.shared;
        shared.auth_deadline = None;
        let account =
            if let Seat::Dedicated(account) = &registered.seat { Some(account.clone()) } else { None };
        shared.entry.set(Flag::Headers, registered.headers);
        shared.entry.set(Flag::Traces, registered.traces);
        shared.entry.set(Flag::Far, registered.is_far);
        shared.entry.set(Flag::Dedicated, account.is_some());
        shared.dialect.dedicated = account.is_some();
        shared.dialect.leaf_unsub_origin = registered.leaf_unsub_origin;
        if registered.pings {
            shared.keepalive.handle_ping_sent(context.now);
        }
        let carried = Carried::new(shared.node.hub().hasher());
        let compression = compressed.as_ref().map(Compressed::mode);
        compressed.iter().for_each(Compressed::handle_registered);
        let dedicated = account.as_deref().map(|name| name.as_bytes().into());
        let exports = shared.node.exports();
        let void = account.clone().map(|account| Void { account, over: registered.pooled });
        *self = Self::Peer(Peer {
            dedicated,
            exports,
            its_export,
            void,
            verbose,
            carried,
            messages_at_ping: 0,
            key: Vec::new(),
            compressed,
        });
        shared.dialect.max_payload = Some(self.payload_limit(&limits).1);
        shared.entry.set_about(About {
            name: registered.peer_name,
            remote_id: registered.peer,
            account,
            compression,
            relay: registered.relay,
            ..About::default()
        });
        let mut untold = shared.node.begin_interest(&shared.entry, registered.seat);
        if let Some(succession) = &registered.succession {
            shared.succeed(context.now, succession, context.sink);
        }
        // A first slice at once: else what the peer sent behind its INFO would be answered before it hears of any interest, and
        // it would hear twice what begins meanwhile.
        if !shared.node.tell_interest(&shared.entry, &mut untold, context.sink) {
            context.begin_chore(Chore::Tell(untold));
        }
    }
}

impl Peer {
    /// Hears what the peer says of itself once more: whether others may want something else of it now, so that it may take what
    /// it did not take before (wire.md 2.10). onehop nodes say it only once.
    fn hear_export<S: Sink>(&mut self, context: &Context<'_, S>, info: &Info) -> bool {
        let Info { server_id, onehop, gateway, route_acc_add_reqid, ldm, export, .. } = info;
        let is_update = !ldm && *onehop == 0 && gateway.is_empty() && route_acc_add_reqid.is_empty();
        if !is_update || context.entry().about().remote_id != *server_id {
            return false;
        }
        let its_export = context.hub().hasher().hash_one(export);
        std::mem::replace(&mut self.its_export, its_export) != its_export
    }

    #[inline]
    fn forget_void<S: Sink>(&mut self, context: &mut Context<'_, S>) {
        if let Some(void) = self.void.take() {
            forget(context, &void);
        }
    }

    fn ok<S: Sink>(&self, context: &mut Context<'_, S>) {
        if self.verbose {
            context.send(OK);
        }
    }

    #[inline]
    fn handle_message<S: Sink>(&mut self, context: &mut Context<'_, S>, routed: &RoutedMessage<'_>) {
        let shared = &mut *context.shared;
        shared.received.0 += 1;
        shared.received.1 += routed.message.body.len() as u64 - 2;
        let name = routed.account.or(self.dedicated.as_deref()).unwrap_or_default();
        let Some(carried) = self.carried.get(shared.node.hub(), name) else {
            return context.log(Level::Debug, "Unknown account for routed message");
        };
        let CarriedAccount { account, cache } = carried;
        let mut trace = Trace::of(&routed.message, account, &shared.entry, context.now);
        let (targets, _) = cache.targets(shared.node.hub(), account, &shared.entry, routed.message.subject);
        let node = &shared.node;
        let mut courier = Courier {
            hub: node.hub(),
            now: context.now,
            publisher: Some(&shared.entry),
            asker: None,
            depth: 0,
            sink: context.sink,
            rng: &mut shared.rng,
            scratch: &mut shared.scratch,
            trace: trace.as_deref_mut(),
            keeper: &**node,
        };
        forwarding::from_route(&mut courier, targets, &routed.message, routed.queues);
        shared.spend(turn::deliveries(
            targets.listed(),
            routed.message.body.len(),
            context.sink.staged_for(),
        ));
        if shared.scratch.has_work() {
            shared.spend_beside(context.sink.staged_for());
        }
        let (scratch, rng) = (&mut shared.scratch, &mut shared.rng);
        let sender = Sender::Route { queues: routed.queues };
        let (publisher, message) = (Some(&shared.entry), &routed.message);
        let rest = LongDelivery::of(targets, scratch, rng, publisher, sender, message, trace.as_deref());
        if let Some(rest) = rest {
            context.begin_chore(Chore::Deliver(rest));
        }
        context.shared.spend(turn::look_up(cache.take_looked_at()));
        if let Some(trace) = trace {
            context.tell_trace(trace);
        }
    }

    /// Hears of interest. A weight replaces the one before it (wire.md 2.7).
    fn handle_sub<S: Sink>(&mut self, context: &mut Context<'_, S>, sub: &RoutedSub<'_>) {
        if !is_valid_filter(sub.subject) {
            let subject = QuotedInLog(sub.subject);
            context.log(Level::Error, format_args!("Invalid Subscription {subject}"));
            return context.handle_error(&ProtocolError::InvalidSubscription);
        }
        let queue = sub.queue.map(|(queue, _)| queue);
        if self.exports.as_ref().is_some_and(|own| !own.may_subscribe(sub.subject, queue)) {
            return;
        }
        let (source, leaf) = source(sub.leaf, context.shared.dialect.leaf_unsub_origin);
        self.set_key(sub.subject, sub.queue.unwrap_or_default().0, leaf);
        let Some(account) = self.account(sub.account) else { return };
        context.shared.spend(turn::change(Extent::ONE));
        let told = Told { account, source, subject: sub.subject, queue: sub.queue, leaf, key: &self.key };
        let limits = context.config().cluster.as_ref().map(|cluster| &cluster.limits);
        match context.hub().learn(context.entry(), &told, limits) {
            Ok(()) => {}
            Err(TooMuchInterest::Unclaimed) => {
                context.hit_limit("MAX_UNCLAIMED_LINES or MAX_UNCLAIMED_BYTES")
            }
            Err(TooMuchInterest::Claimed) => {
                context.hit_limit("limits.max_interest or limits.max_interest_bytes");
                context.handle_error(&ProtocolError::MaximumInterest);
            }
        }
    }

    fn handle_unsub<S: Sink>(&mut self, context: &mut Context<'_, S>, unsub: &RoutedUnsub<'_>) {
        let (_, leaf) = source(unsub.leaf, context.shared.dialect.leaf_unsub_origin);
        self.set_key(unsub.subject, unsub.queue.unwrap_or_default(), leaf);
        context.shared.spend(turn::change(Extent::ONE));
        if let Some(account) = self.account(unsub.account) {
            context.hub().unlearn(context.entry(), account, &self.key);
        }
    }

    /// The name of the account that a line is about; the parser lets none be missing where there is no other.
    fn account<'a>(&'a self, on_line: Option<&'a [u8]>) -> Option<&'a [u8]> {
        on_line.or(self.dedicated.as_deref())
    }

    fn set_key(&mut self, subject: &[u8], queue: &[u8], leaf: &[u8]) {
        self.key.clear();
        for part in [subject, b" ", queue, b" ", leaf] {
            self.key.extend_from_slice(part);
        }
    }
}

/// Where interest comes from, and the leaf's name in the key: only if the peer will name it again at the end.
fn source<'a>(leaf: LeafOrigin<'a>, is_named_at_end: bool) -> (Source, &'a [u8]) {
    match leaf {
        LeafOrigin::None => (Source::Route, b""),
        LeafOrigin::Named(name) if is_named_at_end => (Source::RouteLeaf, name),
        // A blank, which no name can be.
        LeafOrigin::Named(_) | LeafOrigin::Unnamed => (Source::RouteLeaf, b" "),
    }
}

/// Forgets what a peer wanted that it wants no more, before more of its input is handled.
fn forget<S: Sink>(context: &mut Context<'_, S>, void: &Void) {
    let removal = Removal::of_void(&context.shared.node, void);
    if !removal.is_over() {
        context.begin_chore(Chore::Remove(removal));
    }
}

/// Compresses harder or less hard from now on, if the way to the peer became longer or shorter.
fn adapt<S: Sink>(context: &Context<'_, S>, compressed: &mut Compressed) {
    let entry = context.entry();
    if compressed.handle_rtt(entry.rtt()) {
        show_level(entry, compressed);
    }
}

fn show_level(entry: &Entry, compressed: &Compressed) {
    entry.set_about(About { compression: Some(compressed.mode()), ..entry.about() });
}

/// Sends the lines that a route begins with.
fn greet<S: Sink>(context: &mut Context<'_, S>, lines: &[u8]) {
    let first_line_bytes = memchr::memchr(b'\n', lines).map_or(lines.len(), |lf| lf + 1);
    let (first_line, rest) = lines.split_at(first_line_bytes);
    context.send(first_line);
    context.rehearse_output();
    if !rest.is_empty() {
        context.send(rest);
    }
}

fn refuse<S: Sink>(context: &mut Context<'_, S>, refusal: &Refusal) {
    match refusal {
        Refusal::Fault(error) => {
            if *error == ProtocolError::MaximumConnections {
                context.hit_limit("limits.max_peers");
            }
            context.report(error);
        }
        Refusal::Gone => context.close(CloseReason::RouteRemoved),
    }
}

/// How long a peer may take for its CONNECT where it need not authenticate, and for its INFO. nats-server waits for
/// as long as PINGs are answered; but a dial that hangs so keeps this node from dialing the server anew.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The first PING to a peer comes so soon (wire.md 2.11).
const FIRST_PING_AFTER: Duration = Duration::from_secs(1);
