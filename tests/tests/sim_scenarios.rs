//! Known bugs of this kind of protocol as simulated clusters. Each heals with the healing rules (design.md 5), and is shown not
//! to heal, or to cost more, without the rule that is there for it. Numbers are issues (#) and pull requests (PR) of
//! nats-server, unless something else is said.

use std::collections::BTreeMap;
use std::time::Duration;

use onehop::config::{ClusterConfig, Healing, RelayMode};
use onehop::sim::{
    Change, ClientId, Fault, Impostor, Lines, NetworkConfig, NodeId, NodeSpec, Seed, Setting, Statistics,
    Topology, World,
};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// All rules but those that `switch_off` switches off.
fn all_but(switch_off: impl Fn(&mut Healing)) -> Healing {
    let mut healing = Healing::default();
    switch_off(&mut healing);
    healing
}

fn node(healing: &Healing, adjust: impl Fn(&mut ClusterConfig)) -> NodeSpec {
    let mut spec = NodeSpec::new(Some(3));
    let cluster = spec.config.cluster.as_mut().expect("simulated nodes are in a cluster");
    cluster.healing = healing.clone();
    adjust(cluster);
    spec
}

fn nodes(count: usize, healing: &Healing) -> Vec<NodeSpec> {
    vec![node(healing, |_| {}); count]
}

/// Nodes that are configured to find each other like this, and start one such gap after the other.
fn world(seed: u64, specs: Vec<NodeSpec>, topology: Topology, gap: Duration) -> World {
    let mut world = World::new(seed, NetworkConfig::default(), Lines::Dropped);
    let routes = topology.routes(specs.len(), &mut fastrand::Rng::with_seed(seed));
    for (spec, routes) in specs.into_iter().zip(routes) {
        let id = world.add_node(spec.joining(routes));
        world.start_after(id, gap * id.0 as u32);
    }
    world
}

/// The same, after all have started and the mesh is whole.
fn whole_world(seed: u64, specs: Vec<NodeSpec>, topology: Topology) -> World {
    let gap = 500 * MILLISECOND;
    let all_run = gap * specs.len() as u32;
    let mut world = world(seed, specs, topology, gap);
    run(&mut world, all_run);
    assert!(world.run_until_whole(5 * SECOND).expect("no rule is broken").is_some());
    world
}

fn run(world: &mut World, duration: Duration) {
    world.run_for(duration).expect("no rule is broken");
}

/// Whether the mesh is whole within a minute.
fn heals(world: &mut World) -> bool {
    heals_within(world, 60 * SECOND)
}

fn heals_within(world: &mut World, limit: Duration) -> bool {
    world.run_until_whole(limit).expect("no rule is broken").is_some()
}

/// Measured with 2.15.1: 1 and 3 of a chain 3→2→1 cannot reach each other for ten seconds, and never connect again.
#[test]
fn a_pair_of_a_chain_that_was_cut_for_ten_seconds_is_healed_by_any_single_rule() {
    let heals_after_cut = |healing: Healing| {
        let spec = node(&healing, |cluster| {
            cluster.ping_interval = Some(SECOND);
            // A circuit would be there before the cut ends.
            cluster.relay.mode = RelayMode::Off;
        });
        let mut world = whole_world(1, vec![spec; 3], Topology::Chain);
        world.fault(Fault::Cut(NodeId(0), NodeId(2), 10 * SECOND));
        run(&mut world, 10 * SECOND);
        assert!(!world.is_connected(NodeId(0), NodeId(2)));
        heals(&mut world)
    };
    assert!(heals_after_cut(Healing::default()));
    assert!(heals_after_cut(Healing { remember: true, ..Healing::none() }));
    assert!(heals_after_cut(Healing { compare: true, ..Healing::none() }));
    assert!(heals_after_cut(Healing { regossip: true, ..Healing::none() }));
    assert!(!heals_after_cut(Healing::none()));
}

/// Measured with 2.15.1: 7 of 19 such chains stayed a partial mesh.
#[test]
fn chains_that_start_at_once_become_a_mesh() {
    for count in [12, 15, 20] {
        let heals =
            |healing: &Healing| heals(&mut world(1, nodes(count, healing), Topology::Chain, Duration::ZERO));
        assert!(heals(&Healing::default()), "{count}");
        assert!(!heals(&Healing::none()), "{count}");
    }
}

