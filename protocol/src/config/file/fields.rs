//! One field of a map as the type that its key asks for.

use std::time::Duration;

use super::Sources;
use super::scalar::parse_duration;
use super::value::{Item, Map, Position, Value, in_order};
use crate::config::address::parse_listen;
use crate::config::{AddressError, HostPort, Port};
use crate::quote::without_user_info;

/// Faults and warnings with their places.
pub(super) struct Report<'a> {
    files: &'a [String],
    sources: &'a dyn Sources,
    errors: Vec<(Position, String)>,
    warnings: Vec<(Position, String)>,
}

impl<'a> Report<'a> {
    pub(super) fn new(files: &'a [String], sources: &'a dyn Sources) -> Self {
        Self { files, sources, errors: Vec::new(), warnings: Vec::new() }
    }

    /// Where what fields refer to is found.
    pub(super) fn sources(&self) -> &'a dyn Sources {
        self.sources
    }

    pub(super) fn error(&mut self, position: Position, message: impl Into<String>) {
        self.errors.push((position, message.into()));
    }

    pub(super) fn warning(&mut self, position: Position, message: impl Into<String>) {
        self.warnings.push((position, message.into()));
    }

    /// How many faults there are so far.
    pub(super) fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// Errors, then warnings, as `file:line:column: text` in the order of the text.
    pub(super) fn finish(self) -> (Vec<String>, Vec<String>) {
        let render = |mut messages: Vec<(Position, String)>| {
            messages.sort_by_key(|(position, _)| *position);
            let line = |(at, text): (Position, String)| {
                let file = self.files.get(at.file).map_or("", String::as_str);
                format!("{file}:{}:{}: {text}", at.line, at.column)
            };
            messages.into_iter().map(line).collect()
        };
        (render(self.errors), render(self.warnings))
    }
}

/// A field with its key in lower case: keys are known in any case.
pub(super) struct Field<'a> {
    pub(super) key: String,
    pub(super) position: Position,
    pub(super) value: &'a Value,
}

/// Gives every field of `map` to `read`, in the order of the text, and reports what `read` faults or does not know.
pub(super) fn read_fields(
    map: &Map,
    report: &mut Report<'_>,
    mut read: impl FnMut(&Field<'_>, &mut Report<'_>) -> Result<(), Fault>,
) {
    for (key, entry) in in_order(map) {
        let field = Field { key: key.to_lowercase(), position: entry.position, value: &entry.value };
        match read(&field, report) {
            Ok(()) => {}
            Err(Fault::Text(message)) => report.error(entry.position, message),
            Err(Fault::UnknownField | Fault::UnknownFieldIn(_)) if entry.is_variable => {}
            Err(Fault::UnknownField) => report.error(entry.position, format!("unknown field {key:?}")),
            Err(Fault::UnknownFieldIn(text)) => report.error(entry.position, text(key)),
            Err(Fault::UnsupportedField) => {
                report.error(entry.position, format!("field {key:?} is not supported yet"));
            }
        }
    }
}

/// What is wrong with a field.
pub(super) enum Fault {
    /// Nobody knows the key.
    UnknownField,
    /// The same, in a block that has words of its own for it.
    UnknownFieldIn(fn(&str) -> String),
    /// nats-server knows the key.
    UnsupportedField,
    Text(String),
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self::Text(message)
    }
}

impl From<&str> for Fault {
    fn from(message: &str) -> Self {
        Self::Text(message.to_owned())
    }
}

