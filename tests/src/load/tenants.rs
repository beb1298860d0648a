//! Who may do what at the servers under test: users, what they may not, and accounts that share a stream.

use std::fmt::Write as _;

use super::dialect::Dialect;
use super::inbox::READY_SUBJECT;

/// Subjects that the publisher of [`Tenants::Denied`] may not publish to.
const DENIED: usize = 1000;

/// How the clients of a load stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenants {
    /// Everybody may come in.
    None,
    /// Each is a user with a password.
    Users,
    /// The same, where the publisher may publish to all but a thousand subjects.
    Denied,
    /// Publishers are in one account, and subscribers in another that imports what they publish.
    Import,
}

/// Which side of a load a client is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It publishes.
    Publisher,
    /// It subscribes.
    Subscriber,
}

impl Tenants {
    /// What a server of NATS is to be configured with; none if nothing.
    pub fn configuration(self) -> Option<String> {
        let users = |more: &str| {
            format!(
                "no_auth_user: probe\nauthorization {{ users: [ {{user: probe, password: p}}\n\
                 {{user: publisher, password: p{more}}}\n{{user: subscriber, password: p}} ] }}\n"
            )
        };
        match self {
            Self::None => None,
            Self::Users => Some(users("")),
            Self::Denied => {
                let denied: Vec<String> = (0..DENIED).map(|number| format!("denied.{number}.*")).collect();
                Some(users(&format!(
                    ", permissions: {{publish: {{deny: [{}]}}}}",
                    quoted(denied.iter().map(String::as_str))
                )))
            }
            Self::Import => {
                let of_each = |text: fn(&str) -> String| ["bench.>", READY_SUBJECT].map(text).join(", ");
                let exports = of_each(|subject| format!("{{stream: \"{subject}\"}}"));
                let imports =
                    of_each(|subject| format!("{{stream: {{account: A, subject: \"{subject}\"}}}}"));
                Some(format!(
                    "no_auth_user: probe\naccounts {{\n\
                     A {{ users: [{{user: publisher, password: p}}], exports: [ {exports}] }}\n\
                     B {{ users: [{{user: subscriber, password: p}}, {{user: probe, password: p}}], \
                     imports: [ {imports}] }}\n}}\n"
                ))
            }
        }
    }

    /// What a client says first.
    pub fn greeting(self, dialect: Dialect, role: Role) -> Vec<u8> {
        let user = match role {
            Role::Publisher => "publisher",
            Role::Subscriber => "subscriber",
        };
        if self == Self::None { dialect.greeting().to_vec() } else { greeting_of(user) }
    }
}

/// What a client of NATS says first that is this user.
pub fn greeting_of(user: &str) -> Vec<u8> {
    let plain = String::from_utf8_lossy(Dialect::Nats.greeting());
    plain.replacen('{', &format!("{{\"user\":\"{user}\",\"pass\":\"p\","), 1).into_bytes()
}

/// Accounts, each with one user: `u0` is in `A0`. The one without credentials is in the first.
pub fn accounts(count: usize) -> String {
    let mut text = "no_auth_user: u0\naccounts {\n".to_owned();
    for number in 0..count {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "A{number} {{ users: [{{user: u{number}, password: p}}] }}");
    }
    text + "}\n"
}

fn quoted<'a>(subjects: impl Iterator<Item = &'a str>) -> String {
    subjects.map(|subject| format!("{subject:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use onehop::config::{NoSources, parse_file};

    use super::*;

    #[test]
    fn who_is_a_user_says_so() {
        let greeting =
            |tenants: Tenants, role| String::from_utf8(tenants.greeting(Dialect::Nats, role)).expect("text");
        assert!(!greeting(Tenants::None, Role::Publisher).contains("user"));
        assert!(
            greeting(Tenants::Users, Role::Publisher)
                .starts_with(r#"CONNECT {"user":"publisher","pass":"p","#)
        );
        assert!(greeting(Tenants::Import, Role::Subscriber).contains(r#""user":"subscriber""#));
    }

    #[test]
    fn servers_take_the_configurations_and_these_have_what_their_names_say() {
        let [none, users, denied, import] =
            [Tenants::None, Tenants::Users, Tenants::Denied, Tenants::Import].map(Tenants::configuration);
        assert_eq!(none, None);
        let of_many = Some(accounts(3));
        for text in [&users, &denied, &import, &of_many].into_iter().flatten() {
            let settings = parse_file("a.conf", text, &NoSources).expect("a configuration");
            settings.config.validate().expect("a valid one");
        }
        let count = |text: Option<String>, what| text.map(|text| text.matches(what).count());
        assert_eq!(count(denied, "denied."), Some(DENIED));
        assert_eq!(count(import, "bench.>"), Some(2));
        assert_eq!(count(of_many, "users:"), Some(3));
    }
}
