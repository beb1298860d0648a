//! What is asked for.

use onehop::monitor::Response;

use crate::Choices;

/// A page and its options, or any text.
pub(super) enum Request {
    Page { path: &'static str, options: Vec<(&'static str, String)> },
    Any(String),
}

impl Request {
    pub(super) fn new(choices: &mut Choices<'_>) -> Self {
        if choices.below(8) == 7 {
            return Self::Any(String::from_utf8_lossy(choices.bytes()).into_owned());
        }
        let (path, first) = choices.pick(PAGES);
        let first = first.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let options = (0..choices.below(4)).map(|_| {
            let name = choices.pick(NAMES);
            let value = match choices.below(6) {
                0..=2 => choices.pick(VALUES).to_owned(),
                3 => (i64::from(choices.byte()) - 8).to_string(),
                4 => String::from_utf8_lossy(choices.bytes()).into_owned(),
                _ => choices.pick(SORTS).to_owned(),
            };
            (name, value)
        });
        Self::Page { path, options: first.chain(options).collect() }
    }

    /// As it stands in the request line.
    pub(super) fn target(&self) -> String {
        match self {
            Self::Any(text) => text.clone(),
            Self::Page { path, options } if options.is_empty() => (*path).to_owned(),
            Self::Page { path, options } => {
                let options: Vec<_> = options.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{path}?{}", options.join("&"))
            }
        }
    }

    /// The page that it counts as a request of, given its answer.
    pub(super) fn path(&self, response: &Response) -> Option<&'static str> {
        match self {
            Self::Page { path: "/subscriptionsz", .. } => Some("/subsz"),
            Self::Page { path, .. } => Some(path),
            Self::Any(text) => {
                let path = text.split('?').next().unwrap_or_default();
                let is_found = response.status != 404 && response.body != "400 Bad Request";
                assert!(!is_found || path.starts_with('/') || path.starts_with('%'), "{text} is found");
                let path = unescaped(path)?;
                let known = PAGES.iter().map(|page| page.0).find(|known| *known == path);
                assert_eq!(is_found, known.is_some(), "{text}");
                known.map(|path| if path == "/subscriptionsz" { "/subsz" } else { path })
            }
        }
    }

    /// It has no options at all, so there is nothing to refuse.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Page { options, .. } if options.is_empty())
    }

    /// Its options are what they look like.
    pub(super) fn is_readable(&self) -> bool {
        let is_literal = |text: &str| !text.contains(['%', '+', '&', ';', '=']);
        matches!(self, Self::Page { options, .. } if options.iter().all(|(_, value)| is_literal(value)))
    }

    /// The first value of an option, if it is what it looks like.
    pub(super) fn option(&self, wanted: &str) -> Option<&str> {
        let Self::Page { options, .. } = self else { return None };
        let first = options.iter().find(|(name, _)| *name == wanted);
        first.map(|(_, value)| value.as_str()).filter(|_| self.is_readable())
    }
}

/// A path without its escapes; none if they are broken.
fn unescaped(path: &str) -> Option<String> {
    let mut pieces = path.as_bytes().split(|byte| *byte == b'%');
    let mut bytes = pieces.next().unwrap_or_default().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
        let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest);
    }
    String::from_utf8(bytes).ok()
}

/// Paths, and options without which there is little to see.
const PAGES: &[(&str, &[(&str, &str)])] = &[
    ("/connz", &[]),
    ("/subsz", &[("subs", "1")]),
    ("/routez", &[]),
    ("/varz", &[]),
    ("/healthz", &[]),
    ("/", &[]),
    ("/connz", &[("subs", "detail"), ("state", "any")]),
    ("/subsz", &[("subs", "1"), ("test", "a.b")]),
    ("/subscriptionsz", &[]),
    ("/routez", &[("subs", "detail")]),
];

const NAMES: &[&str] = &[
    "limit",
    "offset",
    "subs",
    "sort",
    "state",
    "cid",
    "acc",
    "test",
    "auth",
    "user",
    "stream",
    "consumer",
    "account",
    "details",
    "js-enabled-only",
    "mqtt_client",
];

const VALUES: &[&str] = &[
    "1",
    "0",
    "2",
    "",
    "true",
    "detail",
    "closed",
    "any",
    "open",
    "u",
    "$G",
    "$SYS",
    "a.b",
    "a",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "99999999999999999999",
    "%31",
    "%zz",
    "+1",
    "<",
    "a..b",
    "a.*",
];

const SORTS: &[&str] = &[
    "cid",
    "start",
    "subs",
    "pending",
    "msgs_to",
    "msgs_from",
    "bytes_to",
    "bytes_from",
    "last",
    "idle",
    "uptime",
    "stop",
    "reason",
    "rtt",
];
