//! A file that says where the server listens, for who started it with ports of the system's choice (wire.md 9.6).

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use async_io::Async;
use log::error;

use crate::listen::all_interfaces;

/// The file, until it is dropped.
#[derive(Debug)]
pub(crate) struct PortsFile {
    path: PathBuf,
}

impl PortsFile {
    /// Writes it into a directory, under the name of the program and the number of the process: for each key the URLs of one
    /// listener. That it cannot be written is logged.
    pub(crate) fn write(directory: &str, listeners: &[(&str, &str, &Async<TcpListener>)]) -> Option<Self> {
        let program = std::env::current_exe().ok();
        let program = program
            .as_deref()
            .and_then(Path::file_stem)
            .map_or("onehop".into(), |it| it.display().to_string());
        let path = Path::new(directory).join(format!("{program}_{}.ports", std::process::id()));
        match fs::write(&path, text(listeners)) {
            Ok(()) => Some(Self { path }),
            Err(fault) => {
                error!("Error writing ports file ({}): {fault}", path.display());
                None
            }
        }
    }
}

impl Drop for PortsFile {
    fn drop(&mut self) {
        if let Err(fault) = fs::remove_file(&self.path) {
            error!("Error cleaning up ports file {}: {fault}", self.path.display());
        }
    }
}

/// No text in it needs an escape.
fn text(listeners: &[(&str, &str, &Async<TcpListener>)]) -> String {
    let entries = listeners.iter().map(|(key, scheme, listener)| {
        let urls: Vec<_> = addresses(listener).iter().map(|at| format!("\"{scheme}://{at}\"")).collect();
        format!("\"{key}\":[{}]", urls.join(","))
    });
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}

/// Where a listener can be reached: on every interface that it listens on.
fn addresses(listener: &Async<TcpListener>) -> Vec<SocketAddr> {
    let Ok(own) = listener.get_ref().local_addr() else { return Vec::new() };
    if !own.ip().is_unspecified() {
        return vec![own];
    }
    let is_reached = |ip: &IpAddr| own.is_ipv6() || ip.is_ipv4();
    all_interfaces().into_iter().filter(is_reached).map(|ip| SocketAddr::new(ip, own.port())).collect()
}

#[cfg(test)]
mod tests {
    use onehop::config::Port;

    use super::*;
    use crate::listen::listen;

    #[test]
    fn the_file_has_the_addresses_of_each_port_until_the_server_ends() {
        let directory = std::env::temp_dir().join(format!("onehop-ports-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let [one, all] = ["127.0.0.1", "0.0.0.0"].map(|host| listen(host, Port::Any).unwrap());
        let listeners = [("nats", "nats", &one), ("monitoring", "http", &all)];
        let file = PortsFile::write(&directory.display().to_string(), &listeners).unwrap();
        assert!(file.path.to_string_lossy().ends_with(&format!("_{}.ports", std::process::id())));
        let read = fs::read_to_string(&file.path).unwrap();
        let [one, all] = [one, all].map(|listener| listener.get_ref().local_addr().unwrap().port());
        let begin =
            format!("{{\"nats\":[\"nats://127.0.0.1:{one}\"],\"monitoring\":[\"http://127.0.0.1:{all}\"");
        assert!(read.starts_with(&begin) && read.ends_with("]}"), "{read}");
        drop(file);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_is_done_without() {
        assert!(PortsFile::write("/nowhere/at/all", &[]).is_none());
    }
}
