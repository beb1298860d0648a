//! Signals (wire.md 9.6), and the configuration that is read again for one (9.4).

use async_signal::{Signal, Signals};
use log::{error, info, warn};
use onehop::config::ProcessSettings;
use smol::future::FutureExt;
use smol::stream::StreamExt;

use crate::logger::Logger;
use crate::options::{self, Options, Order, SystemSources};
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
    server.offer_reload();
    server.serve(|core| async move { wait_for_end(&core, process, signals).await })
}

/// Sends a signal to another server.
///
/// # Errors
///
/// There is no such process, or no right to do that. The text is ready to be shown.
#[cfg(unix)]
pub fn send(order: &Order) -> Result<(), String> {
    use rustix::process::{Pid, Signal, kill_process};
    let Order { word, process } = order;
    let is_number = process.bytes().all(|byte| byte.is_ascii_digit());
    let text = if is_number {
        process.clone()
    } else {
        std::fs::read_to_string(process).map_err(|fault| format!("invalid pid file {process:?}: {fault}"))?
    };
    let pid =
        text.trim().parse().ok().and_then(Pid::from_raw).ok_or(format!("invalid pid: {}", text.trim()))?;
    let signal = match word.as_str() {
        "ldm" => Signal::USR2,
        "quit" => Signal::INT,
        "reload" => Signal::HUP,
        "reopen" => Signal::USR1,
        "term" => Signal::TERM,
        _ => Signal::KILL,
    };
    kill_process(pid, signal).map_err(|fault| format!("signal {word:?} {}: {fault}", pid.as_raw_nonzero()))
}

/// There are no signals here.
///
/// # Errors
///
/// Always.
#[cfg(not(unix))]
pub fn send(_order: &Order) -> Result<(), String> {
    Err("there are no signals on this system".to_owned())
}

/// Waits for the signal to end, or until a lame duck has no clients any more; handles other signals meanwhile.
async fn wait_for_end(core: &Core, mut process: Process, mut signals: Signals) {
    let sent_away = async || {
        core.wait_until_sent_away().await;
        None
    };
    // Who asks for it over the system account is answered.
    let asked = async || {
        core.wait_for_reload().await;
        Some(Ok(Signal::Hup))
    };
    while let Some(signal) = signals.next().or(asked()).or(sent_away()).await {
        match signal {
            Ok(Signal::Int) => return,
            // A lame duck ends by itself.
            Ok(Signal::Term) if core.is_lame_duck() => {}
            Ok(Signal::Term) => return,
            Ok(Signal::Usr1) => match process.logger.reopen() {
                Ok(()) => info!("File log re-opened"),
                Err(fault) => error!("cannot reopen the log file: {fault}"),
            },
            Ok(Signal::Hup) => {
                let outcome = process.reload(core).await;
                match &outcome {
                    Ok(changes) => {
                        changes.iter().for_each(|key| info!("Reloaded: {key}"));
                        info!("Reloaded server configuration");
                    }
                    Err(why) => error!("Failed to reload server configuration: {why}"),
                }
                core.tell_reloaded(outcome.map(drop));
            }
            Ok(Signal::Usr2) => core.begin_lame_duck().await,
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
