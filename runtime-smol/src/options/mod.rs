//! nats-server's command line (wire.md 9.5), and what it has no flags for (wire.md 14.5).
//!
//! Flags have one or two dashes and take their value as `-flag value` or `-flag=value`; a switch takes one only as
//! `-flag=value`. The first word that is not a flag ends them, in the manner of Go's flags.

mod apply;
mod sources;
#[cfg(test)]
mod tests;
mod usage;

use std::fmt;

use onehop::config::{Config, ProcessSettings, Sources, parse_file, without_user_info};

pub use sources::SystemSources;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the server.
    Run(Box<Options>),
    /// Print this to standard output and exit.
    Print(String),
    /// Send a signal to a running server, and exit.
    Signal(Order),
    /// Write a new secret to this file, which must not be there, and exit.
    NewSecret(String),
    /// The configuration file was tested and is valid: print this to standard error and exit.
    ConfigIsValid(String),
}

/// What `--signal` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What the server is to do: one of nats-server's words.
    pub word: String,
    /// The number of its process, or the file that has it.
    pub process: String,
}

/// What the server runs with: the configuration file's settings, overridden by the flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the protocol needs, checked as a whole. Its seed is not set.
    pub config: Config,
    /// Logging and the process id file.
    pub process: ProcessSettings,
    /// The configuration file's path, to read it again.
    pub config_file: Option<String>,
    /// What the user should better not say, one line each, to print before the server starts.
    pub warnings: Vec<String>,
}

/// Why the server cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to print to standard error.
    pub message: String,
    /// The exit code: 2 for a flag that does not exist, 1 for everything else.
    pub exit_code: u8,
}

impl Failure {
    fn new(message: impl fmt::Display) -> Self {
        Self { message: format!("onehop: {message}"), exit_code: 1 }
    }

    /// What to say of it in the log.
    pub fn reason(&self) -> &str {
        self.message.strip_prefix("onehop: ").unwrap_or(&self.message)
    }

