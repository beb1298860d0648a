//! A server behind a tunnel of FRP, which it is reached by and nobody is told (wire.md 14.5), on both runtimes. There is no FRP here:
//! a small web server answers as its client does, and what copies bytes is the tunnel.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use onehop_tests::mesh::{cluster_block, wait_for_mesh, wait_until};
use onehop_tests::real_server::target_dir;
use onehop_tests::server::{Kind, Options, Server, reserve_port};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Serves each connection to a port of 127.0.0.1 in a thread of its own, until it is dropped.
struct Service {
    port: u16,
    has_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    fn start(serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = has_ended.clone();
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let serve = serve.clone();
                // Whoever connected may be gone.
                thread::spawn(move || drop(stream.and_then(serve)));
            }
        });
        Self { port, has_ended, thread: Some(thread) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The client of FRP, as others see it: its web server.
struct Frp {
    service: Service,
    tunnels: Arc<Mutex<Value>>,
    requests: Arc<AtomicUsize>,
}

impl Frp {
    fn start() -> Self {
        let tunnels = Arc::new(Mutex::new(json!({})));
        let requests = Arc::new(AtomicUsize::new(0));
        let (shown, count) = (tunnels.clone(), requests.clone());
        let service = Service::start(move |mut stream| {
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte)?;
                request.push(byte[0]);
            }
            count.fetch_add(1, Ordering::SeqCst);
            let request = String::from_utf8_lossy(&request).into_owned();
            let (status, body) = if !request.contains("\r\nAuthorization: Basic YWRtaW46czNjcmV0\r\n") {
                ("401 Unauthorized", "Unauthorized\n".to_owned())
            } else if request.starts_with("GET /api/status HTTP/1.1\r\n") {
                ("200 OK", shown.lock().expect("tunnels").to_string())
            } else {
                ("404 Not Found", "404 page not found\n".to_owned())
            };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        });
        Self { service, tunnels, requests }
    }

    /// From now on these tunnels of TCP are there: what they are called, where they end, and where they begin if they are up.
    fn show(&self, tunnels: &[(&str, u16, Option<u16>)]) {
        let tunnels = tunnels.iter().map(|(name, local, remote)| {
            let (status, remote) = match remote {
                Some(port) => ("running", format!("127.0.0.1:{port}")),
                None => ("start error", String::new()),
            };
            json!({
                "name": name, "type": "tcp", "status": status, "err": "", "local_addr": format!("127.0.0.1:{local}"),
                "plugin": "", "remote_addr": remote
            })
        });
        *self.tunnels.lock().expect("tunnels") = json!({ "tcp": tunnels.collect::<Vec<_>>() });
    }

    /// The block that has a server ask it.
    fn block(&self, password: &str) -> String {
        let url = format!("http://127.0.0.1:{}", self.service.port);
        format!("discovery {{ frp {{ url: \"{url}\", user: admin, password: {password}, interval: 1s }} }}\n")
    }
}

