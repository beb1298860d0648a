//! The `onehop` command: a NATS server that joins clusters by the address of any one member.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread::available_parallelism;

use log::warn;
use onehop_smol::files::{write_new_secret, write_pid_file};
use onehop_smol::logger::Logger;
use onehop_smol::options::{self, Command, Options, SystemSources};
use onehop_smol::server::{Server, log_fatal};
use onehop_smol::signals::{self, Process};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match options::parse(arguments.clone(), &SystemSources) {
        Ok(Command::Run(options)) => run(*options, arguments),
        Ok(Command::NewSecret(path)) => match write_new_secret(Path::new(&path)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                complain(&format!("onehop: cannot write a secret to {path}: {fault}"));
                ExitCode::FAILURE
            }
        },
        Ok(Command::Print(text)) => {
            let _ = writeln!(io::stdout(), "{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Command::Signal(order)) => match signals::send(&order) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                complain(&format!("onehop: {why}"));
                ExitCode::FAILURE
            }
        },
        Ok(Command::ConfigIsValid(text)) => {
            complain(&text);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            complain(&failure.message);
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run(options: Options, arguments: Vec<String>) -> ExitCode {
    raise_descriptor_limit();
    let opened = Logger::open(&options.process).map_err(|fault| fault.to_string());
    let installed = opened.and_then(|logger| logger.install().map_err(|fault| fault.to_string()));
    let logger = match installed {
        Ok(logger) => logger,
        Err(fault) => {
            complain(&format!("onehop: cannot open the log: {fault}"));
            return ExitCode::FAILURE;
        }
    };
    options.warnings.iter().for_each(|warning| warn!("{warning}"));
    if options.config.has_plaintext_passwords() {
        warn!("Plaintext passwords detected, use nkeys or bcrypt");
    }
    if let Some(path) = &options.process.pid_file
        && let Err(fault) = write_pid_file(Path::new(path))
    {
        log_fatal(&format!("Could not write pidfile: {fault}"));
        return ExitCode::FAILURE;
    }
    let workers = available_parallelism().map_or(1, |cores| cores.get());
    let process = Process { logger, settings: options.process, arguments };
    match Server::bind(options.config, workers).and_then(|server| signals::run(server, process)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            log_fatal(&why);
            ExitCode::FAILURE
        }
    }
}

/// Lets the server have as many sockets as it may: what a shell gives is often 1,024. It does with less if it must.
#[cfg(unix)]
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(not(unix))]
fn raise_descriptor_limit() {}

/// Standard error may be gone; there is nobody to tell then.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}