    fn with_usage(message: impl fmt::Display) -> Self {
        Self { message: format!("onehop: {message}\n{}", usage::USAGE), exit_code: 2 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Understands the arguments, without the program's name. `sources` reads the configuration file too.
///
/// # Errors
/// What the user got wrong.
pub fn parse(arguments: impl IntoIterator<Item = String>, sources: &dyn Sources) -> Result<Command, Failure> {
    let flags = read_flags(arguments)?;
    if flags.help {
        return Ok(Command::Print(usage::USAGE.to_owned()));
    }
    if flags.version {
        return Ok(Command::Print(concat!("onehop: v", env!("CARGO_PKG_VERSION")).to_owned()));
    }
    if let Some(path) = flags.new_secret {
        return Ok(Command::NewSecret(path));
    }
    if let Some(signal) = flags.signal {
        return Ok(Command::Signal(read_order(&signal)?));
    }
    match (&flags.config_file, flags.test_config) {
        (Some(path), true) => test_config(path, sources),
        (None, true) => {
            Err(Failure::new("must specify [-c, --config] option to check configuration file syntax"))
        }
        (_, false) => Ok(Command::Run(Box::new(resolve(flags, sources)?))),
    }
}

/// Understands the arguments once more: what the configuration file says now, overridden by the flags.
///
/// # Errors
/// What the user got wrong, or that there is no file that could say something else.
pub fn reread(
    arguments: impl IntoIterator<Item = String>,
    sources: &dyn Sources,
) -> Result<Options, Failure> {
    let flags = read_flags(arguments)?;
    if flags.config_file.is_none() {
        return Err(Failure::new("can only reload config when a file is provided using -c or --config"));
    }
    resolve(flags, sources)
}

fn read_flags(arguments: impl IntoIterator<Item = String>) -> Result<Flags, Failure> {
    let mut flags = Flags::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
            flags.read_word(&argument)?;
            break;
        };
        if flag == "-" {
            arguments.next().map_or(Ok(()), |word| flags.read_word(&word))?;
            break;
        }
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        if flag.starts_with(['-', '=']) {
            return Err(Failure::with_usage(format!("bad flag syntax: {argument}")));
        }
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let flag = Flag::named(name);
        if flag.is_none() && !is_absent(name) {
            return Err(Failure::with_usage(format!("flag provided but not defined: -{name}")));
        }
        let is_switch = flag.map_or(ABSENT_SWITCHES.contains(&name), Flag::is_switch);
        let value = match value {
            Some(value) => value,
            None if is_switch => "true".to_owned(),
            None => {
                let missing = || Failure::new(format!("flag needs an argument: -{name}"));
                arguments.next().ok_or_else(missing)?
            }
        };
        let Some(flag) = flag else {
            let asks =
                if is_switch { parse_switch(name, &value)? } else { !["", "0"].contains(&value.as_str()) };
            if asks {
                return Err(Failure::new(format!("flag -{name} is not supported yet")));
            }
            continue;
        };
        flags.set(flag, name, value)?;
    }
    Ok(flags)
}

fn read_order(text: &str) -> Result<Order, Failure> {
    let (word, process) = text.split_once('=').unwrap_or((text, ""));
    if !ORDERS.contains(&word) {
        return Err(Failure::new(format!("unknown signal {word:?}")));
    }
    if process.is_empty() {
        return Err(Failure::new(format!("which server is to be sent {word:?}? Expected {word}=<pid>")));
    }
    Ok(Order { word: word.to_owned(), process: process.to_owned() })
}

/// The words of `--signal` (wire.md 9.6).
const ORDERS: &[&str] = &["ldm", "quit", "reload", "reopen", "stop", "term"];

fn test_config(path: &str, sources: &dyn Sources) -> Result<Command, Failure> {
    let file = sources.include("", path).map_err(Failure::new)?;
    let settings = parse_file(path, &file.text, sources).map_err(Failure::new)?;
    settings.config.validate().map_err(Failure::new)?;
    if settings.warnings.is_empty() {
        Ok(Command::ConfigIsValid(format!("onehop: configuration file {path} is valid")))
    } else {
        Err(Failure::new(settings.warnings.join("\n")))
    }
}

fn resolve(flags: Flags, sources: &dyn Sources) -> Result<Options, Failure> {
    let mut options = Options {
        config: Config::default(),
        process: ProcessSettings::default(),
        config_file: flags.config_file.clone(),
        warnings: Vec::new(),
    };
    if let Some(path) = &flags.config_file {
        let file = sources.include("", path).map_err(Failure::new)?;
        let settings = parse_file(path, &file.text, sources).map_err(Failure::new)?;
        options.config = settings.config;
        options.process = settings.process;
        options.warnings = settings.warnings;
    }
    options.warnings.extend(flags.warnings.iter().cloned());
    flags.apply(&mut options, sources)?;
    options.config.validate().map_err(Failure::new)?;
    Ok(options)
}

/// What the flags say. Of a repeated flag the last counts, but what `discover_dns` says adds up. An empty text says that there is to be nothing of the kind, whatever
/// the configuration file says; but it takes no protection away (wire.md 13).
#[derive(Default)]
struct Flags {
    host: Option<String>,
    port: Option<i64>,
    server_name: Option<String>,
    pid_file: Option<String>,
    http_port: Option<i64>,
    config_file: Option<String>,
    test_config: bool,
    client_advertise: Option<String>,
    ports_file_dir: Option<String>,
    log_file: Option<String>,
    log_size_limit: Option<i64>,
    logtime: Option<bool>,
    logtime_utc: Option<bool>,
    debug: Option<bool>,
    trace: Option<bool>,
    debug_and_trace: bool,
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
    tls: bool,
    tls_verify: bool,
    tls_cert: Option<String>,
    tls_key: Option<String>,
    tls_authorities: Option<String>,
    routes: Option<String>,
    cluster: Option<String>,
    cluster_name: Option<String>,
    no_advertise: Option<bool>,
    cluster_advertise: Option<String>,
    connect_retries: Option<i64>,
    discover: Option<String>,
    secret: Option<String>,
    new_secret: Option<String>,
    discover_dns: Option<Vec<String>>,
    discover_frp: Option<String>,
    peers_file: Option<String>,
    signal: Option<String>,
    version: bool,
    help: bool,
    warnings: Vec<String>,
}

impl Flags {
    /// A word where a flag could be: two are commands.
    fn read_word(&mut self, word: &str) -> Result<(), Failure> {
        match word {
            "version" => self.version = true,
            "help" => self.help = true,
            _ => {
                let shown = without_user_info(word);
                return Err(Failure::new(format!("unrecognized command: {shown:?}")));
            }
        }
        Ok(())
    }

