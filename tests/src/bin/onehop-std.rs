//! The command `onehop` on the runtime of blocking threads: with the same command line and log, so that the tests can start
//! it as they start the others. It serves until it is killed.

use std::convert::Infallible;
use std::env;
use std::process::ExitCode;
use std::thread;

use log::info;
use onehop_smol::logger::Logger;
use onehop_smol::options::{self, Command, Options, SystemSources};
use onehop_std::Server;

fn main() -> ExitCode {
    match options::parse(env::args().skip(1), &SystemSources) {
        Ok(Command::Run(options)) => match serve(*options) {
            Ok(never) => match never {},
            Err(why) => fail(&why),
        },
        Ok(Command::Print(_) | Command::ConfigIsValid(_)) => fail("only servers are run here"),
        Err(failure) => fail(&failure.message),
    }
}

fn serve(options: Options) -> Result<Infallible, String> {
    let logger = Logger::open(&options.process).map_err(|fault| format!("cannot open the log: {fault}"))?;
    logger.install().map_err(|fault| fault.to_string())?;
    let _server = Server::start(options.config).map_err(|fault| fault.to_string())?;
    info!("Server is ready");
    loop {
        thread::park();
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
