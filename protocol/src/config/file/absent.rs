//! Keys of nats-server for what is not here: they are refused, unless they ask for nothing of it.

use super::value::Value;

/// What a value of a key is when it asks for nothing.
#[derive(Clone, Copy)]
pub(super) enum Nothing {
    /// None is: the key always asks for something.
    Never,
    /// Any: the key only tunes what is not here.
    Any,
    /// `false`.
    False,
    /// 0.
    Zero,
    /// An empty text, list or block.
    Empty,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A block with `enabled: false`, `false` or a word for it.
    Disabled,
}

/// Keys of one block, and what each is when it asks for nothing.
pub(super) type Keys = &'static [(&'static str, Nothing)];

/// Whether a value of a key of this block asks for nothing; `None` if nats-server has no such key either.
pub(super) fn asks_for_nothing(keys: Keys, key: &str, value: &Value) -> Option<bool> {
    let (_, nothing) = keys.iter().find(|(name, _)| *name == key)?;
    Some(nothing.holds(value))
}

impl Nothing {
    fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any, _) => true,
            (Self::False | Self::Disabled, Value::Bool(value)) => !value,
            (Self::Zero, Value::Integer(value)) => *value == 0,
            (Self::Empty, Value::Array(items)) if items.is_empty() => true,
            (Self::Empty, Value::String(text)) => text.is_empty(),
            (Self::Empty, Value::Map(map)) => map.is_empty(),
            (Self::Words(words), Value::String(text)) => words.contains(&text.to_lowercase().as_str()),
            (Self::Disabled, Value::String(text)) => {
                ["disabled", "disable", "false"].contains(&text.to_lowercase().as_str())
            }
            (Self::Disabled, Value::Map(map)) => {
                let mut switches = map.iter().filter(|(key, _)| is_switch(key));
                switches.any(|(_, entry)| matches!(entry.value, Value::Bool(false)))
            }
            _ => false,
        }
    }
}

/// Whether this key of the `jetstream` block switches it on and off.
fn is_switch(key: &str) -> bool {
    ["enable", "enabled"].contains(&key.to_lowercase().as_str())
}

/// Of the top level.
pub(super) const TOP_LEVEL: Keys = &[
    ("default_js_domain", Nothing::Empty),
    ("default_sentinel", Nothing::Empty),
    ("disable_sublist_cache", Nothing::Any),
    ("feature_flags", Nothing::Any),
    ("gateway", Nothing::Empty),
    ("https", Nothing::Never),
    ("https_port", Nothing::Zero),
    ("jetstream", Nothing::Disabled),
    ("leaf", Nothing::Empty),
    ("leafnodes", Nothing::Empty),
    ("max_traced_msg_len", Nothing::Never),
    ("mqtt", Nothing::Empty),
    ("no_fast_producer_stall", Nothing::False),
    ("ocsp", Nothing::False),
    ("ocsp_cache", Nothing::Any),
    ("operator", Nothing::Never),
    ("operators", Nothing::Empty),
    ("prof_block_rate", Nothing::Zero),
    ("prof_port", Nothing::Zero),
    ("proxies", Nothing::Empty),
    ("remote_syslog", Nothing::Empty),
    ("resolver", Nothing::Never),
    ("resolver_preload", Nothing::Empty),
    ("resolver_tls", Nothing::Empty),
    ("root", Nothing::Never),
    ("roots", Nothing::Never),
    ("store_dir", Nothing::Any),
    ("storedir", Nothing::Any),
    ("syslog", Nothing::False),
    ("trace_headers", Nothing::False),
    ("trace_verbose", Nothing::False),
    ("trusted", Nothing::Empty),
    ("trusted_keys", Nothing::Empty),
    ("write_timeout", Nothing::Words(&["default", "close"])),
];

/// Of the `cluster` block.
pub(super) const CLUSTER: Keys = &[("write_timeout", Nothing::Words(&["default", "retry"]))];

/// Of the `websocket` block.
pub(super) const WEBSOCKET: Keys = &[
    ("authentication", Nothing::Empty),
    ("authorization", Nothing::Empty),
    ("jwt_cookie", Nothing::Empty),
    ("no_auth_user", Nothing::Empty),
    ("pass_cookie", Nothing::Empty),
    ("token_cookie", Nothing::Empty),
    ("user_cookie", Nothing::Empty),
];

/// Of `authorization` blocks.
pub(super) const AUTHORIZATION: Keys =
    &[("auth_callout", Nothing::Never), ("proxy_required", Nothing::False)];

/// Of the blocks of accounts.
pub(super) const ACCOUNT: Keys =
    &[("jetstream", Nothing::Disabled), ("msg_trace", Nothing::Empty), ("trace_dest", Nothing::Empty)];

/// Of the blocks of users.
pub(super) const USER: Keys = &[("proxy_required", Nothing::False)];

/// Of entries of `exports`.
pub(super) const EXPORT: Keys = &[("allow_trace", Nothing::False), ("latency", Nothing::Never)];

/// Of entries of `imports`.
pub(super) const IMPORT: Keys = &[("allow_trace", Nothing::False)];