impl<'a> Field<'a> {
    pub(super) fn string(&self) -> Result<&'a str, Fault> {
        match self.value {
            Value::String(text) => Ok(text),
            _ => Err(self.expected("a string")),
        }
    }

    /// A string, where the empty one means that there is none.
    pub(super) fn optional_string(&self) -> Result<Option<String>, Fault> {
        Ok(Some(self.string()?).filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// A part of the field's value that must be a text.
    pub(super) fn text_of(&self, value: &'a Value) -> Result<&'a str, Fault> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(format!("error parsing {}: unsupported type {}", self.key, type_name(other)).into()),
        }
    }

    /// One text, or a list of them.
    pub(super) fn texts(&self) -> Result<Vec<&'a str>, Fault> {
        match self.value {
            Value::String(text) => Ok(vec![text]),
            _ => self.array()?.iter().map(|item| self.text_of(&item.value)).collect(),
        }
    }

    pub(super) fn bool(&self) -> Result<bool, Fault> {
        match self.value {
            Value::Bool(value) => Ok(*value),
            _ => Err(self.expected("a boolean")),
        }
    }

    pub(super) fn integer(&self) -> Result<i64, Fault> {
        match self.value {
            Value::Integer(value) => Ok(*value),
            _ => Err(self.expected("an integer")),
        }
    }

    pub(super) fn map(&self) -> Result<&'a Map, Fault> {
        match self.value {
            Value::Map(map) => Ok(map),
            other => Err(format!("Expected map to define {}, got {}", self.key, type_name(other)).into()),
        }
    }

    pub(super) fn array(&self) -> Result<&'a [Item], Fault> {
        match self.value {
            Value::Array(items) => Ok(items),
            _ => Err(self.expected("an array")),
        }
    }

    /// An integer that is neither negative nor above `max`.
    pub(super) fn at_most<T: TryFrom<i64>>(&self, max: i64) -> Result<T, Fault> {
        let value = self.integer()?;
        if value < 0 {
            return Err(format!("{} value can not be negative", self.key).into());
        }
        let too_big = || format!("{} value is too big", self.key).into();
        if value > max { Err(too_big()) } else { T::try_from(value).map_err(|_| too_big()) }
    }

    /// The same, where 0 asks for the default.
    pub(super) fn at_most_or<T: TryFrom<i64>>(&self, max: i64, default: T) -> Result<T, Fault> {
        if self.integer()? == 0 { Ok(default) } else { self.at_most(max) }
    }

    /// Every how many times something happens, where a sign means nothing and 0 asks for the default.
    pub(super) fn every_or(&self, default: u32) -> Result<u32, Fault> {
        match self.integer()?.unsigned_abs() {
            0 => Ok(default),
            times => u32::try_from(times).map_err(|_| format!("{} value is too big", self.key).into()),
        }
    }

    /// A number of things, where a negative one means this one.
    pub(super) fn count(&self, negative: usize) -> Result<usize, Fault> {
        let value = self.integer()?;
        if value < 0 { Ok(negative) } else { Ok(usize::try_from(value).unwrap_or(usize::MAX)) }
    }

    /// Whether this is one of nats-server's limits that are below zero, which earns a warning: it takes them as they are and ends
    /// every connection. Here the default holds.
    pub(super) fn is_left_out(&self, report: &mut Report<'_>) -> bool {
        let is_left_out = NOT_BELOW_ZERO.contains(&self.key.as_str()) && self.is_below_zero();
        if is_left_out {
            let advice = "a limit below zero lets nobody in, so the default holds";
            report.warning(self.position, format!("invalid use of field {:?}: {advice}", self.key));
        }
        is_left_out
    }

    /// Whether this is a number or a duration of less than nothing.
    pub(super) fn is_below_zero(&self) -> bool {
        match self.value {
            Value::Integer(value) => *value < 0,
            Value::Float(value) => *value < 0.0,
            Value::String(text) => text.strip_prefix('-').is_some_and(|rest| parse_duration(rest).is_ok()),
            Value::Map(_) | Value::Array(_) | Value::Bool(_) => false,
        }
    }

    /// A duration, or seconds, which earns a warning. 0 asks for the default.
    pub(super) fn duration_or(&self, default: Duration, report: &mut Report<'_>) -> Result<Duration, Fault> {
        let duration = match self.value {
            Value::String(text) => {
                parse_duration(text).map_err(|error| format!("error parsing {}: {error}", self.key))?
            }
            _ => {
                let seconds = self.at_most(i64::MAX)?;
                let advice = format!("{} should be converted to a duration", self.key);
                report.warning(self.position, format!("invalid use of field {:?}: {advice}", self.key));
                Duration::from_secs(seconds)
            }
        };
        Ok(if duration.is_zero() { default } else { duration })
    }

    /// The same, where 0 asks for none of its own.
    pub(super) fn optional_duration(&self, report: &mut Report<'_>) -> Result<Option<Duration>, Fault> {
        let duration = self.duration_or(Duration::ZERO, report)?;
        Ok(Some(duration).filter(|duration| !duration.is_zero()))
    }

    /// A duration as Go writes them.
    pub(super) fn go_duration(&self) -> Result<Duration, Fault> {
        let text = self.string()?;
        if text.starts_with('-') {
            return Err(format!("invalid {}, needs to be positive", self.key).into());
        }
        parse_duration(text).map_err(|error| format!("error parsing {}: {error}", self.key).into())
    }

    /// Takes a field that asks for nothing, and no other; `None` is a key that nobody knows.
    pub(super) fn accept_if(&self, asks_for_nothing: Option<bool>) -> Result<(), Fault> {
        match asks_for_nothing {
            Some(true) => Ok(()),
            Some(false) => Err(Fault::UnsupportedField),
            None => Err(Fault::UnknownField),
        }
    }

    /// The `timeout` of an authorization or `tls` block: seconds, or a duration. 0 asks for the default.
    pub(super) fn timeout_or(&self, block: &str, default: Duration) -> Result<Duration, Fault> {
        let prefix = format!("error parsing {block} config, 'timeout'");
        let duration = match self.value {
            Value::String(text) => parse_duration(text).map_err(|error| format!("{prefix} {error}"))?,
            Value::Float(seconds) => {
                Duration::try_from_secs_f64(*seconds).map_err(|_| format!("{prefix} is out of the range"))?
            }
            _ => Duration::from_secs(self.at_most(i64::MAX)?),
        };
        Ok(if duration.is_zero() { default } else { duration })
    }

    /// A port; `None` where it is 0.
    pub(super) fn port(&self) -> Result<Option<Port>, Fault> {
        match self.integer()? {
            -1 => Ok(Some(Port::Any)),
            0 => Ok(None),
            port => match u16::try_from(port) {
                Ok(port) => Ok(Some(Port::Fixed(port))),
                Err(_) => {
                    Err(format!("port {port} is not a number from 1 to 65535, or -1 for any port").into())
                }
            },
        }
    }

    /// `host:port`, or only a port; no host where there is none or an empty one, and no port where it is 0.
    pub(super) fn listen(&self) -> Result<(Option<String>, Option<Port>), Fault> {
        match self.value {
            Value::Integer(_) => Ok((None, self.port()?)),
            Value::String(text) => {
                let shown = without_user_info(text);
                let Some((_, port)) = shown.rsplit_once(':') else {
                    return Err(format!("could not parse address string {shown:?}").into());
                };
                if port.parse::<i64>().is_err() {
                    return Err(format!("could not parse port {port:?}").into());
                }
                let (host, port) = parse_listen(text)
                    .map_err(|error| faulty_address("could not parse address string", text, error))?;
                Ok((Some(host.to_owned()).filter(|host| !host.is_empty()), port))
            }
            other => Err(format!("expected port or host:port, got {}", type_name(other)).into()),
        }
    }

    /// The address that others are told; `what` is how nats-server calls it where it is faulty.
    pub(super) fn advertised(&self, what: &str) -> Result<Option<HostPort>, Fault> {
        let parse = |text: String| text.parse().map_err(|error| faulty_address(what, &text, error).into());
        self.optional_string()?.map(parse).transpose()
    }

    fn expected(&self, what: &str) -> Fault {
        format!("expected {what} for {:?}, got {}", self.key, type_name(self.value)).into()
    }
}

/// What nats-server takes as it is where it is below zero, and what then lets nobody in.
const NOT_BELOW_ZERO: [&str; 5] =
    ["max_control_line", "ping_interval", "ping_max", "timeout", "write_deadline"];

/// What is wrong with an address, which is shown without user and password, should they stand in it.
pub(super) fn faulty_address(what: &str, address: &str, error: AddressError) -> String {
    format!("{what} {:?}: {error}", without_user_info(address))
}

/// A type's name as the messages of nats-server have it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Map(_) => "map",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Integer(_) => "int64",
        Value::Float(_) => "float64",
        Value::Bool(_) => "bool",
    }
}
