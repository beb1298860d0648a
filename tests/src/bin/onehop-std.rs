//! The command `onehop` on the runtime of blocking threads: with the same command line and log, so that the tests can start
//! it as they start the others.

use std::env;
use std::process::ExitCode;

use async_signal::{Signal, Signals};
use log::info;
use onehop_smol::logger::Logger;
use onehop_smol::options::{self, Command, Options, SystemSources};
use onehop_std::Server;
use smol::stream::StreamExt;

fn main() -> ExitCode {
    match options::parse(env::args().skip(1), &SystemSources) {
        Ok(Command::Run(options)) => match serve(*options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => fail(&why),
        },
        Ok(_) => fail("only servers are run here"),
        Err(failure) => fail(&failure.message),
    }
}

/// Serves until a signal ends it.
fn serve(options: Options) -> Result<(), String> {
    let logger = Logger::open(&options.process).map_err(|fault| format!("cannot open the log: {fault}"))?;
    logger.install().map_err(|fault| fault.to_string())?;
    let mut signals = Signals::new([Signal::Int, Signal::Term]).map_err(|fault| fault.to_string())?;
    let server = Server::start(options.config).map_err(|fault| fault.to_string())?;
    info!("Server is ready");
    let _ = smol::block_on(signals.next());
    server.shutdown();
    Ok(())
}

fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