/// What it cost to form a mesh of nodes that start at once with one seed.
fn cost_of_mesh(count: usize, healing: &Healing) -> Statistics {
    let mut world = world(1, nodes(count, healing), Topology::Seed, Duration::ZERO);
    assert!(heals(&mut world), "{count}");
    world.statistics()
}

/// Of a full mesh each pair has three connections in its pool and one for the system account. A tenth of the pairs may
/// have made one that was there already.
fn check_flood(count: usize) {
    let pairs = (count * (count - 1) / 2) as u64;
    let (with, without) =
        (cost_of_mesh(count, &Healing::default()), cost_of_mesh(count, &all_but(|it| it.arbitrate = false)));
    assert!(with.duplicates <= pairs / 10, "{count}: {with:?}");
    assert!(with.dials <= 4 * pairs + pairs / 5, "{count}: {with:?}");
    assert!(without.duplicates > 2 * with.duplicates, "the rule makes them few, {count}: {without:?}");
    assert!(without.dials > with.dials, "{count}: {without:?}");
}

/// #5483: each registration was gossiped by both ends, and connections that were there already exploded.
#[test]
fn few_duplicates_are_made_when_ten_or_thirty_nodes_start_at_once() {
    check_flood(10);
    check_flood(30);
}

/// #5483.
#[test]
fn few_duplicates_are_made_when_fifty_nodes_start_at_once() {
    check_flood(50);
}

/// PR 8454, PR 8527: a connection that came of gossip was found to be a configured one as well, but kept the address that
/// it was dialed by, which was not configured, so that it was given up for ever once it was lost.
#[test]
fn a_route_of_which_a_duplicate_was_resolved_is_established_again() {
    let heals_after_loss = |topology, healing: Healing| {
        (0..5).all(|seed| {
            let mut world = world(seed, nodes(4, &healing), topology, Duration::ZERO);
            assert!(heals(&mut world));
            run(&mut world, 3 * SECOND);
            let before = world.statistics().duplicates;
            assert!(topology != Topology::Full || before > 0);
            let (a, b) = (NodeId(1), NodeId(2));
            // Nobody can dial at once what is lost now.
            world.fault(Fault::Refuse(a, 4 * SECOND));
            world.fault(Fault::Refuse(b, 4 * SECOND));
            world.fault(Fault::Reset(a, b));
            run(&mut world, 4 * SECOND);
            assert!(!world.is_connected(a, b));
            heals(&mut world)
        })
    };
    // What is configured comes back without any rule, duplicate or not.
    assert!(heals_after_loss(Topology::Full, Healing::none()));
    assert!(heals_after_loss(Topology::Full, Healing::default()));
    assert!(heals_after_loss(Topology::Seed, Healing::default()));
    assert!(heals_after_loss(Topology::Seed, Healing { remember: true, ..Healing::none() }));
    assert!(!heals_after_loss(Topology::Seed, Healing::none()));
}

/// #1399, #4414: one side lost the connections, the other takes them for alive and refuses what would replace them as
/// duplicates, until its own pings tell it.
#[test]
fn a_half_open_connection_gives_way_to_the_redial() {
    let heals_after_half_open = |healing: Healing, limit| {
        let patient = node(&healing, |cluster| cluster.ping_interval = Some(30 * SECOND));
        let quick = node(&healing, |cluster| cluster.ping_interval = Some(SECOND));
        let mut world = whole_world(1, vec![patient, quick], Topology::Chain);
        let (patient, quick) = (NodeId(0), NodeId(1));
        world.fault(Fault::HalfOpen(patient, quick));
        run(&mut world, 5 * SECOND);
        assert!(world.is_connected(patient, quick), "its pings are not due");
        assert!(!world.is_mesh_whole());
        heals_within(&mut world, limit)
    };
    assert!(heals_after_half_open(Healing::default(), 10 * SECOND));
    let without = all_but(|it| it.remember = false);
    assert!(!heals_after_half_open(without.clone(), 50 * SECOND));
    assert!(heals_after_half_open(without, 150 * SECOND), "the ping timeout ends it");
}