    fn set(&mut self, flag: Flag, name: &str, value: String) -> Result<(), Failure> {
        let switch = || parse_switch(name, &value);
        match flag {
            Flag::Port => self.port = Some(parse_number(name, &value)?),
            Flag::HttpPort => self.http_port = Some(parse_number(name, &value)?),
            Flag::ConnectRetries => self.connect_retries = Some(parse_number(name, &value)?),
            Flag::LogSizeLimit => self.log_size_limit = Some(parse_number(name, &value)?),
            Flag::TestConfig => self.test_config = switch()?,
            Flag::Logtime => self.logtime = Some(switch()?),
            Flag::LogtimeUtc => self.logtime_utc = Some(switch()?),
            Flag::Debug => self.debug = Some(switch()?),
            Flag::Trace => self.trace = Some(switch()?),
            Flag::DebugAndTrace => self.debug_and_trace = switch()?,
            Flag::Tls => self.tls = switch()?,
            Flag::TlsVerify => self.tls_verify = switch()?,
            Flag::TlsCert => self.tls_cert = self.protection(name, value),
            Flag::TlsKey => self.tls_key = self.protection(name, value),
            Flag::TlsAuthorities => self.tls_authorities = self.protection(name, value),
            Flag::NoAdvertise => self.no_advertise = Some(switch()?),
            Flag::Version => self.version = switch()?,
            Flag::Help => self.help = switch()?,
            Flag::Cluster => self.cluster = Some(value),
            Flag::Host => self.host = self.protection(name, value),
            Flag::ServerName => self.server_name = Some(value),
            Flag::PidFile => self.pid_file = Some(value),
            Flag::ConfigFile => self.config_file = non_empty(value),
            Flag::ClientAdvertise => self.client_advertise = Some(value),
            Flag::LogFile => self.log_file = Some(value),
            Flag::User => self.user = self.protection(name, value),
            Flag::Password => self.password = self.protection(name, value),
            Flag::Token => self.token = self.protection(name, value),
            Flag::Routes => self.routes = Some(value),
            Flag::ClusterName => self.cluster_name = Some(value),
            Flag::PortsFileDir => self.ports_file_dir = Some(value),
            Flag::Signal => self.signal = non_empty(value),
            // Without JetStream nothing is stored.
            Flag::StoreDir => {}
            Flag::ClusterAdvertise => self.cluster_advertise = Some(value),
            Flag::Discover => self.discover = Some(value),
            Flag::Secret => self.secret = Some(value),
            Flag::NewSecret => self.new_secret = non_empty(value),
            Flag::DiscoverDns => self.discover_dns.get_or_insert_default().push(value),
            Flag::DiscoverFrp => self.discover_frp = Some(value),
            Flag::PeersFile => self.peers_file = Some(value),
        }
        Ok(())
    }

