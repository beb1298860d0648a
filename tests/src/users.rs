//! Users that client libraries come in as.

/// The seed of the key in [`CONFIG`].
pub const SEED: &str = "SUAACAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAN7EY";
/// That of another key.
pub const OTHER_SEED: &str = "SUAAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAT6EE";

/// Users with a key, with a hashed password, which is `foobar`, and with a plain one.
pub const CONFIG: &str = r#"
authorization { users = [
  { nkey: UCFIRY65OQE7DFP5KLNS2PF2LVZMUZYJX4OZIEQ36N2IQANUB5XVZ45L,
    permissions: { publish: ["orders.>", "_INBOX.>"], subscribe: { allow: ["orders.>", "_INBOX.>"], deny: "orders.secret" } } }
  { user: hashed, password: "$2b$04$abcdefghijklmnopqrstuu9log0hrAUiurK9/TETFbcPOPd.iIULC" }
  { user: responder, password: p, permissions: { subscribe: "orders.price", allow_responses: true } }
] }
"#;