/// #6051, #2872: all members are configured with one name, which has the addresses of all of them.
#[test]
fn nodes_that_share_one_name_that_is_their_own_too_become_a_mesh() {
    let all_heal = |healing: &Healing| {
        (0..20).all(|seed| {
            let name = "members.example";
            let mut world = World::new(seed, NetworkConfig::default(), Lines::Dropped);
            let spec = node(healing, |_| {}).joining([Seed::Name(name.to_owned())]);
            let ids = [(); 3].map(|()| world.add_node(spec.clone()));
            world.add_name(name, &ids);
            ids.into_iter().for_each(|id| world.start(id));
            heals(&mut world)
        })
    };
    assert!(all_heal(&Healing::default()));
    assert!(!all_heal(&all_but(|it| it.remember = false)));
}

/// Each connection by the name leads to any of them, so that a pool or an account lacks one that went elsewhere. What is
/// missing for no such reason is waited for four seconds and more.
#[test]
fn nodes_that_share_one_name_fill_their_pools_at_once_wherever_the_name_leads() {
    for seed in 0..20 {
        let name = "members.example";
        let mut world = World::new(seed, NetworkConfig::default(), Lines::Dropped);
        let spec = node(&Healing::default(), |_| {}).joining([Seed::Name(name.to_owned())]);
        let ids = [(); 5].map(|()| world.add_node(spec.clone()));
        world.add_name(name, &ids);
        ids.into_iter().for_each(|id| world.start(id));
        let whole = world.run_until_whole(60 * SECOND).expect("no rule is broken");
        assert!(whole.is_some_and(|after| after < 3 * SECOND), "seed {seed}: {whole:?}");
    }
}

/// Two nodes that are configured with each other and lose their connection, which both dial again at the same time.
/// Returns whether one connection stays within half a minute, and whether both were dropped on the way.
fn dial_each_other(seed: u64, healing: &Healing, latency: Duration) -> (bool, bool) {
    let mut world = World::new(seed, NetworkConfig { latency, ..NetworkConfig::default() }, Lines::Dropped);
    let spec = node(healing, |cluster| cluster.pool_size = None);
    let (a, b) = (NodeId(0), NodeId(1));
    world.add_node(spec.clone().joining([Seed::Node(b)]));
    world.add_node(spec.joining([Seed::Node(a)]));
    world.start(a);
    world.start_after(b, 500 * MILLISECOND);
    run(&mut world, 10 * SECOND);
    assert!(world.is_mesh_whole());
    let before = world.statistics().duplicates;
    world.fault(Fault::Reset(a, b));
    run(&mut world, 1500 * MILLISECOND);
    let dropped_both = world.statistics().duplicates >= before + 2 && !world.is_mesh_whole();
    run(&mut world, 28_500 * MILLISECOND);
    // It may be whole for a moment, each having the connection that the other is about to drop.
    let stays = (0..20).all(|_| {
        run(&mut world, 50 * MILLISECOND);
        world.is_mesh_whole()
    });
    (stays, dropped_both)
}

/// #215: two servers dial each other at the same time; each keeps the connection that the other drops. That both try again, a
/// random moment apart, is a rule of nats-server (wire.md 3.5) that has no switch. It is enough between neighbours.
#[test]
fn two_nodes_that_drop_each_others_connection_try_again_until_one_stays() {
    for healing in [Healing::default(), Healing::none()] {
        let runs: Vec<_> = (0..20).map(|seed| dial_each_other(seed, &healing, 20 * MILLISECOND)).collect();
        assert!(runs.iter().all(|(stays, _)| *stays), "{runs:?}");
        assert!(runs.iter().any(|(_, dropped_both)| *dropped_both), "that is what it is about");
    }
}

/// #215: the random moment of nats-server is shorter than a round trip between distant servers, so that they may drop each
/// other's connection again and again. A node that remembers waits longer after a connection that did not live.
#[test]
fn two_distant_nodes_that_drop_each_others_connection_try_again_until_one_stays() {
    let stays = |healing: &Healing| {
        let runs = (0..20).map(|seed| dial_each_other(seed, healing, 150 * MILLISECOND));
        runs.filter(|(stays, _)| *stays).count()
    };
    assert_eq!(stays(&Healing::default()), 20);
    assert!(stays(&all_but(|it| it.remember = false)) < 20);
}

