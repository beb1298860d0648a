//! How two nodes tell each other that an account has a connection of its own from now on (wire.md 4.5).

use super::handshake::MAX_NAME_BYTES;
use super::{Cluster, Output};
use crate::config::ClusterConfig;
use crate::id::ConnectionId;
use crate::routes::{Notice, TooManyMoved};
use crate::time::Instant;
use crate::wire::Info;

/// What an INFO on a registered route was about, as far as it concerns the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InfoHeard {
    /// Nothing of that kind.
    Nothing,
    /// An account that moves.
    Moved(Void),
    /// An account that moves, and that is not here.
    UnknownAccount(String),
    /// It is left alone, for a limit of this name.
    Excess(&'static str),
    /// Nothing more is said on this circuit.
    LastLine,
}

/// What a peer wanted of an account over these connections holds no more: it says it again over another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Void {
    pub(crate) account: String,
    pub(crate) over: Vec<ConnectionId>,
}

impl Cluster {
    /// Hears that a peer moves an account, which it waits to hear again without the account; or hears so itself.
    pub(super) fn handle_move(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        peer: &str,
        info: Info,
        is_account: impl Fn(&str) -> bool,
    ) -> InfoHeard {
        let Info { route_account: account, route_acc_add_reqid: request, route_pool_size, .. } = info;
        if account.is_empty() {
            let heard = self.routes.handle_answer(now, connection, &request);
            let moved = |(account, over)| InfoHeard::Moved(Void { account, over });
            return heard.map_or(InfoHeard::Nothing, moved);
        }
        if account.len() > MAX_NAME_BYTES || request.len() > MAX_NAME_BYTES {
            return InfoHeard::Excess("MAX_NAME_BYTES");
        }
        if !is_account(&account) {
            return InfoHeard::UnknownAccount(account);
        }
        let (over, is_news) = match self.routes.handle_moved(now, connection, &account, route_pool_size) {
            Ok(heard) => heard,
            Err(TooManyMoved) => return InfoHeard::Excess("MAX_MOVED_ACCOUNTS"),
        };
        if is_news {
            let (peer, account) = (peer.to_owned(), account.clone());
            self.outputs.push_back(Output::Apart { peer, account, is_apart: true });
        }
        // Behind the last line about the account.
        let answer = Info { route_acc_add_reqid: request, route_pool_size, ..Info::default() };
        self.outputs.push_back(Output::Send(connection, answer.to_gossip_line().into()));
        InfoHeard::Moved(Void { account, over })
    }
}

/// What is to be sent to a peer that is to hear of an account.
pub(super) fn notice(config: &ClusterConfig, notice: Notice) -> Output {
    let Notice { over, account, request } = notice;
    let info = Info {
        route_pool_size: config.pool_size.map_or(0, |size| i32::from(size.get())),
        route_account: account,
        route_acc_add_reqid: request,
        ..Info::default()
    };
    Output::Send(over, info.to_gossip_line().into())
}