/// A tunnel to a port, which cuts all that passes when it is dropped.
struct Tunnel {
    service: Service,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Tunnel {
    fn to(target: u16) -> Self {
        let ends = Arc::new(Mutex::new(Vec::new()));
        let open = ends.clone();
        let service = Service::start(move |near| {
            let far = TcpStream::connect(("127.0.0.1", target))?;
            open.lock().expect("ends").extend([near.try_clone()?, far.try_clone()?]);
            let (back, forth) = ((far.try_clone()?, near.try_clone()?), (near, far));
            let copies = [back, forth].map(|(from, to)| thread::spawn(move || copy(from, to)));
            copies.into_iter().for_each(|copy| drop(copy.join()));
            Ok(())
        });
        Self { service, ends }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // Whichever of the two ends, the other hears of it.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.ends.lock().expect("ends").iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
    }
}

fn server(kind: Kind, name: &str, config: &str) -> Server {
    Server::start(kind, Options::configured(config).named(name)).expect("onehop is here")
}

fn of_frp(server: &Server) -> Value {
    let page = server.page("/discoveryz");
    let sources = page["sources"].as_array().expect("sources");
    sources.iter().find(|it| it["name"] == "frp").expect("each source is shown").clone()
}

fn place(name: &str) -> PathBuf {
    let directory = target_dir().join("tmp").join(format!("frp-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join(name);
    let _ = fs::remove_file(&path);
    path
}

/// The ports at which a server reaches another that it dialed.
fn dialed_at(server: &Server, other: &str) -> Vec<u64> {
    let page = server.page("/routez");
    let routes = page["routes"].as_array().into_iter().flatten();
    let dialed = routes.filter(|route| route["remote_name"] == other && route["did_solicit"] == true);
    dialed.filter_map(|route| route["port"].as_u64()).collect()
}

#[test]
fn a_server_behind_a_tunnel_is_dialed_through_it_by_whoever_hears_of_it_and_where_it_went() {
    for kind in Kind::RUNTIMES {
        let (frp, peers) = (Frp::start(), place(&format!("{kind}.peers")));
        let seed_config = format!("discovery {{ peers_file: \"{}\" }}\n", peers.display());
        let seed = server(Kind::Onehop, "S", &(cluster_block(reserve_port(), &[], "") + &seed_config));
        let routes = [seed.ports().route];
        let hidden_port = reserve_port();
        frp.show(&[("routes", hidden_port, None)]);
        let hidden = server(kind, "H", &(cluster_block(hidden_port, &routes, "") + &frp.block("s3cret")));
        hidden.wait_for_log("Cannot tell by FRP where other servers reach this one", TIMEOUT);
        assert!(of_frp(&hidden)["failure"].as_str().is_some_and(|why| why.contains("start error")));

        let tunnel = Tunnel::to(hidden_port);
        let clients = reserve_port();
        let show = |tunnel: &Tunnel| {
            let to_clients = ("clients", hidden.ports().client, Some(clients));
            frp.show(&[("routes", hidden_port, Some(tunnel.service.port)), to_clients]);
        };
        show(&tunnel);
        let is_written =
            |port: u16| fs::read_to_string(&peers).is_ok_and(|text| text.contains(&format!(":{port} ")));
        wait_until("its member heard of it", TIMEOUT, || is_written(tunnel.service.port));
        assert_eq!(of_frp(&hidden)["reached_at"], format!("127.0.0.1:{}", tunnel.service.port));
        let urls = || seed.page("/varz")["connect_urls"].to_string();
        wait_until("its clients' port is told", TIMEOUT, || urls().contains(&format!(":{clients}\"")));

        // Nobody is where it says, so it is for it to dial.
        let newcomer =
            server(Kind::Onehop, "N", &cluster_block(reserve_port(), &routes, "advertise: \"127.0.0.1:1\""));
        wait_for_mesh(&[&seed, &hidden, &newcomer], TIMEOUT);
        let by_tunnel = |tunnel: &Tunnel| {
            let ports = dialed_at(&newcomer, "H");
            !ports.is_empty() && ports.iter().all(|port| *port == u64::from(tunnel.service.port))
        };
        assert!(by_tunnel(&tunnel), "{:?}", dialed_at(&newcomer, "H"));

        drop(tunnel);
        let tunnel = Tunnel::to(hidden_port);
        show(&tunnel);
        wait_until("the newcomer dials the new port", TIMEOUT, || by_tunnel(&tunnel));
        wait_for_mesh(&[&seed, &hidden, &newcomer], TIMEOUT);
        assert!(by_tunnel(&tunnel), "{:?}", dialed_at(&newcomer, "H"));

        drop(tunnel);
        frp.show(&[]);
        wait_until("it is forgotten", TIMEOUT, || of_frp(&hidden).get("reached_at").is_none());
        wait_until("where it listens is told again", TIMEOUT, || is_written(hidden_port));
        assert!(!hidden.log().contains("s3cret"));
    }
}

#[test]
fn a_wrong_password_is_told_once_and_not_shown() {
    for kind in Kind::RUNTIMES {
        let frp = Frp::start();
        let server = server(kind, "H", &(cluster_block(reserve_port(), &[], "") + &frp.block("wr0ng")));
        let told = "it wants another user or password (401)";
        server.wait_for_log(told, TIMEOUT);
        let asked = || frp.requests.load(Ordering::SeqCst);
        let before = asked();
        wait_until("it is asked again and again", TIMEOUT, || asked() > before + 2);
        assert_eq!(server.log().matches(told).count(), 1, "{}", server.log());
        let shown = of_frp(&server).to_string();
        assert!(shown.contains(told), "{shown}");
        assert!(!server.log().contains("wr0ng") && !shown.contains("wr0ng"));
    }
}