/// #215: of two that hear of each other only one dials at once.
#[test]
fn nodes_that_hear_of_each_other_seldom_drop_each_others_connection() {
    let duplicates = |healing: &Healing| -> u64 {
        let mesh = |seed| {
            let spec = node(healing, |cluster| cluster.pool_size = None);
            let mut world = world(seed, vec![spec; 6], Topology::Ring, Duration::ZERO);
            assert!(heals(&mut world));
            world.statistics().duplicates
        };
        (0..10).map(mesh).sum()
    };
    let (with, without) = (duplicates(&Healing::default()), duplicates(&all_but(|it| it.arbitrate = false)));
    assert!(3 * with < without, "{with} {without}");
}

/// Servers that do not heal their mesh need one neighbour that does (design.md 5: re-gossip).
#[test]
fn one_node_that_heals_among_those_that_do_not_heals_their_mesh() {
    let heals_after_cut = |healing: Healing| {
        let others = node(&Healing::none(), |_| {});
        // Otherwise it would join them, which is another way to heal.
        let healer = node(&healing, |cluster| cluster.relay.mode = RelayMode::Off);
        let specs = vec![others.clone(), others.clone(), healer, others];
        let mut world = whole_world(1, specs, Topology::Chain);
        world.fault(Fault::Cut(NodeId(0), NodeId(3), 20 * SECOND));
        run(&mut world, 20 * SECOND);
        assert!(!world.is_connected(NodeId(0), NodeId(3)));
        heals(&mut world)
    };
    assert!(heals_after_cut(Healing::default()));
    assert!(!heals_after_cut(all_but(|it| it.regossip = false)));
}

/// nats-server tells the members of a newcomer and never the newcomer of the members, so that those that cannot dial it stay
/// unknown to it: it asks the one that it knows.
#[test]
fn a_newcomer_that_nobody_can_dial_asks_for_the_others_and_dials_them() {
    let becomes_whole = |asks: bool, is_pooled: bool| {
        let healing = if asks { Healing::default() } else { all_but(|it| it.ask = false) };
        let mut specs = nodes(3, &Healing::none());
        specs.extend(nodes(1, &healing));
        if !is_pooled {
            specs
                .iter_mut()
                .filter_map(|spec| spec.config.cluster.as_mut())
                .for_each(|it| it.pool_size = None);
        }
        let newcomer = NodeId(3);
        let mut world = world(1, specs, Topology::Seed, 500 * MILLISECOND);
        run(&mut world, 1500 * MILLISECOND);
        assert!(world.is_running(newcomer));
        world.fault(Fault::Refuse(newcomer, FOR_EVER));
        heals(&mut world)
    };
    for is_pooled in [true, false] {
        assert!(becomes_whole(true, is_pooled), "{is_pooled}");
        assert!(!becomes_whole(false, is_pooled), "{is_pooled}");
    }
}

/// How many dials are made in each of three minutes after the last of three nodes is gone.
fn dials_after(others: &Healing, last: &Healing, goes: impl Fn(&mut World, NodeId)) -> [u64; 3] {
    let mut specs = nodes(2, others);
    specs.extend(nodes(1, last));
    let mut world = whole_world(1, specs, Topology::Seed);
    goes(&mut world, NodeId(2));
    [(); 3].map(|()| {
        let before = world.statistics().dials;
        run(&mut world, 60 * SECOND);
        world.statistics().dials - before
    })
}

