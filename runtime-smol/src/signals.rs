//! Signals (wire.md 9.6), and the configuration that is read again for one (9.4).

use async_signal::{Signal, Signals};
use log::{error, info, warn};
use onehop::config::ProcessSettings;
use smol::stream::StreamExt;

use crate::logger::Logger;
use crate::options::{self, Options, SystemSources};
use crate::server::{Core, Server};

/// What signals change in the process around a server.
pub struct Process {
    /// The logger of the process.
    pub logger: &'static Logger,
    /// What it was made for.
    pub settings: ProcessSettings,
    /// The command line, without the name of the program, to be understood again together with the configuration file.
    pub arguments: Vec<String>,
}

/// Serves until a signal ends it, and reads the configuration again when another one says so.
///
/// # Errors
///
/// As [`Server::serve_until`], or the system does not hand signals on.
pub fn run(server: Server, process: Process) -> Result<(), String> {
    // Before the server says that it is ready, so that no signal after that does what the system does by itself, which is to
    // end the process or nothing at all.
    let watched = [Signal::Int, Signal::Term, Signal::Hup, Signal::Usr1, Signal::Usr2];
    let signals = Signals::new(watched).map_err(|fault| format!("cannot watch signals: {fault}"))?;
    // Removed when the server has ended.
    let _ports_file = process.settings.ports_file_dir.as_deref().and_then(|dir| server.write_ports_file(dir));
    server.serve(|core| async move { wait_for_end(&core, process, signals).await })
}

/// Waits for the signal to end; handles others meanwhile.
async fn wait_for_end(core: &Core, mut process: Process, mut signals: Signals) {
    while let Some(signal) = signals.next().await {
        match signal {
            Ok(Signal::Int | Signal::Term) => return,
            Ok(Signal::Usr1) => match process.logger.reopen() {
                Ok(()) => info!("File log re-opened"),
                Err(fault) => error!("cannot reopen the log file: {fault}"),
            },
            Ok(Signal::Hup) => match process.reload(core).await {
                Ok(changes) => {
                    changes.iter().for_each(|key| info!("Reloaded: {key}"));
                    info!("Reloaded server configuration");
                }
                Err(why) => error!("Failed to reload server configuration: {why}"),
            },
            Ok(Signal::Usr2) => warn!("Lame duck mode is not supported yet"),
            _ => {}
        }
    }
}

impl Process {
    /// Reads the configuration again and follows it, or leaves everything as it is. Returns the keys that have another value.
    async fn reload(&mut self, core: &Core) -> Result<Vec<&'static str>, String> {
        let arguments = self.arguments.clone();
        let reread = smol::unblock(move || options::reread(arguments, &SystemSources));
        let Options { config, process, warnings, .. } =
            reread.await.map_err(|failure| failure.reason().to_owned())?;
        warnings.iter().for_each(|warning| warn!("{warning}"));
        let changes = self.settings.changes_to(&process).map_err(|refused| refused.to_string())?;
        let of_node = core.reconfigure(config).await.map_err(|refused| refused.to_string())?;
        self.logger.follow(&process);
        self.settings = process;
        Ok([changes, of_node].concat())
    }
}