    /// A value that keeps somebody out. That it is empty is never meant: it comes from a variable that nobody set.
    fn protection(&mut self, name: &str, value: String) -> Option<String> {
        if value.is_empty() {
            self.warnings.push(format!("flag -{name} is empty and has no effect"));
        }
        non_empty(value)
    }
}

#[derive(Clone, Copy)]
enum Flag {
    Host,
    Port,
    ServerName,
    PidFile,
    HttpPort,
    ConfigFile,
    TestConfig,
    ClientAdvertise,
    LogFile,
    LogSizeLimit,
    Logtime,
    LogtimeUtc,
    Debug,
    Trace,
    DebugAndTrace,
    User,
    Password,
    Token,
    Tls,
    TlsVerify,
    TlsCert,
    TlsKey,
    TlsAuthorities,
    Routes,
    Cluster,
    ClusterName,
    NoAdvertise,
    ClusterAdvertise,
    ConnectRetries,
    Discover,
    Secret,
    NewSecret,
    DiscoverDns,
    DiscoverFrp,
    PeersFile,
    PortsFileDir,
    StoreDir,
    Signal,
    Version,
    Help,
}

impl Flag {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "a" | "addr" | "net" => Self::Host,
            "p" | "port" => Self::Port,
            "n" | "name" | "server_name" => Self::ServerName,
            "P" | "pid" => Self::PidFile,
            "m" | "http_port" => Self::HttpPort,
            "c" | "config" => Self::ConfigFile,
            "t" => Self::TestConfig,
            "client_advertise" => Self::ClientAdvertise,
            "ports_file_dir" => Self::PortsFileDir,
            "sd" | "store_dir" => Self::StoreDir,
            "sl" | "signal" => Self::Signal,
            "l" | "log" => Self::LogFile,
            "log_size_limit" => Self::LogSizeLimit,
            "T" | "logtime" => Self::Logtime,
            "logtime_utc" => Self::LogtimeUtc,
            "D" | "debug" => Self::Debug,
            "V" | "trace" => Self::Trace,
            "DV" => Self::DebugAndTrace,
            "user" => Self::User,
            "pass" => Self::Password,
            "auth" => Self::Token,
            "tls" => Self::Tls,
            "tlsverify" => Self::TlsVerify,
            "tlscert" => Self::TlsCert,
            "tlskey" => Self::TlsKey,
            "tlscacert" => Self::TlsAuthorities,
            "routes" => Self::Routes,
            "cluster" | "cluster_listen" => Self::Cluster,
            "cluster_name" => Self::ClusterName,
            "no_advertise" => Self::NoAdvertise,
            "cluster_advertise" => Self::ClusterAdvertise,
            "connect_retries" => Self::ConnectRetries,
            "discover" => Self::Discover,
            "secret" => Self::Secret,
            "new_secret" => Self::NewSecret,
            "discover_dns" => Self::DiscoverDns,
            "discover_frp" => Self::DiscoverFrp,
            "peers_file" => Self::PeersFile,
            "v" | "version" => Self::Version,
            "h" | "help" => Self::Help,
            _ => return None,
        })
    }

    fn is_switch(self) -> bool {
        matches!(
            self,
            Self::TestConfig
                | Self::Logtime
                | Self::LogtimeUtc
                | Self::Debug
                | Self::Trace
                | Self::DebugAndTrace
                | Self::NoAdvertise
                | Self::Tls
                | Self::TlsVerify
                | Self::Version
                | Self::Help
        )
    }
}

/// Flags of nats-server for what is not here. They are refused, unless their value asks for nothing: `false`, 0, or an empty
/// text.
fn is_absent(name: &str) -> bool {
    ABSENT_SWITCHES.contains(&name) || ABSENT_VALUES.contains(&name)
}

const ABSENT_SWITCHES: &[&str] = &["DVV", "VV", "help_tls", "jetstream", "js", "s", "syslog"];

const ABSENT_VALUES: &[&str] = &["https_port", "max_traced_msg_len", "ms", "profile", "r", "remote_syslog"];

fn parse_number(name: &str, value: &str) -> Result<i64, Failure> {
    let shown = without_user_info(value);
    let fault = || Failure::new(format!("invalid value {shown:?} for flag -{name}: parse error"));
    parse_integer(value).ok_or_else(fault)
}

/// An integer as Go writes it: `0x1f`, `0b11`, `0o17` and `017` as well, with `_` between digits.
fn parse_integer(text: &str) -> Option<i64> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let lower = unsigned.to_ascii_lowercase();
    let prefixes = [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)];
    let prefixed = prefixes.into_iter().find_map(|(prefix, radix)| {
        lower.strip_prefix(prefix).filter(|digits| !digits.is_empty()).map(|digits| (digits, radix))
    });
    let (digits, radix) = prefixed.unwrap_or((&lower, 10));
    // A prefix counts as a digit.
    let mut parts = digits.split('_').skip(usize::from(prefixed.is_some()));
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !are_digits || parts.any(str::is_empty) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{}", digits.replace('_', "")), radix).ok()
}

fn parse_switch(name: &str, value: &str) -> Result<bool, Failure> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Failure::new(format!("invalid boolean value {value:?} for -{name}: parse error"))),
    }
}

fn non_empty(value: String) -> Option<String> {
    Some(value).filter(|value| !value.is_empty())
}