/// A server that leaves says so; one that dies is hoped for until it is forgotten (design.md 5: remember).
#[test]
fn a_node_that_leaves_is_not_dialed_and_a_dead_one_is_dialed_until_it_is_forgotten() {
    let dies = |world: &mut World, id| world.fault(Fault::Crash(id, FOR_EVER));
    let leaves = |world: &mut World, id| world.leave(id);
    let forgets_soon = all_but(|it| it.forget_after = 60 * SECOND);
    let [first, later @ ..] = dials_after(&forgets_soon, &forgets_soon, leaves);
    assert!(first <= 2 && later == [0, 0], "one last attempt for the pool and one for the system account");
    let [first, _, last] = dials_after(&forgets_soon, &forgets_soon, dies);
    assert!(first > 10 && last == 0, "{first} {last}");
    // A server that says nothing when it leaves is taken for dead.
    let silent = all_but(|it| it.remember = false);
    let [first, ..] = dials_after(&forgets_soon, &silent, leaves);
    assert!(first > 10, "{first}");
    let [.., last] = dials_after(&Healing::default(), &Healing::default(), dies);
    assert!(last > 0, "it is remembered for an hour");
}

/// A mesh of four, of which none is configured to find any other any more. Then all are apart for so long.
fn apart(healing: &Healing, duration: Duration) -> World {
    let mut world = whole_world(1, nodes(4, healing), Topology::Seed);
    let all = || (0..4).map(NodeId);
    for id in all() {
        world.change(Change::Configure(id, vec![Setting::Routes(Vec::new())]));
        run(&mut world, 5 * SECOND);
    }
    assert!(world.is_mesh_whole());
    let pairs = all().flat_map(|a| all().map(move |b| (a, b))).filter(|(a, b)| a < b);
    pairs.for_each(|(a, b)| world.fault(Fault::Cut(a, b, duration)));
    run(&mut world, duration - SECOND);
    assert!(all().all(|a| all().all(|b| !world.is_connected(a, b))));
    world
}

/// Serf forgets who is unreachable, so that a long outage splits it for good (its issue 333): somebody has to be kept in mind.
#[test]
fn a_cluster_that_was_apart_for_longer_than_its_nodes_remember_comes_back_together_though_none_is_configured()
{
    const HOUR: Duration = Duration::from_secs(3600);
    let mut world = apart(&Healing::default(), 5 * HOUR);
    let dials = world.statistics().dials;
    assert!(heals_within(&mut world, 11 * 60 * SECOND), "all are tried once in ten minutes");
    let mut longer = apart(&Healing::default(), 6 * HOUR);
    let in_an_hour = longer.statistics().dials - dials;
    // Each tries three others by the pool and for the system account, six times.
    assert!((100..=150).contains(&in_an_hour), "{in_an_hour}");
    assert!(heals_within(&mut longer, 11 * 60 * SECOND));
    let mut forgotten = apart(&all_but(|it| it.forget_after = Duration::ZERO), 3 * HOUR);
    assert!(!heals_within(&mut forgotten, HOUR), "who remembers nobody finds nobody");
}

/// How long a chain of four takes, after one of them lied, until it is whole again after another restarted; the longest of
/// some seeds. The first waits to be dialed by the others.
fn whole_after_restart(node: NodeId, lies: usize) -> Duration {
    let healed = |seed| {
        let mut specs = nodes(1, &Healing::none());
        specs.extend(nodes(3, &Healing::default()));
        let mut world = whole_world(seed, specs, Topology::Chain);
        run(&mut world, 5 * SECOND);
        for told in 0..3 {
            world.lie(NodeId(3), NodeId(told), lies);
        }
        run(&mut world, 2 * SECOND);
        world.fault(Fault::Stop(node, 3 * SECOND));
        run(&mut world, 3 * SECOND);
        assert!(!world.is_mesh_whole());
        world.run_until_whole(60 * SECOND).expect("no rule is broken").expect("it heals")
    };
    (0..3).map(healed).max().expect("some seeds")
}

/// A member that lies takes the pace of dials and the room for them, but not what is kept for those that were connected, nor
/// the turn of an honest one.
#[test]
fn five_thousand_servers_that_there_are_not_delay_no_member() {
    for node in [NodeId(0), NodeId(1)] {
        let (honest, lying) = (whole_after_restart(node, 0), whole_after_restart(node, 5000));
        assert!(lying < honest + SECOND / 2, "{lying:?} instead of {honest:?}");
    }
}

/// Servers that are none, which come to a mesh, say too much of themselves, go, and come again with something else to say.
struct Boasters {
    world: World,
    clients: Vec<ClientId>,
    /// Those that are there, the first of them first.
    there: Vec<Impostor>,
    /// How often one came.
    count: usize,
}

