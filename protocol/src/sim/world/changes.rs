//! What is changed while nodes run.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Event, World};
use crate::config::{Config, ConfigRefused};
use crate::engine::Engine;
use crate::hub::Kind;
use crate::id::ConnectionId;
use crate::sim::change::{ACCOUNTS, Change, Setting};
use crate::sim::framing::Deframer;
use crate::sim::ids::NodeId;
use crate::sim::net::End;
use crate::sim::rule::{Rule, Violation};
use crate::time::Instant;

impl World {
    /// Changes something now.
    pub fn change(&mut self, change: Change) {
        self.trace.note(self.now, [14 << 32, 0, 0], || format!("change: {change:?}"));
        match change {
            Change::Transport(key) => {
                for id in (0..self.nodes.len()).map(NodeId) {
                    self.nodes[id.0].spec.config.rehearsed_transport = key;
                    if let Some(config) = self.configured_with(id, &[]) {
                        self.swap(id, Config { rehearsed_transport: key, ..config });
                    }
                }
            }
            Change::AddAccount(node, account) => self.add_account(node, ACCOUNTS[account % ACCOUNTS.len()]),
            Change::RemoveAccount(node, account) => {
                self.remove_account(node, ACCOUNTS[account % ACCOUNTS.len()]);
            }
            Change::Configure(node, settings) => self.configure(node, &settings),
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

    /// Gives a node another configuration, from now on if it runs; unless it refuses that, as it must if anything of it is
    /// fixed.
    fn configure(&mut self, id: NodeId, settings: &[Setting]) {
        if settings.iter().any(|setting| setting.refused_key().is_some()) {
            return self.configure_in_vain(id, settings);
        }
        let config = self.configured_with(id, settings);
        let node = &mut self.nodes[id.0];
        node.note_former_limits();
        for setting in settings {
            setting.apply(&mut node.spec.config);
            if let Setting::Routes(routes) = setting {
                node.spec.routes.clone_from(routes);
            }
        }
        if let Some(config) = config {
            self.swap(id, config);
        }
    }

    /// The configuration of a node, if it runs, with these values.
    fn configured_with(&self, id: NodeId, settings: &[Setting]) -> Option<Config> {
        let engine = self.nodes[id.0].engine.as_ref()?;
        let mut config = Config::clone(&engine.node().hub().config());
        for setting in settings {
            setting.apply(&mut config);
            if let (Setting::Routes(routes), Some(cluster)) = (setting, &mut config.cluster) {
                cluster.routes = routes.iter().map(|seed| self.url(seed)).collect();
            }
        }
        Some(config)
    }

    /// A node takes over another configuration.
    fn swap(&mut self, id: NodeId, new: Config) {
        let Some(engine) = &mut self.nodes[id.0].engine else {
            return;
        };
        let verdict = engine.handle_config(self.now, new.clone());
        let text = match verdict {
            Err(refused) => Some(format!("{id} refuses what can change: {refused}")),
            Ok(_) if *engine.node().hub().config() != new => Some(format!("{id} has not changed")),
            Ok(_) => None,
        };
        if let Some(text) = text {
            self.fail(Violation::new(Rule::Configuration, text));
        }
        self.pump(id);
        self.check_configured(id);
    }

    /// A node is given what it cannot take over: it says why, and nothing changes.
    fn configure_in_vain(&mut self, id: NodeId, settings: &[Setting]) {
        let Some(new) = self.configured_with(id, settings) else {
            return;
        };
        let now = self.now;
        let Some(engine) = &mut self.nodes[id.0].engine else {
            return;
        };
        let before = all_that_a_configuration_could_change(engine, now);
        let verdict = engine.handle_config(now, new);
        let keys: BTreeSet<_> = settings.iter().filter_map(Setting::refused_key).collect();
        let is_refused = |refused: &ConfigRefused| {
            // Without a cluster nothing of it is compared.
            refused.keys().iter().all(|key| keys.contains(key)) && !refused.keys().is_empty()
        };
        let text = match verdict {
            Ok(_) => format!("{id} takes over what cannot change: {keys:?}"),
            Err(refused) if !is_refused(&refused) => {
                format!("{id} refuses {:?}, not {keys:?}", refused.keys())
            }
            Err(_) if before != all_that_a_configuration_could_change(engine, now) => {
                format!("{id} has changed though it refused to")
            }
            Err(_) => return,
        };
        self.fail(Violation::new(Rule::Configuration, text));
    }

    /// What a node's last configuration says holds: no more clients than it may have, and no route is taken for a configured
    /// one that is not.
    pub(in crate::sim) fn check_configured(&mut self, id: NodeId) {
        if let Err(violation) = self.is_as_configured(id) {
            self.fail(violation);
        }
    }

    /// The same, told.
    pub(in crate::sim) fn is_as_configured(&self, id: NodeId) -> Result<(), Violation> {
        let Some(engine) = &self.nodes[id.0].engine else {
            return Ok(());
        };
        let (hub, config) = (engine.node().hub(), engine.node().hub().config());
        let clients = hub.directory().count(Kind::Client);
        if clients > config.max_connections {
            let text = format!("{id} has {clients} clients, more than {}", config.max_connections);
            return Err(Violation::new(Rule::Configuration, text));
        }
        let routes = config.cluster.iter().flat_map(|cluster| &cluster.routes).collect::<Vec<_>>();
        let explicit = engine.node().cluster().map(|cluster| cluster.explicit_urls()).unwrap_or_default();
        match explicit.iter().find(|url| !routes.contains(url)) {
            Some(url) => {
                let text = format!("{id} takes {url} for configured, where only {routes:?} are");
                Err(Violation::new(Rule::Configuration, text))
            }
            None => Ok(()),
        }
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

/// A text that is the same for two states of an engine if nothing that a configuration says is different in them.
fn all_that_a_configuration_could_change(engine: &Engine, now: Instant) -> String {
    let hub = engine.node().hub();
    let cluster = engine.node().cluster().map(|cluster| cluster.describe(now, |id| format!("{id:?}")));
    let pending: Vec<_> = engine.pending().map(|id| (id, engine.pending_bytes(id))).collect();
    let clients = hub.directory().count(Kind::Client);
    format!("{:?} {cluster:?} {pending:?} {clients} {:?}", hub.config(), engine.poll_timeout())
}
