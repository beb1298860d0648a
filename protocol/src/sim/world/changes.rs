//! What is changed while nodes run.

use std::time::Duration;

use super::{Event, World};
use crate::config::Config;
use crate::id::ConnectionId;
use crate::sim::change::{ACCOUNTS, Change};
use crate::sim::framing::Deframer;
use crate::sim::ids::NodeId;
use crate::sim::net::End;

impl World {
    /// Changes something now.
    pub fn change(&mut self, change: Change) {
        self.trace.note(self.now, [14 << 32, 0, 0], || format!("change: {change:?}"));
        match change {
            Change::Transport(key) => {
                for id in (0..self.nodes.len()).map(NodeId) {
                    self.configure(id, &|config| config.rehearsed_transport = key);
                }
            }
            Change::AddAccount(node, account) => self.add_account(node, ACCOUNTS[account % ACCOUNTS.len()]),
            Change::RemoveAccount(node, account) => {
                self.remove_account(node, ACCOUNTS[account % ACCOUNTS.len()]);
            }
        }
    }

    /// Gives a node another account, now and whenever it starts.
    fn add_account(&mut self, id: NodeId, name: &str) {
        let node = &mut self.nodes[id.0];
        if node.accounts.insert(name.to_owned()) {
            node.add_account(self.now, name);
            self.pump(id);
        }
    }

    /// Takes an account from a node.
    fn remove_account(&mut self, id: NodeId, name: &str) {
        let node = &mut self.nodes[id.0];
        if !node.accounts.remove(name) {
            return;
        }
        if let Some(engine) = &mut node.engine
            && let Some(account) = engine.node().hub().accounts().find(name.as_bytes())
        {
            // It is there, and not one of those that stay.
            let _ = engine.remove_account(self.now, account.id());
        }
        self.pump(id);
    }

    /// Lets something be changed after a while.
    pub fn change_after(&mut self, delay: Duration, change: Change) {
        self.agenda.push(self.now + delay, Event::Change(Box::new(change)));
    }

    /// Gives a node another configuration, from now on if it runs.
    fn configure(&mut self, id: NodeId, change: &dyn Fn(&mut Config)) {
        let node = &mut self.nodes[id.0];
        change(&mut node.spec.config);
        let Some(engine) = &mut node.engine else {
            return;
        };
        let mut config = Config::clone(&engine.node().hub().config());
        change(&mut config);
        if let Err(refused) = engine.handle_config(self.now, config) {
            panic!("{id} refuses to change: {refused}");
        }
        self.pump(id);
    }

    /// A node begins a connection to another: notes whether what it writes goes in frames.
    pub(in crate::sim) fn note_transport(&mut self, id: NodeId, connection: ConnectionId, end: End) {
        let Some(engine) = self.nodes[id.0].engine.as_ref().filter(|engine| engine.is_encoded(connection))
        else {
            return;
        };
        let key = engine.node().hub().config().rehearsed_transport;
        if let (Some(key), Some(joint)) = (key, self.joints.get_mut(end.stream)) {
            joint.said[end.side].deframer = Deframer::after_line("", key);
        }
    }
}