impl Boasters {
    /// A mesh of four, each with a client.
    fn new(seed: u64) -> Self {
        let mut world = whole_world(seed, nodes(4, &Healing::default()), Topology::Chain);
        let clients = (0..4).filter_map(|node| world.connect(NodeId(node), false)).collect();
        Self { world, clients, there: Vec::new(), count: 0 }
    }

    /// One more comes to each of two nodes, and the first two of those that are there go, if they are too many.
    fn change(&mut self, most: usize) {
        for node in [NodeId(0), NodeId(2)] {
            self.count += 1;
            let boast = boast(self.count % (most + 2), self.count);
            self.there.extend(self.world.pretend(node, &boast));
        }
        let gone = self.there.len().saturating_sub(most);
        self.there.drain(..gone).for_each(|gone| self.world.hang_up(gone));
    }

    /// Lets them change every 50 ms, if any are to be there, until something is so. Returns how long that took.
    fn come_and_go(&mut self, most: usize, is_enough: impl Fn(u32, &World) -> bool) -> Duration {
        const TICK: Duration = Duration::from_millis(50);
        for tick in 1..10_000 {
            if most > 0 {
                self.change(most);
            }
            run(&mut self.world, TICK);
            self.check_clients();
            if is_enough(tick, &self.world) {
                return TICK * tick;
            }
        }
        panic!("it does not come to that");
    }

    /// No client knows more addresses than may be, of one server or of all.
    fn check_clients(&self) {
        for client in &self.clients {
            let urls = self.world.client(*client).connect_urls();
            let mut of_each: BTreeMap<&str, usize> = BTreeMap::new();
            for (_, server) in urls.iter().filter_map(|url| url.split_once('-')) {
                *of_each.entry(server).or_default() += 1;
            }
            assert!(of_each.values().all(|count| *count <= 16), "{of_each:?}");
            assert!(urls.iter().map(String::len).sum::<usize>() <= 32 * 1024);
        }
    }
}

/// What such a server says the `number`th time that one comes: more than 4 KiB, with 250 addresses of about 210 bytes.
fn boast(server: usize, number: usize) -> String {
    let urls = (0..250).map(|url| format!("\"{}{url}-{number}.example:4222\"", "h".repeat(190)));
    let (id, urls) = (format!("NBOAST{server}"), urls.collect::<Vec<_>>().join(","));
    let (ip, host) = (format!("192.168.9.{server}"), "x".repeat(5000));
    format!(
        r#"{{"server_id":"{id}","server_name":"{id}","cluster":"sim","host":"{host}","ip":"nats-route://{ip}:6222/","port":6222,"connect_urls":[{urls}]}}"#
    )
}

/// Servers that say too much of themselves, and something else forty times a second, delay no member; what others are told of them
/// is not more than what a line may have, and what clients are told is bounded in length and number: the simulator checks that.
#[test]
fn who_says_too_much_of_itself_and_changes_all_the_time_delays_no_member_and_floods_no_client() {
    let longest = |seeds, most| (0..seeds).map(|seed| whole_among_boasters(seed, most)).max();
    let honest = longest(16, 0).expect("some seeds");
    for most in [2, 24] {
        let lying = longest(4, most).expect("some seeds");
        assert!(lying < honest + SECOND / 2, "{lying:?} instead of {honest:?}");
    }
}

/// How long it takes until a node that restarts is back, among so many boasters.
fn whole_among_boasters(seed: u64, most: usize) -> Duration {
    let mut boasters = Boasters::new(seed);
    boasters.come_and_go(most, |tick, _| tick == 100);
    boasters.world.fault(Fault::Stop(NodeId(1), 3 * SECOND));
    let is_back = |world: &World| world.is_running(NodeId(1)) && world.missing_pairs().is_empty();
    let back_after = boasters.come_and_go(most, |_, world| is_back(world));
    boasters.there.drain(..).for_each(|gone| boasters.world.hang_up(gone));
    run(&mut boasters.world, 2 * SECOND);
    boasters.world.check_settled().expect("clients know all members and nobody else");
    back_after
}
