//! `compression` of the cluster: a mode, or a block with one (wire.md 5.1).

use std::time::Duration;

use super::fields::{Fault, Field, Report, read_fields, type_name};
use super::scalar::parse_duration;
use super::value::{Item, Value};
use crate::config::{Compression, RttThresholds};
use crate::transport::S2Level;

pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Result<Compression, Fault> {
    match field.value {
        Value::String(mode) => named(mode),
        Value::Bool(compresses) => {
            Ok(if *compresses { Compression::S2(S2Level::Fast) } else { Compression::Off })
        }
        Value::Map(map) => {
            let (mut mode, mut thresholds) = (Compression::default(), RttThresholds::default());
            read_fields(map, report, |field, _| {
                match field.key.as_str() {
                    "mode" => mode = named(field.string()?)?,
                    "thresholds" | "rtts" | "rtt" | "rtt_thresholds" => thresholds = read_thresholds(field)?,
                    _ => return Err(Fault::UnknownField),
                }
                Ok(())
            });
            Ok(if let Compression::Auto(_) = mode { Compression::Auto(thresholds) } else { mode })
        }
        other => {
            let got = type_name(other);
            Err(format!("field \"compression\" should be a boolean or a structure, got {got}").into())
        }
    }
}

fn named(mode: &str) -> Result<Compression, Fault> {
    Ok(match mode.to_lowercase().as_str() {
        "" => Compression::default(),
        "not supported" | "not_supported" => Compression::NotSupported,
        "off" | "disabled" | "false" => Compression::Off,
        "accept" => Compression::Accept,
        "fast" | "s2_fast" | "on" | "enabled" | "true" => Compression::S2(S2Level::Fast),
        "better" | "s2_better" => Compression::S2(S2Level::Better),
        "best" | "s2_best" => Compression::S2(S2Level::Best),
        "auto" | "s2_auto" => Compression::Auto(RttThresholds::default()),
        mode => return Err(format!("unsupported compression mode {mode:?}").into()),
    })
}

/// One that is below zero leaves its level out, as one of zero does. None at all are the default.
fn read_thresholds(field: &Field<'_>) -> Result<RttThresholds, Fault> {
    let read = |item: &Item| match &item.value {
        Value::String(text) if text.starts_with('-') => Ok(Duration::ZERO),
        Value::String(text) => parse_duration(text).map_err(Fault::from),
        _ => Err(Fault::from("a round-trip time is a duration")),
    };
    let thresholds = field.array()?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(if thresholds.is_empty() { RttThresholds::default() } else { RttThresholds(thresholds) })
}
